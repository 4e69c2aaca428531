//go:build linux || darwin

package dirfs

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/nfs"
)

// Root implements nfs.FileSystem.
func (f *FS) Root() nfs.ID { return f.root }

// Lookup implements nfs.FileSystem.
func (f *FS) Lookup(ctx context.Context, c *nfs.Caller, dir nfs.ID, name string) (nfs.Attr, error) {
	a, _, err := f.LookupAttr(ctx, c, dir, name)
	return a, err
}

// LookupAttr implements nfs.AttrLookuper.
func (f *FS) LookupAttr(ctx context.Context, c *nfs.Caller, dir nfs.ID, name string) (a, da nfs.Attr, err error) {
	d, da, err := f.dir(ctx, dir)
	if err != nil {
		return nfs.Attr{}, da, err
	}
	defer f.fds.release(d)
	if !nfs.Permits(c, &da, nfs.MayExec) {
		return nfs.Attr{}, da, nfs.ErrAccess
	}
	switch name {
	case ".":
		return da, da, nil
	case "..":
		a, err = f.parent(ctx, c, dir, da)
		return a, da, err
	}
	if err := checkName(name); err != nil {
		return nfs.Attr{}, da, err
	}
	o, err := f.lookup(dir, d, name)
	f.index.flush()
	if err != nil {
		return nfs.Attr{}, da, fmt.Errorf("look up name: %w", err)
	}
	return o.attr, da, nil
}

// parent is where dir was found last, which dir has just verified.
func (f *FS) parent(ctx context.Context, c *nfs.Caller, dir nfs.ID, da nfs.Attr) (nfs.Attr, error) {
	if dir == f.root {
		return da, nil
	}
	p, ok, err := f.index.get(dir)
	if err != nil || !ok {
		return nfs.Attr{}, fmt.Errorf("look up parent: %w", err)
	}
	return f.GetAttr(ctx, c, p.parent)
}

// lookup finds name in d, takes note, and keeps the object open for a while.
func (f *FS) lookup(dir nfs.ID, d *desc, name string) (object, error) {
	f.unborn.wait(dir, name)
	if o, ok, err := f.identifyName(d, name); ok && (err == unix.ENOENT || err == nil && f.fds.met(o.attr.ID)) {
		if err == nil {
			f.note(dir, name, &o)
		}
		return o, err
	}
	cd, o, err := f.childNow(dir, d, name)
	if err != nil {
		return o, err
	}
	f.keep(dir, name, cd, &o)
	return o, nil
}

// keep gives the descriptor of an object that was just found by its name to
// the cache.
func (f *FS) keep(dir nfs.ID, name string, d *desc, o *object) {
	if o.attr.ID == f.root {
		unix.Close(d.fd) // mounted inside itself
		return
	}
	f.note(dir, name, o)
	f.fds.release(f.fds.add(o.attr.ID, d, false))
}

// GetAttr implements nfs.FileSystem.
func (f *FS) GetAttr(ctx context.Context, _ *nfs.Caller, id nfs.ID) (nfs.Attr, error) {
	d, err := f.get(ctx, id)
	if err != nil {
		return nfs.Attr{}, err
	}
	defer f.fds.release(d)
	return f.attr(id, d)
}

// Access implements nfs.AccessChecker: what the mode bits give the caller and
// the host gives the process.
func (f *FS) Access(ctx context.Context, c *nfs.Caller, id nfs.ID, want uint32) (uint32, nfs.Attr, error) {
	d, err := f.get(ctx, id)
	if err != nil {
		return 0, nfs.Attr{}, err
	}
	defer f.fds.release(d)
	a, err := f.attr(id, d)
	if err != nil || !d.vol.entered {
		return 0, a, err
	}
	granted := nfs.Accessible(c, &a, want)
	if f.host.UID != 0 {
		granted = nfs.Accessible(&f.host, &a, granted)
	}
	if f.readOnly {
		granted &^= nfs.AccessModify | nfs.AccessExtend | nfs.AccessDelete
	}
	return granted, a, nil
}

// regular gives a regular file for its data.
func (f *FS) regular(ctx context.Context, id nfs.ID) (*desc, nfs.Attr, error) {
	d, a, err := f.object(ctx, id)
	if err != nil {
		return nil, a, err
	}
	switch a.Type {
	case nfs.TypeRegular:
		return d, a, nil
	case nfs.TypeDirectory:
		err = nfs.ErrIsDir
	default:
		err = nfs.ErrInval
	}
	f.fds.release(d)
	return nil, a, err
}

// readable gives a regular file that c may read, and its attributes, which are
// there also with an error if they are known.
func (f *FS) readable(ctx context.Context, c *nfs.Caller, id nfs.ID) (*desc, nfs.Attr, error) {
	d, a, err := f.regular(ctx, id)
	if err != nil {
		return nil, nfs.Attr{}, err
	}
	if !mayRead(c, &a) {
		f.fds.release(d)
		return nil, a, nfs.ErrAccess
	}
	if d.can&canRead != 0 {
		return d, a, nil
	}
	defer f.fds.release(d)
	r, err := f.openData(id, d, canRead, false)
	if err != nil {
		return nil, a, fmt.Errorf("open for reading: %w", err)
	}
	return r, a, nil
}

// Read implements nfs.FileSystem.
func (f *FS) Read(ctx context.Context, c *nfs.Caller, id nfs.ID, p []byte, off uint64) (n int, eof bool, err error) {
	n, eof, _, err = f.ReadAttr(ctx, c, id, p, off)
	return n, eof, err
}

// ReadAttr implements nfs.AttrReader.
func (f *FS) ReadAttr(ctx context.Context, c *nfs.Caller, id nfs.ID, p []byte, off uint64) (n int, eof bool, a nfs.Attr, err error) {
	r, a, err := f.readable(ctx, c, id)
	if err != nil {
		return 0, false, a, err
	}
	defer f.fds.release(r)
	if off >= math.MaxInt64 {
		return 0, true, a, nil
	}
	if uint64(len(p)) > math.MaxInt64-off {
		p = p[:math.MaxInt64-off]
	}
	for n < len(p) {
		k, err := unix.Pread(r.fd, p[n:], int64(off)+int64(n))
		switch {
		case err == unix.EINTR:
			continue
		case err != nil && n > 0:
			return n, false, a, nil
		case err != nil:
			return 0, false, a, fmt.Errorf("read: %w", err)
		case k == 0:
			return n, true, a, nil
		}
		n += k
	}
	return n, off+uint64(n) >= a.Size, a, nil
}

// ReadFile implements nfs.FileReader.
func (f *FS) ReadFile(ctx context.Context, c *nfs.Caller, id nfs.ID, off uint64, count int) (s nfs.FileSpan, err error) {
	r, a, err := f.readable(ctx, c, id)
	s.Attr = a
	if err != nil {
		return s, err
	}
	if off < a.Size {
		s.N = int(min(uint64(count), a.Size-off))
	}
	s.EOF = off+uint64(s.N) >= a.Size
	s.FD, s.Release = r.fd, func() { f.fds.release(r) }
	return s, nil
}

// Readlink implements nfs.LinkReader.
func (f *FS) Readlink(ctx context.Context, _ *nfs.Caller, id nfs.ID) (string, error) {
	d, a, err := f.object(ctx, id)
	if err != nil {
		return "", err
	}
	defer f.fds.release(d)
	if a.Type != nfs.TypeSymlink {
		return "", nfs.ErrInval
	}
	buf := make([]byte, unix.PathMax)
	n, err := readlinkFD(d, buf)
	if err != nil {
		return "", fmt.Errorf("read link: %w", err)
	}
	return string(buf[:n]), nil
}

// StatFS implements nfs.FileSystem.
func (f *FS) StatFS(ctx context.Context, c *nfs.Caller, id nfs.ID) (nfs.FSStat, error) {
	d, _, err := f.object(ctx, id)
	if err != nil {
		return nfs.FSStat{}, err
	}
	defer f.fds.release(d)
	s, err := statVolume(d)
	if err != nil {
		return s, fmt.Errorf("get free space: %w", err)
	}
	if c.UID == 0 && f.host.UID == 0 {
		s.AvailBytes = s.FreeBytes // the reserve is for the superuser
	}
	return s, nil
}

// Properties implements nfs.Describer.
func (f *FS) Properties() nfs.Properties {
	p := f.rootDesc.vol.properties
	p.MaxFileSize, p.NameMax = math.MaxInt64, 255
	p.TimeDelta = time.Nanosecond
	if f.rootDesc.vol.byName {
		p.TimeDelta = coarseTimeFAT
	}
	p.CasePreserving, p.ChownRestricted, p.Symlinks = true, true, true
	p.HardLinks = p.LinkMax > 1
	return p
}

// ReadDir implements nfs.FileSystem.
func (f *FS) ReadDir(ctx context.Context, c *nfs.Caller, dir nfs.ID, cookie uint64, plus bool, fill func(nfs.DirEntry) bool) (eof bool, err error) {
	d, da, err := f.dir(ctx, dir)
	if err != nil {
		return false, err
	}
	defer f.fds.release(d)
	if !nfs.Permits(c, &da, nfs.MayRead) {
		return false, nfs.ErrAccess
	}
	plus = plus && nfs.Permits(c, &da, nfs.MayExec)
	defer f.index.flush()
	for {
		l, exact, err := f.listing(dir, d, &da, cookie)
		if err != nil {
			return false, fmt.Errorf("read directory: %w", err)
		}
		entries, _ := l.from(cookie)
		first := len(l.entries) - len(entries)
		var view *attrView
		if plus && exact && l.attrs != nil && !d.vol.remote {
			view = f.watches.view(dir, d, f.now())
		}
		for i := range entries {
			e := &entries[i]
			if i%ctxCheck == 0 {
				if err := ctx.Err(); err != nil && i > 0 {
					return false, nil // what we have is an answer
				} else if err != nil {
					return false, err
				}
			}
			id, place := e.loadID()
			de := nfs.DirEntry{Name: e.name, Cookie: e.cookie, ID: id}
			switch {
			case !exact || id == 0 || plus && !place:
				a, err := f.entryAttr(dir, d, e.name, plus)
				if err == unix.ENOENT {
					continue
				}
				e.storeID(a.ID, plus && err == nil)
				de.ID = a.ID
				if plus && err == nil {
					de.Attr = a
				}
			case plus:
				// The directory has not changed, and the name means what it did.
				if a, ok := view.recall(l, first+i); ok {
					de.Attr = a
				} else if s, err := statName(d.fd, e.name); err == nil && s.mount == d.vol.mount && !d.vol.remote {
					s.attr.ID = de.ID
					view.remember(l, first+i, &s.attr)
					de.Attr = s.attr
				} else if a, err := f.entryAttr(dir, d, e.name, true); err == nil {
					de.ID, de.Attr = a.ID, a
				}
			}
			if !fill(de) {
				return false, nil
			}
			cookie = e.cookie
		}
		if l.whole() {
			return true, nil
		}
		cookie = max(cookie, l.upTo)
	}
}

// ctxCheck is after how many entries of a listing the time is looked at.
const ctxCheck = 64

// entryAttr examines one entry of a listing. Where the host does not let us,
// in a directory without execute permission, the id is made from the name: with
// it a client can do nothing but show it. With plus, the client gets a handle,
// and its place is noted.
func (f *FS) entryAttr(dir nfs.ID, d *desc, name string, plus bool) (nfs.Attr, error) {
	f.unborn.wait(dir, name)
	o, ok, err := f.identifyName(d, name)
	if !ok || err != nil && err != unix.ENOENT {
		var cd *desc
		if cd, o, err = f.childNow(dir, d, name); err == nil {
			unix.Close(cd.fd)
		}
	}
	if err != nil {
		id, _ := (&identity{volume: d.vol.id, ino: mix(uint64(dir), cookieOf(&f.index.key, name))}).hash(0)
		return nfs.Attr{ID: id}, err
	}
	if plus {
		f.note(dir, name, &o)
	}
	return o.attr, nil
}

// listing gives entries of the directory that follow cookie, and whether they
// are exactly those that are there now.
func (f *FS) listing(dir nfs.ID, d *desc, da *nfs.Attr, cookie uint64) (l *listing, exact bool, err error) {
	now := stampOf(da)
	if l := f.listings.get(dir); l != nil && l.serves(cookie, now, f.now()) {
		if _, ok := l.from(cookie); ok {
			return l, l.exact(now), nil
		}
	}
	if inHostOrder(d) {
		l, err := f.readOn(dir, d, now, cookie)
		if !errors.Is(err, errNoOrder) {
			return l, false, err
		}
	}
	after := uint64(0)
	if l := f.listings.get(dir); l != nil && (l.after > 0 || !l.whole()) {
		after = cookie
	}
	for {
		l, err := f.readListing(d, after)
		if err != nil {
			return nil, false, err
		}
		f.listings.put(dir, l.withAttrs())
		if _, ok := l.from(cookie); ok {
			return l, false, nil
		}
		after = cookie
	}
}

// readOn reads a part of a listing in the host's order, and joins it to what
// is known if that ends there and is still right.
func (f *FS) readOn(dir nfs.ID, d *desc, now stamp, cookie uint64) (*listing, error) {
	r, err := f.open(dir, d, canRead)
	if err != nil {
		return nil, err
	}
	defer f.fds.release(r)
	unlock := f.walks.lock(dir) // guards the position of r
	defer unlock()
	known := f.listings.get(dir)
	if known != nil && known.exact(now) {
		if _, ok := known.from(cookie); ok {
			return known, nil // read meanwhile
		}
	}
	l, err := f.readStamped(d, func() (*listing, error) { return readRun(r, cookie) })
	if err != nil {
		return nil, err
	}
	if known != nil && cookie > 0 && known.upTo == cookie && known.exact(l.stamp) && len(known.entries)+len(l.entries) <= listingWindow {
		l = known.extended(l)
	}
	f.listings.put(dir, l.withAttrs())
	return l, nil
}

func (f *FS) readListing(d *desc, after uint64) (*listing, error) {
	return f.readStamped(d, func() (*listing, error) {
		return newListing(&f.index.key, after, listingWindow, func(add func(string)) error {
			return f.eachEntry(d, func(name string, _ uint64, _ nfs.FileType) bool {
				add(name)
				return true
			})
		})
	})
}

// readStamped has a listing of d made and says how long it is good.
func (f *FS) readStamped(d *desc, read func() (*listing, error)) (*listing, error) {
	// Attributes first: a change while we read shows against them.
	s, err := statFD(d.fd, d.vol.remote)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	l, err := read()
	if err != nil {
		return nil, err
	}
	l.stamp, l.made, l.cost = stampOf(&s.attr), f.now(), time.Since(begin)
	l.settled = !d.vol.remote && begin.UnixNano()-l.stamp.ctime > int64(d.vol.accuracy)
	return l, nil
}
