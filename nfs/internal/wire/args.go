package wire

import "github.com/moorage/moorage/nfs/internal/xdr"

// HandleArgs are the arguments of GETATTR, READLINK, FSSTAT, FSINFO, PATHCONF.
type HandleArgs struct{ Handle []byte }

// Decode reads the arguments.
func (a *HandleArgs) Decode(d *xdr.Decoder) { a.Handle = d.Opaque(MaxHandle) }

// Append is the inverse of Decode.
func (a *HandleArgs) Append(b []byte) []byte { return xdr.AppendOpaque(b, a.Handle) }

// DirOp is diropargs3, the arguments of LOOKUP, REMOVE, RMDIR.
type DirOp struct{ Dir, Name []byte }

// Decode reads the arguments.
func (a *DirOp) Decode(d *xdr.Decoder) {
	a.Dir = d.Opaque(MaxHandle)
	a.Name = d.Opaque(d.Left())
}

// Append is the inverse of Decode.
func (a *DirOp) Append(b []byte) []byte {
	return xdr.AppendOpaque(xdr.AppendOpaque(b, a.Dir), a.Name)
}

// SetattrArgs are the arguments of SETATTR.
type SetattrArgs struct {
	Handle []byte
	Set    Sattr
	Guard  bool
	Ctime  Time // with Guard
}

// Decode reads the arguments.
func (a *SetattrArgs) Decode(d *xdr.Decoder) {
	a.Handle = d.Opaque(MaxHandle)
	a.Set.Decode(d)
	if a.Guard = d.Bool(); a.Guard {
		a.Ctime.Decode(d)
	}
}

// Append is the inverse of Decode.
func (a *SetattrArgs) Append(b []byte) []byte {
	b = a.Set.Append(xdr.AppendOpaque(b, a.Handle))
	if b = xdr.AppendBool(b, a.Guard); a.Guard {
		b = a.Ctime.Append(b)
	}
	return b
}

// AccessArgs are the arguments of ACCESS.
type AccessArgs struct {
	Handle []byte
	Want   uint32
}

// Decode reads the arguments.
func (a *AccessArgs) Decode(d *xdr.Decoder) { a.Handle, a.Want = d.Opaque(MaxHandle), d.Uint32() }

// Append is the inverse of Decode.
func (a *AccessArgs) Append(b []byte) []byte {
	return xdr.AppendUint32(xdr.AppendOpaque(b, a.Handle), a.Want)
}

// ReadArgs are the arguments of READ.
type ReadArgs struct {
	Handle []byte
	Offset uint64
	Count  uint32
}

// Decode reads the arguments.
func (a *ReadArgs) Decode(d *xdr.Decoder) {
	a.Handle, a.Offset, a.Count = d.Opaque(MaxHandle), d.Uint64(), d.Uint32()
}

// Append is the inverse of Decode.
func (a *ReadArgs) Append(b []byte) []byte {
	return xdr.AppendUint32(xdr.AppendUint64(xdr.AppendOpaque(b, a.Handle), a.Offset), a.Count)
}

// WriteArgs are the arguments of WRITE.
type WriteArgs struct {
	Handle []byte
	Offset uint64
	Count  uint32
	Stable uint32
	Data   []byte
}

// Decode reads the arguments. That Count is the length of Data is not its
// business: RFC 1813 §3.3.7 has an NFS error for it.
func (a *WriteArgs) Decode(d *xdr.Decoder) {
	a.Handle, a.Offset, a.Count = d.Opaque(MaxHandle), d.Uint64(), d.Uint32()
	a.Stable = d.Enum(lastStable)
	a.Data = d.Opaque(d.Left())
}

// Append is the inverse of Decode.
func (a *WriteArgs) Append(b []byte) []byte {
	b = xdr.AppendUint64(xdr.AppendOpaque(b, a.Handle), a.Offset)
	b = xdr.AppendUint32(xdr.AppendUint32(b, a.Count), a.Stable)
	return xdr.AppendOpaque(b, a.Data)
}

// CreateArgs are the arguments of CREATE.
type CreateArgs struct {
	Where DirOp
	Mode  uint32 // createmode3
	Set   Sattr  // unless exclusive
	Verf  [VerfSize]byte
}

// Decode reads the arguments.
func (a *CreateArgs) Decode(d *xdr.Decoder) {
	a.Where.Decode(d)
	if a.Mode = d.Enum(lastCreate); a.Mode == exclusive {
		copy(a.Verf[:], d.Fixed(VerfSize))
	} else {
		a.Set.Decode(d)
	}
}

// Append is the inverse of Decode.
func (a *CreateArgs) Append(b []byte) []byte {
	b = xdr.AppendUint32(a.Where.Append(b), a.Mode)
	if a.Mode == exclusive {
		return append(b, a.Verf[:]...)
	}
	return a.Set.Append(b)
}

// MkdirArgs are the arguments of MKDIR.
type MkdirArgs struct {
	Where DirOp
	Set   Sattr
}

// Decode reads the arguments.
func (a *MkdirArgs) Decode(d *xdr.Decoder) {
	a.Where.Decode(d)
	a.Set.Decode(d)
}

// Append is the inverse of Decode.
func (a *MkdirArgs) Append(b []byte) []byte { return a.Set.Append(a.Where.Append(b)) }

// SymlinkArgs are the arguments of SYMLINK.
type SymlinkArgs struct {
	Where  DirOp
	Set    Sattr
	Target []byte
}

// Decode reads the arguments.
func (a *SymlinkArgs) Decode(d *xdr.Decoder) {
	a.Where.Decode(d)
	a.Set.Decode(d)
	a.Target = d.Opaque(d.Left())
}

// Append is the inverse of Decode.
func (a *SymlinkArgs) Append(b []byte) []byte {
	return xdr.AppendOpaque(a.Set.Append(a.Where.Append(b)), a.Target)
}

// MknodArgs are the arguments of MKNOD. Types that are no special nodes have
// neither Set nor numbers.
type MknodArgs struct {
	Where        DirOp
	Type         uint32
	Set          Sattr
	Major, Minor uint32 // of devices
}

// Decode reads the arguments.
func (a *MknodArgs) Decode(d *xdr.Decoder) {
	a.Where.Decode(d)
	a.Type = d.Uint32()
	switch a.Type {
	case typeBlock, typeChar:
		a.Set.Decode(d)
		a.Major, a.Minor = d.Uint32(), d.Uint32()
	case typeSocket, typeFIFO:
		a.Set.Decode(d)
	}
}

// Append is the inverse of Decode.
func (a *MknodArgs) Append(b []byte) []byte {
	b = xdr.AppendUint32(a.Where.Append(b), a.Type)
	switch a.Type {
	case typeBlock, typeChar:
		b = xdr.AppendUint32(xdr.AppendUint32(a.Set.Append(b), a.Major), a.Minor)
	case typeSocket, typeFIFO:
		b = a.Set.Append(b)
	}
	return b
}

// RenameArgs are the arguments of RENAME.
type RenameArgs struct{ From, To DirOp }

// Decode reads the arguments.
func (a *RenameArgs) Decode(d *xdr.Decoder) {
	a.From.Decode(d)
	a.To.Decode(d)
}

// Append is the inverse of Decode.
func (a *RenameArgs) Append(b []byte) []byte { return a.To.Append(a.From.Append(b)) }

// LinkArgs are the arguments of LINK.
type LinkArgs struct {
	Handle []byte
	To     DirOp
}

// Decode reads the arguments.
func (a *LinkArgs) Decode(d *xdr.Decoder) {
	a.Handle = d.Opaque(MaxHandle)
	a.To.Decode(d)
}

// Append is the inverse of Decode.
func (a *LinkArgs) Append(b []byte) []byte { return a.To.Append(xdr.AppendOpaque(b, a.Handle)) }

// ReaddirArgs are the arguments of READDIR.
type ReaddirArgs struct {
	Dir    []byte
	Cookie uint64
	Verf   [VerfSize]byte
	Count  uint32
}

// Decode reads the arguments.
func (a *ReaddirArgs) Decode(d *xdr.Decoder) {
	a.Dir, a.Cookie = d.Opaque(MaxHandle), d.Uint64()
	copy(a.Verf[:], d.Fixed(VerfSize))
	a.Count = d.Uint32()
}

// Append is the inverse of Decode.
func (a *ReaddirArgs) Append(b []byte) []byte {
	b = xdr.AppendUint64(xdr.AppendOpaque(b, a.Dir), a.Cookie)
	return xdr.AppendUint32(append(b, a.Verf[:]...), a.Count)
}

// ReaddirplusArgs are the arguments of READDIRPLUS.
type ReaddirplusArgs struct {
	Dir      []byte
	Cookie   uint64
	Verf     [VerfSize]byte
	DirCount uint32
	MaxCount uint32
}

// Decode reads the arguments.
func (a *ReaddirplusArgs) Decode(d *xdr.Decoder) {
	a.Dir, a.Cookie = d.Opaque(MaxHandle), d.Uint64()
	copy(a.Verf[:], d.Fixed(VerfSize))
	a.DirCount, a.MaxCount = d.Uint32(), d.Uint32()
}

// Append is the inverse of Decode.
func (a *ReaddirplusArgs) Append(b []byte) []byte {
	b = xdr.AppendUint64(xdr.AppendOpaque(b, a.Dir), a.Cookie)
	b = xdr.AppendUint32(append(b, a.Verf[:]...), a.DirCount)
	return xdr.AppendUint32(b, a.MaxCount)
}

// CommitArgs are the arguments of COMMIT.
type CommitArgs struct {
	Handle []byte
	Offset uint64
	Count  uint32
}

// Decode reads the arguments.
func (a *CommitArgs) Decode(d *xdr.Decoder) {
	a.Handle, a.Offset, a.Count = d.Opaque(MaxHandle), d.Uint64(), d.Uint32()
}

// Append is the inverse of Decode.
func (a *CommitArgs) Append(b []byte) []byte {
	return xdr.AppendUint32(xdr.AppendUint64(xdr.AppendOpaque(b, a.Handle), a.Offset), a.Count)
}
