package fsx

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Limit is the size in bytes of the largest file.
const Limit = 300_000

// block is what O_DIRECT is aligned to, in bytes.
const block = 4096

// Run is one series of steps. Runs may go on at the same time in one directory
// if their seeds differ.
type Run struct {
	Dir   string // the files are made here
	View  string // the same directory past the mount and its caches
	Seed  uint64
	Steps int
	// Tick is longer than the steps of the clock that gives files their times. A
	// client of NFSv3 sees only by the times that somebody else has changed a file.
	Tick time.Duration
}

// file is a file and what must be in it.
type file struct {
	run  *Run
	name string
	fd   int
	want []byte
	next int      // how often it was renamed
	log  []record // all steps so far
}

// record is one step; from and to are the bytes that it is about.
type record struct {
	number   int
	what     string
	from, to int
}

// shown is how many steps a failure shows.
const shown = 40

// Do takes the steps and removes the files. An error tells the seed, the byte
// that is wrong and the last steps that had to do with it.
func (run Run) Do() error {
	r := rand.New(rand.NewPCG(run.Seed, 1))
	var files []*file
	defer func() {
		for _, f := range files {
			unix.Close(f.fd)
			unix.Unlink(f.path())
		}
	}()
	for i := range 3 {
		f := &file{run: &run, name: fmt.Sprintf("data-%d-%d", run.Seed, i)}
		var err error
		if f.fd, err = unix.Open(f.path(), unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o644); err != nil {
			return fmt.Errorf("open %s: %w", f.path(), err)
		}
		files = append(files, f)
	}
	for i := range run.Steps {
		f := files[r.IntN(len(files))]
		off := r.IntN(Limit)
		size := 1 + r.IntN(min(Limit-off, 1<<r.IntN(18)))
		if err := f.step(r, i, off, size); err != nil {
			return f.failed(err)
		}
	}
	for _, f := range files {
		if err := f.past(); err != nil {
			return f.failed(fmt.Errorf("at the end: %w", err))
		}
	}
	return nil
}

func (f *file) path() string { return filepath.Join(f.run.Dir, f.name) }
func (f *file) view() string { return filepath.Join(f.run.View, f.name) }

// wrong is a byte, or a length, that is not what it has to be.
type wrong struct {
	at   int
	what string
}

func (w *wrong) Error() string { return w.what }

// failed adds to err what happened to the bytes in question.
func (f *file) failed(err error) error {
	var lines []string
	w, _ := err.(*wrong)
	for i := len(f.log) - 1; i >= 0 && len(lines) < shown; i-- {
		if l := f.log[i]; w == nil || l.from <= w.at && w.at < l.to || i > len(f.log)-5 {
			lines = append(lines, fmt.Sprintf("%d %s %d to %d", l.number, l.what, l.from, l.to))
		}
	}
	return fmt.Errorf("random data, seed %d, %s: %w; the steps, last first: %s", f.run.Seed, f.name, err, strings.Join(lines, "; "))
}

// note remembers a step. What truncates is about all behind it.
func (f *file) note(number int, what string, from, to int) {
	f.log = append(f.log, record{number, what, from, to})
}

// step does one thing with f.
func (f *file) step(r *rand.Rand, n, off, size int) error {
	switch op := r.IntN(1000); {
	case op < 250:
		f.note(n, "read", off, off+size)
		return f.read(f.fd, off, size)
	case op < 500:
		f.note(n, "write", off, off+size)
		return f.write(f.fd, f.put(r, off, size), off)
	case op < 540:
		return f.append(r, n, size)
	case op < 590:
		f.note(n, "truncate", off, Limit)
		f.truncated(off)
		return unix.Ftruncate(f.fd, int64(off))
	case op < 610:
		f.note(n, "truncate by name", off, Limit)
		f.truncated(off)
		return unix.Truncate(f.path(), int64(off))
	case op < 860:
		return f.mapped(r, n, op, off, size)
	case op < 890:
		f.note(n, "look at the size", 0, Limit)
		return f.sized()
	case op < 920:
		f.note(n, "fsync", 0, Limit)
		return unix.Fsync(f.fd)
	case op < 945:
		f.note(n, "drop the cache", 0, Limit)
		if err := unix.Fsync(f.fd); err != nil {
			return err
		}
		return unix.Fadvise(f.fd, 0, 0, unix.FADV_DONTNEED)
	case op < 970:
		f.note(n, "open again", 0, Limit)
		return f.reopen()
	case op < 985:
		return f.direct(r, n, op < 977, off, size)
	case op < 991:
		f.note(n, "rename", 0, Limit)
		return f.rename()
	case op < 993:
		return f.elsewhere(r, n, off, size)
	default:
		f.note(n, "look past the mount", 0, Limit)
		return f.past()
	}
}

func (f *file) read(fd, off, size int) error {
	got := make([]byte, size)
	n, err := unix.Pread(fd, got, int64(off))
	if err != nil {
		return err
	}
	return f.same(got[:n], off, size)
}

func (f *file) write(fd int, b []byte, off int) error {
	n, err := unix.Pwrite(fd, b, int64(off))
	if err == nil && n != len(b) {
		err = fmt.Errorf("wrote %d of %d bytes", n, len(b))
	}
	return err
}

// append writes behind the end, with a descriptor of its own that was opened
// with O_APPEND.
func (f *file) append(r *rand.Rand, n, size int) error {
	off := len(f.want)
	if size = min(size, Limit-off); size == 0 {
		return nil
	}
	f.note(n, "append", off, off+size)
	fd, err := unix.Open(f.path(), unix.O_WRONLY|unix.O_APPEND|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := f.write(fd, f.put(r, off, size), 0); err != nil {
		unix.Close(fd)
		return err
	}
	return unix.Close(fd)
}

// mapped reads or writes through a shared mapping of the whole file; op decides
// which, and whether what was written is flushed before the mapping goes.
func (f *file) mapped(r *rand.Rand, n, op, off, size int) error {
	if len(f.want) == 0 {
		return nil
	}
	off %= len(f.want)
	size = min(size, len(f.want)-off)
	m, err := unix.Mmap(f.fd, 0, len(f.want), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	defer unix.Munmap(m)
	if op < 730 {
		f.note(n, "read mapped", off, off+size)
		return f.same(m[off:off+size], off, size)
	}
	f.note(n, "write mapped", off, off+size)
	copy(m[off:], f.put(r, off, size))
	if op < 760 {
		return unix.Msync(m, unix.MS_SYNC)
	}
	return nil
}

// direct reads or writes whole blocks past the client's cache.
func (f *file) direct(r *rand.Rand, n int, read bool, off, size int) error {
	off -= off % block
	size = min((size+block-1)/block*block, (Limit-off)/block*block)
	if size == 0 {
		return nil
	}
	fd, err := unix.Open(f.path(), unix.O_RDWR|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return err
	}
	defer unix.Munmap(b)
	if read {
		f.note(n, "read directly", off, off+size)
		k, err := unix.Pread(fd, b, int64(off))
		if err != nil {
			return err
		}
		return f.same(b[:k], off, size)
	}
	f.note(n, "write directly", off, off+size)
	copy(b, f.put(r, off, size))
	return f.write(fd, b, off)
}

func (f *file) reopen() (err error) {
	if err = unix.Close(f.fd); err != nil {
		return err
	}
	f.fd, err = unix.Open(f.path(), unix.O_RDWR|unix.O_CLOEXEC, 0)
	return err
}

func (f *file) rename() error {
	old := f.path()
	f.next++
	f.name = fmt.Sprintf("%s.%d", strings.SplitN(f.name, ".", 2)[0], f.next)
	return unix.Rename(old, f.path())
}

// elsewhere closes the file, changes it past the mount and opens it again: close
// to open consistency.
func (f *file) elsewhere(r *rand.Rand, n, off, size int) error {
	f.note(n, "write past the mount", off, off+size)
	if err := unix.Close(f.fd); err != nil {
		return err
	}
	time.Sleep(f.run.Tick)
	fd, err := unix.Open(f.view(), unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := f.write(fd, f.put(r, off, size), off); err != nil {
		unix.Close(fd)
		return err
	}
	if err := unix.Close(fd); err != nil {
		return err
	}
	f.fd, err = unix.Open(f.path(), unix.O_RDWR|unix.O_CLOEXEC, 0)
	return err
}

func (f *file) sized() error {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return err
	}
	if int(st.Size) != len(f.want) {
		return &wrong{len(f.want), fmt.Sprintf("the size is %d, want %d", st.Size, len(f.want))}
	}
	return nil
}

func (f *file) truncated(size int) {
	if size > len(f.want) {
		f.want = append(f.want, make([]byte, size-len(f.want))...)
	}
	f.want = f.want[:size]
}

// put makes random data and notes that it is written.
func (f *file) put(r *rand.Rand, off, size int) []byte {
	if off+size > len(f.want) {
		f.truncated(off + size)
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
func (f *file) same(got []byte, off, size int) error {
	want := f.want[min(off, len(f.want)):min(off+size, len(f.want))]
	if len(got) != len(want) {
		return &wrong{off + len(got), fmt.Sprintf("read %d bytes at %d, want %d of a file of %d", len(got), off, len(want), len(f.want))}
	}
	if !bytes.Equal(got, want) {
		i := 0
		for got[i] == want[i] {
			i++
		}
		return &wrong{off + i, fmt.Sprintf("byte %d is %#x, want %#x", off+i, got[i], want[i])}
	}
	return nil
}

// past reads the whole file past the mount.
func (f *file) past() error {
	if err := unix.Fsync(f.fd); err != nil {
		return err
	}
	fd, err := unix.Open(f.view(), unix.O_RDONLY|unix.O_CLOEXEC, 0)
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
			return f.same(all, 0, Limit)
		}
		all = append(all, b[:n]...)
	}
}
