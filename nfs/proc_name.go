package nfs

import (
	"github.com/moorage/moorage/nfs/internal/wire"
	"github.com/moorage/moorage/nfs/internal/xdr"
)

// lookup is procedure 3 (RFC 1813 §3.3.3).
func (c *call) lookup(d *xdr.Decoder) bool {
	var a wire.DirOp
	if a.Decode(d); d.Done() != nil {
		return false
	}
	var r wire.LookupResult
	x, dir, st := c.open(a.Dir)
	if st == OK {
		if st = checkName(a.Name); st != OK {
			r.Dir = c.attr(x, dir)
		} else {
			var attr, dirAttr Attr
			var err error
			attr, dirAttr, err = c.doLookup(x, dir, string(a.Name))
			if r.Dir = x.post(&dirAttr); !r.Dir.Has && err != nil {
				r.Dir = c.attr(x, dir)
			}
			if st = c.found(&attr, err); st == OK {
				r.Handle, r.Attr = x.seal.Append(c.handle[:0], uint64(attr.ID)), x.post(&attr)
			}
		}
	}
	r.Status = uint32(st)
	c.out = r.Append(c.out)
	return true
}

// doLookup asks for the directory's attributes first: a client keeps the absence
// of a name on the strength of them.
func (c *call) doLookup(x *export, dir ID, name string) (a, dirAttr Attr, err error) {
	if x.lookupAttr != nil {
		return x.lookupAttr.LookupAttr(&c.ctx, &c.caller, dir, name)
	}
	dirAttr, err = x.FS.GetAttr(&c.ctx, &c.caller, dir)
	if err != nil {
		dirAttr = Attr{}
	}
	a, err = x.FS.Lookup(&c.ctx, &c.caller, dir, name)
	return a, dirAttr, err
}

// maker makes one object.
type maker func(x *export, dir ID, name string, set SetAttr) (Attr, WCC, error)

// makeNew is what CREATE, MKDIR, SYMLINK and MKNOD have in common.
func (c *call) makeNew(where *wire.DirOp, set *wire.Sattr, do maker) bool {
	var r wire.NewResult
	x, dir, st := c.open(where.Dir)
	if st == OK {
		var attr Attr
		var w WCC
		if attr, w, st = c.doMake(x, dir, where.Name, set, do); st == OK {
			r.Handle = wire.PostHandle{Has: true, Handle: x.seal.Append(c.handle[:0], uint64(attr.ID))}
			r.Attr = x.post(&attr)
			r.Dir = c.changed(x, dir, &w)
		} else {
			r.Dir = c.unchanged(x, dir)
		}
	}
	r.Status = uint32(st)
	c.out = r.Append(c.out)
	return true
}

func (c *call) doMake(x *export, dir ID, name []byte, set *wire.Sattr, do maker) (a Attr, w WCC, st Status) {
	if !x.writable {
		return a, w, ErrROFS
	}
	if st = checkNew(name); st != OK {
		return a, w, st
	}
	s, st := setAttr(set)
	if st != OK {
		return a, w, st
	}
	a, w, err := do(x, dir, string(name), s)
	return a, w, c.found(&a, err)
}

// create is procedure 8 (RFC 1813 §3.3.8).
func (c *call) create(d *xdr.Decoder) bool {
	var a wire.CreateArgs
	if a.Decode(d); d.Done() != nil {
		return false
	}
	return c.makeNew(&a.Where, &a.Set, func(x *export, dir ID, name string, set SetAttr) (Attr, WCC, error) {
		if x.creator == nil {
			return Attr{}, WCC{}, x.missing()
		}
		how := CreateHow{Mode: CreateMode(a.Mode), Set: set, Verifier: a.Verf}
		return x.creator.Create(&c.ctx, &c.caller, dir, name, how)
	})
}

// mkdir is procedure 9 (RFC 1813 §3.3.9).
func (c *call) mkdir(d *xdr.Decoder) bool {
	var a wire.MkdirArgs
	if a.Decode(d); d.Done() != nil {
		return false
	}
	return c.makeNew(&a.Where, &a.Set, func(x *export, dir ID, name string, set SetAttr) (Attr, WCC, error) {
		if x.creator == nil {
			return Attr{}, WCC{}, x.missing()
		}
		return x.creator.Mkdir(&c.ctx, &c.caller, dir, name, set)
	})
}

// mknod is procedure 11 (RFC 1813 §3.3.11).
func (c *call) mknod(d *xdr.Decoder) bool {
	var a wire.MknodArgs
	if a.Decode(d); d.Done() != nil {
		return false
	}
	return c.makeNew(&a.Where, &a.Set, func(x *export, dir ID, name string, set SetAttr) (Attr, WCC, error) {
		typ := FileType(a.Type)
		switch typ {
		case TypeBlock, TypeChar, TypeSocket, TypeFIFO:
		default:
			return Attr{}, WCC{}, ErrBadType
		}
		if x.nodes == nil {
			return Attr{}, WCC{}, x.missing()
		}
		return x.nodes.Mknod(&c.ctx, &c.caller, dir, name, typ, set, a.Major, a.Minor)
	})
}

// remove is procedure 12 (RFC 1813 §3.3.12).
func (c *call) remove(d *xdr.Decoder) bool {
	return c.unlink(d, func(x *export, dir ID, name []byte) (WCC, error) {
		if isDot(name) || isDotDot(name) {
			return WCC{}, ErrIsDir
		}
		return x.remover.Remove(&c.ctx, &c.caller, dir, string(name))
	})
}

// rmdir is procedure 13 (RFC 1813 §3.3.13).
func (c *call) rmdir(d *xdr.Decoder) bool {
	return c.unlink(d, func(x *export, dir ID, name []byte) (WCC, error) {
		switch {
		case isDot(name):
			return WCC{}, ErrInval
		case isDotDot(name):
			return WCC{}, ErrNotEmpty // it has dir in it
		}
		return x.remover.Rmdir(&c.ctx, &c.caller, dir, string(name))
	})
}

// unlink is what REMOVE and RMDIR have in common.
func (c *call) unlink(d *xdr.Decoder, do func(x *export, dir ID, name []byte) (WCC, error)) bool {
	var a wire.DirOp
	if a.Decode(d); d.Done() != nil {
		return false
	}
	var r wire.WccResult
	x, dir, st := c.open(a.Dir)
	if st == OK {
		var w WCC
		if st = checkName(a.Name); x.remover == nil {
			st = x.missing()
		} else if st == OK {
			var err error
			w, err = do(x, dir, a.Name)
			st = c.status(err)
		}
		if st == OK {
			r.Wcc = c.changed(x, dir, &w)
		} else {
			r.Wcc = c.unchanged(x, dir)
		}
	}
	r.Status = uint32(st)
	c.out = r.Append(c.out)
	return true
}

// rename is procedure 14 (RFC 1813 §3.3.14).
func (c *call) rename(d *xdr.Decoder) bool {
	var a wire.RenameArgs
	if a.Decode(d); d.Done() != nil {
		return false
	}
	var r wire.RenameResult
	x, from, st := c.open(a.From.Dir)
	if st == OK {
		var to ID
		if to, st = c.openSecond(x, a.To.Dir); st != OK {
			r.From = c.unchanged(x, from)
		} else {
			var fw, tw WCC
			if fw, tw, st = c.doRename(x, from, to, &a); st == OK {
				r.From, r.To = c.changed(x, from, &fw), c.changed(x, to, &tw)
			} else {
				r.From, r.To = c.unchanged(x, from), c.unchanged(x, to)
			}
		}
	}
	r.Status = uint32(st)
	c.out = r.Append(c.out)
	return true
}

func (c *call) doRename(x *export, from, to ID, a *wire.RenameArgs) (fw, tw WCC, st Status) {
	if x.renamer == nil {
		return fw, tw, x.missing()
	}
	for _, name := range [][]byte{a.From.Name, a.To.Name} {
		if isDot(name) || isDotDot(name) {
			return fw, tw, ErrInval
		}
		if st = checkName(name); st != OK {
			return fw, tw, st
		}
	}
	fw, tw, err := x.renamer.Rename(&c.ctx, &c.caller, from, string(a.From.Name), to, string(a.To.Name))
	return fw, tw, c.status(err)
}

// link is procedure 15 (RFC 1813 §3.3.15).
func (c *call) link(d *xdr.Decoder) bool {
	var a wire.LinkArgs
	if a.Decode(d); d.Done() != nil {
		return false
	}
	var r wire.LinkResult
	x, id, st := c.open(a.Handle)
	if st == OK {
		var dir ID
		if dir, st = c.openSecond(x, a.To.Dir); st != OK {
			r.Attr = c.attr(x, id)
		} else {
			var attr Attr
			var w WCC
			if attr, w, st = c.doLink(x, id, dir, a.To.Name); st == OK {
				r.Attr, r.Dir = x.post(&attr), c.changed(x, dir, &w)
			} else {
				r.Attr, r.Dir = c.attr(x, id), c.unchanged(x, dir)
			}
		}
	}
	r.Status = uint32(st)
	c.out = r.Append(c.out)
	return true
}

func (c *call) doLink(x *export, id, dir ID, name []byte) (Attr, WCC, Status) {
	if x.linker == nil {
		return Attr{}, WCC{}, x.missing()
	}
	if st := checkNew(name); st != OK {
		return Attr{}, WCC{}, st
	}
	attr, w, err := x.linker.Link(&c.ctx, &c.caller, id, dir, string(name))
	return attr, w, c.status(err)
}
