package mem

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/moorage/moorage/providers"
)

// holds checks what a change expects of n, the object at p or nil.
func holds(op, p string, c providers.Cond, n *node) error {
	if c.IfAbsent && n != nil {
		return fmt.Errorf("%s %q: %w", op, p, providers.ErrExist)
	}
	if c.IfVersion != "" && (n == nil || n.entry.Version != c.IfVersion) {
		return fmt.Errorf("%s %q: %w", op, p, providers.ErrChanged)
	}
	return nil
}

// keep remembers the version of n that is about to go. Called with mu held.
func (r *Remote) keep(p string, n *node) {
	if n == nil || n.children != nil {
		return
	}
	r.used -= int64(len(n.data))
	if !r.o.KeepVersions {
		return
	}
	if r.old[p] == nil {
		r.old[p] = map[providers.Version]*object{}
	}
	r.old[p][n.entry.Version] = &object{entry: n.entry, data: n.data}
}

// Put stores a file. A file that is replaced keeps its id.
func (r *Remote) Put(ctx context.Context, p string, src providers.Source, o providers.PutOptions) (providers.Entry, error) {
	data := make([]byte, src.Size())
	if n, err := src.ReadAt(data, 0); n < len(data) {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return providers.Entry{}, fmt.Errorf("put %q: %w", p, err)
	}
	mode := o.Mode.Perm()
	if mode == 0 {
		mode = 0o644
	}
	return r.put(ctx, "put", p, mode, data, o)
}

func (r *Remote) put(ctx context.Context, op, p string, mode fs.FileMode, data []byte, o providers.PutOptions) (providers.Entry, error) {
	if err := r.begin(ctx, op, p); err != nil {
		return providers.Entry{}, err
	}
	defer r.mu.Unlock()
	d, name, err := r.parent(op, p)
	if err != nil {
		return providers.Entry{}, err
	}
	was := d.children[name]
	if was != nil && was.children != nil {
		return providers.Entry{}, fmt.Errorf("%s %q: %w", op, p, providers.ErrIsDir)
	}
	if err := holds(op, p, o.Cond, was); err != nil {
		return providers.Entry{}, err
	}
	used := r.used + int64(len(data))
	if was != nil {
		used -= int64(len(was.data))
	}
	if r.o.Quota > 0 && used > r.o.Quota {
		return providers.Entry{}, fmt.Errorf("%s %q: %w", op, p, providers.ErrFull)
	}
	n := r.newNode(name, mode, data)
	if was != nil {
		n.entry.ID = was.entry.ID
	}
	if !o.ModTime.IsZero() {
		n.entry.ModTime = o.ModTime
	}
	r.keep(p, was)
	r.used += int64(len(data))
	d.children[name] = n
	r.touch(dirOf(p))
	return n.entry, nil
}

// Symlink stores a symbolic link; the name must be free.
func (r *Remote) Symlink(ctx context.Context, p, target string) (providers.Entry, error) {
	o := providers.PutOptions{Cond: providers.Cond{IfAbsent: true}}
	return r.put(ctx, "symlink", p, fs.ModeSymlink|0o777, []byte(target), o)
}

// Remove takes a file or symbolic link away.
func (r *Remote) Remove(ctx context.Context, p string, c providers.Cond) error {
	if err := r.begin(ctx, "remove", p); err != nil {
		return err
	}
	defer r.mu.Unlock()
	d, name, err := r.parent("remove", p)
	if err != nil {
		return err
	}
	n := d.children[name]
	switch {
	case n == nil:
		return fmt.Errorf("remove %q: %w", p, providers.ErrNotExist)
	case n.children != nil:
		return fmt.Errorf("remove %q: %w", p, providers.ErrIsDir)
	}
	if err := holds("remove", p, c, n); err != nil {
		return err
	}
	r.keep(p, n)
	delete(d.children, name)
	r.touch(dirOf(p))
	return nil
}

// Mkdir makes a directory.
func (r *Remote) Mkdir(ctx context.Context, p string) (providers.Entry, error) {
	if err := r.begin(ctx, "mkdir", p); err != nil {
		return providers.Entry{}, err
	}
	defer r.mu.Unlock()
	d, name, err := r.parent("mkdir", p)
	if err != nil {
		return providers.Entry{}, err
	}
	if d.children[name] != nil {
		return providers.Entry{}, fmt.Errorf("mkdir %q: %w", p, providers.ErrExist)
	}
	n := r.newNode(name, fs.ModeDir|0o755, nil)
	d.children[name] = n
	r.touch(dirOf(p))
	return n.entry, nil
}

// Rmdir takes an empty directory away.
func (r *Remote) Rmdir(ctx context.Context, p string) error {
	if err := r.begin(ctx, "rmdir", p); err != nil {
		return err
	}
	defer r.mu.Unlock()
	d, name, err := r.parent("rmdir", p)
	if err != nil {
		return err
	}
	n := d.children[name]
	switch {
	case n == nil:
		return fmt.Errorf("rmdir %q: %w", p, providers.ErrNotExist)
	case n.children == nil:
		return fmt.Errorf("rmdir %q: %w", p, providers.ErrNotDir)
	case len(n.children) > 0:
		return fmt.Errorf("rmdir %q: %w", p, providers.ErrNotEmpty)
	}
	delete(d.children, name)
	r.touch(dirOf(p))
	return nil
}

// Move renames. The object keeps its id and version; of a directory, so does
// everything below.
func (r *Remote) Move(ctx context.Context, from, to string, c providers.Cond) (providers.Entry, error) {
	if err := r.begin(ctx, "move", from); err != nil {
		return providers.Entry{}, err
	}
	defer r.mu.Unlock()
	fromDir, fromName, err := r.parent("move", from)
	if err != nil {
		return providers.Entry{}, err
	}
	n := fromDir.children[fromName]
	if n == nil {
		return providers.Entry{}, fmt.Errorf("move %q: %w", from, providers.ErrNotExist)
	}
	if !fs.ValidPath(to) || to == "." || (n.children != nil && strings.HasPrefix(to+"/", from+"/")) {
		return providers.Entry{}, fmt.Errorf("move %q to %q: %w", from, to, fs.ErrInvalid)
	}
	toDir, toName, err := r.parent("move", to)
	if err != nil {
		return providers.Entry{}, err
	}
	was := toDir.children[toName]
	if err := holds("move", to, c, was); err != nil {
		return providers.Entry{}, err
	}
	if was == n {
		return n.entry, nil
	}
	if was != nil && (was.children != nil || n.children != nil) {
		return providers.Entry{}, fmt.Errorf("move to %q: %w", to, providers.ErrExist)
	}
	r.keep(to, was)
	delete(fromDir.children, fromName)
	n.entry.Name = toName
	toDir.children[toName] = n
	r.touch(dirOf(from))
	r.touch(dirOf(to))
	return n.entry, nil
}
