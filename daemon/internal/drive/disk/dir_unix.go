//go:build linux || darwin

package disk

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// dirFile is a file in a dir.
type dirFile struct{ f *os.File }

func (f *dirFile) WriteAt(p []byte, off int64) (int, error) { return f.f.WriteAt(p, off) }
func (f *dirFile) Truncate(size int64) error                { return f.f.Truncate(size) }

// usedBytes relies on st_blocks, which POSIX leaves open and all systems count
// in units of 512 bytes.
func usedBytes(_ *os.File, i fs.FileInfo) (int64, error) {
	if st, ok := i.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512, nil
	}
	return i.Size(), nil
}

func list(f *os.File) ([]Info, error) {
	// Readdir leaves out what goes away meanwhile.
	all, err := f.Readdir(-1)
	if err != nil {
		return nil, err
	}
	l := make([]Info, len(all))
	for n, i := range all {
		used, err := usedBytes(nil, i)
		if err != nil {
			return nil, err
		}
		l[n] = Info{Name: i.Name(), Dir: i.IsDir(), Size: i.Size(), Used: used}
	}
	return l, nil
}

func syncDir(root *os.Root, _, name string) error {
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func freeSpace(dir string) (free, total int64, err error) {
	var st unix.Statfs_t
	for {
		err = unix.Statfs(dir, &st)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return 0, 0, &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), nil
}

// control runs do with the descriptor of f, which stays open meanwhile.
func control(f *os.File, op string, do func(fd int) error) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = c.Control(func(fd uintptr) {
		for {
			failed = do(int(fd))
			if !errors.Is(failed, unix.EINTR) {
				return
			}
		}
	})
	if err != nil {
		failed = os.ErrClosed // the only reason, and not told as that
	}
	if failed != nil {
		return &fs.PathError{Op: op, Path: f.Name(), Err: failed}
	}
	return nil
}
