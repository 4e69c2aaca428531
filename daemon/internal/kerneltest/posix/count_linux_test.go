package posix

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// calls are the system calls of the verbs, where the name is not the same.
var calls = map[string]string{
	"create": "open", "put": "open", "lchown": "chown", "fchown": "chown", "fchmod": "chmod", "ftruncate": "truncate",
	"utimens": "utimensat", "lutimens": "utimensat", "linkto": "link",
}

// TestCount tells how many steps there are of each call, and sees that none of
// the calls that a file system is about is tested by the way only.
func TestCount(t *testing.T) {
	all, said := map[string]int{}, map[string]int{}
	for _, c := range checks() {
		for line := range strings.Lines(c.script) {
			line, _, absolute := strings.Cut(strings.TrimSpace(line), " -> ")
			if _, rest, ok := strings.Cut(line, ": "); ok {
				line = rest
			}
			words := strings.Fields(line)
			if len(words) == 0 || words[0] == "restore" {
				continue
			}
			name := words[0]
			if name == "mknod" && words[2] == "fifo" {
				name = "mkfifo"
			}
			if call, ok := calls[name]; ok {
				name = call
			}
			all[name]++
			if absolute {
				said[name]++
			}
		}
	}
	total, absolute := 0, 0
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Logf("%-10s %5d steps, %4d with a result that is written down", name, all[name], said[name])
		total += all[name]
		absolute += said[name]
	}
	t.Logf("%-10s %5d steps, %4d with a result that is written down", "all", total, absolute)
	for _, name := range []string{"chmod", "chown", "link", "mkdir", "mkfifo", "open", "rename", "rmdir", "symlink", "truncate", "unlink", "utimensat"} {
		if all[name] < 80 || said[name] < 15 {
			t.Errorf("%s: %d steps, %d with a result", name, all[name], said[name])
		}
	}
}
