package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// dirFile is a file in a dir.
type dirFile struct {
	f *os.File
	// sparse: the file was told to have holes. NTFS fills a gap with zeros, on
	// disk, in a file that was not.
	sparse atomic.Bool
}

func (f *dirFile) makeSparse() error {
	if f.sparse.Load() {
		return nil
	}
	err := f.control("make sparse", windows.FSCTL_SET_SPARSE, nil, 0)
	if errors.Is(err, ErrUnsupported) {
		err = nil // FAT: the gap is filled
	}
	if err == nil {
		f.sparse.Store(true)
	}
	return err
}

func (f *dirFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.beforeGap(off); err != nil {
		return 0, err
	}
	return f.f.WriteAt(p, off)
}

func (f *dirFile) Truncate(size int64) error {
	if err := f.beforeGap(size); err != nil {
		return err
	}
	return f.f.Truncate(size)
}

// beforeGap prepares the file for growing by something at off.
func (f *dirFile) beforeGap(off int64) error {
	if off == 0 || f.sparse.Load() {
		return nil
	}
	i, err := f.f.Stat()
	if err != nil || off <= i.Size() {
		return err
	}
	return f.makeSparse()
}

func (f *dirFile) Sync() error { return f.f.Sync() }

func (f *dirFile) PunchHole(off, n int64) error {
	if n <= 0 {
		return nil
	}
	if err := f.makeSparse(); err != nil {
		return err
	}
	zero := struct{ from, to int64 }{off, off + n} // FILE_ZERO_DATA_INFORMATION
	return f.control("punch hole", windows.FSCTL_SET_ZERO_DATA, (*byte)(unsafe.Pointer(&zero)), uint32(unsafe.Sizeof(zero)))
}

func (f *dirFile) control(op string, code uint32, arg *byte, size uint32) error {
	c, err := f.f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = c.Control(func(h uintptr) {
		var n uint32
		failed = windows.DeviceIoControl(windows.Handle(h), code, arg, size, nil, 0, &n, nil)
	})
	if err != nil {
		failed = os.ErrClosed // the only reason, and not told as that
	}
	switch {
	case errors.Is(failed, windows.ERROR_INVALID_FUNCTION) || errors.Is(failed, windows.ERROR_NOT_SUPPORTED):
		return fmt.Errorf("%s: %w: %w", op, ErrUnsupported, failed)
	case failed != nil:
		return &fs.PathError{Op: op, Path: f.f.Name(), Err: failed}
	}
	return nil
}

// standardInfo is FILE_STANDARD_INFO.
type standardInfo struct {
	AllocationSize, EndOfFile int64
	NumberOfLinks             uint32
	DeletePending, Directory  bool
}

func usedBytes(f *os.File, i fs.FileInfo) (int64, error) {
	if i.IsDir() {
		return 0, nil
	}
	c, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	var s standardInfo
	var failed error
	err = c.Control(func(h uintptr) {
		failed = windows.GetFileInformationByHandleEx(windows.Handle(h), windows.FileStandardInfo,
			(*byte)(unsafe.Pointer(&s)), uint32(unsafe.Sizeof(s)))
	})
	if err = errors.Join(err, failed); err != nil {
		return 0, fmt.Errorf("size of %s on the disk: %w", f.Name(), err)
	}
	return s.AllocationSize, nil
}

// list opens the files with holes, because the listing does not tell what they
// take.
func list(f *os.File) ([]Info, error) {
	all, err := f.Readdir(-1)
	if err != nil {
		return nil, err
	}
	l := make([]Info, len(all))
	for n, i := range all {
		l[n] = Info{Name: i.Name(), Dir: i.IsDir(), Size: i.Size(), Used: i.Size()}
		data, ok := i.Sys().(*syscall.Win32FileAttributeData)
		if !ok || data.FileAttributes&windows.FILE_ATTRIBUTE_SPARSE_FILE == 0 {
			continue
		}
		if one, err := os.Open(filepath.Join(f.Name(), i.Name())); err == nil {
			if used, err := usedBytes(one, i); err == nil {
				l[n].Used = used
			}
			one.Close()
		}
	}
	return l, nil
}

// syncDir flushes a folder. NTFS writes names to its log in order, and flushing
// any handle flushes the log; file systems that cannot flush a folder have
// nothing better to offer.
func syncDir(_ *os.Root, dir, name string) error {
	full := filepath.Join(dir, name)
	p, err := windows.UTF16PtrFromString(full)
	if err != nil {
		return &fs.PathError{Op: "sync", Path: full, Err: err}
	}
	h, err := windows.CreateFile(p, windows.GENERIC_WRITE,
		windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE, nil,
		windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS, 0)
	if err != nil {
		return &fs.PathError{Op: "sync", Path: full, Err: err}
	}
	defer windows.CloseHandle(h)
	err = windows.FlushFileBuffers(h)
	if err != nil && !errors.Is(err, windows.ERROR_ACCESS_DENIED) && !errors.Is(err, windows.ERROR_INVALID_FUNCTION) {
		return &fs.PathError{Op: "sync", Path: full, Err: err}
	}
	return nil
}

func freeSpace(dir string) (free, total int64, err error) {
	p, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, 0, &fs.PathError{Op: "free space", Path: dir, Err: err}
	}
	var f, t uint64
	if err := windows.GetDiskFreeSpaceEx(p, &f, &t, nil); err != nil {
		return 0, 0, &fs.PathError{Op: "free space", Path: dir, Err: err}
	}
	return int64(f), int64(t), nil
}
