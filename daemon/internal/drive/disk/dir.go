package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
)

// Dir gives the folder at a path of this computer, made with its parents if it
// is not there. What it makes can be used by its owner only. If the folder is
// deleted while it is in use, it is made again when something is put there.
func Dir(name string) (FS, error) {
	name, err := filepath.Abs(name)
	if err != nil {
		return nil, fmt.Errorf("open folder %s: %w", name, err)
	}
	d := &dir{path: name}
	if _, err := d.open(nil); err != nil {
		return nil, err
	}
	return d, nil
}

// OSFile is a File of [Dir].
type OSFile interface {
	File
	// OS is the operating system's file, for what only that can do. It is valid
	// until the File is closed, and must not be closed itself.
	OS() *os.File
}

var (
	_ FS      = (*dir)(nil)
	_ OSFile  = (*dirFile)(nil)
	_ Puncher = (*dirFile)(nil)
)

// dir goes through os.Root, which on Windows lets open files be renamed over and
// removed as POSIX wants it.
type dir struct {
	path string // absolute

	mu   sync.Mutex
	root *os.Root // may be a folder that is gone; it is closed when nobody has it any more
}

func (d *dir) current() *os.Root {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.root
}

// open opens the folder, unless somebody else did it since the caller saw old.
func (d *dir) open(old *os.Root) (*os.Root, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.root != old {
		return d.root, nil
	}
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	root, err := os.OpenRoot(d.path)
	if err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	d.root = root
	return root, nil
}

// making does what may need folders that are not there: the one that name is
// in, or the whole.
func (d *dir) making(name string, do func(*os.Root) error) error {
	root := d.current()
	err := do(root)
	in := filepath.FromSlash(path.Dir(name))
	for try := 0; errors.Is(err, fs.ErrNotExist) && try < 3; try++ {
		if try > 0 {
			// The whole is gone, which MkdirAll of "." does not tell; or a folder went
			// as soon as it was made.
			if root, err = d.open(root); err != nil {
				return err
			}
		}
		if err = root.MkdirAll(in, 0o700); err == nil {
			err = do(root)
		}
	}
	return err
}

func (d *dir) Open(name string, create bool) (File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	var f *os.File
	get := func(root *os.Root) (err error) {
		flag := os.O_RDWR
		if create {
			flag |= os.O_CREATE
		}
		f, err = root.OpenFile(filepath.FromSlash(name), flag, 0o600)
		return err
	}
	var err error
	if create {
		err = d.making(name, get)
	} else {
		err = get(d.current())
	}
	if err != nil {
		return nil, err
	}
	return &dirFile{f: f}, nil
}

func (d *dir) Remove(name string) error {
	if !fs.ValidPath(name) || name == "." {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrInvalid}
	}
	return d.current().Remove(filepath.FromSlash(name))
}

func (d *dir) Rename(from, to string) error {
	if !fs.ValidPath(from) || !fs.ValidPath(to) || from == "." || to == "." {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: fs.ErrInvalid}
	}
	// No folder is made for a file that is not there.
	if _, err := d.current().Lstat(filepath.FromSlash(from)); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return d.making(to, func(root *os.Root) error {
		return root.Rename(filepath.FromSlash(from), filepath.FromSlash(to))
	})
}

func (d *dir) List(name string) ([]Info, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "list", Path: name, Err: fs.ErrInvalid}
	}
	f, err := d.current().Open(filepath.FromSlash(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return list(f)
}

func (d *dir) SyncDir(name string) error {
	if !fs.ValidPath(name) {
		return &fs.PathError{Op: "sync", Path: name, Err: fs.ErrInvalid}
	}
	return syncDir(d.current(), d.path, filepath.FromSlash(name))
}

func (d *dir) Free() (free, total int64, err error) { return freeSpace(d.path) }

func (f *dirFile) OS() *os.File                            { return f.f }
func (f *dirFile) ReadAt(p []byte, off int64) (int, error) { return f.f.ReadAt(p, off) }
func (f *dirFile) Close() error                            { return f.f.Close() }

func (f *dirFile) Stat() (Info, error) {
	i, err := f.f.Stat()
	if err != nil {
		return Info{}, err
	}
	used, err := usedBytes(f.f, i)
	return Info{Dir: i.IsDir(), Size: i.Size(), Used: used}, err
}
