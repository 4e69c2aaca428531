package lfs

import "strings"

// MaxConfig bounds a .lfsconfig file, in bytes.
const MaxConfig = 64 << 10

// ConfigURL finds the address of the LFS server in a .lfsconfig file: lfs.url, in
// the format of git-config(1). "" if it has none.
func ConfigURL(b []byte) string {
	section, url := "", ""
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if line[0] == '[' {
			name, rest, ok := strings.Cut(line[1:], "]")
			if !ok {
				continue
			}
			section = strings.ToLower(strings.TrimSpace(name))
			if line = strings.TrimSpace(rest); line == "" {
				continue
			}
		}
		key, value, ok := strings.Cut(line, "=")
		if ok && section == "lfs" && strings.EqualFold(strings.TrimSpace(key), "url") {
			url = strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return url
}
