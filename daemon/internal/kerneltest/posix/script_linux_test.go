package posix

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A check is a script: one step a line, "[USER:] VERB ARGUMENTS", by root where
// no user is named. Paths are below the check's own directory, which is empty
// and has mode 0777. {N} stands for a name of N bytes, {N/M} for a path of N
// bytes of components of M.
type check struct {
	name   string
	script string
}

// A step is one line of a script and what it gave.
type step struct {
	check, line, result string
}

func (s step) String() string { return s.check + ": " + s.line }

// A machine runs scripts in a directory.
type machine struct {
	dir   string // where the checks get their directories
	view  string // the same directory, seen past the client's caches
	users map[string]*user
	steps []step

	at    string // the directory of the running check
	files map[string]int
	marks map[string]unix.Stat_t
}

// run runs one check.
func (m *machine) run(n int, c check) error {
	name := fmt.Sprintf("c%d", n)
	m.at, m.files, m.marks = filepath.Join(m.dir, name), map[string]int{}, map[string]unix.Stat_t{}
	if err := unix.Mkdir(m.at, 0o777); err != nil {
		return fmt.Errorf("mkdir %s: %w", m.at, err)
	}
	for line := range strings.Lines(c.script) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		who, rest, named := strings.Cut(line, ": ")
		if !named {
			who, rest = "root", line
		}
		words := strings.Fields(rest)
		v, ok := verbs[words[0]]
		u := m.users[who]
		if !ok || u == nil {
			return fmt.Errorf("%s: no such step: %s", c.name, line)
		}
		var out string
		var err error
		u.do(func() { out, err = v(m, words[1:]) })
		if e, ok := err.(unix.Errno); ok {
			out = unix.ErrnoName(e)
		} else if err != nil {
			return fmt.Errorf("%s: %s: %w", c.name, line, err)
		}
		m.steps = append(m.steps, step{c.name, line, out})
	}
	for _, fd := range m.files {
		unix.Close(fd)
	}
	unix.Umask(0)
	m.steps = append(m.steps,
		step{c.name, "what is left", m.tree(m.at)},
		step{c.name, "what is left, seen from elsewhere", m.tree(filepath.Join(m.view, name))})
	return nil
}

var longName = regexp.MustCompile(`\{(\d+)(?:/(\d+))?\}`)

// path is the argument s as a path.
func (m *machine) path(s string) string {
	if s == "''" {
		return ""
	}
	return m.at + "/" + expand(s)
}

func expand(s string) string {
	return longName.ReplaceAllStringFunc(s, func(x string) string {
		g := longName.FindStringSubmatch(x)
		n, _ := strconv.Atoi(g[1])
		each, _ := strconv.Atoi(g[2])
		b := []byte(strings.Repeat("x", n))
		for i := each; each > 0 && i < n-1; i += each + 1 {
			b[i] = '/'
		}
		return string(b)
	})
}

// whole are the kinds of objects, and kind makes one named p of a kind.
var kinds = []string{"file", "dir", "symlink", "fifo", "socket", "char", "block"}

func make1(kind, p string) string {
	switch kind {
	case "file":
		return "create " + p + " 644\n"
	case "dir":
		return "mkdir " + p + " 755\n"
	case "full":
		return "mkdir " + p + " 755\ncreate " + p + "/in 644\n"
	case "symlink":
		return "symlink nowhere " + p + "\n"
	}
	return "mknod " + p + " " + kind + " 644\n"
}
