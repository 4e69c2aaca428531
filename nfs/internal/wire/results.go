package wire

import "github.com/moorage/moorage/nfs/internal/xdr"

// Every result starts with Status, an nfsstat3; fields that only a success or
// only a failure has say so.

// GetattrResult is the result of GETATTR.
type GetattrResult struct {
	Status uint32
	Attr   Fattr // success
}

// Decode reads the result.
func (r *GetattrResult) Decode(d *xdr.Decoder) {
	if r.Status = d.Uint32(); r.Status == 0 {
		r.Attr.Decode(d)
	}
}

// Append is the inverse of Decode.
func (r *GetattrResult) Append(b []byte) []byte {
	if b = xdr.AppendUint32(b, r.Status); r.Status == 0 {
		b = r.Attr.Append(b)
	}
	return b
}

// WccResult is the result of SETATTR, REMOVE and RMDIR.
type WccResult struct {
	Status uint32
	Wcc    Wcc
}

// Decode reads the result.
func (r *WccResult) Decode(d *xdr.Decoder) {
	r.Status = d.Uint32()
	r.Wcc.Decode(d)
}

// Append is the inverse of Decode.
func (r *WccResult) Append(b []byte) []byte { return r.Wcc.Append(xdr.AppendUint32(b, r.Status)) }

// LookupResult is the result of LOOKUP.
type LookupResult struct {
	Status uint32
	Handle []byte   // success
	Attr   PostAttr // success
	Dir    PostAttr
}

// Decode reads the result.
func (r *LookupResult) Decode(d *xdr.Decoder) {
	if r.Status = d.Uint32(); r.Status == 0 {
		r.Handle = d.Opaque(MaxHandle)
		r.Attr.Decode(d)
	}
	r.Dir.Decode(d)
}

// Append is the inverse of Decode.
func (r *LookupResult) Append(b []byte) []byte {
	if b = xdr.AppendUint32(b, r.Status); r.Status == 0 {
		b = r.Attr.Append(xdr.AppendOpaque(b, r.Handle))
	}
	return r.Dir.Append(b)
}

// AccessResult is the result of ACCESS.
type AccessResult struct {
	Status uint32
	Attr   PostAttr
	Access uint32 // success
}

// Decode reads the result.
func (r *AccessResult) Decode(d *xdr.Decoder) {
	r.Status = d.Uint32()
	if r.Attr.Decode(d); r.Status == 0 {
		r.Access = d.Uint32()
	}
}

// Append is the inverse of Decode.
func (r *AccessResult) Append(b []byte) []byte {
	b = r.Attr.Append(xdr.AppendUint32(b, r.Status))
	if r.Status == 0 {
		b = xdr.AppendUint32(b, r.Access)
	}
	return b
}

// ReadlinkResult is the result of READLINK.
type ReadlinkResult struct {
	Status uint32
	Attr   PostAttr
	Target []byte // success
}

// Decode reads the result.
func (r *ReadlinkResult) Decode(d *xdr.Decoder) {
	r.Status = d.Uint32()
	if r.Attr.Decode(d); r.Status == 0 {
		r.Target = d.Opaque(d.Left())
	}
}

// Append is the inverse of Decode.
func (r *ReadlinkResult) Append(b []byte) []byte {
	b = r.Attr.Append(xdr.AppendUint32(b, r.Status))
	if r.Status == 0 {
		b = xdr.AppendOpaque(b, r.Target)
	}
	return b
}

// ReadResult is the result of READ.
type ReadResult struct {
	Status uint32
	Attr   PostAttr
	Count  uint32 // success, as the next two
	EOF    bool
	Data   []byte
}

// Decode reads the result.
func (r *ReadResult) Decode(d *xdr.Decoder) {
	r.Status = d.Uint32()
	if r.Attr.Decode(d); r.Status == 0 {
		r.Count, r.EOF, r.Data = d.Uint32(), d.Bool(), d.Opaque(d.Left())
	}
}

// Append is the inverse of Decode.
func (r *ReadResult) Append(b []byte) []byte {
	b = r.Attr.Append(xdr.AppendUint32(b, r.Status))
	if r.Status == 0 {
		b = xdr.AppendOpaque(xdr.AppendBool(xdr.AppendUint32(b, r.Count), r.EOF), r.Data)
	}
	return b
}

// WriteResult is the result of WRITE.
type WriteResult struct {
	Status    uint32
	Wcc       Wcc
	Count     uint32 // success, as the next two
	Committed uint32
	Verf      [VerfSize]byte
}

// Decode reads the result.
func (r *WriteResult) Decode(d *xdr.Decoder) {
	r.Status = d.Uint32()
	if r.Wcc.Decode(d); r.Status == 0 {
		r.Count, r.Committed = d.Uint32(), d.Enum(lastStable)
		copy(r.Verf[:], d.Fixed(VerfSize))
	}
}

// Append is the inverse of Decode.
func (r *WriteResult) Append(b []byte) []byte {
	b = r.Wcc.Append(xdr.AppendUint32(b, r.Status))
	if r.Status == 0 {
		b = xdr.AppendUint32(xdr.AppendUint32(b, r.Count), r.Committed)
		b = append(b, r.Verf[:]...)
	}
	return b
}

// NewResult is the result of CREATE, MKDIR, SYMLINK and MKNOD.
type NewResult struct {
	Status uint32
	Handle PostHandle // success
	Attr   PostAttr   // success
	Dir    Wcc
}

// Decode reads the result.
func (r *NewResult) Decode(d *xdr.Decoder) {
	if r.Status = d.Uint32(); r.Status == 0 {
		r.Handle.Decode(d)
		r.Attr.Decode(d)
	}
	r.Dir.Decode(d)
}

// Append is the inverse of Decode.
func (r *NewResult) Append(b []byte) []byte {
	if b = xdr.AppendUint32(b, r.Status); r.Status == 0 {
		b = r.Attr.Append(r.Handle.Append(b))
	}
	return r.Dir.Append(b)
}

// RenameResult is the result of RENAME.
type RenameResult struct {
	Status   uint32
	From, To Wcc
}

// Decode reads the result.
func (r *RenameResult) Decode(d *xdr.Decoder) {
	r.Status = d.Uint32()
	r.From.Decode(d)
	r.To.Decode(d)
}

// Append is the inverse of Decode.
func (r *RenameResult) Append(b []byte) []byte {
	return r.To.Append(r.From.Append(xdr.AppendUint32(b, r.Status)))
}

// LinkResult is the result of LINK.
type LinkResult struct {
	Status uint32
	Attr   PostAttr
	Dir    Wcc
}

// Decode reads the result.
func (r *LinkResult) Decode(d *xdr.Decoder) {
	r.Status = d.Uint32()
	r.Attr.Decode(d)
	r.Dir.Decode(d)
}

// Append is the inverse of Decode.
func (r *LinkResult) Append(b []byte) []byte {
	return r.Dir.Append(r.Attr.Append(xdr.AppendUint32(b, r.Status)))
}

// FsstatResult is the result of FSSTAT.
type FsstatResult struct {
	Status                            uint32
	Attr                              PostAttr
	TotalBytes, FreeBytes, AvailBytes uint64 // success, as all that follows
	TotalFiles, FreeFiles, AvailFiles uint64
	Invarsec                          uint32
}

// Decode reads the result.
func (r *FsstatResult) Decode(d *xdr.Decoder) {
	r.Status = d.Uint32()
	if r.Attr.Decode(d); r.Status == 0 {
		r.TotalBytes, r.FreeBytes, r.AvailBytes = d.Uint64(), d.Uint64(), d.Uint64()
		r.TotalFiles, r.FreeFiles, r.AvailFiles = d.Uint64(), d.Uint64(), d.Uint64()
		r.Invarsec = d.Uint32()
	}
}

// Append is the inverse of Decode.
func (r *FsstatResult) Append(b []byte) []byte {
	b = r.Attr.Append(xdr.AppendUint32(b, r.Status))
	if r.Status == 0 {
		for _, v := range [...]uint64{r.TotalBytes, r.FreeBytes, r.AvailBytes, r.TotalFiles, r.FreeFiles, r.AvailFiles} {
			b = xdr.AppendUint64(b, v)
		}
		b = xdr.AppendUint32(b, r.Invarsec)
	}
	return b
}

// The properties of FSINFO (RFC 1813 §3.3.19).
const (
	FSFLink        = 0x01
	FSFSymlink     = 0x02
	FSFHomogeneous = 0x08
	FSFCanSetTime  = 0x10
)

// FsinfoResult is the result of FSINFO.
type FsinfoResult struct {
	Status                uint32
	Attr                  PostAttr
	RtMax, RtPref, RtMult uint32 // success, as all that follows
	WtMax, WtPref, WtMult uint32
	DtPref                uint32
	MaxFileSize           uint64
	TimeDelta             Time
	Properties            uint32
}

// Decode reads the result.
func (r *FsinfoResult) Decode(d *xdr.Decoder) {
	r.Status = d.Uint32()
	if r.Attr.Decode(d); r.Status == 0 {
		r.RtMax, r.RtPref, r.RtMult = d.Uint32(), d.Uint32(), d.Uint32()
		r.WtMax, r.WtPref, r.WtMult = d.Uint32(), d.Uint32(), d.Uint32()
		r.DtPref, r.MaxFileSize = d.Uint32(), d.Uint64()
		r.TimeDelta.Decode(d)
		r.Properties = d.Uint32()
	}
}

// Append is the inverse of Decode.
func (r *FsinfoResult) Append(b []byte) []byte {
	b = r.Attr.Append(xdr.AppendUint32(b, r.Status))
	if r.Status == 0 {
		for _, v := range [...]uint32{r.RtMax, r.RtPref, r.RtMult, r.WtMax, r.WtPref, r.WtMult, r.DtPref} {
			b = xdr.AppendUint32(b, v)
		}
		b = r.TimeDelta.Append(xdr.AppendUint64(b, r.MaxFileSize))
		b = xdr.AppendUint32(b, r.Properties)
	}
	return b
}

// PathconfResult is the result of PATHCONF.
type PathconfResult struct {
	Status           uint32
	Attr             PostAttr
	LinkMax, NameMax uint32 // success, as all that follows
	NoTrunc          bool
	ChownRestricted  bool
	CaseInsensitive  bool
	CasePreserving   bool
}

// Decode reads the result.
func (r *PathconfResult) Decode(d *xdr.Decoder) {
	r.Status = d.Uint32()
	if r.Attr.Decode(d); r.Status == 0 {
		r.LinkMax, r.NameMax = d.Uint32(), d.Uint32()
		r.NoTrunc, r.ChownRestricted = d.Bool(), d.Bool()
		r.CaseInsensitive, r.CasePreserving = d.Bool(), d.Bool()
	}
}

// Append is the inverse of Decode.
func (r *PathconfResult) Append(b []byte) []byte {
	b = r.Attr.Append(xdr.AppendUint32(b, r.Status))
	if r.Status == 0 {
		b = xdr.AppendUint32(xdr.AppendUint32(b, r.LinkMax), r.NameMax)
		for _, v := range [...]bool{r.NoTrunc, r.ChownRestricted, r.CaseInsensitive, r.CasePreserving} {
			b = xdr.AppendBool(b, v)
		}
	}
	return b
}

// CommitResult is the result of COMMIT.
type CommitResult struct {
	Status uint32
	Wcc    Wcc
	Verf   [VerfSize]byte // success
}

// Decode reads the result.
func (r *CommitResult) Decode(d *xdr.Decoder) {
	r.Status = d.Uint32()
	if r.Wcc.Decode(d); r.Status == 0 {
		copy(r.Verf[:], d.Fixed(VerfSize))
	}
}

// Append is the inverse of Decode.
func (r *CommitResult) Append(b []byte) []byte {
	b = r.Wcc.Append(xdr.AppendUint32(b, r.Status))
	if r.Status == 0 {
		b = append(b, r.Verf[:]...)
	}
	return b
}
