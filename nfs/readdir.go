package nfs

import (
	"errors"

	"github.com/moorage/moorage/nfs/internal/handle"
	"github.com/moorage/moorage/nfs/internal/wire"
	"github.com/moorage/moorage/nfs/internal/xdr"
)

// The cookies of the entries that the server makes. An entry's cookie is where
// the listing goes on behind it, so a file system's own begin after these.
const (
	cookieDot    = 1
	cookieDotDot = 2
)

const (
	// maxDir is the most bytes of a directory that one reply has.
	maxDir = 128 << 10
	// dirFixed is the size of the results without entries: attributes, cookie
	// verifier, the word that ends the list, eof.
	dirFixed = 4 + wire.AttrSize + wire.VerfSize + 4 + 4
	// plusSize is what an entry of READDIRPLUS has more: attributes, handle.
	plusSize = 4 + wire.AttrSize + 4 + 4 + handle.Size
)

var errBadListing = errors.New("nfs: a directory listing breaks the contract of ReadDir")

// readdir is procedure 16 (RFC 1813 §3.3.16).
func (c *call) readdir(d *xdr.Decoder) bool {
	var a wire.ReaddirArgs
	if a.Decode(d); d.Done() != nil {
		return false
	}
	l := listing{c: c, left: int(min(a.Count, maxDir)), dirLeft: maxDir}
	return l.answer(a.Dir, a.Cookie)
}

// readdirplus is procedure 17 (RFC 1813 §3.3.17).
func (c *call) readdirplus(d *xdr.Decoder) bool {
	var a wire.ReaddirplusArgs
	if a.Decode(d); d.Done() != nil {
		return false
	}
	l := listing{c: c, plus: true, left: int(min(a.MaxCount, maxDir)), dirLeft: int(min(a.DirCount, maxDir))}
	return l.answer(a.Dir, a.Cookie)
}

// listing makes one page of a directory, for both procedures. The entries are
// written straight into the reply.
type listing struct {
	c    *call
	x    *export
	plus bool

	left    int // bytes that the results may still take, all of them counted
	dirLeft int // bytes that names, ids and cookies may still take
	entries int
	full    bool
	broken  bool
	gaps    []gap
}

// gap is a place for the attributes of an entry that came without.
type gap struct {
	at int // in call.out
	id ID
}

// answer never fails on a cookie: the file system goes on from any, and the
// cookie verifier is always zero and not looked at.
func (l *listing) answer(dirHandle []byte, cookie uint64) bool {
	c := l.c
	x, dir, st := c.open(dirHandle)
	l.x = x
	var attr Attr
	var post wire.PostAttr
	if st == OK {
		var err error
		attr, err = x.FS.GetAttr(&c.ctx, &c.caller, dir)
		if st = c.found(&attr, err); st == OK {
			post = x.post(&attr)
			if attr.Type != TypeDirectory {
				st = ErrNotDir
			} else if l.left < dirFixed {
				st = ErrTooSmall
			}
		}
	}
	if st == OK {
		head := len(c.out)
		if !c.grow(head + 4 + l.left) {
			return true
		}
		l.left -= dirFixed
		c.out = post.Append(xdr.AppendUint32(c.out, uint32(OK)))
		c.out = append(c.out, make([]byte, wire.VerfSize)...)
		var eof bool
		if eof, st = l.fill(dir, &attr, cookie); st == OK {
			l.fillGaps()
			c.out = xdr.AppendBool(xdr.AppendBool(c.out, false), eof)
			return true
		}
		c.out = c.out[:head]
	}
	c.out = post.Append(xdr.AppendUint32(c.out, uint32(st)))
	return true
}

// fill writes entries until the page is full or the directory ends.
func (l *listing) fill(dir ID, attr *Attr, cookie uint64) (eof bool, st Status) {
	c, x := l.c, l.x
	if cookie < cookieDot {
		l.add(&DirEntry{Name: ".", ID: dir, Cookie: cookieDot, Attr: *attr})
	}
	if cookie < cookieDotDot && !l.full {
		// Who may list a directory but not search it gets no parent; the
		// directory itself stands in, as at a root.
		parent, err := x.FS.Lookup(&c.ctx, &c.caller, dir, "..")
		if err != nil || !parent.valid() {
			parent = *attr
		}
		l.add(&DirEntry{Name: "..", ID: parent.ID, Cookie: cookieDotDot, Attr: parent})
	}
	if !l.full {
		from := cookie
		if from <= cookieDotDot {
			from = 0
		}
		before := l.entries
		var err error
		eof, err = x.FS.ReadDir(&c.ctx, &c.caller, dir, from, l.plus, l.take)
		if err == nil && (l.broken || !eof && !l.full && l.entries == before) {
			err = errBadListing
		}
		if st := c.status(err); st != OK {
			return false, st
		}
	}
	if l.full && l.entries == 0 {
		return false, ErrTooSmall
	}
	return eof && !l.full, OK
}

// take is the fill function of ReadDir. Names that are none are left out: a
// client's kernel may stumble over them, and no call could reach them.
func (l *listing) take(e DirEntry) bool {
	if e.Cookie <= cookieDotDot || e.ID == 0 {
		l.broken = true
		return false
	}
	if checkName([]byte(e.Name)) != OK || e.Name == "." || e.Name == ".." {
		return true
	}
	return l.add(&e)
}

// add writes one entry, if it fits.
func (l *listing) add(e *DirEntry) bool {
	size := wire.EntrySize(len(e.Name))
	total := size
	if l.plus {
		total += plusSize
	}
	if total > l.left || size > l.dirLeft {
		l.full = true
		return false
	}
	l.left -= total
	l.dirLeft -= size
	l.entries++
	c := l.c
	c.out = wire.AppendEntry(c.out, uint64(e.ID), e.Name, e.Cookie)
	if l.plus {
		if !e.Attr.valid() {
			l.gaps = append(l.gaps, gap{len(c.out), e.ID})
		}
		post := wire.PostAttr{Has: true, Attr: l.x.fattr(&e.Attr)}
		c.out = xdr.AppendUint32(xdr.AppendBool(post.Append(c.out), true), handle.Size)
		c.out = l.x.seal.Append(c.out, uint64(e.ID))
	}
	return true
}

// fillGaps asks for the attributes that the listing did not have, because a
// client that misses them looks the names up one by one. Entries that have
// gone meanwhile, and those there is no time for, stay without. It goes from
// the back, so that closing a gap moves none that is still to be done.
func (l *listing) fillGaps() {
	c := l.c
	for i := len(l.gaps) - 1; i >= 0; i-- {
		g := l.gaps[i]
		var post wire.PostAttr
		if a, err := l.x.FS.GetAttr(&c.ctx, &c.caller, g.id); err == nil {
			post = l.x.post(&a)
		}
		rest := c.out[g.at+4+wire.AttrSize:]
		out := post.Append(c.out[:g.at])
		if !post.Has {
			out = append(out, rest...)
		} else {
			out = c.out
		}
		c.out = out
	}
}
