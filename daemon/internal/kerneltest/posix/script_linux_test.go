package posix

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A check is a script: one step a line, "[USER:] VERB ARGUMENTS", by root where
// no user is named. Paths are below the check's own directory, which is empty
// and has mode 0777. "LINE -> RESULT" says what the step has to give wherever all
// users are, as POSIX and Linux have it; the local file system is held to it,
// too. {N} stands for a name of N bytes, {N/M} for a path of N
// bytes of components of M.
type check struct {
	name   string
	script string
	// world is a script of what is there first. The verb "restore" makes it again
	// after a step that has succeeded.
	world string
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
	far   string // a directory of another mount
	users map[string]*user
	steps []step
	wrong int // steps that did not give what their line says

	at    string // the directory of the running check
	world string // of the running check
	files map[string]int
	marks map[string]unix.Stat_t
}

// run runs one check.
func (m *machine) run(n int, c check) error {
	name := fmt.Sprintf("c%d", n)
	m.at, m.files, m.marks = filepath.Join(m.dir, name), map[string]int{}, map[string]unix.Stat_t{}
	var err error
	if m.users["root"].do(func() { err = unix.Mkdir(m.at, 0o777) }); err != nil {
		return fmt.Errorf("mkdir %s: %w", m.at, err)
	}
	if m.world = c.world; m.world != "" {
		if err := m.build(); err != nil {
			return err
		}
	}
	for line := range strings.Lines(c.script) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if line == "restore" {
			if last := m.steps[len(m.steps)-1].result; !strings.HasPrefix(last, "E") {
				if err := m.build(); err != nil {
					return fmt.Errorf("%s: %w", c.name, err)
				}
			}
			continue
		}
		line, want, said := strings.Cut(line, " -> ")
		out, err := m.do(line)
		if err == errNobody {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %s: %w", c.name, line, err)
		}
		if said && out != want && m.users["other"] != nil {
			fmt.Printf("WRONG %s: %s: %s\n\tgot %s, want %s\n", m.at, c.name, line, out, want)
			m.wrong++
		}
		m.steps = append(m.steps, step{c.name, line, out})
	}
	m.closeFiles()
	unix.Umask(0)
	for _, at := range []string{m.dir, m.view} {
		var left string
		m.users["root"].do(func() { left = m.tree(filepath.Join(at, name)) })
		m.steps = append(m.steps, step{c.name, map[string]string{m.dir: "what is left", m.view: "what is left, seen past the mount"}[at], left})
	}
	return nil
}

var errNobody = errors.New("this user does not exist here")

// stepLimit is how long one step may take.
const stepLimit = 20 * time.Second

// do runs one line.
func (m *machine) do(line string) (out string, err error) {
	who, rest, named := strings.Cut(line, ": ")
	if !named {
		who, rest = "root", line
	}
	words := strings.Fields(rest)
	v := verbs[words[0]]
	u, known := m.users[who]
	switch {
	case v == nil || !known:
		return "", errors.New("no such verb or user")
	case u == nil:
		return "", errNobody
	}
	hang := time.AfterFunc(stepLimit, func() {
		fmt.Printf("FAIL: %s hangs: %s\n", m.at, line)
		os.Exit(1)
	})
	u.do(func() { out, err = v(m, words[1:]) })
	hang.Stop()
	var e unix.Errno
	if errors.As(err, &e) {
		return strings.TrimSpace(unix.ErrnoName(e) + " " + strings.TrimPrefix(out, "ok")), nil
	}
	return out, err
}

// build makes the world of the check, and nothing else.
func (m *machine) build() error {
	m.closeFiles()
	var err error
	m.users["root"].do(func() {
		var names []os.DirEntry
		names, err = os.ReadDir(m.at)
		for _, n := range names {
			err = errors.Join(err, os.RemoveAll(filepath.Join(m.at, n.Name())))
		}
	})
	if err != nil {
		return fmt.Errorf("clean up: %w", err)
	}
	for line := range strings.Lines(m.world) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if out, err := m.do(line); err != nil || out != "ok" {
			return fmt.Errorf("%s: %s %w", line, out, err)
		}
	}
	return nil
}

func (m *machine) closeFiles() {
	for _, fd := range m.files {
		unix.Close(fd)
	}
	clear(m.files)
}

var longName = regexp.MustCompile(`\{(\d+)(?:/(\d+))?\}`)

// path is the argument s as a path; one that begins with ~ goes past the mount,
// one with @ to another mount.
func (m *machine) path(s string) string {
	if s == "''" {
		return ""
	}
	if rest, ok := strings.CutPrefix(s, "~"); ok {
		return filepath.Join(m.view, filepath.Base(m.at)) + "/" + expand(rest)
	}
	if rest, ok := strings.CutPrefix(s, "@"); ok {
		return filepath.Join(m.far, expand(rest))
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

// kinds are the kinds of objects.
var kinds = []string{"file", "dir", "symlink", "fifo", "socket", "char", "block"}

// make1 is the script that makes an object of a kind.
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
