package mounts

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/problem"
)

const maxName = 64 // bytes

// reserved are devices to Windows, with any extension.
var reserved = [...]string{"con", "prn", "aux", "nul", "com", "lpt"}

// checkName makes sure that name can be a folder, the last element of an
// export path and a volume's name on every system.
func checkName(name string) error {
	bad := func(what string) error {
		return problem.New(api.ExitUsage, api.CodeBadName, fmt.Sprintf("%q cannot be the name of a drive: %s.", name, what), "",
			"Use up to 64 letters, digits, blanks, and . _ - + @ ( ), beginning with a letter or digit.")
	}
	switch {
	case name == "":
		return bad("it is empty")
	case len(name) > maxName:
		return bad("it is too long")
	case !utf8.ValidString(name):
		return bad("it is not valid UTF-8")
	}
	for i, r := range name {
		letter := unicode.IsLetter(r) || unicode.IsDigit(r)
		if i == 0 && !letter && r != '_' {
			return bad("it begins with a special character")
		}
		if !letter && !unicode.Is(unicode.M, r) && !strings.ContainsRune(" ._-+@()", r) {
			return bad(fmt.Sprintf("it holds %q", r))
		}
	}
	if last := name[len(name)-1]; last == ' ' || last == '.' {
		return bad("it ends with a blank or a dot")
	}
	stem, _, _ := strings.Cut(strings.ToLower(name), ".")
	for _, r := range reserved {
		rest, ok := strings.CutPrefix(stem, r)
		if ok && (rest == "" || (r == "com" || r == "lpt") && len(rest) == 1 && rest[0] >= '0' && rest[0] <= '9') {
			return bad("Windows keeps it for a device")
		}
	}
	return nil
}

// Suggest is a name like usual that no drive has, and where a drive of that name would
// be mounted; where drives get letters, those that are free, the first one first.
func (m *Manager) Suggest(usual string) (name, dir string, letters []string) {
	m.mu.Lock()
	name = unique(usual, func(n string) bool { return m.drives[n] != nil })
	m.mu.Unlock()
	if letters = freeLetters(); letters != nil {
		return name, "", letters
	}
	return name, m.defaultDir(name), nil
}

// unique returns name, or name with the first number that makes it free.
func unique(name string, taken func(string) bool) string {
	n := name
	for i := 2; taken(n); i++ {
		suffix := fmt.Sprintf("-%d", i)
		for len(name)+len(suffix) > maxName {
			_, size := utf8.DecodeLastRuneInString(name)
			name = name[:len(name)-size]
		}
		n = name + suffix
	}
	return n
}
