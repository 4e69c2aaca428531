package drive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/daemon/internal/drive/staging"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
)

const modeLink = fs.ModeSymlink | 0o777

// Read reads bytes of one version of a file: the one that the attributes show.
func (d *Drive) Read(ctx context.Context, c *nfs.Caller, id nfs.ID, p []byte, off uint64) (int, bool, error) {
	if err := d.enter(); err != nil {
		return 0, false, err
	}
	defer d.leave()
	n, eof, err := d.read(ctx, c, uint64(id), p, off)
	return n, eof, d.status("read", err)
}

func (d *Drive) read(ctx context.Context, c *nfs.Caller, id uint64, p []byte, off uint64) (n int, eof bool, err error) {
	err = d.untilPublished(ctx, id, func() error {
		n, eof, err = d.readOnce(ctx, c, id, p, off)
		return err
	})
	return n, eof, err
}

// untilPublished reads of a node, again when what it was about to read has become
// something else on the remote by what was published just then.
func (d *Drive) untilPublished(ctx context.Context, id uint64, read func() error) (err error) {
	for range publishedTries {
		if err = read(); !changed(err) || !d.publishing(ctx, id) {
			break
		}
	}
	if changed(err) {
		g, gerr := d.node(id)
		switch {
		case gerr == nil && g.State&nodes.Gone != 0:
			err = fmt.Errorf("%w: %q was removed: %w", nfs.ErrStale, g.Name, err)
		case gerr == nil && d.pub != nil && d.pub.isBaseGone(id):
			err = fmt.Errorf("%w: %w", nfs.ErrIO, err) // no time brings it back
		}
	}
	return err
}

// publishedTries is how often a read is tried that meets what is published.
const publishedTries = 8

// publishing waits for the end of what is being published of a node or of the
// directories above it, and reports whether there was such a thing lately.
func (d *Drive) publishing(ctx context.Context, id uint64) bool {
	if d.pub == nil {
		return false
	}
	keys := []taskKey{nodeTask(id)}
	for len(keys) < maxDepth {
		n, err := d.store.Get(id)
		if err != nil || n.ID == nodes.Root {
			break
		}
		if dir, name, ok := place(&n); ok {
			keys = append(keys, tombTask(dir, name))
		}
		id = n.Parent
		keys = append(keys, nodeTask(id))
	}
	return d.pub.await(ctx, keys)
}

func (d *Drive) readOnce(ctx context.Context, c *nfs.Caller, id uint64, p []byte, off uint64) (int, bool, error) {
	n, err := d.node(id)
	if err != nil {
		return 0, false, err
	}
	switch n.Kind {
	case nodes.Dir:
		return 0, false, nfs.ErrIsDir
	case nodes.Link:
		return 0, false, nfs.ErrInval
	}
	if a := d.attr(&n); c.UID != a.UID && !nfs.Permits(c, &a, nfs.MayRead) && !nfs.Permits(c, &a, nfs.MayExec) {
		return 0, false, nfs.ErrAccess
	}
	if n.State&nodes.Staged != 0 {
		m, eof, err := d.readStaged(ctx, id, p, off)
		if !errors.Is(err, errNotStaged) { // else it was published meanwhile
			return m, eof, err
		}
	}
	if err := d.catchUp(id, false); err != nil {
		return 0, false, err
	}
	eof := false
	b, err := d.readVersion(ctx, id, func(n nodes.Node) ([]byte, error) {
		n, err := d.sized(ctx, n)
		if err != nil {
			return nil, err
		}
		eof = off >= uint64(n.Size) || uint64(len(p)) >= uint64(n.Size)-off
		if off >= uint64(n.Size) {
			return nil, nil
		}
		b := p[:min(uint64(len(p)), uint64(n.Size)-off)]
		return b, d.readFull(ctx, n, b, int64(off))
	})
	if err != nil {
		return 0, false, err
	}
	d.streams.note(id, d.o.Clock(), eof)
	d.uses.note(id, d.o.Clock())
	return len(b), eof, nil
}

// ReadFile tells where in a file of the cache bytes are that were fetched and
// read before, or where those are that were written here; [nfs.ErrNotInFile] for
// all others.
func (d *Drive) ReadFile(ctx context.Context, c *nfs.Caller, id nfs.ID, off uint64, count int) (nfs.FileSpan, error) {
	if d.enter() != nil {
		return nfs.FileSpan{}, nfs.ErrNotInFile // Read says why
	}
	defer d.leave()
	s, ok := d.span(ctx, c, uint64(id), off, count)
	if !ok {
		return nfs.FileSpan{}, nfs.ErrNotInFile
	}
	return s, nil
}

func (d *Drive) span(ctx context.Context, c *nfs.Caller, id, off uint64, count int) (s nfs.FileSpan, ok bool) {
	if d.catchUp(id, false) != nil || ctx.Err() != nil {
		return s, false
	}
	n, err := d.node(id)
	if err != nil || n.Kind != nodes.File || n.Size < 0 || off >= uint64(n.Size) {
		return s, false
	}
	s.Attr = d.attr(&n)
	if c.UID != s.Attr.UID && !nfs.Permits(c, &s.Attr, nfs.MayRead) && !nfs.Permits(c, &s.Attr, nfs.MayExec) {
		return s, false
	}
	if n.State&nodes.Staged != 0 {
		return d.spanStaged(ctx, s, id, off, count)
	}
	key := keyOf(&n)
	v := d.versions.acquire(key) // who read the bytes did so through it
	if v == nil {
		return s, false
	}
	defer d.versions.release(v)
	s.N = int(min(uint64(count), uint64(n.Size)-off))
	s.EOF = off+uint64(s.N) == uint64(n.Size)
	f, err := d.cache.File(d.blockKey(key), n.Size)
	if err != nil {
		return s, false
	}
	file, at, ok := f.Span(int64(off), int64(s.N))
	if !ok || at != int64(off) {
		f.Close()
		return s, false
	}
	s.FD, s.Release = int(file.Fd()), func() { f.Close() }
	v.passed(int64(off), int64(s.N))
	d.streams.note(id, d.o.Clock(), s.EOF)
	d.uses.note(id, d.o.Clock())
	return s, true
}

// spanStaged is span for a file that has content of its own here.
func (d *Drive) spanStaged(ctx context.Context, s nfs.FileSpan, id, off uint64, count int) (nfs.FileSpan, bool) {
	e, err := d.stage(ctx, id, false)
	if err != nil {
		return s, false
	}
	size := uint64(e.f.State().Size)
	s.N = int(min(uint64(count), size-min(off, size)))
	s.EOF = off+uint64(s.N) == size
	file, ok := e.f.Span(int64(off), int64(s.N))
	if ok {
		e.mu.Lock()
		if ok = !e.ended; ok {
			e.spans++
		}
		e.mu.Unlock()
	}
	if !ok {
		d.staged.release(e)
		return s, false
	}
	s.FD, s.Release = int(file.Fd()), func() {
		e.mu.Lock()
		e.spans--
		e.mu.Unlock()
		d.staged.release(e)
	}
	d.uses.note(id, d.o.Clock())
	return s, true
}

// readStaged reads a file that has content of its own here.
func (d *Drive) readStaged(ctx context.Context, id uint64, p []byte, off uint64) (int, bool, error) {
	e, err := d.stage(ctx, id, false)
	if err != nil {
		return 0, false, err
	}
	defer d.staged.release(e)
	size := e.f.State().Size
	if off >= uint64(size) {
		return 0, true, nil
	}
	p = p[:min(uint64(len(p)), uint64(size)-off)]
	n, err := d.node(id)
	if err != nil {
		return 0, false, err
	}
	base := baseOf(n)
	clear(p)
	for _, piece := range e.f.Pieces(int64(off), int64(len(p))) {
		b := p[piece.Off-int64(off):][:piece.N]
		switch piece.Kind {
		case staging.Local:
			if _, err = e.f.ReadAt(b, piece.Off); errors.Is(err, staging.ErrNotLocal) {
				err = fmt.Errorf("%w: %q is being cut off", nfs.ErrJukebox, n.Name)
			}
		case staging.Base:
			err = d.readFull(ctx, base, b, piece.Off)
		default:
			err = nil
		}
		if err != nil {
			return 0, false, err
		}
	}
	return len(p), off+uint64(len(p)) >= uint64(size), nil
}

// readNode runs fn on a node. If the remote has another version by then, the
// node is brought to it, and fn runs once more.
func (d *Drive) readNode(ctx context.Context, id uint64, fn func(nodes.Node) (nodes.Node, error)) (nodes.Node, error) {
	for i := 0; ; i++ {
		n, err := d.node(id)
		if err != nil {
			return n, err
		}
		out, err := fn(n)
		if !changed(err) || i == 1 {
			return out, err
		}
		// The version is gone, so there is nothing to hold on to for a reader.
		if err := d.catchUp(id, true); err != nil {
			return out, err
		}
		if again, err := d.node(id); err != nil || again.Version != n.Version {
			continue
		}
		if err := d.stat(ctx, n.Parent, n.Name); err != nil {
			return out, err
		}
		if err := d.catchUp(id, true); err != nil {
			return out, err
		}
	}
}

// changed reports whether err says that a file is not what its node says.
func changed(err error) bool {
	return errors.Is(err, providers.ErrChanged) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, providers.ErrIsDir) || errors.Is(err, providers.ErrNotDir)
}

// readVersion is readNode for bytes.
func (d *Drive) readVersion(ctx context.Context, id uint64, fn func(nodes.Node) ([]byte, error)) ([]byte, error) {
	var b []byte
	_, err := d.readNode(ctx, id, func(n nodes.Node) (_ nodes.Node, err error) {
		b, err = fn(n)
		return n, err
	})
	return b, err
}

// readFull fills b with the bytes of n's version at off, which it has.
func (d *Drive) readFull(ctx context.Context, n nodes.Node, b []byte, off int64) error {
	if len(b) == 0 {
		return nil
	}
	v, err := d.version(n)
	if err != nil {
		return err
	}
	defer d.versions.release(v)
	if err = v.read(ctx, b, off); changed(err) {
		d.versions.drop(v) // else it would be found again and again
	}
	return err
}
