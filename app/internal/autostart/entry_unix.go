//go:build unix && !darwin

package autostart

import (
	"os"
	"path/filepath"
	"strings"
)

// newEntry follows the XDG autostart specification.
func newEntry(program string) (entry, error) {
	dir := os.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(dir) {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, err
		}
		dir = filepath.Join(home, ".config")
	}
	return &file{path: filepath.Join(dir, "autostart", "moorage.desktop"), text: []byte(desktopFile(program)), on: notHidden}, nil
}

func desktopFile(program string) string {
	return `[Desktop Entry]
Type=Application
Name=Moorage
Comment=Remote repositories as drives
Exec=` + execWord(program) + " " + hiddenFlag + `
Icon=org.moorage.Moorage
Terminal=false
X-GNOME-Autostart-enabled=true
`
}

// execWord quotes a program for the key Exec: first as a word of a command line, then as
// a value of the file.
func execWord(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch r {
		case '"', '`', '$', '\\':
			b.WriteByte('\\')
		case '%':
			b.WriteByte('%')
		}
		b.WriteRune(r)
	}
	quoted := `"` + b.String() + `"`
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\t", `\t`, "\r", `\r`).Replace(quoted)
}

// notHidden is what desktops look at: some switch an entry off by these keys.
func notHidden(text []byte) bool {
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key, value = strings.TrimSpace(key), strings.TrimSpace(value); {
		case key == "Hidden" && value == "true", key == "X-GNOME-Autostart-enabled" && value == "false":
			return false
		}
	}
	return true
}
