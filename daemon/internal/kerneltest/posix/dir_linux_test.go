package posix

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// dirent is one entry as getdents64(2) gives it.
type dirent struct {
	name string
	typ  byte
	ino  uint64
	off  int64 // where the listing goes on behind it
}

// dirents reads some entries from where fd stands; none at the end.
func dirents(fd, size int) ([]dirent, error) {
	b := make([]byte, size)
	n, err := unix.Getdents(fd, b)
	if err != nil {
		return nil, err
	}
	var out []dirent
	for b = b[:n]; len(b) > 0; {
		l := int(binary.NativeEndian.Uint16(b[16:]))
		out = append(out, dirent{unix.ByteSliceToString(b[19:l]), b[18], binary.NativeEndian.Uint64(b), int64(binary.NativeEndian.Uint64(b[8:]))})
		b = b[l:]
	}
	return out, nil
}

// fill DIR COUNT makes files.
func fill(m *machine, a []string) (string, error) {
	n, err := numbers(a[1:], 10)
	if err != nil {
		return "", err
	}
	for i := range n[0] {
		fd, err := unix.Open(fmt.Sprintf("%s/entry-%04d", m.path(a[0]), i), unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, 0o644)
		if err != nil {
			return "", err
		}
		unix.Close(fd)
	}
	return "ok", nil
}

// walk DIR BYTES lists with a small buffer, then goes back to the place of every
// entry and looks whether the listing goes on with the one behind it.
func walk(m *machine, a []string) (string, error) {
	size, err := strconv.Atoi(a[1])
	if err != nil {
		return "", err
	}
	fd, err := unix.Open(m.path(a[0]), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	var all []dirent
	for {
		es, err := dirents(fd, size)
		if err != nil {
			return "", err
		}
		if len(es) == 0 {
			break
		}
		all = append(all, es...)
	}
	if end, err := dirents(fd, size); err != nil || len(end) != 0 {
		return fmt.Sprint("more behind the end: ", end, err), nil
	}
	order := slices.Clone(all)
	for i := range order { // a fixed disorder
		j := (i*7919 + 13) % len(order)
		order[i], order[j] = order[j], order[i]
	}
	for _, e := range order[:min(len(order), 60)] {
		i := slices.IndexFunc(all, func(x dirent) bool { return x.name == e.name })
		if _, err := unix.Seek(fd, e.off, unix.SEEK_SET); err != nil {
			return "", err
		}
		es, err := dirents(fd, size)
		switch {
		case err != nil:
			return "", err
		case i == len(all)-1 && len(es) > 0, i < len(all)-1 && (len(es) == 0 || es[0].name != all[i+1].name):
			return fmt.Sprintf("behind %s: %v", e.name, es), nil
		}
	}
	if _, err := unix.Seek(fd, 0, unix.SEEK_SET); err != nil {
		return "", err
	}
	es, err := dirents(fd, size)
	if err != nil || len(es) == 0 || es[0].name != all[0].name {
		return fmt.Sprint("at the beginning: ", es, err), nil
	}
	var names []string
	for _, e := range all {
		names = append(names, e.name)
	}
	slices.Sort(names)
	return show([]byte(strings.Join(names, " "))), nil
}

// walkRemoving DIR BYTES removes every file as soon as it is listed, as rm -r
// may do, without reading from the beginning again.
func walkRemoving(m *machine, a []string) (string, error) {
	size, err := strconv.Atoi(a[1])
	if err != nil {
		return "", err
	}
	fd, err := unix.Open(m.path(a[0]), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	removed := 0
	for {
		es, err := dirents(fd, size)
		if err != nil {
			return "", err
		}
		if len(es) == 0 {
			return fmt.Sprintf("removed %d", removed), nil
		}
		for _, e := range es {
			if e.name == "." || e.name == ".." {
				continue
			}
			if err := unix.Unlink(m.path(a[0]) + "/" + e.name); err != nil {
				return e.name, err
			}
			removed++
		}
	}
}

// walkChanging DIR BYTES makes, renames and removes files between the parts of a
// listing, and tells whether what stays was listed exactly once.
func walkChanging(m *machine, a []string) (string, error) {
	size, err := strconv.Atoi(a[1])
	if err != nil {
		return "", err
	}
	dir := m.path(a[0])
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	seen := map[string]int{}
	for n := 0; ; n++ {
		es, err := dirents(fd, size)
		if err != nil {
			return "", err
		}
		if len(es) == 0 {
			break
		}
		for _, e := range es {
			seen[e.name]++
		}
		for i := range 3 {
			name := fmt.Sprintf("%s/new-%d-%d", dir, n, i)
			if f, err := unix.Open(name, unix.O_CREAT|unix.O_WRONLY, 0o644); err == nil {
				unix.Close(f)
			}
			if i == 1 {
				err = unix.Rename(name, name+"-renamed")
			} else if i == 2 {
				err = unix.Unlink(name)
			}
			if err != nil {
				return "", err
			}
		}
	}
	fds, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fds)
	stay, wrong := 0, []string{}
	for {
		es, err := dirents(fds, 1<<16)
		if err != nil {
			return "", err
		}
		if len(es) == 0 {
			return fmt.Sprintf("%d stay, not listed once: %q", stay, wrong), nil
		}
		for _, e := range es {
			switch {
			case strings.HasPrefix(e.name, "new-"):
				if seen[e.name] > 1 {
					wrong = append(wrong, e.name)
				}
				if err := unix.Unlink(dir + "/" + e.name); err != nil {
					return "", err
				}
				continue
			case seen[e.name] != 1:
				wrong = append(wrong, e.name)
			}
			stay++
		}
	}
}

// inodes tells whether the numbers in a listing are those of stat.
func inodes(m *machine, a []string) (string, error) {
	dir := m.path(a[0])
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	for {
		es, err := dirents(fd, 4096)
		if err != nil {
			return "", err
		}
		if len(es) == 0 {
			return "agree", nil
		}
		for _, e := range es {
			var st unix.Stat_t
			if err := unix.Lstat(dir+"/"+e.name, &st); err != nil {
				return "", err
			}
			if st.Ino != e.ino {
				return fmt.Sprintf("%s is %d in the listing, and is %d", e.name, e.ino, st.Ino), nil
			}
		}
	}
}
