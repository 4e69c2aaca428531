package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/moorage/moorage/daemon/api"
)

// table lines up columns for people.
type table struct {
	head []string
	rows [][]string
	tint func(row []string, column int) string // SGR code, "" for none; may be nil
}

func (t *table) add(cells ...string) {
	for i := range cells {
		cells[i] = clean(cells[i])
	}
	t.rows = append(t.rows, cells)
}

// write leaves out columns that are empty in every row.
func (t *table) write(a *app) {
	width := make([]int, len(t.head))
	for _, r := range t.rows {
		for i, c := range r {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	line := func(cells []string, tint func(int) string) {
		var b strings.Builder
		pad := 0
		for i, c := range cells {
			if width[i] == 0 {
				continue
			}
			if b.Len() > 0 {
				b.WriteString(strings.Repeat(" ", pad+2))
			}
			if code := tint(i); code != "" {
				b.WriteString("\x1b[" + code + "m" + c + "\x1b[0m")
			} else {
				b.WriteString(c)
			}
			pad = max(width[i], utf8.RuneCountInString(t.head[i])) - utf8.RuneCountInString(c)
		}
		a.say("%s", strings.TrimRight(b.String(), " "))
	}
	colour := a.colour()
	line(t.head, func(int) string {
		if colour {
			return "1"
		}
		return ""
	})
	for _, r := range t.rows {
		line(r, func(i int) string {
			if !colour || t.tint == nil {
				return ""
			}
			return t.tint(r, i)
		})
	}
}

// colour reports whether stdout shows colours: https://no-color.org.
func (a *app) colour() bool {
	return a.StdoutTerminal && a.Getenv("NO_COLOR") == "" && a.Getenv("TERM") != "dumb"
}

// writeJSON writes v, indented, as the whole of stdout.
func (a *app) writeJSON(v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	a.say("%s", b)
	return nil
}

// stateText is a state in words.
func stateText(d api.Drive) string {
	switch d.State {
	case api.Stopped:
		return "not mounted"
	case api.Connecting:
		if d.Step != "" {
			return "connecting (" + d.Step + ")"
		}
		return "connecting"
	case api.Mounted:
		return "mounted"
	case api.Degraded:
		return "offline" // mounted, from what is on this computer
	case api.NeedsYou:
		return "needs you"
	case api.Failed:
		return "failed"
	}
	return string(d.State)
}

func stateTint(s api.State) string {
	switch s {
	case api.Mounted:
		return "32"
	case api.Degraded, api.Connecting:
		return "33"
	case api.NeedsYou, api.Failed:
		return "31"
	}
	return ""
}

// size is n bytes in the largest binary unit that fits, "" for 0.
func size(n int64) string {
	if n <= 0 {
		return ""
	}
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	units := "KMGTPE"
	v := float64(n) / (1 << 10)
	i := 0
	for v >= 999.5 && i < len(units)-1 {
		v /= 1 << 10
		i++
	}
	if v < 9.95 {
		return fmt.Sprintf("%.1f %ciB", v, units[i])
	}
	return fmt.Sprintf("%.0f %ciB", v, units[i])
}
