// Package wire holds the messages of NFS version 3 and MOUNT (RFC 1813) and of
// the portmapper (RFC 1833) as Go types. Each can be decoded and appended, and
// one is the inverse of the other, so that a server, a client and the fuzzer
// share one description.
//
// Decoded byte slices share the message they came from.
package wire

import "github.com/moorage/moorage/nfs/internal/xdr"

// Program numbers and versions.
const (
	NFSProgram   = 100003
	NFSVersion   = 3
	MountProgram = 100005
	MountV1      = 1 // the version in which macOS says that it unmounts
	MountV3      = 3
)

// Procedures of NFSv3 (RFC 1813 §3.3).
const (
	ProcNull        = 0
	ProcGetattr     = 1
	ProcSetattr     = 2
	ProcLookup      = 3
	ProcAccess      = 4
	ProcReadlink    = 5
	ProcRead        = 6
	ProcWrite       = 7
	ProcCreate      = 8
	ProcMkdir       = 9
	ProcSymlink     = 10
	ProcMknod       = 11
	ProcRemove      = 12
	ProcRmdir       = 13
	ProcRename      = 14
	ProcLink        = 15
	ProcReaddir     = 16
	ProcReaddirplus = 17
	ProcFsstat      = 18
	ProcFsinfo      = 19
	ProcPathconf    = 20
	ProcCommit      = 21
	NumProcs        = 22
)

// Procedures of MOUNT (RFC 1813 §5.2).
const (
	MountNull    = 0
	MountMnt     = 1
	MountDump    = 2
	MountUmnt    = 3
	MountUmntall = 4
	MountExport  = 5
	NumMount     = 6
)

// Sizes of RFC 1813 §2.4 and §5.1.4, in bytes.
const (
	MaxHandle = 64
	MaxPath   = 1024 // of MOUNT; a symbolic link's target has no bound of its own
	MaxName   = 255  // of a host or group in MOUNT
	VerfSize  = 8
)

// Message is a call's arguments or a reply's results.
type Message interface {
	Decode(d *xdr.Decoder)
	Append(b []byte) []byte
}

// Void has no bytes.
type Void struct{}

// Decode reads nothing.
func (*Void) Decode(*xdr.Decoder) {}

// Append appends nothing.
func (*Void) Append(b []byte) []byte { return b }

// NewArgs makes an empty value of a procedure's arguments; nil if there is no
// such procedure.
func NewArgs(prog, vers, proc uint32) Message {
	switch {
	case prog == NFSProgram && vers == NFSVersion:
		return newNFSArgs(proc)
	case prog == MountProgram && vers == MountV3:
		switch proc {
		case MountNull, MountDump, MountUmntall, MountExport:
			return new(Void)
		case MountMnt, MountUmnt:
			return new(MountPath)
		}
	case prog == MountProgram && vers == MountV1 && proc != MountMnt:
		return NewArgs(prog, MountV3, proc)
	case prog == PortmapProgram:
		return newPortmapArgs(vers, proc)
	}
	return nil
}

func newNFSArgs(proc uint32) Message {
	switch proc {
	case ProcNull:
		return new(Void)
	case ProcGetattr, ProcReadlink, ProcFsstat, ProcFsinfo, ProcPathconf:
		return new(HandleArgs)
	case ProcSetattr:
		return new(SetattrArgs)
	case ProcLookup, ProcRemove, ProcRmdir:
		return new(DirOp)
	case ProcAccess:
		return new(AccessArgs)
	case ProcRead:
		return new(ReadArgs)
	case ProcWrite:
		return new(WriteArgs)
	case ProcCreate:
		return new(CreateArgs)
	case ProcMkdir:
		return new(MkdirArgs)
	case ProcSymlink:
		return new(SymlinkArgs)
	case ProcMknod:
		return new(MknodArgs)
	case ProcRename:
		return new(RenameArgs)
	case ProcLink:
		return new(LinkArgs)
	case ProcReaddir:
		return new(ReaddirArgs)
	case ProcReaddirplus:
		return new(ReaddirplusArgs)
	case ProcCommit:
		return new(CommitArgs)
	}
	return nil
}

// NewResults makes an empty value of a procedure's results; nil if there is no
// such procedure.
func NewResults(prog, vers, proc uint32) Message {
	switch {
	case prog == NFSProgram && vers == NFSVersion:
		return newNFSResults(proc)
	case prog == MountProgram && vers == MountV3:
		switch proc {
		case MountNull, MountUmnt, MountUmntall:
			return new(Void)
		case MountMnt:
			return new(MntResult)
		case MountDump:
			return new(DumpResult)
		case MountExport:
			return new(ExportResult)
		}
	case prog == MountProgram && vers == MountV1 && proc != MountMnt:
		return NewResults(prog, MountV3, proc)
	case prog == PortmapProgram:
		return newPortmapResults(vers, proc)
	}
	return nil
}

func newNFSResults(proc uint32) Message {
	switch proc {
	case ProcNull:
		return new(Void)
	case ProcGetattr:
		return new(GetattrResult)
	case ProcSetattr, ProcRemove, ProcRmdir:
		return new(WccResult)
	case ProcLookup:
		return new(LookupResult)
	case ProcAccess:
		return new(AccessResult)
	case ProcReadlink:
		return new(ReadlinkResult)
	case ProcRead:
		return new(ReadResult)
	case ProcWrite:
		return new(WriteResult)
	case ProcCreate, ProcMkdir, ProcSymlink, ProcMknod:
		return new(NewResult)
	case ProcRename:
		return new(RenameResult)
	case ProcLink:
		return new(LinkResult)
	case ProcReaddir:
		return new(ReaddirResult)
	case ProcReaddirplus:
		return &ReaddirResult{Plus: true}
	case ProcFsstat:
		return new(FsstatResult)
	case ProcFsinfo:
		return new(FsinfoResult)
	case ProcPathconf:
		return new(PathconfResult)
	case ProcCommit:
		return new(CommitResult)
	}
	return nil
}
