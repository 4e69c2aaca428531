package nfs

import (
	"github.com/moorage/moorage/nfs/internal/wire"
	"github.com/moorage/moorage/nfs/internal/xdr"
)

// call appends what Wireshark says of the arguments.
func (t *tracer) call(c *CallInfo, args wire.Message) {
	switch a := args.(type) {
	case *wire.MountPath:
		t.path(a.Path)
	case *wire.HandleArgs:
		t.fh(", FH: ", a.Handle)
	case *wire.SetattrArgs:
		t.fh(", FH: ", a.Handle).set(&a.Set)
	case *wire.DirOp:
		t.dir(", DH: ", a)
	case *wire.AccessArgs:
		t.fh(", FH: ", a.Handle).rights(", [Check:", a.Want)
	case *wire.ReadArgs:
		t.fh(", FH: ", a.Handle).str(" Offset: ").num(a.Offset).str(" Len: ").num(uint64(a.Count))
	case *wire.WriteArgs:
		t.fh(", FH: ", a.Handle).str(" Offset: ").num(a.Offset).str(" Len: ").num(uint64(len(a.Data))).stable(a.Stable)
	case *wire.CreateArgs:
		t.dir(", DH: ", &a.Where).str(" Mode: ").str([...]string{"UNCHECKED", "GUARDED", "EXCLUSIVE"}[a.Mode])
	case *wire.MkdirArgs:
		t.dir(", DH: ", &a.Where)
	case *wire.SymlinkArgs:
		t.dir(", From DH: ", &a.Where).str(" To ").text(a.Target)
	case *wire.MknodArgs:
		t.dir(", FH: ", &a.Where).str(" ").str(typeName(a.Type))
	case *wire.RenameArgs:
		t.dir(", From DH: ", &a.From).dir(" To DH: ", &a.To)
	case *wire.LinkArgs:
		t.fh(", From DH: ", a.Handle).dir(" To DH: ", &a.To)
	case *wire.ReaddirArgs:
		t.fh(", FH: ", a.Dir).cookie(a.Cookie)
	case *wire.ReaddirplusArgs:
		t.fh(", FH: ", a.Dir).cookie(a.Cookie)
	case *wire.CommitArgs:
		t.fh(", FH: ", a.Handle)
		if a.Offset != 0 || a.Count != 0 {
			t.str(" Offset: ").num(a.Offset).str(" Len: ").num(uint64(a.Count))
		}
	}
}

// cookie tells a further page from the first one.
func (t *tracer) cookie(c uint64) {
	if c != 0 {
		t.str(" Cookie: ").num(c)
	}
}

// set appends what a SETATTR changes; Wireshark leaves it out.
func (t *tracer) set(s *wire.Sattr) {
	if s.SetMode {
		t.str(" mode: ").octal(s.Mode)
	}
	if s.SetUID {
		t.str(" uid: ").num(uint64(s.UID))
	}
	if s.SetGID {
		t.str(" gid: ").num(uint64(s.GID))
	}
	if s.SetSize {
		t.str(" size: ").num(s.Size)
	}
	how := [...]string{wire.DontChange: "", wire.ServerTime: "SET_TO_SERVER_TIME", wire.ClientTime: "SET_TO_CLIENT_TIME"}
	if s.AtimeHow != wire.DontChange {
		t.str(" atime: ").str(how[s.AtimeHow])
	}
	if s.MtimeHow != wire.DontChange {
		t.str(" mtime: ").str(how[s.MtimeHow])
	}
}

func (t *tracer) octal(mode uint32) *tracer {
	mode &= modeBits
	for shift := 9; shift >= 0; shift -= 3 {
		t.b = append(t.b, '0'+byte(mode>>shift&7))
	}
	return t
}

func (t *tracer) stable(how uint32) {
	t.str(" ").str([...]string{"UNSTABLE", "DATA_SYNC", "FILE_SYNC"}[min(how, 2)])
}

// rights lists the bits of ACCESS in Wireshark's order.
func (t *tracer) rights(label string, bits uint32) {
	t.str(label)
	for i, name := range [...]string{"RD", "LU", "MD", "XT", "DL", "XE"} {
		if bits&(1<<i) != 0 {
			t.str(" ").str(name)
		}
	}
	t.str("]")
}

func typeName(typ uint32) string {
	names := [...]string{TypeRegular: "Regular File", TypeDirectory: "Directory", TypeBlock: "Block Special Device",
		TypeChar: "Character Special Device", TypeSymlink: "Symbolic Link", TypeSocket: "Socket", TypeFIFO: "Named Pipe"}
	if typ == 0 || typ >= uint32(len(names)) {
		return "unknown type"
	}
	return names[typ]
}

// reply appends what Wireshark says of the results.
func (t *tracer) reply(c *CallInfo, args wire.Message, d xdr.Decoder) {
	if !c.hasStatus() {
		return
	}
	st := Status(d.Uint32())
	if d.Err() != nil {
		return
	}
	if c.Program == wire.MountProgram {
		if st != OK {
			t.str(" Error:").str(mountErrorName(st))
		}
		return
	}
	if st != OK {
		t.str(" Error: ").str(st.name())
		return
	}
	switch c.Procedure {
	case wire.ProcGetattr:
		t.attr(&d)
	case wire.ProcLookup:
		t.fh(", FH: ", d.Opaque(wire.MaxHandle))
	case wire.ProcAccess:
		skipAttr(&d)
		got := d.Uint32()
		if a, ok := args.(*wire.AccessArgs); ok && d.Err() == nil {
			if denied := a.Want &^ got & 0x3f; denied != 0 {
				t.rights(", [Access Denied:", denied)
			}
			t.rights(", [Allowed:", got)
		}
	case wire.ProcReadlink:
		skipAttr(&d)
		t.str(" Path: ").text(d.Opaque(d.Left()))
	case wire.ProcRead:
		skipAttr(&d)
		t.str(" Len: ").num(uint64(d.Uint32()))
		if d.Bool() {
			t.str(" EOF")
		}
	case wire.ProcWrite:
		var w wire.Wcc
		w.Decode(&d)
		t.str(" Len: ").num(uint64(d.Uint32())).stable(d.Uint32())
	case wire.ProcCreate, wire.ProcMkdir, wire.ProcSymlink, wire.ProcMknod:
		var h wire.PostHandle
		if h.Decode(&d); h.Has && d.Err() == nil {
			t.fh(", FH: ", h.Handle)
		}
	case wire.ProcReaddir, wire.ProcReaddirplus:
		t.names(&d, c.Procedure == wire.ProcReaddirplus)
	}
}

// mountErrorName is a mountstat3 in Wireshark's spelling.
func mountErrorName(st Status) string {
	if n, ok := statusNames[st]; ok {
		return "ERR_" + n
	}
	return st.name()
}

func skipAttr(d *xdr.Decoder) {
	var p wire.PostAttr
	p.Decode(d)
}

func (t *tracer) attr(d *xdr.Decoder) {
	var a wire.Fattr
	if a.Decode(d); d.Err() == nil {
		t.str(" ").str(typeName(a.Type)).str(" mode: ").octal(a.Mode).str(" uid: ").num(uint64(a.UID)).str(" gid: ").num(uint64(a.GID))
	}
}

// names lists the first names of a directory page, and counts the others.
func (t *tracer) names(d *xdr.Decoder, plus bool) {
	skipAttr(d)
	d.Fixed(wire.VerfSize)
	n := 0
	for ; d.Bool(); n++ {
		d.Uint64()
		name := d.Opaque(d.Left())
		d.Uint64()
		if plus {
			var h wire.PostHandle
			skipAttr(d)
			h.Decode(d)
		}
		if d.Err() != nil {
			return
		}
		if n < traceNames {
			t.str(" ").text(name)
		}
	}
	if n > traceNames {
		t.str(" … (").num(uint64(n)).str(" names)")
	}
	if d.Bool() {
		t.str(" EOF")
	}
}
