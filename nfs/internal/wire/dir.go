package wire

import "github.com/moorage/moorage/nfs/internal/xdr"

// DirEntry is entry3, or entryplus3 where the result says so.
type DirEntry struct {
	FileID uint64
	Name   []byte
	Cookie uint64
	Attr   PostAttr   // plus
	Handle PostHandle // plus
}

// ReaddirResult is the result of READDIR, and of READDIRPLUS if Plus is set
// before decoding.
type ReaddirResult struct {
	Plus    bool // not on the wire
	Status  uint32
	Attr    PostAttr
	Verf    [VerfSize]byte // success, as all that follows
	Entries []DirEntry
	EOF     bool
}

// Decode reads the result.
func (r *ReaddirResult) Decode(d *xdr.Decoder) {
	r.Status = d.Uint32()
	if r.Attr.Decode(d); r.Status != 0 {
		return
	}
	copy(r.Verf[:], d.Fixed(VerfSize))
	for d.Bool() {
		e := DirEntry{FileID: d.Uint64(), Name: d.Opaque(d.Left()), Cookie: d.Uint64()}
		if r.Plus {
			e.Attr.Decode(d)
			e.Handle.Decode(d)
		}
		if d.Err() != nil {
			return
		}
		r.Entries = append(r.Entries, e)
	}
	r.EOF = d.Bool()
}

// Append is the inverse of Decode.
func (r *ReaddirResult) Append(b []byte) []byte {
	b = r.Attr.Append(xdr.AppendUint32(b, r.Status))
	if r.Status != 0 {
		return b
	}
	b = append(b, r.Verf[:]...)
	for i := range r.Entries {
		e := &r.Entries[i]
		b = AppendEntry(b, e.FileID, e.Name, e.Cookie)
		if r.Plus {
			b = e.Handle.Append(e.Attr.Append(b))
		}
	}
	return xdr.AppendBool(xdr.AppendBool(b, false), r.EOF)
}

// AppendEntry appends the part of an entry that READDIR and READDIRPLUS have
// in common, with the word in front that says that an entry follows.
func AppendEntry[T ~string | ~[]byte](b []byte, fileID uint64, name T, cookie uint64) []byte {
	b = xdr.AppendUint64(xdr.AppendBool(b, true), fileID)
	return xdr.AppendUint64(xdr.AppendOpaque(b, name), cookie)
}

// EntrySize is the number of bytes that [AppendEntry] appends.
func EntrySize(name int) int { return 4 + 8 + 4 + xdr.Padded(name) + 8 }
