package nfs

import (
	"net"
	"slices"
	"sync"

	"github.com/moorage/moorage/nfs/internal/rpc"
	"github.com/moorage/moorage/nfs/internal/wire"
	"github.com/moorage/moorage/nfs/internal/xdr"
)

// mountV3Procs are the procedures of MOUNT version 3 by number.
var mountV3Procs = [wire.NumMount]handler{
	wire.MountNull: (*call).null, wire.MountMnt: (*call).mnt, wire.MountDump: (*call).dump,
	wire.MountUmnt: (*call).umnt, wire.MountUmntall: (*call).umntall, wire.MountExport: (*call).export,
}

// mountV1Procs are those of version 1, in which macOS reports an unmount even
// of version 3 and some showmount commands ask. They have the same messages;
// only MNT differs, whose handle is one of NFSv2.
var mountV1Procs = [wire.NumMount]handler{
	wire.MountNull: (*call).null, wire.MountDump: (*call).dump, wire.MountUmnt: (*call).umnt,
	wire.MountUmntall: (*call).umntall, wire.MountExport: (*call).export,
}

// mnt is procedure 1 of MOUNT (RFC 1813 §5.2.1).
func (c *call) mnt(d *xdr.Decoder) bool {
	var a wire.MountPath
	if a.Decode(d); d.Done() != nil {
		return false
	}
	var r wire.MntResult
	who, path := c.caller, string(a.Path)
	h, st := c.doMount(path)
	if st == ErrNoEnt && !c.secret() {
		if other, ok := c.srv.table.spelled(path); ok {
			c.leave()
			c.caller = who // before Squash
			h, st = c.doMount(other)
		}
	}
	if st == OK {
		r.Handle = h
		// AUTH_SYS first: macOS takes the first that it knows, and the BSDs
		// refuse a server without it.
		r.Flavors = []uint32{rpc.AuthSys, rpc.AuthNone}
	}
	r.Status = mountStatus(st)
	c.out = r.Append(c.out)
	return true
}

// secret reports whether MNT has met an export whose path may be a secret.
func (c *call) secret() bool { return c.x != nil && c.x.AllowMount != nil }

func (c *call) doMount(path string) ([]byte, Status) {
	if c.late {
		return nil, ErrIO
	}
	c.conn.since.Store(c.srv.replies.now())
	x, below, ok := c.srv.table.find(path)
	if !ok {
		return nil, ErrNoEnt
	}
	c.x = x
	if x.AllowMount != nil {
		if err := x.AllowMount(&c.ctx, c.conn.nc.RemoteAddr()); err != nil {
			c.srv.log.Warn("mount refused", "peer", c.conn.nc.RemoteAddr().String(), "err", err)
			return nil, ErrAccess
		}
	}
	if err := c.squash(x); err != nil {
		return nil, ErrAccess
	}
	id := x.FS.Root()
	for _, name := range below {
		if isDotDot([]byte(name)) {
			return nil, ErrAccess
		}
		if st := checkName([]byte(name)); st != OK {
			return nil, st
		}
		a, err := x.FS.Lookup(&c.ctx, &c.caller, id, name)
		if st := c.found(&a, err); st != OK {
			return nil, st
		}
		if a.Type != TypeDirectory {
			return nil, ErrNotDir
		}
		id = a.ID
	}
	if x.AllowMount == nil {
		c.srv.mounts.add(c.host(), cleanPath(path), x.Path)
	}
	return x.seal.Append(nil, uint64(id)), OK
}

// mountStatus is the mountstat3 for a status; it has fewer values.
func mountStatus(st Status) uint32 {
	switch st {
	case OK, ErrPerm, ErrNoEnt, ErrIO, ErrAccess, ErrNotDir, ErrInval, ErrNameTooLong, ErrNotSupp, ErrServerFault:
		return uint32(st)
	case ErrStale:
		return wire.MntErrNoEnt
	}
	return wire.MntErrIO
}

// host is what the list of mounts calls the caller.
func (c *call) host() string {
	if len(c.machine) > 0 {
		return string(c.machine)
	}
	addr := c.conn.nc.RemoteAddr().String()
	if h, _, err := net.SplitHostPort(addr); err == nil {
		return h
	}
	return addr
}

// dump is procedure 2 of MOUNT (RFC 1813 §5.2.2).
func (c *call) dump(d *xdr.Decoder) bool {
	if d.Done() != nil {
		return false
	}
	r := c.srv.mounts.list()
	c.out = r.Append(c.out)
	return true
}

// umnt is procedure 3 of MOUNT (RFC 1813 §5.2.3).
func (c *call) umnt(d *xdr.Decoder) bool {
	var a wire.MountPath
	if a.Decode(d); d.Done() != nil {
		return false
	}
	c.srv.mounts.remove(c.host(), cleanPath(string(a.Path)))
	if other, ok := c.srv.table.spelled(string(a.Path)); ok {
		c.srv.mounts.remove(c.host(), cleanPath(other))
	}
	return true
}

// umntall is procedure 4 of MOUNT (RFC 1813 §5.2.4).
func (c *call) umntall(d *xdr.Decoder) bool {
	if d.Done() != nil {
		return false
	}
	c.srv.mounts.removeHost(c.host())
	return true
}

// export is procedure 5 of MOUNT (RFC 1813 §5.2.5).
func (c *call) export(d *xdr.Decoder) bool {
	if d.Done() != nil {
		return false
	}
	var r wire.ExportResult
	for _, p := range c.srv.table.listed() {
		r.Exports = append(r.Exports, wire.ExportEntry{Path: []byte(p)})
	}
	c.out = r.Append(c.out)
	return true
}

// maxMounts bounds the list of mounts, which clients that never say goodbye
// would grow for ever; the oldest entries go.
const maxMounts = 256

// mountList is what DUMP tells: hints, as RFC 1813 §5.2.2 has it, on which
// nothing else depends.
type mountList struct {
	mu     sync.Mutex
	mounts []mountEntry // oldest first
}

type mountEntry struct{ host, path, export string }

func (l *mountList) add(host, path, export string) {
	e := mountEntry{host, path, export}
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.Contains(l.mounts, e) {
		return
	}
	if len(l.mounts) == maxMounts {
		l.mounts = slices.Delete(l.mounts, 0, 1)
	}
	l.mounts = append(l.mounts, e)
}

func (l *mountList) deleteFunc(del func(mountEntry) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mounts = slices.DeleteFunc(l.mounts, del)
}

func (l *mountList) remove(host, path string) {
	l.deleteFunc(func(e mountEntry) bool { return e.host == host && e.path == path })
}

func (l *mountList) removeHost(host string) {
	l.deleteFunc(func(e mountEntry) bool { return e.host == host })
}

func (l *mountList) removePath(export string) {
	l.deleteFunc(func(e mountEntry) bool { return e.export == export })
}

func (l *mountList) list() (r wire.DumpResult) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.mounts {
		r.Mounts = append(r.Mounts, wire.MountEntry{Host: []byte(e.host), Path: []byte(e.path)})
	}
	return r
}
