package wire

import "github.com/moorage/moorage/nfs/internal/xdr"

// Time is nfstime3.
type Time struct{ Sec, Nsec uint32 }

// Decode reads an nfstime3.
func (t *Time) Decode(d *xdr.Decoder) { t.Sec, t.Nsec = d.Uint32(), d.Uint32() }

// Append is the inverse of Decode.
func (t *Time) Append(b []byte) []byte {
	return xdr.AppendUint32(xdr.AppendUint32(b, t.Sec), t.Nsec)
}

// AttrSize is the size of a Fattr in bytes.
const AttrSize = 84

// Fattr is fattr3.
type Fattr struct {
	Type, Mode, Nlink   uint32
	UID, GID            uint32
	Size, Used          uint64
	Major, Minor        uint32
	FSID, FileID        uint64
	Atime, Mtime, Ctime Time
}

// Decode reads an fattr3.
func (a *Fattr) Decode(d *xdr.Decoder) {
	if a.Type = d.Enum(7); a.Type == 0 {
		d.Fail(xdr.ErrValue)
	}
	a.Mode, a.Nlink, a.UID, a.GID = d.Uint32(), d.Uint32(), d.Uint32(), d.Uint32()
	a.Size, a.Used = d.Uint64(), d.Uint64()
	a.Major, a.Minor = d.Uint32(), d.Uint32()
	a.FSID, a.FileID = d.Uint64(), d.Uint64()
	a.Atime.Decode(d)
	a.Mtime.Decode(d)
	a.Ctime.Decode(d)
}

// Append is the inverse of Decode.
func (a *Fattr) Append(b []byte) []byte {
	b = xdr.AppendUint32(b, a.Type)
	b = xdr.AppendUint32(b, a.Mode)
	b = xdr.AppendUint32(b, a.Nlink)
	b = xdr.AppendUint32(b, a.UID)
	b = xdr.AppendUint32(b, a.GID)
	b = xdr.AppendUint64(b, a.Size)
	b = xdr.AppendUint64(b, a.Used)
	b = xdr.AppendUint32(b, a.Major)
	b = xdr.AppendUint32(b, a.Minor)
	b = xdr.AppendUint64(b, a.FSID)
	b = xdr.AppendUint64(b, a.FileID)
	b = a.Atime.Append(b)
	b = a.Mtime.Append(b)
	return a.Ctime.Append(b)
}

// PostAttr is post_op_attr.
type PostAttr struct {
	Has  bool
	Attr Fattr
}

// Decode reads a post_op_attr.
func (p *PostAttr) Decode(d *xdr.Decoder) {
	if p.Has = d.Bool(); p.Has {
		p.Attr.Decode(d)
	}
}

// Append is the inverse of Decode.
func (p *PostAttr) Append(b []byte) []byte {
	b = xdr.AppendBool(b, p.Has)
	if p.Has {
		b = p.Attr.Append(b)
	}
	return b
}

// PreAttr is wcc_attr.
type PreAttr struct {
	Size         uint64
	Mtime, Ctime Time
}

// Wcc is wcc_data.
type Wcc struct {
	HasBefore bool
	Before    PreAttr
	After     PostAttr
}

// Decode reads a wcc_data.
func (w *Wcc) Decode(d *xdr.Decoder) {
	if w.HasBefore = d.Bool(); w.HasBefore {
		w.Before.Size = d.Uint64()
		w.Before.Mtime.Decode(d)
		w.Before.Ctime.Decode(d)
	}
	w.After.Decode(d)
}

// Append is the inverse of Decode.
func (w *Wcc) Append(b []byte) []byte {
	b = xdr.AppendBool(b, w.HasBefore)
	if w.HasBefore {
		b = xdr.AppendUint64(b, w.Before.Size)
		b = w.Before.Mtime.Append(b)
		b = w.Before.Ctime.Append(b)
	}
	return w.After.Append(b)
}

// PostHandle is post_op_fh3.
type PostHandle struct {
	Has    bool
	Handle []byte
}

// Decode reads a post_op_fh3.
func (p *PostHandle) Decode(d *xdr.Decoder) {
	if p.Has = d.Bool(); p.Has {
		p.Handle = d.Opaque(MaxHandle)
	}
}

// Append is the inverse of Decode.
func (p *PostHandle) Append(b []byte) []byte {
	b = xdr.AppendBool(b, p.Has)
	if p.Has {
		b = xdr.AppendOpaque(b, p.Handle)
	}
	return b
}

// The values of TimeHow, time_how of RFC 1813 §2.6.
const (
	DontChange  = 0
	ServerTime  = 1
	ClientTime  = 2
	lastTimeHow = ClientTime
	lastCreate  = 2 // createmode3: UNCHECKED, GUARDED, EXCLUSIVE
	lastStable  = 2 // stable_how: UNSTABLE, DATA_SYNC, FILE_SYNC
	exclusive   = 2
	typeBlock   = 3
	typeChar    = 4
	typeSocket  = 6
	typeFIFO    = 7
)

// Sattr is sattr3.
type Sattr struct {
	SetMode, SetUID, SetGID, SetSize bool
	Mode, UID, GID                   uint32
	Size                             uint64
	AtimeHow, MtimeHow               uint32 // DontChange, ServerTime, ClientTime
	Atime, Mtime                     Time
}

// Decode reads an sattr3.
func (s *Sattr) Decode(d *xdr.Decoder) {
	if s.SetMode = d.Bool(); s.SetMode {
		s.Mode = d.Uint32()
	}
	if s.SetUID = d.Bool(); s.SetUID {
		s.UID = d.Uint32()
	}
	if s.SetGID = d.Bool(); s.SetGID {
		s.GID = d.Uint32()
	}
	if s.SetSize = d.Bool(); s.SetSize {
		s.Size = d.Uint64()
	}
	if s.AtimeHow = d.Enum(lastTimeHow); s.AtimeHow == ClientTime {
		s.Atime.Decode(d)
	}
	if s.MtimeHow = d.Enum(lastTimeHow); s.MtimeHow == ClientTime {
		s.Mtime.Decode(d)
	}
}

// Append is the inverse of Decode.
func (s *Sattr) Append(b []byte) []byte {
	if b = xdr.AppendBool(b, s.SetMode); s.SetMode {
		b = xdr.AppendUint32(b, s.Mode)
	}
	if b = xdr.AppendBool(b, s.SetUID); s.SetUID {
		b = xdr.AppendUint32(b, s.UID)
	}
	if b = xdr.AppendBool(b, s.SetGID); s.SetGID {
		b = xdr.AppendUint32(b, s.GID)
	}
	if b = xdr.AppendBool(b, s.SetSize); s.SetSize {
		b = xdr.AppendUint64(b, s.Size)
	}
	if b = xdr.AppendUint32(b, s.AtimeHow); s.AtimeHow == ClientTime {
		b = s.Atime.Append(b)
	}
	if b = xdr.AppendUint32(b, s.MtimeHow); s.MtimeHow == ClientTime {
		b = s.Mtime.Append(b)
	}
	return b
}
