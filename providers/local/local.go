// Package local treats a folder of this computer as a remote. People's folders
// are not mounted through it (package dirfs of the server does that); it is the
// simplest remote that is real, with weak versions and changes made beside it.
package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moorage/moorage/providers"
)

// pageSize is how many names a page of a listing holds.
const pageSize = 1000

// tempPrefix marks files that are being uploaded; listings leave them out.
const tempPrefix = ".moorage-put-"

// Remote is a folder. It is a Provider, Writer, Mover and Symlinker. Symbolic
// links are objects and never followed, so no path leads out of the folder.
// Versions are made of size, time and inode: weak.
type Remote struct {
	root *os.Root

	mu     sync.RWMutex // read: a call is on; write: Close
	closed bool

	writing sync.Mutex // makes conditions hold among the users of this Remote
	temps   uint64     // under writing
}

var (
	_ providers.Provider  = (*Remote)(nil)
	_ providers.Writer    = (*Remote)(nil)
	_ providers.Mover     = (*Remote)(nil)
	_ providers.Symlinker = (*Remote)(nil)
	_ io.ReaderAt         = (*object)(nil)
)

// Open opens the folder dir.
func Open(dir string) (*Remote, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open folder: %w", classify(err))
	}
	return &Remote{root: root}, nil
}

// Info tells that versions are weak.
func (r *Remote) Info() providers.Info {
	return providers.Info{
		Kind: providers.KindFolder, Writable: true, TimePrecision: time.Nanosecond, PreferredReadSize: 1 << 20, MaxParallel: 16,
	}
}

// begin checks what every call checks; end undoes it.
func (r *Remote) begin(ctx context.Context, op, p string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if p != "" && (p == "." || !fs.ValidPath(p)) {
		return fmt.Errorf("%s %q: %w", op, p, fs.ErrInvalid)
	}
	r.mu.RLock()
	if r.closed {
		r.mu.RUnlock()
		return fmt.Errorf("%s: %w", op, providers.ErrClosed)
	}
	return nil
}

func (r *Remote) end() { r.mu.RUnlock() }

// classify turns the host's errors into those of providers.
func classify(err error) error {
	for _, c := range classes {
		if errors.Is(err, c.host) {
			return fmt.Errorf("%w (%w)", c.ours, err)
		}
	}
	return err
}

type class struct{ host, ours error }

// checkParents refuses paths through symbolic links, which os.Root would
// follow inside the folder.
func (r *Remote) checkParents(op, p string) error {
	for i, c := range p {
		if c != '/' {
			continue
		}
		fi, err := r.root.Lstat(p[:i])
		if err != nil {
			return fmt.Errorf("%s %q: %w", op, p, classify(err))
		}
		if !fi.IsDir() {
			return fmt.Errorf("%s %q: %w", op, p, providers.ErrNotDir)
		}
	}
	return nil
}

func (r *Remote) lstat(op, p string) (providers.Entry, error) {
	if p == "" {
		p = "."
	}
	if err := r.checkParents(op, p); err != nil {
		return providers.Entry{}, err
	}
	fi, err := r.root.Lstat(p)
	if err != nil {
		return providers.Entry{}, fmt.Errorf("%s %q: %w", op, p, classify(err))
	}
	e, ok := entry(fi)
	if !ok {
		return providers.Entry{}, fmt.Errorf("%s %q: %w", op, p, providers.ErrNotExist)
	}
	if p == "." {
		e.Name = ""
	}
	return e, nil
}

// entry describes fi; devices, sockets and pipes are left out.
func entry(fi fs.FileInfo) (providers.Entry, bool) {
	mode := fi.Mode()
	if mode.Type() != 0 && mode.Type() != fs.ModeDir && mode.Type() != fs.ModeSymlink {
		return providers.Entry{}, false
	}
	return providers.Entry{
		Name: fi.Name(), Mode: mode.Type() | mode.Perm(), Size: fi.Size(), ModTime: fi.ModTime(), Version: version(fi),
	}, true
}

func version(fi fs.FileInfo) providers.Version {
	return providers.Version(fmt.Sprintf("%d:%d:%d", fi.Size(), fi.ModTime().UnixNano(), inode(fi)))
}

// Stat describes the object at p.
func (r *Remote) Stat(ctx context.Context, p string) (providers.Entry, error) {
	if err := r.begin(ctx, "stat", p); err != nil {
		return providers.Entry{}, err
	}
	defer r.end()
	return r.lstat("stat", p)
}

// ReadDir lists by name; the cursor is the last name of the page before.
func (r *Remote) ReadDir(ctx context.Context, p, cursor string) (providers.Page, error) {
	if err := r.begin(ctx, "list", p); err != nil {
		return providers.Page{}, err
	}
	defer r.end()
	names, err := r.names(p)
	if err != nil {
		return providers.Page{}, err
	}
	i, found := slices.BinarySearch(names, cursor)
	if found {
		i++
	}
	names = names[i:]
	var page providers.Page
	if len(names) > pageSize {
		names = names[:pageSize]
		page.Next = names[len(names)-1]
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return providers.Page{}, err
		}
		fi, err := r.root.Lstat(path.Join(p, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // gone since
		}
		if err != nil {
			return providers.Page{}, fmt.Errorf("list %q: %w", p, classify(err))
		}
		if e, ok := entry(fi); ok {
			page.Entries = append(page.Entries, e)
		}
	}
	return page, nil
}

// names of directory p, sorted.
func (r *Remote) names(p string) ([]string, error) {
	e, err := r.lstat("list", p)
	if err != nil {
		return nil, err
	}
	if !e.Mode.IsDir() {
		return nil, fmt.Errorf("list %q: %w", p, providers.ErrNotDir)
	}
	f, err := r.root.Open(path.Join(".", p))
	if err != nil {
		return nil, fmt.Errorf("list %q: %w", p, classify(err))
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list %q: %w", p, classify(err))
	}
	names = slices.DeleteFunc(names, func(n string) bool { return strings.HasPrefix(n, tempPrefix) })
	slices.Sort(names)
	return names, nil
}

// Open opens a file, or the target of a symbolic link.
func (r *Remote) Open(ctx context.Context, p string, v providers.Version) (providers.Object, error) {
	if err := r.begin(ctx, "open", p); err != nil {
		return nil, err
	}
	defer r.end()
	e, err := r.lstat("open", p)
	if err != nil {
		return nil, err
	}
	if e.Mode.IsDir() {
		return nil, fmt.Errorf("open %q: %w", p, providers.ErrIsDir)
	}
	o := &object{entry: e, path: p}
	if e.Mode.Type() == fs.ModeSymlink {
		target, err := r.root.Readlink(p)
		if err != nil {
			return nil, fmt.Errorf("open %q: %w", p, classify(err))
		}
		o.target, o.entry.Size = strings.NewReader(target), int64(len(target))
	} else if err := o.open(r.root); err != nil {
		return nil, err
	}
	if v != "" && v != o.entry.Version {
		o.Close()
		return nil, fmt.Errorf("open %q: %w", p, providers.ErrChanged)
	}
	return o, nil
}

// Close waits for calls that are on. Objects that are open stay readable.
func (r *Remote) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	return r.root.Close()
}

// object is a file at one version; it looks for changes around every read.
type object struct {
	entry  providers.Entry
	path   string
	file   *os.File
	target *strings.Reader // of a symbolic link
}

func (o *object) open(root *os.Root) error {
	// Not blocking: the name may be a pipe by now.
	f, err := root.OpenFile(o.path, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return fmt.Errorf("open %q: %w", o.path, classify(err))
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = providers.ErrChanged
	}
	if err != nil {
		f.Close()
		return fmt.Errorf("open %q: %w", o.path, classify(err))
	}
	o.file = f
	o.entry.Mode, o.entry.Size, o.entry.ModTime, o.entry.Version = fi.Mode().Perm(), fi.Size(), fi.ModTime(), version(fi)
	return nil
}

func (o *object) Entry() providers.Entry { return o.entry }

// ReadAt reads bytes of this version.
func (o *object) ReadAt(p []byte, off int64) (int, error) {
	if o.target != nil {
		return o.target.ReadAt(p, off)
	}
	n, err := o.file.ReadAt(p, off)
	fi, statErr := o.file.Stat()
	if statErr != nil {
		return 0, fmt.Errorf("read %q: %w", o.path, statErr)
	}
	if version(fi) != o.entry.Version {
		return 0, fmt.Errorf("read %q: %w", o.path, providers.ErrChanged)
	}
	if err != nil && err != io.EOF {
		return 0, fmt.Errorf("read %q: %w", o.path, err)
	}
	return n, err
}

// ReadRange streams through ReadAt.
func (o *object) ReadRange(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if off < 0 || n < 0 {
		return nil, fmt.Errorf("read range %d+%d: %w", off, n, fs.ErrInvalid)
	}
	off = min(off, o.entry.Size)
	return io.NopCloser(io.NewSectionReader(o, off, min(n, o.entry.Size-off))), nil
}

func (o *object) Close() error {
	if o.file == nil {
		return nil
	}
	return o.file.Close()
}
