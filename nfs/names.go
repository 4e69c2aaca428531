package nfs

import (
	"strconv"

	"github.com/moorage/moorage/nfs/internal/wire"
)

// nfsNames are the procedures of NFSv3 by number, as RFC 1813 §3.3 names them.
var nfsNames = [wire.NumProcs]string{
	wire.ProcNull: "NULL", wire.ProcGetattr: "GETATTR", wire.ProcSetattr: "SETATTR", wire.ProcLookup: "LOOKUP",
	wire.ProcAccess: "ACCESS", wire.ProcReadlink: "READLINK", wire.ProcRead: "READ", wire.ProcWrite: "WRITE",
	wire.ProcCreate: "CREATE", wire.ProcMkdir: "MKDIR", wire.ProcSymlink: "SYMLINK", wire.ProcMknod: "MKNOD",
	wire.ProcRemove: "REMOVE", wire.ProcRmdir: "RMDIR", wire.ProcRename: "RENAME", wire.ProcLink: "LINK",
	wire.ProcReaddir: "READDIR", wire.ProcReaddirplus: "READDIRPLUS", wire.ProcFsstat: "FSSTAT",
	wire.ProcFsinfo: "FSINFO", wire.ProcPathconf: "PATHCONF", wire.ProcCommit: "COMMIT",
}

// mountNames are those of MOUNT, by RFC 1813 §5.2.
var mountNames = [wire.NumMount]string{
	wire.MountNull: "NULL", wire.MountMnt: "MNT", wire.MountDump: "DUMP", wire.MountUmnt: "UMNT",
	wire.MountUmntall: "UMNTALL", wire.MountExport: "EXPORT",
}

// statusNames are the names of RFC 1813 §2.6 without their NFS3ERR_.
var statusNames = map[Status]string{
	ErrPerm: "PERM", ErrNoEnt: "NOENT", ErrIO: "IO", ErrNXIO: "NXIO", ErrAccess: "ACCES", ErrExist: "EXIST",
	ErrXDev: "XDEV", ErrNoDev: "NODEV", ErrNotDir: "NOTDIR", ErrIsDir: "ISDIR", ErrInval: "INVAL", ErrFBig: "FBIG",
	ErrNoSpace: "NOSPC", ErrROFS: "ROFS", ErrMLink: "MLINK", ErrNameTooLong: "NAMETOOLONG", ErrNotEmpty: "NOTEMPTY",
	ErrDQuot: "DQUOT", ErrStale: "STALE", ErrRemote: "REMOTE", ErrBadHandle: "BADHANDLE", ErrNotSync: "NOT_SYNC",
	ErrBadCookie: "BAD_COOKIE", ErrNotSupp: "NOTSUPP", ErrTooSmall: "TOOSMALL", ErrServerFault: "SERVERFAULT",
	ErrBadType: "BADTYPE", ErrJukebox: "JUKEBOX",
}

// name is the status as RFC 1813 writes it.
func (s Status) name() string {
	if s == OK {
		return "NFS3_OK"
	}
	if n, ok := statusNames[s]; ok {
		return "NFS3ERR_" + n
	}
	return "status " + strconv.FormatUint(uint64(s), 10)
}
