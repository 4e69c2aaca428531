package nfs

import (
	"time"

	"github.com/moorage/moorage/nfs/internal/wire"
	"github.com/moorage/moorage/nfs/internal/xdr"
)

// getattr is procedure 1 (RFC 1813 §3.3.1).
func (c *call) getattr(d *xdr.Decoder) bool {
	var a wire.HandleArgs
	if a.Decode(d); d.Done() != nil {
		return false
	}
	var r wire.GetattrResult
	x, id, st := c.find(a.Handle)
	if c.denied && id == x.FS.Root() {
		// Linux looks at a mount's root with the rights of whoever comes before it
		// asks what he may, and takes any error for a stale mount. He sees what stat(2)
		// shows of any folder that he may not enter.
		c.caller, st = Caller{UID: nobody, GID: nobody}, OK
	}
	if st == OK {
		attr, err := x.FS.GetAttr(&c.ctx, &c.caller, id)
		if st = c.found(&attr, err); st == OK {
			r.Attr = x.fattr(&attr)
		}
	}
	r.Status = uint32(st)
	c.out = r.Append(c.out)
	return true
}

// setattr is procedure 2 (RFC 1813 §3.3.2).
func (c *call) setattr(d *xdr.Decoder) bool {
	var a wire.SetattrArgs
	if a.Decode(d); d.Done() != nil {
		return false
	}
	var r wire.WccResult
	x, id, st := c.open(a.Handle)
	if st == OK {
		var w WCC
		if w, st = c.doSetattr(x, id, &a); st == OK {
			r.Wcc = c.changed(x, id, &w)
		} else {
			r.Wcc = c.unchanged(x, id)
		}
	}
	r.Status = uint32(st)
	c.out = r.Append(c.out)
	return true
}

func (c *call) doSetattr(x *export, id ID, a *wire.SetattrArgs) (WCC, Status) {
	if x.setter == nil {
		return WCC{}, x.missing()
	}
	set, st := setAttr(&a.Set)
	if st != OK {
		return WCC{}, st
	}
	var guard *time.Time
	if a.Guard {
		t := goTime(a.Ctime)
		guard = &t
	}
	w, err := x.setter.SetAttr(&c.ctx, &c.caller, id, set, guard)
	return w, c.status(err)
}

// access is procedure 4 (RFC 1813 §3.3.4).
func (c *call) access(d *xdr.Decoder) bool {
	var a wire.AccessArgs
	if a.Decode(d); d.Done() != nil {
		return false
	}
	var r wire.AccessResult
	x, id, st := c.open(a.Handle)
	switch {
	case c.denied:
		// Granting nothing is what clients turn into EACCES, with a warm cache
		// too; they do not all look at an error of ACCESS.
		st = OK
	case st == OK:
		var attr Attr
		if r.Access, attr, st = c.doAccess(x, id, a.Want); st == OK {
			r.Attr = x.post(&attr)
		} else {
			r.Attr = c.attr(x, id)
		}
	}
	r.Status = uint32(st)
	c.out = r.Append(c.out)
	return true
}

func (c *call) doAccess(x *export, id ID, want uint32) (granted uint32, a Attr, st Status) {
	if !x.writable {
		want &^= AccessModify | AccessExtend | AccessDelete
	}
	var err error
	if x.access != nil {
		granted, a, err = x.access.Access(&c.ctx, &c.caller, id, want)
	} else if a, err = x.FS.GetAttr(&c.ctx, &c.caller, id); err == nil {
		granted = Accessible(&c.caller, &a, want)
	}
	return granted & want, a, c.found(&a, err)
}

// fsstat is procedure 18 (RFC 1813 §3.3.18).
func (c *call) fsstat(d *xdr.Decoder) bool {
	var a wire.HandleArgs
	if a.Decode(d); d.Done() != nil {
		return false
	}
	var r wire.FsstatResult
	x, id, st := c.open(a.Handle)
	if st == OK {
		s, err := x.FS.StatFS(&c.ctx, &c.caller, id)
		st = c.status(err)
		r.TotalBytes, r.FreeBytes, r.AvailBytes = s.TotalBytes, s.FreeBytes, s.AvailBytes
		r.TotalFiles, r.FreeFiles, r.AvailFiles = s.TotalFiles, s.FreeFiles, s.AvailFiles
		r.Attr = c.attr(x, id)
	}
	r.Status = uint32(st)
	c.out = r.Append(c.out)
	return true
}

const (
	// dirPref is the preferred size of a READDIR, in bytes.
	dirPref = 64 << 10
	// ioMult is the preferred multiple of READ and WRITE sizes: a page.
	ioMult = 4096
)

// fsinfo is procedure 19 (RFC 1813 §3.3.19).
func (c *call) fsinfo(d *xdr.Decoder) bool {
	var a wire.HandleArgs
	if a.Decode(d); d.Done() != nil {
		return false
	}
	var r wire.FsinfoResult
	x, id, st := c.open(a.Handle)
	if st == OK {
		r.Attr, st = c.mustAttr(x, id)
		p := &x.props
		r.RtMax, r.RtPref, r.RtMult = maxData, maxData, ioMult
		r.WtMax, r.WtPref, r.WtMult = maxData, maxData, ioMult
		r.DtPref, r.MaxFileSize = dirPref, p.MaxFileSize
		delta := max(p.TimeDelta, 1)
		r.TimeDelta = wire.Time{Sec: uint32(delta / time.Second), Nsec: uint32(delta % time.Second)}
		r.Properties = wire.FSFHomogeneous
		if p.HardLinks {
			r.Properties |= wire.FSFLink
		}
		if p.Symlinks {
			r.Properties |= wire.FSFSymlink
		}
		if _, ok := x.FS.(AttrSetter); ok {
			r.Properties |= wire.FSFCanSetTime
		}
	}
	r.Status = uint32(st)
	c.out = r.Append(c.out)
	return true
}

// pathconf is procedure 20 (RFC 1813 §3.3.20).
func (c *call) pathconf(d *xdr.Decoder) bool {
	var a wire.HandleArgs
	if a.Decode(d); d.Done() != nil {
		return false
	}
	var r wire.PathconfResult
	x, id, st := c.open(a.Handle)
	if st == OK {
		r.Attr, st = c.mustAttr(x, id)
		p := &x.props
		r.LinkMax, r.NameMax = max(p.LinkMax, 1), p.NameMax
		r.NoTrunc, r.ChownRestricted = true, p.ChownRestricted
		r.CaseInsensitive, r.CasePreserving = p.CaseInsensitive, p.CasePreserving
	}
	r.Status = uint32(st)
	c.out = r.Append(c.out)
	return true
}

// mustAttr is the attributes for a call that asks the file system nothing
// else, so that it notices when the object is gone.
func (c *call) mustAttr(x *export, id ID) (wire.PostAttr, Status) {
	a, err := x.FS.GetAttr(&c.ctx, &c.caller, id)
	return x.post(&a), c.found(&a, err)
}
