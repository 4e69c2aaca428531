package drive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"

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

// read is readOnce that comes again when what it was about to read has become
// something else on the remote by what was published just then.
func (d *Drive) read(ctx context.Context, c *nfs.Caller, id uint64, p []byte, off uint64) (n int, eof bool, err error) {
	for range publishedTries {
		n, eof, err = d.readOnce(ctx, c, id, p, off)
		if !changed(err) || !d.publishing(ctx, id) {
			break
		}
	}
	if changed(err) {
		if g, gerr := d.node(id); gerr == nil && g.State&nodes.Gone != 0 {
			err = fmt.Errorf("%w: %q was removed: %w", nfs.ErrStale, g.Name, err)
		}
	}
	return n, eof, err
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
	o, err := d.object(ctx, n)
	if err != nil {
		return err
	}
	defer d.objects.release(o)
	if e := o.Entry(); e.Size != n.Size || (n.Version == "" && !e.ModTime.Equal(n.RemoteTime)) {
		d.objects.drop(o) // else it would be found again and again
		return fmt.Errorf("%q has %d bytes of %v, not %d of %v: %w", n.Name, e.Size, e.ModTime, n.Size, n.RemoteTime, providers.ErrChanged)
	}
	if r, ok := o.Object.(io.ReaderAt); ok {
		m, err := r.ReadAt(b, off)
		if m == len(b) {
			return nil
		}
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("read %q: %w", n.Name, err)
	}
	for len(b) > 0 {
		i := off / chunkSize
		chunk, err := d.chunk(ctx, n, i)
		if err != nil {
			return err
		}
		at := off - i*chunkSize
		if at >= int64(len(chunk)) {
			return fmt.Errorf("read %q: %d bytes of %d: %w", n.Name, off, n.Size, io.ErrUnexpectedEOF)
		}
		m := copy(b, chunk[at:])
		b, off = b[m:], off+int64(m)
	}
	return nil
}

// object opens the version of n; release it.
func (d *Drive) object(ctx context.Context, n nodes.Node) (*openObject, error) {
	key := keyOf(&n)
	if o := d.objects.acquire(key); o != nil {
		return o, nil
	}
	_, err := do(ctx, d.flights, flightKey("open", n.ID)+"@"+key.version, d.o.OpenTimeout, func(ctx context.Context) (struct{}, error) {
		p, err := d.path(n.ID)
		if err != nil {
			return struct{}{}, err
		}
		var o providers.Object
		err = d.health.call(ctx, false, func(ctx context.Context) (err error) {
			o, err = d.p.Open(ctx, p, providers.Version(n.Version))
			return err
		})
		if here, werr := d.way(n.ID, false); errors.Is(err, fs.ErrNotExist) && werr == nil && here != p {
			// A directory above it is being moved.
			err = d.health.call(ctx, false, func(ctx context.Context) (err error) {
				o, err = d.p.Open(ctx, here, providers.Version(n.Version))
				return err
			})
		}
		if err != nil {
			return struct{}{}, fmt.Errorf("open %q: %w", path.Base(p), err)
		}
		d.objects.add(key, o)
		return struct{}{}, nil
	})
	if err != nil {
		return nil, err
	}
	if o := d.objects.acquire(key); o != nil {
		return o, nil
	}
	return nil, fmt.Errorf("%w: too many files are open", nfs.ErrJukebox)
}

// chunk reads a piece of a version, or finds it among those read before.
func (d *Drive) chunk(ctx context.Context, n nodes.Node, i int64) ([]byte, error) {
	key := chunkKey{keyOf(&n), i}
	if b := d.chunks.get(key); b != nil {
		return b, nil
	}
	name := flightKey("read", n.ID) + "@" + key.version + "#" + strconv.FormatInt(i, 10)
	return do(ctx, d.flights, name, d.o.CallTimeout, func(ctx context.Context) ([]byte, error) {
		o, err := d.object(ctx, n)
		if err != nil {
			return nil, err
		}
		defer d.objects.release(o)
		b := make([]byte, min(chunkSize, n.Size-i*chunkSize))
		err = d.health.call(ctx, false, func(ctx context.Context) error {
			r, err := o.ReadRange(ctx, i*chunkSize, int64(len(b)))
			if err != nil {
				return err
			}
			_, err = io.ReadFull(r, b)
			if err == io.EOF {
				err = io.ErrUnexpectedEOF // a body shorter than the file is trouble, not the end
			}
			return errors.Join(err, r.Close())
		})
		if err != nil {
			return nil, fmt.Errorf("read %q: %w", n.Name, err)
		}
		d.chunks.add(key, b)
		return b, nil
	})
}
