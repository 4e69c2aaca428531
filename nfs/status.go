package nfs

import (
	"context"
	"errors"
	"io/fs"
	"strconv"
	"syscall"
)

// Status is nfsstat3 of RFC 1813 §2.6. As an error it is one of the sentinels
// below; wrap it with %w to say what was being done.
type Status uint32

// OK is the status of a call that succeeded. It is not used as an error.
const OK Status = 0

// The errors of RFC 1813 §2.6.
const (
	ErrPerm        Status = 1     // not the owner, or not the superuser
	ErrNoEnt       Status = 2     // no such name
	ErrIO          Status = 5     // the storage failed
	ErrNXIO        Status = 6     // no such device
	ErrAccess      Status = 13    // the mode bits deny it
	ErrExist       Status = 17    // the name exists
	ErrXDev        Status = 18    // a link across file systems
	ErrNoDev       Status = 19    // no such device
	ErrNotDir      Status = 20    // a directory was needed
	ErrIsDir       Status = 21    // a directory was not allowed
	ErrInval       Status = 22    // the arguments make no sense for this object
	ErrFBig        Status = 27    // larger than a file can be
	ErrNoSpace     Status = 28    // the storage is full
	ErrROFS        Status = 30    // the file system is read-only
	ErrMLink       Status = 31    // too many hard links
	ErrNameTooLong Status = 63    // a name of more than 255 bytes
	ErrNotEmpty    Status = 66    // the directory has entries
	ErrDQuot       Status = 69    // the quota is used up
	ErrStale       Status = 70    // the object is gone for good
	ErrRemote      Status = 71    // too many levels of remote
	ErrBadHandle   Status = 10001 // not a handle of this server
	ErrNotSync     Status = 10002 // the guard did not match
	ErrBadCookie   Status = 10003 // never sent: macOS ends the listing without a word
	ErrNotSupp     Status = 10004 // the file system cannot do this
	ErrTooSmall    Status = 10005 // the reply does not fit the client's buffer
	ErrServerFault Status = 10006 // a fault of the server itself
	ErrBadType     Status = 10007 // no object of this type can be made
	ErrJukebox     Status = 10008 // not yet: ask again
)

var statusText = map[Status]string{
	OK: "ok", ErrPerm: "operation not permitted", ErrNoEnt: "no such file or directory", ErrIO: "input/output error",
	ErrNXIO: "no such device or address", ErrAccess: "permission denied", ErrExist: "file exists",
	ErrXDev: "link across file systems", ErrNoDev: "no such device", ErrNotDir: "not a directory",
	ErrIsDir: "is a directory", ErrInval: "invalid argument", ErrFBig: "file too large",
	ErrNoSpace: "no space left", ErrROFS: "read-only file system", ErrMLink: "too many links",
	ErrNameTooLong: "name too long", ErrNotEmpty: "directory not empty", ErrDQuot: "quota exceeded",
	ErrStale: "stale file handle", ErrRemote: "too many levels of remote", ErrBadHandle: "bad file handle",
	ErrNotSync: "attributes changed meanwhile", ErrBadCookie: "bad directory cookie",
	ErrNotSupp: "operation not supported", ErrTooSmall: "buffer too small", ErrServerFault: "server fault",
	ErrBadType: "unsupported file type", ErrJukebox: "try again later",
}

// Error says the status in words.
func (s Status) Error() string {
	if t, ok := statusText[s]; ok {
		return t
	}
	return "nfs status " + strconv.FormatUint(uint64(s), 10)
}

// Is makes errors.Is(err, fs.ErrNotExist) and its siblings true for the
// statuses that mean the same.
func (s Status) Is(target error) bool {
	switch target {
	case fs.ErrNotExist:
		return s == ErrNoEnt
	case fs.ErrExist:
		return s == ErrExist || s == ErrNotEmpty
	case fs.ErrPermission:
		return s == ErrAccess || s == ErrPerm
	case fs.ErrInvalid:
		return s == ErrInval
	}
	return false
}

// errnoStatus maps what the host's kernel says. Names that POSIX lets share a
// value (EAGAIN and EWOULDBLOCK, ENOTSUP and EOPNOTSUPP) stand here once.
var errnoStatus = map[syscall.Errno]Status{
	syscall.EPERM: ErrPerm, syscall.ENOENT: ErrNoEnt, syscall.EIO: ErrIO, syscall.ENXIO: ErrNXIO,
	syscall.EACCES: ErrAccess, syscall.EEXIST: ErrExist, syscall.EXDEV: ErrXDev, syscall.ENODEV: ErrNoDev,
	syscall.ENOTDIR: ErrNotDir, syscall.EISDIR: ErrIsDir, syscall.EINVAL: ErrInval, syscall.EFBIG: ErrFBig,
	syscall.ENOSPC: ErrNoSpace, syscall.EROFS: ErrROFS, syscall.EMLINK: ErrMLink,
	syscall.ENAMETOOLONG: ErrNameTooLong, syscall.ENOTEMPTY: ErrNotEmpty, syscall.EDQUOT: ErrDQuot,
	syscall.ENOSYS: ErrNotSupp, syscall.EOPNOTSUPP: ErrNotSupp,
	// A shortage that passes: the client waits and repeats, and loses nothing.
	syscall.EAGAIN: ErrJukebox, syscall.EMFILE: ErrJukebox, syscall.ENFILE: ErrJukebox,
	syscall.ENOMEM: ErrJukebox, syscall.EINTR: ErrJukebox, syscall.ETIMEDOUT: ErrJukebox,
	// NFSv3 has no word for busy; knfsd says this for the removal of a mount point.
	syscall.EBUSY: ErrAccess,
}

// StatusOf maps an error to the status that is sent: a [Status] as it is, a
// host error by its number, a context that ended to ErrJukebox, the sentinels
// of io/fs to their counterparts, and anything else to ErrIO. nil is OK.
func StatusOf(err error) Status {
	if err == nil {
		return OK
	}
	var s Status
	if errors.As(err, &s) {
		return s
	}
	var e syscall.Errno
	if errors.As(err, &e) {
		if s, ok := errnoStatus[e]; ok {
			return s
		}
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return ErrJukebox
	case errors.Is(err, fs.ErrNotExist):
		return ErrNoEnt
	case errors.Is(err, fs.ErrExist):
		return ErrExist
	case errors.Is(err, fs.ErrPermission):
		return ErrAccess
	case errors.Is(err, fs.ErrInvalid):
		return ErrInval
	}
	return ErrIO
}
