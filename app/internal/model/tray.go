package model

import (
	"cmp"
	"slices"

	"github.com/moorage/moorage/daemon/api"
)

// Light is what the icon of the tray says about all drives together.
type Light string

// The lights; an icon is named after each.
const (
	Idle      Light = "idle"
	Working   Light = "busy"
	Attention Light = "attention"
	Offline   Light = "offline"
)

// Tray is the tray as it should be.
type Tray struct {
	Light   Light
	Tooltip string
	Items   []TrayItem
}

// TrayItem is one line of the tray's menu; without a label it is a separator.
type TrayItem struct {
	Label string
	Verb  Verb
	Drive string

	Checked bool
}

// Bounds of the tray's menu: desktops cut long menus and long lines.
const (
	trayDrives = 8
	trayName   = 32 // characters
	trayText   = 56 // characters
)

// tray makes a flat menu whose lines change only with the state of a drive:
// numbers that move all the time would close the menu under the pointer.
func (m *Model) tray(drives []api.Drive) Tray {
	t := Tray{Light: m.light(drives), Tooltip: m.texts.Get("app.name")}
	if s := m.summary(drives); s != "" {
		t.Tooltip += ": " + s
	}
	var items []TrayItem
	if m.link == Lost {
		items = append(items, TrayItem{Label: m.texts.Get("link.tray"), Verb: Window})
	}
	for _, d := range drives {
		if what := m.complaint(d); what != "" && len(items) < trayDrives {
			verb := Reveal
			if needsSecret(d) {
				verb = SignIn
			} else if lacksKeeper(d) {
				verb = Secrets
			}
			items = append(items, TrayItem{
				Label: m.texts.Get("tray.problem", cut(d.Name, trayName), cut(what, trayText)),
				Verb:  verb, Drive: d.Name,
			})
		}
	}
	if len(items) > 0 {
		items = append(items, TrayItem{Label: m.texts.Get("tray.doctor"), Verb: Examine})
	}
	items = separate(items)
	for _, d := range foremost(drives) {
		if d.State != api.NeedsYou { // nothing but its complaint can be clicked
			items = append(items, m.trayDrive(d))
		}
	}
	if len(drives) > trayDrives {
		items = append(items, TrayItem{Label: m.texts.Get("tray.all", len(drives)), Verb: Window})
	}
	items = separate(items)
	items = append(items, TrayItem{Label: m.texts.Get("tray.add"), Verb: Add})
	if m.link == Up && (len(drives) > 0 || m.paused() != nil) {
		a := m.pauseAction()
		items = append(items, TrayItem{Label: a.Label, Verb: a.Verb, Checked: a.Checked})
	}
	if len(active(drives)) > 0 {
		items = append(items, TrayItem{Label: m.texts.Get("tray.unmount-all"), Verb: UnmountAll})
	}
	t.Items = append(items,
		TrayItem{},
		TrayItem{Label: m.texts.Get("tray.open"), Verb: Window},
		TrayItem{Label: m.texts.Get("tray.settings"), Verb: Preferences},
		TrayItem{Label: m.texts.Get("tray.quit"), Verb: Quit})
	return t
}

func separate(items []TrayItem) []TrayItem {
	if len(items) == 0 || items[len(items)-1].Label == "" {
		return items
	}
	return append(items, TrayItem{})
}

// complaint is what a person must know about a drive without opening the
// window.
func (m *Model) complaint(d api.Drive) string {
	if r, ok := m.refused[d.Name]; ok {
		return m.brief(r.What)
	}
	if d.State != api.NeedsYou && d.State != api.Failed {
		return ""
	}
	if d.Problem == nil {
		what, _ := m.status(d, d.Since)
		return what
	}
	return m.brief(d.Problem.What)
}

// foremost picks the drives that a menu has room for: those in use first. It
// keeps their order.
func foremost(drives []api.Drive) []api.Drive {
	if len(drives) <= trayDrives {
		return drives
	}
	picked := slices.Clone(drives)
	slices.SortStableFunc(picked, func(a, b api.Drive) int { return cmp.Compare(idle(a), idle(b)) })
	picked = picked[:trayDrives]
	var kept []api.Drive
	for _, d := range drives {
		if slices.ContainsFunc(picked, func(p api.Drive) bool { return p.Name == d.Name }) {
			kept = append(kept, d)
		}
	}
	return kept
}

func idle(d api.Drive) int {
	if d.State == api.Stopped {
		return 1
	}
	return 0
}

func (m *Model) trayDrive(d api.Drive) TrayItem {
	glyph, more, verb := "○", "", Mount
	switch d.State {
	case api.Connecting:
		glyph, more, verb = "◐", "tray.connecting", Reveal
	case api.Mounted:
		glyph, verb = "●", Open
		switch {
		case waits(d) > 0:
			glyph, more = "↑", "tray.uploading"
			if m.paused() != nil {
				glyph, more = "●", "pause.tray"
			}
		case d.Pending.Parked > 0:
			glyph, more = "⚠", "upload.parked"
		}
	case api.Degraded:
		glyph, more, verb = "◌", "tray.offline", Open
	case api.Failed:
		glyph = "✕"
	}
	label := glyph + " " + cut(d.Name, trayName)
	if more != "" {
		label += " – " + m.texts.Get(more)
	}
	return TrayItem{Label: label, Verb: verb, Drive: d.Name}
}

func (m *Model) light(drives []api.Drive) Light {
	c := count(drives)
	switch {
	case m.link == Lost:
		return Offline
	case c.attention > 0:
		return Attention
	case c.busy > 0 || c.uploading > 0 && m.paused() == nil || m.link != Up:
		return Working
	case c.offline > 0:
		return Offline
	}
	return Idle
}

// cut shortens s to at most n characters.
func cut(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}
