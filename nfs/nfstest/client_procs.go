package nfstest

import (
	"context"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/internal/wire"
)

// The messages of RFC 1813 as the client speaks them. Handles and names are
// bytes; Status compares with the statuses of package nfs by [Status].
type (
	Fattr          = wire.Fattr
	Sattr          = wire.Sattr
	Time           = wire.Time
	Wcc            = wire.Wcc
	PostAttr       = wire.PostAttr
	DirEntry       = wire.DirEntry
	GetattrResult  = wire.GetattrResult
	WccResult      = wire.WccResult
	LookupResult   = wire.LookupResult
	AccessResult   = wire.AccessResult
	ReadlinkResult = wire.ReadlinkResult
	ReadResult     = wire.ReadResult
	WriteResult    = wire.WriteResult
	NewResult      = wire.NewResult
	RenameResult   = wire.RenameResult
	LinkResult     = wire.LinkResult
	ReaddirResult  = wire.ReaddirResult
	FsstatResult   = wire.FsstatResult
	FsinfoResult   = wire.FsinfoResult
	PathconfResult = wire.PathconfResult
	CommitResult   = wire.CommitResult
	MntResult      = wire.MntResult
	DumpResult     = wire.DumpResult
	ExportResult   = wire.ExportResult
)

// How Sattr sets a time.
const (
	DontChange = wire.DontChange
	ServerTime = wire.ServerTime
	ClientTime = wire.ClientTime
)

// Handle is a file handle as the server gave it.
type Handle []byte

// TimeOf is t as nfstime3.
func TimeOf(t time.Time) Time { return Time{Sec: uint32(t.Unix()), Nsec: uint32(t.Nanosecond())} }

// Status is the status of a result.
func Status(s uint32) nfs.Status { return nfs.Status(s) }

func call[R any, P interface {
	*R
	wire.Message
}](ctx context.Context, c *Client, proc uint32, args wire.Message) (R, error) {
	var r R
	err := c.do(ctx, wire.NFSProgram, wire.NFSVersion, proc, args, P(&r))
	return r, err
}

func dirOp(dir Handle, name string) wire.DirOp { return wire.DirOp{Dir: dir, Name: []byte(name)} }

// Null is procedure 0.
func (c *Client) Null(ctx context.Context) error {
	_, err := call[wire.Void](ctx, c, wire.ProcNull, new(wire.Void))
	return err
}

// Getattr is procedure 1.
func (c *Client) Getattr(ctx context.Context, h Handle) (GetattrResult, error) {
	return call[GetattrResult](ctx, c, wire.ProcGetattr, &wire.HandleArgs{Handle: h})
}

// Setattr is procedure 2; guard may be nil.
func (c *Client) Setattr(ctx context.Context, h Handle, set Sattr, guard *Time) (WccResult, error) {
	a := &wire.SetattrArgs{Handle: h, Set: set}
	if guard != nil {
		a.Guard, a.Ctime = true, *guard
	}
	return call[WccResult](ctx, c, wire.ProcSetattr, a)
}

// Lookup is procedure 3.
func (c *Client) Lookup(ctx context.Context, dir Handle, name string) (LookupResult, error) {
	a := dirOp(dir, name)
	return call[LookupResult](ctx, c, wire.ProcLookup, &a)
}

// Access is procedure 4.
func (c *Client) Access(ctx context.Context, h Handle, want uint32) (AccessResult, error) {
	return call[AccessResult](ctx, c, wire.ProcAccess, &wire.AccessArgs{Handle: h, Want: want})
}

// Readlink is procedure 5.
func (c *Client) Readlink(ctx context.Context, h Handle) (ReadlinkResult, error) {
	return call[ReadlinkResult](ctx, c, wire.ProcReadlink, &wire.HandleArgs{Handle: h})
}

// Read is procedure 6.
func (c *Client) Read(ctx context.Context, h Handle, off uint64, count uint32) (ReadResult, error) {
	return call[ReadResult](ctx, c, wire.ProcRead, &wire.ReadArgs{Handle: h, Offset: off, Count: count})
}

// Write is procedure 7.
func (c *Client) Write(ctx context.Context, h Handle, off uint64, data []byte, stable nfs.Stable) (WriteResult, error) {
	return call[WriteResult](ctx, c, wire.ProcWrite, &wire.WriteArgs{
		Handle: h, Offset: off, Count: uint32(len(data)), Stable: uint32(stable), Data: data,
	})
}

// Create is procedure 8.
func (c *Client) Create(ctx context.Context, dir Handle, name string, mode nfs.CreateMode, set Sattr, verf [8]byte) (NewResult, error) {
	return call[NewResult](ctx, c, wire.ProcCreate, &wire.CreateArgs{
		Where: dirOp(dir, name), Mode: uint32(mode), Set: set, Verf: verf,
	})
}

// Mkdir is procedure 9.
func (c *Client) Mkdir(ctx context.Context, dir Handle, name string, set Sattr) (NewResult, error) {
	return call[NewResult](ctx, c, wire.ProcMkdir, &wire.MkdirArgs{Where: dirOp(dir, name), Set: set})
}

// Symlink is procedure 10.
func (c *Client) Symlink(ctx context.Context, dir Handle, name, target string, set Sattr) (NewResult, error) {
	return call[NewResult](ctx, c, wire.ProcSymlink, &wire.SymlinkArgs{
		Where: dirOp(dir, name), Set: set, Target: []byte(target),
	})
}

// Mknod is procedure 11.
func (c *Client) Mknod(ctx context.Context, dir Handle, name string, typ nfs.FileType, set Sattr, major, minor uint32) (NewResult, error) {
	return call[NewResult](ctx, c, wire.ProcMknod, &wire.MknodArgs{
		Where: dirOp(dir, name), Type: uint32(typ), Set: set, Major: major, Minor: minor,
	})
}

// Remove is procedure 12.
func (c *Client) Remove(ctx context.Context, dir Handle, name string) (WccResult, error) {
	a := dirOp(dir, name)
	return call[WccResult](ctx, c, wire.ProcRemove, &a)
}

// Rmdir is procedure 13.
func (c *Client) Rmdir(ctx context.Context, dir Handle, name string) (WccResult, error) {
	a := dirOp(dir, name)
	return call[WccResult](ctx, c, wire.ProcRmdir, &a)
}

// Rename is procedure 14.
func (c *Client) Rename(ctx context.Context, fromDir Handle, from string, toDir Handle, to string) (RenameResult, error) {
	return call[RenameResult](ctx, c, wire.ProcRename, &wire.RenameArgs{From: dirOp(fromDir, from), To: dirOp(toDir, to)})
}

// Link is procedure 15.
func (c *Client) Link(ctx context.Context, h, dir Handle, name string) (LinkResult, error) {
	return call[LinkResult](ctx, c, wire.ProcLink, &wire.LinkArgs{Handle: h, To: dirOp(dir, name)})
}

// Readdir is procedure 16.
func (c *Client) Readdir(ctx context.Context, dir Handle, cookie uint64, verf [8]byte, count uint32) (ReaddirResult, error) {
	return call[ReaddirResult](ctx, c, wire.ProcReaddir, &wire.ReaddirArgs{Dir: dir, Cookie: cookie, Verf: verf, Count: count})
}

// Readdirplus is procedure 17.
func (c *Client) Readdirplus(ctx context.Context, dir Handle, cookie uint64, verf [8]byte, dircount, maxcount uint32) (ReaddirResult, error) {
	r := ReaddirResult{Plus: true}
	err := c.do(ctx, wire.NFSProgram, wire.NFSVersion, wire.ProcReaddirplus, &wire.ReaddirplusArgs{
		Dir: dir, Cookie: cookie, Verf: verf, DirCount: dircount, MaxCount: maxcount,
	}, &r)
	return r, err
}

// Fsstat is procedure 18.
func (c *Client) Fsstat(ctx context.Context, h Handle) (FsstatResult, error) {
	return call[FsstatResult](ctx, c, wire.ProcFsstat, &wire.HandleArgs{Handle: h})
}

// Fsinfo is procedure 19.
func (c *Client) Fsinfo(ctx context.Context, h Handle) (FsinfoResult, error) {
	return call[FsinfoResult](ctx, c, wire.ProcFsinfo, &wire.HandleArgs{Handle: h})
}

// Pathconf is procedure 20.
func (c *Client) Pathconf(ctx context.Context, h Handle) (PathconfResult, error) {
	return call[PathconfResult](ctx, c, wire.ProcPathconf, &wire.HandleArgs{Handle: h})
}

// Commit is procedure 21.
func (c *Client) Commit(ctx context.Context, h Handle, off uint64, count uint32) (CommitResult, error) {
	return call[CommitResult](ctx, c, wire.ProcCommit, &wire.CommitArgs{Handle: h, Offset: off, Count: count})
}

// MountNull is procedure 0 of MOUNT.
func (c *Client) MountNull(ctx context.Context) error {
	return c.do(ctx, wire.MountProgram, wire.MountV3, wire.MountNull, new(wire.Void), new(wire.Void))
}

// Mnt is procedure 1 of MOUNT.
func (c *Client) Mnt(ctx context.Context, path string) (r MntResult, err error) {
	err = c.do(ctx, wire.MountProgram, wire.MountV3, wire.MountMnt, &wire.MountPath{Path: []byte(path)}, &r)
	return r, err
}

// Dump is procedure 2 of MOUNT.
func (c *Client) Dump(ctx context.Context) (r DumpResult, err error) {
	err = c.do(ctx, wire.MountProgram, wire.MountV3, wire.MountDump, new(wire.Void), &r)
	return r, err
}

// Umnt is procedure 3 of MOUNT version 3, or of version 1, as macOS has it.
func (c *Client) Umnt(ctx context.Context, version uint32, path string) error {
	return c.do(ctx, wire.MountProgram, version, wire.MountUmnt, &wire.MountPath{Path: []byte(path)}, new(wire.Void))
}

// Umntall is procedure 4 of MOUNT.
func (c *Client) Umntall(ctx context.Context) error {
	return c.do(ctx, wire.MountProgram, wire.MountV3, wire.MountUmntall, new(wire.Void), new(wire.Void))
}

// Export is procedure 5 of MOUNT.
func (c *Client) Export(ctx context.Context) (r ExportResult, err error) {
	err = c.do(ctx, wire.MountProgram, wire.MountV3, wire.MountExport, new(wire.Void), &r)
	return r, err
}
