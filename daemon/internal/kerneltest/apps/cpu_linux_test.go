package apps

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func cpus() string {
	var out []string
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, p := range all {
		b, _ := os.ReadFile(p)
		_, rest, _ := strings.Cut(string(b), "(")
		name, rest, _ := strings.Cut(rest, ")")
		w := strings.Fields(rest)
		if len(w) < 20 {
			continue
		}
		if w[11] != "0" || w[12] != "0" {
			out = append(out, fmt.Sprintf("%s %s+%s", name, w[11], w[12]))
		}
	}
	st, _ := os.ReadFile("/proc/stat")
	l, _, _ := strings.Cut(string(st), "\n")
	return strings.Join(out, ", ") + " | " + l
}
