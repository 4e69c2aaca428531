//go:build linux || darwin

package dirfs

import (
	"context"
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
	d, da, err := f.dir(ctx, dir)
	if err != nil {
		return nfs.Attr{}, err
	}
	defer f.fds.release(d)
	if !nfs.Permits(c, &da, nfs.MayExec) {
		return nfs.Attr{}, nfs.ErrAccess
	}
	switch name {
	case ".":
		return da, nil
	case "..":
		return f.parent(ctx, c, dir, da)
	}
	if err := checkName(name); err != nil {
		return nfs.Attr{}, err
	}
	o, err := f.lookup(dir, d, name)
	f.index.flush()
	if err != nil {
		return nfs.Attr{}, fmt.Errorf("look up name: %w", err)
	}
	return o.attr, nil
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
	cd, o, err := f.child(dir, d, name)
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

// Read implements nfs.FileSystem.
func (f *FS) Read(ctx context.Context, c *nfs.Caller, id nfs.ID, p []byte, off uint64) (n int, eof bool, err error) {
	d, a, err := f.regular(ctx, id)
	if err != nil {
		return 0, false, err
	}
	defer f.fds.release(d)
	if !mayRead(c, &a) {
		return 0, false, nfs.ErrAccess
	}
	if off >= math.MaxInt64 {
		return 0, true, nil
	}
	if uint64(len(p)) > math.MaxInt64-off {
		p = p[:math.MaxInt64-off]
	}
	r, err := f.openData(id, d, canRead, false)
	if err != nil {
		return 0, false, fmt.Errorf("open for reading: %w", err)
	}
	defer f.fds.release(r)
	for n < len(p) {
		var k int
		err := ignoringEINTR(func() (err error) {
			k, err = unix.Pread(r.fd, p[n:], int64(off)+int64(n))
			return err
		})
		if err != nil {
			if n > 0 {
				return n, false, nil
			}
			return 0, false, fmt.Errorf("read: %w", err)
		}
		if k == 0 {
			return n, true, nil
		}
		n += k
	}
	return n, off+uint64(n) >= a.Size, nil
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
		for i := range entries {
			e := &entries[i]
			if err := ctx.Err(); err != nil && i > 0 {
				return false, nil // what we have is an answer
			} else if err != nil {
				return false, err
			}
			de := nfs.DirEntry{Name: e.name, Cookie: e.cookie, ID: e.loadID()}
			if plus || de.ID == 0 || !exact {
				a, err := f.entryAttr(dir, d, e.name)
				if err == unix.ENOENT {
					continue
				}
				e.storeID(a.ID)
				de.ID = a.ID
				if plus && err == nil {
					de.Attr = a
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

// entryAttr examines one entry of a listing. Where the host does not let us,
// in a directory without execute permission, the id is made from the name: with
// it a client can do nothing but show it.
func (f *FS) entryAttr(dir nfs.ID, d *desc, name string) (nfs.Attr, error) {
	cd, o, err := f.child(dir, d, name)
	if err != nil {
		id, _ := (&identity{volume: d.vol.id, ino: mix(uint64(dir), cookieOf(&f.index.key, name))}).hash(0)
		return nfs.Attr{ID: id}, err
	}
	unix.Close(cd.fd)
	f.note(dir, name, &o)
	return o.attr, nil
}

// listing gives entries of the directory that follow cookie, and whether they
// are exactly those that are there now.
func (f *FS) listing(dir nfs.ID, d *desc, da *nfs.Attr, cookie uint64) (l *listing, exact bool, err error) {
	now, after := stampOf(da), uint64(0)
	if l := f.listings.get(dir); l != nil {
		if l.serves(cookie, now, f.now()) {
			if _, ok := l.from(cookie); ok {
				return l, l.exact(now), nil
			}
		}
		if l.after > 0 || !l.whole() {
			after = cookie
		}
	}
	for {
		l, err := f.readListing(d, after)
		if err != nil {
			return nil, false, err
		}
		f.listings.put(dir, l)
		if _, ok := l.from(cookie); ok {
			return l, false, nil
		}
		after = cookie
	}
}

func (f *FS) readListing(d *desc, after uint64) (*listing, error) {
	// Attributes first: a change while we read shows against them.
	s, err := statFD(d.fd, d.vol.remote)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	l, err := newListing(&f.index.key, after, listingWindow, func(add func(string)) error {
		return f.eachEntry(d, func(name string, _ uint64, _ nfs.FileType) bool {
			add(name)
			return true
		})
	})
	if err != nil {
		return nil, err
	}
	l.stamp, l.made, l.cost = stampOf(&s.attr), f.now(), time.Since(begin)
	l.settled = !d.vol.remote && begin.UnixNano()-l.stamp.ctime > int64(d.vol.accuracy)
	return l, nil
}
