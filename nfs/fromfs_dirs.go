package nfs

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io/fs"
	"path"
	"slices"
	"sync"
	"time"
)

const (
	listingAge  = 10 * time.Second // how old a listing may be that a client reads on
	maxListings = 16
	maxListed   = 1 << 17 // names of all listings that are kept, unless one alone has more
)

// ioListing is a directory's names in the order of their cookies. It is made
// when a client starts to read the directory, and serves all its pages, which
// is what keeps a page as cheap as it is long.
type ioListing struct {
	dir     ID
	mtime   time.Time // of the directory
	made    time.Time
	entries []ioName
}

type ioName struct {
	name   string
	cookie uint64
	typ    FileType
}

// nameCookie is a hash of the name, so that it needs no memory, and stays when
// names come and go. It leaves room below for "." and ".." and above for an end.
func nameCookie(name string) uint64 {
	h := sha256.Sum256([]byte(name))
	return 3 + binary.BigEndian.Uint64(h[:])>>3
}

func (f *ioFS) ReadDir(ctx context.Context, c *Caller, dir ID, cookie uint64, plus bool, fill func(DirEntry) bool) (bool, error) {
	n, a, _, err := f.node(ctx, dir)
	switch {
	case err != nil:
		return false, err
	case n.typ != TypeDirectory:
		return false, ErrNotDir
	case !Permits(c, &a, MayRead):
		return false, ErrAccess
	}
	var l *ioListing
	var fresh map[string]fs.DirEntry // what was read just now
	if cookie != 0 {
		l = f.dirs.get(dir, a.Mtime)
	}
	if l == nil {
		if l, fresh, err = f.list(n.path); err != nil {
			return false, staleIfGone(err)
		}
		l.dir, l.mtime = dir, a.Mtime
	}
	i, found := slices.BinarySearchFunc(l.entries, cookie, func(e ioName, c uint64) int { return cmp.Compare(e.cookie, c) })
	if found {
		i++
	}
	for k, e := range l.entries[i:] {
		if k%256 == 255 && ctx.Err() != nil {
			return false, ctx.Err()
		}
		p := path.Join(n.path, e.name)
		d := DirEntry{Name: e.name, ID: f.ids.put(ioNode{p, e.typ}), Cookie: e.cookie}
		if plus {
			d.Attr = f.entryAttr(p, fresh[e.name])
			if d.Attr.Type == e.typ {
				d.Attr.ID = d.ID
			}
		}
		if !fill(d) {
			f.dirs.put(l) // the client will go on
			return false, nil
		}
	}
	return true, nil
}

// entryAttr is the attributes without an id; none (Type 0) if they cannot be had.
func (f *ioFS) entryAttr(p string, e fs.DirEntry) Attr {
	var info fs.FileInfo
	var err error
	if e != nil && (f.links || e.Type() != fs.ModeSymlink) {
		info, err = e.Info()
	} else {
		info, err = f.stat(p)
	}
	if err != nil {
		return Attr{}
	}
	a, err := f.attr(p, info)
	if err != nil {
		return Attr{}
	}
	return a
}

// list reads a directory.
func (f *ioFS) list(p string) (*ioListing, map[string]fs.DirEntry, error) {
	entries, err := fs.ReadDir(f.fsys, p)
	if err != nil {
		return nil, nil, err
	}
	l := &ioListing{made: time.Now(), entries: make([]ioName, 0, len(entries))}
	fresh := make(map[string]fs.DirEntry, len(entries))
	for _, e := range entries {
		name := e.Name()
		if !usable(name) || fresh[name] != nil { // archives can have a name twice
			continue
		}
		typ := f.typeOf(e.Type())
		if e.Type() == fs.ModeSymlink && !f.links {
			info, err := f.stat(path.Join(p, name))
			if err != nil {
				if gone(err) || errors.Is(err, fs.ErrInvalid) {
					continue
				}
				return nil, nil, err
			}
			typ = f.typeOf(info.Mode())
		}
		if typ == 0 {
			continue
		}
		fresh[name] = e
		l.entries = append(l.entries, ioName{name, nameCookie(name), typ})
	}
	slices.SortFunc(l.entries, func(a, b ioName) int {
		return cmp.Or(cmp.Compare(a.cookie, b.cookie), cmp.Compare(a.name, b.name))
	})
	for i := 1; i < len(l.entries); i++ { // equal hashes: once in 10^12 directories of 1000 names
		l.entries[i].cookie = max(l.entries[i].cookie, l.entries[i-1].cookie+1)
	}
	return l, fresh, nil
}

// ioListings keeps those that clients are in the middle of.
type ioListings struct {
	mu    sync.Mutex
	kept  []*ioListing // the newest last
	timer *time.Timer  // nil: nothing to sweep
}

// get finds the listing of dir unless the directory has changed since.
func (s *ioListings) get(dir ID, mtime time.Time) *ioListing {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.kept {
		if l.dir == dir && l.mtime.Equal(mtime) && time.Since(l.made) < listingAge {
			return l
		}
	}
	return nil
}

func (s *ioListings) put(l *ioListing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.kept, l) {
		return
	}
	s.kept = slices.DeleteFunc(s.kept, func(k *ioListing) bool { return k.dir == l.dir })
	s.kept = append(s.kept, l)
	total := 0
	for i := len(s.kept) - 1; i >= 0; i-- {
		total += len(s.kept[i].entries)
		if i < len(s.kept)-1 && (total > maxListed || len(s.kept)-i > maxListings) {
			s.kept = slices.Delete(s.kept, 0, i+1)
			break
		}
	}
	if s.timer == nil {
		s.timer = time.AfterFunc(listingAge, s.sweep)
	}
}

func (s *ioListings) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = slices.DeleteFunc(s.kept, func(l *ioListing) bool { return time.Since(l.made) >= listingAge })
	s.timer = nil
	if len(s.kept) > 0 {
		s.timer = time.AfterFunc(listingAge, s.sweep)
	}
}

func (s *ioListings) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = nil
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}
