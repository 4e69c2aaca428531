package posix

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// dataLimit is the size in bytes of the largest file of randomData.
const dataLimit = 300_000

// randomFile is a file and what must be in it.
type randomFile struct {
	path, view string
	fd         int
	want       []byte
}

// randomData does n random reads, writes, truncates and mappings on three files
// in dir, and compares with what has to be there. view is where the files can be
// read past the mount.
func randomData(dir, view string, seed uint64, n int) error {
	r := rand.New(rand.NewPCG(seed, 1))
	var files []*randomFile
	for i := range 3 {
		name := fmt.Sprintf("data-%d-%d", seed, i)
		f := &randomFile{path: filepath.Join(dir, name), view: filepath.Join(view, name)}
		var err error
		if f.fd, err = unix.Open(f.path, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o644); err != nil {
			return fmt.Errorf("open %s: %w", f.path, err)
		}
		defer func() { unix.Close(f.fd) }()
		files = append(files, f)
	}
	var log []string
	for i := range n {
		f := files[r.IntN(len(files))]
		what, err := f.step(r)
		log = append(log, fmt.Sprintf("%d %s %s", i, filepath.Base(f.path), what))
		if err != nil {
			return fmt.Errorf("random data, seed %d: %w; the last steps: %q", seed, err, log[max(0, len(log)-20):])
		}
	}
	for _, f := range files {
		if err := f.elsewhere(); err != nil {
			return fmt.Errorf("random data, seed %d, at the end: %w", seed, err)
		}
	}
	return nil
}

// step does one thing with f.
func (f *randomFile) step(r *rand.Rand) (what string, err error) {
	off := r.IntN(dataLimit)
	size := 1 + r.IntN(min(dataLimit-off, 1<<r.IntN(18)))
	switch op := r.IntN(100); {
	case op < 30:
		what = fmt.Sprintf("read %d at %d", size, off)
		got := make([]byte, size)
		n, err := unix.Pread(f.fd, got, int64(off))
		if err != nil {
			return what, err
		}
		return what, f.same(got[:n], off, size)
	case op < 60:
		what = fmt.Sprintf("write %d at %d", size, off)
		b := f.put(r, off, size)
		if n, err := unix.Pwrite(f.fd, b, int64(off)); err != nil || n != size {
			return what, fmt.Errorf("wrote %d: %w", n, err)
		}
	case op < 70:
		what = fmt.Sprintf("truncate to %d", off)
		if off > len(f.want) {
			f.want = append(f.want, make([]byte, off-len(f.want))...)
		}
		f.want = f.want[:off]
		return what, unix.Ftruncate(f.fd, int64(off))
	case op < 90:
		if len(f.want) == 0 {
			return "no mapping", nil
		}
		off %= len(f.want)
		size = min(size, len(f.want)-off)
		m, err := unix.Mmap(f.fd, 0, len(f.want), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			return "map", err
		}
		defer unix.Munmap(m)
		if op < 80 {
			return fmt.Sprintf("read %d mapped at %d", size, off), f.same(m[off:off+size], off, size)
		}
		copy(m[off:], f.put(r, off, size))
		return fmt.Sprintf("write %d mapped at %d", size, off), nil
	case op < 94:
		return "fsync", unix.Fsync(f.fd)
	case op < 97:
		what = "drop the cache"
		if err := unix.Fsync(f.fd); err != nil {
			return what, err
		}
		return what, unix.Fadvise(f.fd, 0, 0, unix.FADV_DONTNEED)
	case op < 99:
		what = "open again"
		if err := unix.Close(f.fd); err != nil {
			return what, err
		}
		f.fd, err = unix.Open(f.path, unix.O_RDWR|unix.O_CLOEXEC, 0)
		return what, err
	default:
		return "look past the mount", f.elsewhere()
	}
	return what, nil
}

// put makes random data and notes that it is written.
func (f *randomFile) put(r *rand.Rand, off, size int) []byte {
	if end := off + size; end > len(f.want) {
		f.want = append(f.want, make([]byte, end-len(f.want))...)
	}
	b := f.want[off : off+size]
	x := r.Uint64() | 1
	for i := range b {
		x = x*6364136223846793005 + 1442695040888963407
		b[i] = byte(x >> 56)
	}
	return b
}

// same compares what was read at off, where size was asked for.
func (f *randomFile) same(got []byte, off, size int) error {
	want := f.want[min(off, len(f.want)):min(off+size, len(f.want))]
	if len(got) != len(want) {
		return fmt.Errorf("read %d bytes, want %d of a file of %d", len(got), len(want), len(f.want))
	}
	if !bytes.Equal(got, want) {
		i := 0
		for got[i] == want[i] {
			i++
		}
		return fmt.Errorf("byte %d is %#x, want %#x", off+i, got[i], want[i])
	}
	return nil
}

// elsewhere reads the file past the mount.
func (f *randomFile) elsewhere() error {
	if err := unix.Fsync(f.fd); err != nil {
		return err
	}
	fd, err := unix.Open(f.view, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var all []byte
	b := make([]byte, 1<<16)
	for {
		n, err := unix.Read(fd, b)
		if err != nil {
			return err
		}
		if n == 0 {
			return f.same(all, 0, dataLimit)
		}
		all = append(all, b[:n]...)
	}
}

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
