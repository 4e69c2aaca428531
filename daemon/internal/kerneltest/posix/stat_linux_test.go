package posix

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// describe leaves out the size of a directory, which is the file system's own.
func describe(st *unix.Stat_t) string {
	typ := map[uint32]string{unix.S_IFREG: "file", unix.S_IFDIR: "dir", unix.S_IFLNK: "symlink", unix.S_IFIFO: "fifo",
		unix.S_IFSOCK: "socket", unix.S_IFCHR: "char", unix.S_IFBLK: "block"}[st.Mode&unix.S_IFMT]
	out := fmt.Sprintf("%s %04o links %d owner %d:%d", typ, st.Mode&0o7777, st.Nlink, st.Uid, st.Gid)
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFCHR, unix.S_IFBLK:
		out += fmt.Sprintf(" device %d,%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
	case unix.S_IFDIR:
	default:
		out += fmt.Sprintf(" size %d", st.Size)
	}
	return out
}

func stat(p string, call func(string, *unix.Stat_t) error) (string, error) {
	var st unix.Stat_t
	if err := call(p, &st); err != nil {
		return "", err
	}
	return describe(&st), nil
}

func fstat(m *machine, a []string) (string, error) {
	fd, err := m.file(a[0])
	if err != nil {
		return "", err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", err
	}
	return describe(&st), nil
}

func times(m *machine, a []string) (string, error) {
	var st unix.Stat_t
	if err := unix.Lstat(m.path(a[0]), &st); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d.%09d %d.%09d", st.Atim.Sec, st.Atim.Nsec, st.Mtim.Sec, st.Mtim.Nsec), nil
}

// utimens PATH ATIME MTIME, each of them now, omit or SECONDS[.NANOSECONDS]; no
// times at all are what a null pointer means.
func utimens(p string, a []string, flags int) (string, error) {
	var ts []unix.Timespec
	for _, s := range a {
		switch s {
		case "now":
			ts = append(ts, unix.Timespec{Nsec: unix.UTIME_NOW})
		case "omit":
			ts = append(ts, unix.Timespec{Nsec: unix.UTIME_OMIT})
		default:
			sec, nsec, _ := strings.Cut(s, ".")
			n, err := numbers([]string{sec, "0" + nsec}, 10)
			if err != nil {
				return "", err
			}
			ts = append(ts, unix.Timespec{Sec: int64(n[0]), Nsec: int64(n[1])})
		}
	}
	if ts == nil {
		ts = []unix.Timespec{{Nsec: unix.UTIME_NOW}, {Nsec: unix.UTIME_NOW}}
	}
	return "ok", unix.UtimesNanoAt(unix.AT_FDCWD, p, ts, flags)
}

// mark remembers times, and moved tells which of them have moved since.
func mark(m *machine, a []string) (string, error) {
	for _, p := range a {
		var st unix.Stat_t
		if err := unix.Lstat(m.path(p), &st); err != nil {
			return "", err
		}
		m.marks[p] = st
	}
	return "", nil
}

func moved(m *machine, a []string) (string, error) {
	var out []string
	for _, p := range a {
		var st unix.Stat_t
		as, p := p, p
		if i := strings.IndexByte(p, '='); i >= 0 { // NOW=BEFORE
			p, as = p[:i], p[i+1:]
		}
		if err := unix.Lstat(m.path(p), &st); err != nil {
			return "", err
		}
		old, ok := m.marks[as]
		if !ok {
			return "", errors.New("not marked: " + as)
		}
		s := p + ":"
		if st.Mtim != old.Mtim {
			s += " mtime"
		}
		if st.Ctim != old.Ctim {
			s += " ctime"
		}
		out = append(out, s)
	}
	return strings.Join(out, ", "), nil
}

func readlink(m *machine, a []string) (string, error) {
	b := make([]byte, 5000)
	n, err := unix.Readlink(m.path(a[0]), b)
	if err != nil {
		return "", err
	}
	return show(b[:n]), nil
}

// same tells whether two names lead to one object.
func sameObject(m *machine, a []string) (string, error) {
	var x, y unix.Stat_t
	if err := unix.Lstat(m.path(a[0]), &x); err != nil {
		return "", err
	}
	if err := unix.Lstat(m.path(a[1]), &y); err != nil {
		return "", err
	}
	return fmt.Sprint(x.Dev == y.Dev && x.Ino == y.Ino), nil
}

// blocks tells whether a file has holes.
func blocks(m *machine, a []string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(m.path(a[0]), &st); err != nil {
		return "", err
	}
	return fmt.Sprintf("sparse: %v, empty: %v", st.Blocks*512 < st.Size, st.Blocks == 0), nil
}

func statfs(m *machine, a []string) (string, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(m.path(a[0]), &s); err != nil {
		return "", err
	}
	sane := s.Blocks > 0 && s.Bfree <= s.Blocks && s.Bavail <= s.Bfree && s.Files > 0 && s.Ffree <= s.Files
	return fmt.Sprintf("sane: %v, names of %d", sane, s.Namelen), nil
}

// tree describes everything below p.
func (m *machine) tree(p string) string {
	var out []string
	err := filepath.WalkDir(p, func(q string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if silly(d.Name()) {
			return nil
		}
		var st unix.Stat_t
		if err := unix.Lstat(q, &st); err != nil {
			return err
		}
		line := strings.TrimPrefix(q, p) + " " + describe(&st)
		if len(line) > 300 {
			line = fmt.Sprintf("…%d %s", len(q)-len(p), describe(&st))
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			if st.Size > 0 && st.Size < 1<<20 {
				b, err := os.ReadFile(q)
				if err != nil {
					return err
				}
				line += " " + show(b)
			}
		case unix.S_IFLNK:
			t, err := os.Readlink(q)
			if err != nil {
				return err
			}
			line += " to " + show([]byte(t))
		}
		out = append(out, line)
		return nil
	})
	if err != nil {
		out = append(out, strings.ReplaceAll(err.Error(), p, ""))
	}
	if len(out) > 60 {
		return fmt.Sprintf("%d objects %x", len(out), sha256.Sum256([]byte(strings.Join(out, "\n"))))
	}
	return strings.Join(out, "; ")
}
