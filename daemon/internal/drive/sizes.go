package drive

import (
	"context"
	"errors"
	"fmt"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
)

// sizesBatch is how many sizes are asked for with one call.
const sizesBatch = 4096

// sized makes sure that the size of a node is known.
func (d *Drive) sized(ctx context.Context, n nodes.Node) (nodes.Node, error) {
	if n.Size >= 0 {
		return n, nil
	}
	err := d.sizes(ctx, n.Parent, 0)
	if changed(err) {
		// The folder is not what its listing says.
		if err = d.list(ctx, n.Parent); err == nil {
			err = d.sizes(ctx, n.Parent, 0)
		}
	}
	if err != nil {
		return n, err
	}
	if n, err = d.node(n.ID); err != nil || n.Size >= 0 {
		return n, err
	}
	return d.sizedByOpening(ctx, n)
}

// sizes finds the sizes that the listing of a directory left out, of the names
// behind a cookie. If that is going on already, it may be for others.
func (d *Drive) sizes(ctx context.Context, dir, after uint64) error {
	sizer, ok := d.p.(providers.Sizer)
	if !ok {
		return nil
	}
	_, err := do(ctx, d.flights, flightKey("sizes", dir), d.o.OpenTimeout, func(ctx context.Context) (struct{}, error) {
		p, err := d.path(dir)
		if err != nil {
			return struct{}{}, err
		}
		for after := after; ; {
			var found []nodes.Node
			var loadErr error
			more := false
			err := d.store.Children(dir, after, func(e nodes.Entry) bool {
				after = e.Cookie
				n, err := d.store.Get(e.ID)
				if err == nil && n.Size < 0 {
					found = append(found, n)
				} else if err != nil && !errors.Is(err, nodes.ErrNotFound) {
					loadErr = err
				}
				more = len(found) == sizesBatch
				return !more && loadErr == nil
			})
			if err := errors.Join(err, loadErr); err != nil {
				return struct{}{}, err
			}
			if len(found) > 0 {
				if err := d.sizesOf(ctx, sizer, p, found); err != nil {
					return struct{}{}, err
				}
			}
			if !more {
				return struct{}{}, nil
			}
		}
	})
	if errors.Is(err, providers.ErrUnsupported) {
		return nil
	}
	return err
}

// sizesOf asks for the sizes of nodes of one directory and stores them.
func (d *Drive) sizesOf(ctx context.Context, sizer providers.Sizer, dir string, batch []nodes.Node) error {
	entries := make([]providers.Entry, len(batch))
	for i := range batch {
		entries[i] = entryOf(&batch[i])
	}
	err := d.health.call(ctx, true, func(ctx context.Context) error { return sizer.Sizes(ctx, dir, entries) })
	if err != nil {
		return err
	}
	return d.update(func(tx *nodes.Tx) error {
		for i, e := range entries {
			if err := setSize(tx, batch[i], e.Size); err != nil {
				return err
			}
		}
		return nil
	})
}

// entryOf is a node as its provider described it.
func entryOf(n *nodes.Node) providers.Entry {
	e := providers.Entry{Name: n.Name, Size: n.Size, ModTime: n.RemoteTime, Version: providers.Version(n.Version), Mode: 0o644}
	if n.Exec {
		e.Mode = 0o755
	}
	if n.Kind == nodes.Link {
		e.Mode = modeLink
	}
	return e
}

// setSize stores the size of a node, unless it has another version by now.
func setSize(tx *nodes.Tx, was nodes.Node, size int64) error {
	if size < 0 {
		return nil
	}
	n, err := tx.Get(was.ID)
	if errors.Is(err, nodes.ErrNotFound) || (err == nil && (n.Version != was.Version || n.Size >= 0)) {
		return nil
	}
	if err != nil {
		return err
	}
	n.Size = size
	tx.Put(n)
	return nil
}

// sizedByOpening is for remotes that tell a size only when they are asked for
// the bytes.
func (d *Drive) sizedByOpening(ctx context.Context, n nodes.Node) (nodes.Node, error) {
	return d.readNode(ctx, n.ID, func(n nodes.Node) (nodes.Node, error) {
		v, err := d.version(n)
		if err != nil {
			return n, err
		}
		defer d.versions.release(v)
		o, err := v.object(ctx)
		if err != nil {
			return n, err
		}
		size := o.Entry().Size
		if size < 0 {
			return n, fmt.Errorf("open %q: %w: no size", n.Name, providers.ErrProtocol)
		}
		if err := d.update(func(tx *nodes.Tx) error { return setSize(tx, n, size) }); err != nil {
			return n, err
		}
		if n, err = d.node(n.ID); err == nil && n.Size < 0 {
			err = fmt.Errorf("%w: %q changes", nfs.ErrJukebox, n.Name)
		}
		return n, err
	})
}
