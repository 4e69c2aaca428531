package wire

import "github.com/moorage/moorage/nfs/internal/xdr"

// MountPath is dirpath, the argument of MNT and UMNT.
type MountPath struct{ Path []byte }

// Decode reads the argument.
func (a *MountPath) Decode(d *xdr.Decoder) { a.Path = d.Opaque(MaxPath) }

// Append is the inverse of Decode.
func (a *MountPath) Append(b []byte) []byte { return xdr.AppendOpaque(b, a.Path) }

// Statuses of MNT, mountstat3 of RFC 1813 §5.1.5.
const (
	MntOK             = 0
	MntErrPerm        = 1
	MntErrNoEnt       = 2
	MntErrIO          = 5
	MntErrAccess      = 13
	MntErrNotDir      = 20
	MntErrInval       = 22
	MntErrNameTooLong = 63
	MntErrNotSupp     = 10004
	MntErrServerFault = 10006
)

// maxFlavors bounds the list of a decoded MNT reply.
const maxFlavors = 64

// MntResult is the result of MNT.
type MntResult struct {
	Status  uint32
	Handle  []byte   // success
	Flavors []uint32 // success: authentication flavors, best first
}

// Decode reads the result.
func (r *MntResult) Decode(d *xdr.Decoder) {
	if r.Status = d.Uint32(); r.Status != 0 {
		return
	}
	r.Handle = d.Opaque(MaxHandle)
	n := d.Uint32()
	if n > maxFlavors {
		d.Fail(xdr.ErrLimit)
		return
	}
	for range n {
		r.Flavors = append(r.Flavors, d.Uint32())
	}
}

// Append is the inverse of Decode.
func (r *MntResult) Append(b []byte) []byte {
	if b = xdr.AppendUint32(b, r.Status); r.Status != 0 {
		return b
	}
	b = xdr.AppendUint32(xdr.AppendOpaque(b, r.Handle), uint32(len(r.Flavors)))
	for _, f := range r.Flavors {
		b = xdr.AppendUint32(b, f)
	}
	return b
}

// MountEntry is one mountbody: who has mounted what.
type MountEntry struct{ Host, Path []byte }

// DumpResult is the result of DUMP.
type DumpResult struct{ Mounts []MountEntry }

// Decode reads the result.
func (r *DumpResult) Decode(d *xdr.Decoder) {
	for d.Bool() {
		e := MountEntry{Host: d.Opaque(MaxName), Path: d.Opaque(MaxPath)}
		if d.Err() != nil {
			return
		}
		r.Mounts = append(r.Mounts, e)
	}
}

// Append is the inverse of Decode.
func (r *DumpResult) Append(b []byte) []byte {
	for i := range r.Mounts {
		b = xdr.AppendOpaque(xdr.AppendBool(b, true), r.Mounts[i].Host)
		b = xdr.AppendOpaque(b, r.Mounts[i].Path)
	}
	return xdr.AppendBool(b, false)
}

// ExportEntry is one exportnode. No groups means everyone.
type ExportEntry struct {
	Path   []byte
	Groups [][]byte
}

// ExportResult is the result of EXPORT.
type ExportResult struct{ Exports []ExportEntry }

// Decode reads the result.
func (r *ExportResult) Decode(d *xdr.Decoder) {
	for d.Bool() {
		e := ExportEntry{Path: d.Opaque(MaxPath)}
		for d.Bool() {
			e.Groups = append(e.Groups, d.Opaque(MaxName))
		}
		if d.Err() != nil {
			return
		}
		r.Exports = append(r.Exports, e)
	}
}

// Append is the inverse of Decode.
func (r *ExportResult) Append(b []byte) []byte {
	for i := range r.Exports {
		b = xdr.AppendOpaque(xdr.AppendBool(b, true), r.Exports[i].Path)
		for _, g := range r.Exports[i].Groups {
			b = xdr.AppendOpaque(xdr.AppendBool(b, true), g)
		}
		b = xdr.AppendBool(b, false)
	}
	return xdr.AppendBool(b, false)
}
