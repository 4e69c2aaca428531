package drive

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
)

// Root is the id of the root directory.
func (d *Drive) Root() nfs.ID { return nfs.ID(nodes.Root) }

// Properties are those of a drive whose times move by microseconds.
func (d *Drive) Properties() nfs.Properties {
	return nfs.Properties{
		MaxFileSize: 1<<63 - 1, TimeDelta: time.Nanosecond, LinkMax: 1, NameMax: 255,
		CaseInsensitive: d.info.CaseInsensitive, CasePreserving: true, ChownRestricted: true, Symlinks: true,
	}
}

// attr is a node as clients see it. Its size may be unknown (-1): see sized.
func (d *Drive) attr(n *nodes.Node) nfs.Attr {
	a := nfs.Attr{
		ID: nfs.ID(n.ID), Nlink: 1, UID: d.o.UID, GID: d.o.GID, Size: uint64(n.Size), Used: uint64(n.Size),
		Atime: n.Mtime, Mtime: n.Mtime, Ctime: n.Ctime,
	}
	if !n.Atime.IsZero() {
		a.Atime = n.Atime
	}
	switch n.Kind {
	case nodes.Dir:
		a.Type, a.Mode, a.Nlink, a.Size, a.Used = nfs.TypeDirectory, 0o555, 2+n.Subdirs, 4096, 4096
		if !n.Complete {
			a.Nlink = 1 // how many there are is not known: BSD fts takes 2 for a directory that has none below
		}
	case nodes.Link:
		a.Type, a.Mode = nfs.TypeSymlink, 0o777
		return a
	default:
		a.Type, a.Mode = nfs.TypeRegular, 0o444
		if n.Exec {
			a.Mode = 0o555
		}
	}
	if d.writer != nil {
		a.Mode |= 0o200
	}
	if n.HasMode {
		a.Mode = uint32(n.Mode)
	}
	if n.State&nodes.Gone != 0 {
		a.Nlink = 0
	}
	if n.State&nodes.Staged != 0 {
		if e := d.staged.peek(n.ID); e != nil {
			a.Used = uint64(e.f.Used() + n.Base)
		}
	}
	return a
}

// sizedAttr is the attributes of a node with its size, which may have to be
// found out.
func (d *Drive) sizedAttr(ctx context.Context, n nodes.Node) (nfs.Attr, error) {
	n, err := d.sized(ctx, n)
	if err != nil {
		return nfs.Attr{}, err
	}
	return d.attr(&n), nil
}

// GetAttr tells the attributes of an object. Those of a directory show whether
// its names have changed, so a directory that clients have listed is listed
// again when that is old.
func (d *Drive) GetAttr(ctx context.Context, _ *nfs.Caller, id nfs.ID) (nfs.Attr, error) {
	if err := d.enter(); err != nil {
		return nfs.Attr{}, err
	}
	defer d.leave()
	a, err := d.getAttr(ctx, uint64(id))
	return a, d.status("attributes", err)
}

func (d *Drive) getAttr(ctx context.Context, id uint64) (nfs.Attr, error) {
	n, err := d.attributes(ctx, id)
	if err != nil {
		return nfs.Attr{}, err
	}
	if n.Kind == nodes.Dir {
		d.folders.note(id, d.o.Clock())
		if n, err = d.current(ctx, n); err != nil {
			return nfs.Attr{}, err
		}
	}
	if n.Kind == nodes.File {
		if err := d.catchUp(id, false); err != nil {
			return nfs.Attr{}, err
		}
		if n, err = d.node(id); err != nil {
			return nfs.Attr{}, err
		}
	}
	return d.sizedAttr(ctx, n)
}

// mayUse checks a directory and the caller's right to it.
func (d *Drive) mayUse(c *nfs.Caller, dir uint64, want uint32) error {
	n, err := d.node(dir)
	if err != nil {
		return err
	}
	if n.Kind != nodes.Dir {
		return nfs.ErrNotDir
	}
	if a := d.attr(&n); !nfs.Permits(c, &a, want) {
		return nfs.ErrAccess
	}
	return nil
}

// Lookup finds a name.
func (d *Drive) Lookup(ctx context.Context, c *nfs.Caller, dir nfs.ID, name string) (nfs.Attr, error) {
	if err := d.enter(); err != nil {
		return nfs.Attr{}, err
	}
	defer d.leave()
	a, err := d.lookup(ctx, c, uint64(dir), name)
	return a, d.status("look up", err)
}

func (d *Drive) lookup(ctx context.Context, c *nfs.Caller, dir uint64, name string) (nfs.Attr, error) {
	if err := d.mayUse(c, dir, nfs.MayExec); err != nil {
		return nfs.Attr{}, err
	}
	switch {
	case name == ".":
		return d.getAttr(ctx, dir)
	case name == "..":
		n, err := d.node(dir)
		if err != nil {
			return nfs.Attr{}, err
		}
		return d.getAttr(ctx, n.Parent)
	case !showable(name):
		return nfs.Attr{}, nfs.ErrNoEnt
	}
	d.folders.note(dir, d.o.Clock())
	n, err := d.child(ctx, dir, name)
	if err != nil {
		return nfs.Attr{}, err
	}
	if n.Kind == nodes.File {
		if err := d.catchUp(n.ID, false); err != nil {
			return nfs.Attr{}, err
		}
		if n, err = d.node(n.ID); err != nil {
			return nfs.Attr{}, err
		}
	}
	return d.sizedAttr(ctx, n)
}

// How many entries of a listing are taken from the store at once: few at first,
// since a reply may have room for few.
const (
	firstPage = 64
	lastPage  = 1024
)

// ReadDir lists a directory in the order in which its names were first seen.
func (d *Drive) ReadDir(ctx context.Context, c *nfs.Caller, dir nfs.ID, cookie uint64, plus bool, fill func(nfs.DirEntry) bool) (bool, error) {
	if err := d.enter(); err != nil {
		return false, err
	}
	defer d.leave()
	eof, err := d.readDir(ctx, c, uint64(dir), cookie, plus, fill)
	return eof, d.status("list", err)
}

func (d *Drive) readDir(ctx context.Context, c *nfs.Caller, dir, cookie uint64, plus bool, fill func(nfs.DirEntry) bool) (bool, error) {
	if err := d.mayUse(c, dir, nfs.MayRead); err != nil {
		return false, err
	}
	d.folders.note(dir, d.o.Clock())
	l, err := d.namesOf(ctx, dir, cookie)
	if err != nil {
		return false, err
	}
	given := 0
	for size := firstPage; ; {
		var p progress
		if l != nil {
			p = l.progress() // before the store is looked at: it may be farther by then
		}
		var page []nodes.Entry
		err := d.store.Children(dir, cookie, func(e nodes.Entry) bool {
			page = append(page, e)
			return len(page) < size
		})
		if err != nil {
			return false, err
		}
		for _, e := range d.dirEntries(ctx, dir, page, plus) {
			if !fill(e) {
				return false, nil
			}
			given++
		}
		if len(page) == size {
			size = min(2*size, lastPage)
			cookie = page[len(page)-1].Cookie
			continue
		}
		switch {
		case l == nil:
			return true, nil
		case given > 0 && (!p.done || p.err != nil):
			return false, nil // the client comes again for the rest
		case p.done:
			return p.err == nil, p.err
		}
		select {
		case <-p.more:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// namesOf makes sure that there are names of a directory behind a cookie that a
// client may be told. If they are still arriving it gives the listing.
func (d *Drive) namesOf(ctx context.Context, dir, cookie uint64) (*listing, error) {
	n, err := d.node(dir)
	if err != nil {
		return nil, err
	}
	if n.Complete && cookie != 0 {
		return nil, nil
	}
	if n.Complete {
		d.walked(dir)
		_, err = d.listing(ctx, dir, nil)
		return nil, err
	}
	if d.lists.get(dir) == nil {
		if d.info.TreeVersion {
			n, err = d.attributes(ctx, dir) // its version, before it is listed
		} else {
			n, err = d.node(dir) // the listing may have ended just now
		}
		if err != nil || n.Complete {
			return nil, err
		}
	}
	l, err := d.beginList(ctx, dir)
	if err != nil {
		return nil, err
	}
	if cookie == 0 {
		// Names that are known from before may be gone by now, so news come first.
		err := l.wait(ctx, func(p progress) bool { return p.pages > 0 })
		if err != nil && l.progress().pages == 0 {
			return nil, err
		}
	}
	return l, nil
}

// dirEntries adds attributes where they can be had soon. Names whose objects are
// gone are left out.
func (d *Drive) dirEntries(ctx context.Context, dir uint64, page []nodes.Entry, plus bool) []nfs.DirEntry {
	out := make([]nfs.DirEntry, 0, len(page))
	var known []nodes.Node
	if plus && len(page) > 0 {
		var sizes bool
		if known, sizes = d.nodesOf(page); !sizes &&
			d.await(ctx, true, func(ctx context.Context) error { return d.sizes(ctx, dir, page[0].Cookie-1) }) == nil {
			known, _ = d.nodesOf(page)
		}
	}
	for i, e := range page {
		de := nfs.DirEntry{Name: e.Name, ID: nfs.ID(e.ID), Cookie: e.Cookie}
		if known != nil {
			n := &known[i]
			if n.ID == 0 {
				continue
			}
			if n.Size >= 0 {
				de.Attr = d.attr(n)
			}
		}
		out = append(out, de)
	}
	return out
}

// nodesOf reads the nodes of entries, those that are gone without an id, and
// reports whether all sizes are known. It gives nil if they cannot be read.
func (d *Drive) nodesOf(page []nodes.Entry) (known []nodes.Node, sizes bool) {
	ids := make([]uint64, len(page))
	for i, e := range page {
		ids[i] = e.ID
	}
	known, sizes = make([]nodes.Node, len(page)), true
	err := d.store.GetEach(ids, func(i int, n nodes.Node) {
		if d.overlaid(&n) {
			known[i] = n
			sizes = sizes && n.Size >= 0
		}
	})
	if err != nil {
		d.o.Logger.Warn("a folder is listed without attributes", "err", err)
		return nil, true
	}
	return known, sizes
}

// usage is what the remote said of its space last.
type usage struct {
	at          time.Time
	used, total int64
}

// usageTTL is how long the space of a remote counts.
const usageTTL = time.Minute

// What is told of remotes that have no limit or do not tell: so much that no
// desktop warns of a full disk.
const (
	unknownBytes = 1 << 50
	unknownFiles = 1 << 40
)

// StatFS tells the space of the remote, where it tells.
func (d *Drive) StatFS(ctx context.Context, _ *nfs.Caller, id nfs.ID) (nfs.FSStat, error) {
	if err := d.enter(); err != nil {
		return nfs.FSStat{}, err
	}
	defer d.leave()
	if _, err := d.node(uint64(id)); err != nil {
		return nfs.FSStat{}, d.status("statfs", err)
	}
	u := d.space(ctx)
	total := u.total
	if total <= 0 {
		total = max(unknownBytes, u.used)
	}
	free := uint64(max(0, total-u.used))
	return nfs.FSStat{
		TotalBytes: uint64(total), FreeBytes: free, AvailBytes: free,
		TotalFiles: unknownFiles, FreeFiles: unknownFiles, AvailFiles: unknownFiles,
	}, nil
}

func (d *Drive) space(ctx context.Context) usage {
	d.mu.Lock()
	u := d.usage
	d.mu.Unlock()
	teller, ok := d.p.(providers.Usage)
	if !ok || !d.health.online() || (!u.at.IsZero() && d.o.Clock().Sub(u.at) < usageTTL) {
		return u
	}
	err := d.await(ctx, true, func(ctx context.Context) error {
		_, err := do(ctx, d.flights, "usage", d.o.CallTimeout, func(ctx context.Context) (struct{}, error) {
			n := usage{at: d.o.Clock()}
			err := d.health.call(ctx, true, func(ctx context.Context) (err error) {
				n.used, n.total, err = teller.Usage(ctx)
				return err
			})
			if err == nil || errors.Is(err, providers.ErrUnsupported) {
				d.mu.Lock()
				d.usage = n
				d.mu.Unlock()
			}
			return struct{}{}, err
		})
		return err
	})
	if err != nil {
		d.o.Logger.Debug("the remote does not tell its space", "err", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.usage
}

// Readlink tells where a symbolic link leads, as the remote says it.
func (d *Drive) Readlink(ctx context.Context, _ *nfs.Caller, id nfs.ID) (string, error) {
	if err := d.enter(); err != nil {
		return "", err
	}
	defer d.leave()
	n, err := d.node(uint64(id))
	if err == nil && n.Kind != nodes.Link {
		err = nfs.ErrInval
	}
	if err != nil {
		return "", d.status("read link", err)
	}
	var target string
	err = d.untilPublished(ctx, n.ID, func() (err error) {
		target, err = d.target(ctx, n)
		return err
	})
	return target, d.status("read link", err)
}

// targetHere is the target of a link that was made here.
func (d *Drive) targetHere(id uint64) (target string, err error) {
	err = d.store.Regions(id, func(_ uint32, record []byte) bool {
		target = string(record)
		return false
	})
	return target, err
}

func (d *Drive) target(ctx context.Context, n nodes.Node) (string, error) {
	if t, err := d.targetHere(n.ID); err != nil || t != "" {
		return t, err
	}
	b, err := d.readVersion(ctx, n.ID, func(n nodes.Node) ([]byte, error) {
		n, err := d.sized(ctx, n)
		if err != nil {
			return nil, err
		}
		if n.Size > nfs.MaxTarget {
			return nil, fmt.Errorf("a symbolic link with a target of %d bytes: %w", n.Size, nfs.ErrNameTooLong)
		}
		b := make([]byte, n.Size)
		return b, d.readFull(ctx, n, b, 0)
	})
	return string(b), err
}
