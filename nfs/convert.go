package nfs

import (
	"bytes"
	"math"
	"time"

	"github.com/moorage/moorage/nfs/internal/wire"
)

const (
	maxName = 255 // bytes of a name
	// maxOffset is the end of the longest file: what off_t can say.
	maxOffset = math.MaxInt64
	modeBits  = 0o7777
)

// valid reports whether a can be sent: kernels do not take well to objects of
// no type or without a number.
func (a *Attr) valid() bool {
	return a.ID != 0 && a.Type >= TypeRegular && a.Type <= TypeFIFO
}

// post is the attributes for the wire; none if a is not known.
func (x *export) post(a *Attr) (p wire.PostAttr) {
	if a.valid() {
		p.Has, p.Attr = true, x.fattr(a)
	}
	return p
}

func (x *export) fattr(a *Attr) wire.Fattr {
	return wire.Fattr{
		Type: uint32(a.Type), Mode: a.Mode & modeBits, Nlink: a.Nlink, UID: a.UID, GID: a.GID,
		Size: a.Size, Used: a.Used, Major: a.Major, Minor: a.Minor, FSID: x.FSID, FileID: uint64(a.ID),
		Atime: wireTime(a.Atime), Mtime: wireTime(a.Mtime), Ctime: wireTime(a.Ctime),
	}
}

// wireTime is t in the range that nfstime3 has: 1970 to 2106.
func wireTime(t time.Time) wire.Time {
	switch sec := t.Unix(); {
	case sec < 0:
		return wire.Time{}
	case sec > math.MaxUint32:
		return wire.Time{Sec: math.MaxUint32}
	default:
		return wire.Time{Sec: uint32(sec), Nsec: uint32(t.Nanosecond())}
	}
}

func goTime(t wire.Time) time.Time { return time.Unix(int64(t.Sec), int64(t.Nsec)) }

const second = uint32(time.Second)

// setAttr checks what an sattr3 asks for.
func setAttr(s *wire.Sattr) (SetAttr, Status) {
	var a SetAttr
	if s.SetMode {
		a.Valid |= SetMode
		a.Mode = s.Mode & modeBits
	}
	if s.SetUID {
		a.Valid |= SetUID
		a.UID = s.UID
	}
	if s.SetGID {
		a.Valid |= SetGID
		a.GID = s.GID
	}
	if s.SetSize {
		if s.Size > maxOffset {
			return a, ErrFBig
		}
		a.Valid |= SetSize
		a.Size = s.Size
	}
	if s.Atime.Nsec >= second || s.Mtime.Nsec >= second {
		return a, ErrInval
	}
	switch s.AtimeHow {
	case wire.ServerTime:
		a.Valid |= SetAtimeNow
	case wire.ClientTime:
		a.Valid |= SetAtime
		a.Atime = goTime(s.Atime)
	}
	switch s.MtimeHow {
	case wire.ServerTime:
		a.Valid |= SetMtimeNow
	case wire.ClientTime:
		a.Valid |= SetMtime
		a.Mtime = goTime(s.Mtime)
	}
	return a, OK
}

// checkName refuses what can be no name of anything; "." and ".." pass.
func checkName(name []byte) Status {
	switch {
	case len(name) > maxName:
		return ErrNameTooLong
	case len(name) == 0, bytes.IndexByte(name, '/') >= 0, bytes.IndexByte(name, 0) >= 0:
		// RFC 1813 §3.2 has this for names that a server does not take.
		return ErrAccess
	}
	return OK
}

func isDot(name []byte) bool    { return string(name) == "." }
func isDotDot(name []byte) bool { return string(name) == ".." }

// checkNew is checkName for a name that shall be made: "." and ".." are there.
func checkNew(name []byte) Status {
	if isDot(name) || isDotDot(name) {
		return ErrExist
	}
	return checkName(name)
}
