package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/moorage/moorage/providers"
)

// holds checks a condition against what is at p now.
func (r *Remote) holds(op, p string, c providers.Cond) error {
	if c == (providers.Cond{}) {
		return nil
	}
	e, err := r.lstat(op, p)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case c.IfAbsent && err == nil:
		return fmt.Errorf("%s %q: %w", op, p, providers.ErrExist)
	case c.IfVersion != "" && (err != nil || e.Version != c.IfVersion):
		return fmt.Errorf("%s %q: %w", op, p, providers.ErrChanged)
	}
	return nil
}

// Put writes beside p, makes that durable, and renames. A condition holds among
// the users of this Remote; somebody else may come in between.
func (r *Remote) Put(ctx context.Context, p string, src providers.Source, o providers.PutOptions) (providers.Entry, error) {
	if err := r.begin(ctx, "put", p); err != nil {
		return providers.Entry{}, err
	}
	defer r.end()
	if err := r.checkParents("put", p); err != nil {
		return providers.Entry{}, err
	}
	r.writing.Lock()
	r.temps++
	temp := path.Join(path.Dir(p), fmt.Sprintf("%s%d-%d", tempPrefix, os.Getpid(), r.temps))
	r.writing.Unlock()
	err := r.fill(ctx, temp, src, o)
	if err == nil {
		err = r.commit(temp, p, o)
	}
	if err != nil {
		return providers.Entry{}, errors.Join(fmt.Errorf("put %q: %w", p, classify(err)), r.discard(temp))
	}
	return r.lstat("put", p)
}

func (r *Remote) discard(temp string) error {
	if err := r.root.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// fill makes the file temp with all of src, on stable storage.
func (r *Remote) fill(ctx context.Context, temp string, src providers.Source, o providers.PutOptions) error {
	mode := o.Mode.Perm()
	if mode == 0 {
		mode = 0o644
	}
	f, err := r.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, contextReader{ctx, io.NewSectionReader(src, 0, src.Size())})
	if err == nil && n != src.Size() {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil && !o.ModTime.IsZero() {
		err = r.root.Chtimes(temp, o.ModTime, o.ModTime)
	}
	return err
}

// commit puts temp in the place of p.
func (r *Remote) commit(temp, p string, o providers.PutOptions) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	e, err := r.lstat("put", p)
	if err == nil && e.Mode.IsDir() {
		return providers.ErrIsDir
	}
	if err := r.holds("put", p, o.Cond); err != nil {
		return err
	}
	if err := r.root.Rename(temp, p); err != nil {
		return err
	}
	return r.syncDir(path.Dir(p))
}

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// change runs a change of p that is one call of the host.
func (r *Remote) change(ctx context.Context, op, p string, c providers.Cond, do func() error) error {
	if err := r.begin(ctx, op, p); err != nil {
		return err
	}
	defer r.end()
	if err := r.checkParents(op, p); err != nil {
		return err
	}
	r.writing.Lock()
	defer r.writing.Unlock()
	if err := r.holds(op, p, c); err != nil {
		return err
	}
	err := do()
	if err == nil {
		err = r.syncDir(path.Dir(p))
	}
	if err != nil {
		return fmt.Errorf("%s %q: %w", op, p, classify(err))
	}
	return nil
}

// Remove takes a file or symbolic link away.
func (r *Remote) Remove(ctx context.Context, p string, c providers.Cond) error {
	return r.change(ctx, "remove", p, c, func() error {
		if e, err := r.lstat("remove", p); err != nil {
			return err
		} else if e.Mode.IsDir() {
			return providers.ErrIsDir
		}
		return r.root.Remove(p)
	})
}

// Mkdir makes a directory.
func (r *Remote) Mkdir(ctx context.Context, p string) (providers.Entry, error) {
	if err := r.change(ctx, "mkdir", p, providers.Cond{}, func() error { return r.root.Mkdir(p, 0o755) }); err != nil {
		return providers.Entry{}, err
	}
	return r.Stat(ctx, p)
}

// Rmdir takes an empty directory away.
func (r *Remote) Rmdir(ctx context.Context, p string) error {
	return r.change(ctx, "rmdir", p, providers.Cond{}, func() error {
		if e, err := r.lstat("rmdir", p); err != nil {
			return err
		} else if !e.Mode.IsDir() {
			return providers.ErrNotDir
		}
		return r.root.Remove(p)
	})
}

// Symlink makes a symbolic link.
func (r *Remote) Symlink(ctx context.Context, p, target string) (providers.Entry, error) {
	if err := r.change(ctx, "symlink", p, providers.Cond{}, func() error { return r.root.Symlink(target, p) }); err != nil {
		return providers.Entry{}, err
	}
	return r.Stat(ctx, p)
}

// Move renames.
func (r *Remote) Move(ctx context.Context, from, to string, c providers.Cond) (providers.Entry, error) {
	if !fs.ValidPath(from) || from == "." || strings.HasPrefix(to+"/", from+"/") && to != from {
		return providers.Entry{}, fmt.Errorf("move %q to %q: %w", from, to, fs.ErrInvalid)
	}
	err := r.change(ctx, "move", to, c, func() error {
		e, err := r.lstat("move", from)
		if err != nil {
			return err
		}
		if was, err := r.lstat("move", to); err == nil && to != from && (was.Mode.IsDir() || e.Mode.IsDir()) {
			return providers.ErrExist
		}
		if err := r.root.Rename(from, to); err != nil {
			return err
		}
		return r.syncDir(path.Dir(from))
	})
	if err != nil {
		return providers.Entry{}, err
	}
	return r.Stat(ctx, to)
}
