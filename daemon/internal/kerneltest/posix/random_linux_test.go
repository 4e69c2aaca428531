package posix

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A namer makes, renames and removes names of its own in a directory that others
// work in at the same time, and knows which there must be.
type namer struct {
	dir   string
	id    int
	r     *rand.Rand
	names map[string]object
	next  int
}

// object is what a name leads to: names of one file have the same number.
type object struct {
	dir    bool
	number int
}

// randomNames lets every user of us, all of them the same person, work in one
// directory for n steps each, through the mounts in turn, and compares the end
// with what it has to be.
func randomNames(mounts []string, us []*user, seed uint64, n int) error {
	name := fmt.Sprintf("names-%d", seed)
	var err error
	if us[0].do(func() { err = unix.Mkdir(filepath.Join(mounts[0], name), 0o755) }); err != nil {
		return err
	}
	ended := make(chan error, len(us))
	var namers []*namer
	for i, u := range us {
		w := &namer{dir: filepath.Join(mounts[i%len(mounts)], name), id: i, r: rand.New(rand.NewPCG(seed, uint64(i))), names: map[string]object{}}
		namers = append(namers, w)
		go u.do(func() {
			for k := range n {
				if err := w.step(); err != nil {
					ended <- fmt.Errorf("random names, seed %d, worker %d, step %d: %w", seed, w.id, k, err)
					return
				}
			}
			ended <- nil
		})
	}
	for range us {
		err = errors.Join(err, <-ended)
	}
	if err != nil {
		return err
	}
	want := map[string]object{}
	for _, w := range namers {
		for k, v := range w.names {
			want[k] = v
		}
	}
	for _, at := range mounts {
		us[0].do(func() { err = errors.Join(err, listed(filepath.Join(at, name), want, "")) })
	}
	return err
}

func (w *namer) path(name string) string { return w.dir + "/" + name }

func (w *namer) fresh() string {
	w.next++
	return fmt.Sprintf("w%d-%d", w.id, w.next)
}

// pick gives one of the worker's names, or none.
func (w *namer) pick() (string, object) {
	if len(w.names) == 0 {
		return "", object{}
	}
	// Not by the order of the map: a seed shall give the same steps again.
	for {
		name := fmt.Sprintf("w%d-%d", w.id, 1+w.r.IntN(w.next))
		if t, ok := w.names[name]; ok {
			return name, t
		}
	}
}

func (w *namer) step() error {
	old, typ := w.pick()
	switch op := w.r.IntN(100); {
	case op < 35 || old == "":
		name := w.fresh()
		fd, err := unix.Open(w.path(name), unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
		if err != nil {
			return fmt.Errorf("create %s: %w", name, err)
		}
		w.names[name] = object{number: w.next}
		return unix.Close(fd)
	case op < 45:
		name := w.fresh()
		if err := unix.Mkdir(w.path(name), 0o755); err != nil {
			return fmt.Errorf("mkdir %s: %w", name, err)
		}
		w.names[name] = object{dir: true, number: w.next}
	case op < 60:
		name := w.fresh()
		if err := unix.Rename(w.path(old), w.path(name)); err != nil {
			return fmt.Errorf("rename %s to %s: %w", old, name, err)
		}
		delete(w.names, old)
		w.names[name] = typ
	case op < 68:
		to, other := w.pick()
		err := unix.Rename(w.path(old), w.path(to))
		var want error
		switch {
		case typ.dir && !other.dir:
			want = unix.ENOTDIR
		case !typ.dir && other.dir:
			want = unix.EISDIR
		case typ != other: // two names of one file are left alone
			delete(w.names, old)
			w.names[to] = typ
		}
		if err != want {
			return fmt.Errorf("rename %s over %s: %v, want %v", old, to, err, want)
		}
	case op < 75 && !typ.dir:
		name := w.fresh()
		if err := unix.Link(w.path(old), w.path(name)); err != nil {
			return fmt.Errorf("link %s to %s: %w", old, name, err)
		}
		w.names[name] = typ
	case op < 95:
		err := unix.Unlink(w.path(old))
		if typ.dir {
			err = unix.Rmdir(w.path(old))
		}
		if err != nil {
			return fmt.Errorf("remove %s: %w", old, err)
		}
		delete(w.names, old)
	default:
		return listed(w.dir, w.names, fmt.Sprintf("w%d-", w.id))
	}
	return nil
}

// listed checks that the names in dir that begin with prefix are those of want,
// each of them once.
func listed(dir string, want map[string]object, prefix string) error {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	seen := map[string]bool{}
	for {
		es, err := dirents(fd, 2048)
		if err != nil {
			return err
		}
		if len(es) == 0 {
			break
		}
		for _, e := range es {
			if e.name == "." || e.name == ".." || len(e.name) < len(prefix) || e.name[:len(prefix)] != prefix {
				continue
			}
			if _, ok := want[e.name]; !ok || seen[e.name] {
				return fmt.Errorf("%s is listed, twice: %v", e.name, seen[e.name])
			}
			seen[e.name] = true
		}
	}
	for name := range want {
		if !seen[name] {
			return fmt.Errorf("%s is not listed", name)
		}
	}
	return nil
}

// full fills a file system of 2 MiB and looks whether the client is told, and
// goes on when there is space again.
func full(dir string) error {
	block := bytes.Repeat([]byte("full"), 1<<16)
	fill := func(name string, blocks int) error {
		fd, err := unix.Open(filepath.Join(dir, name), unix.O_CREAT|unix.O_WRONLY|unix.O_TRUNC|unix.O_CLOEXEC, 0o644)
		if err != nil {
			return err
		}
		for range blocks {
			if _, err = unix.Write(fd, block); err != nil {
				break
			}
		}
		if err == nil {
			err = unix.Fsync(fd)
		}
		return errors.Join(err, unix.Close(fd))
	}
	if err := fill("much", 16); !errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("4 MiB into 2 MiB: %v, want ENOSPC", err)
	}
	if err := unix.Unlink(filepath.Join(dir, "much")); err != nil {
		return err
	}
	if err := fill("less", 4); err != nil {
		return fmt.Errorf("1 MiB after that: %w", err)
	}
	return nil
}
