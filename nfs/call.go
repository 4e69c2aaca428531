package nfs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/moorage/moorage/nfs/internal/handle"
	"github.com/moorage/moorage/nfs/internal/rpc"
	"github.com/moorage/moorage/nfs/internal/wire"
	"github.com/moorage/moorage/nfs/internal/xdr"
)

// nobody is the uid and gid of callers without an identity.
const nobody = 65534

// attrTime bounds the attributes that a reply carries besides its answer, when
// the call itself has used up its time.
const attrTime = time.Second

// class tells calls apart by how long they may take.
type class uint8

const (
	classQuery  class = iota // attributes, names, listings
	classChange              // of names and attributes, and MOUNT
	classRead
	classWrite
	classes
)

// slowCalls is how many calls of a class get a goroutine each after one of them
// took long; every one of those that is quick reduces the number.
const slowCalls = 64

// quick is how long a call may take to count as quick.
const quick = 500 * time.Microsecond

// call is one RPC call from its record to its reply.
type call struct {
	conn *conn
	srv  *Server
	ctx  callContext

	msg     []byte      // the whole message
	req     *rpc.Buffer // its memory; nil: the reader's
	counted int64       // bytes of conn.in
	hdr     rpc.Call
	refused *rpc.HeaderError
	args    xdr.Decoder
	class   class

	caller  Caller
	groups  [rpc.MaxGroups]uint32
	machine []byte // of AUTH_SYS; shares msg
	late    bool   // the call's time went by before its turn came
	denied  bool   // the export's Squash refused the caller
	x       *export
	ticket  *ticket // its place among the writes of a file

	entry  *cachedReply // where the reply is kept; nil: nowhere
	replay []byte       // the reply that an earlier process gave
	joined bool         // another call has the same reply to send

	reply  *rpc.Buffer
	out    []byte // the reply with its record mark, in reply's memory or not
	counts int64  // bytes of conn.held
	file   *fileData
	handle [handle.Size]byte
	work   handle.Scratch
}

func newCall(c *conn) *call { return &call{conn: c, srv: c.srv} }

// receive takes the header off c.msg. An error means that there is nothing to
// answer, and that the connection is of no use any more.
func (c *call) receive(arrived time.Time) error {
	c.ctx.Context, c.ctx.deadline = c.srv.base, arrived.Add(c.srv.limits.Call)
	if err := c.decode(); err != nil {
		return err
	}
	c.class = classChange
	if c.hdr.Prog == wire.NFSProgram {
		switch c.hdr.Proc {
		case wire.ProcRead:
			c.class = classRead
		case wire.ProcWrite, wire.ProcCommit:
			c.class = classWrite
		case wire.ProcNull, wire.ProcGetattr, wire.ProcLookup, wire.ProcAccess, wire.ProcReadlink, wire.ProcReaddir,
			wire.ProcReaddirplus, wire.ProcFsstat, wire.ProcFsinfo, wire.ProcPathconf:
			c.class = classQuery
		}
		c.ticket = c.conn.order.enter(c)
	}
	return nil
}

func (c *call) decode() error {
	c.args = xdr.NewDecoder(c.msg)
	c.refused = nil
	err := c.hdr.Decode(&c.args)
	if err != nil && !errors.As(err, &c.refused) {
		return err
	}
	return nil
}

// own moves the message out of the reader's buffer.
func (c *call) own() {
	if c.req != nil {
		return
	}
	c.req = c.srv.bufs.Get(len(c.msg))
	c.msg = append(c.req.B, c.msg...)
	_ = c.decode() // as the first time
}

// inline reports whether the reader may run the call itself. Classes of which a
// call took long are not, for a while; nor is what has to wait for its ticket,
// or would have no place if it took long.
func (c *call) inline() bool {
	lane := c.lane()
	return c.conn.slow[c.class].Load() <= 0 && len(lane) < cap(lane) && !c.ticket.waits()
}

// run answers the call on a goroutine of its own.
func (c *call) run() {
	defer c.conn.drop()
	// With a place, those that wait could keep the one they wait for from its.
	c.await()
	place := c.enterLane()
	begin := time.Now()
	c.answer()
	switch {
	case c.late: // and so has not been tried
	case time.Since(begin) < quick:
		c.conn.slow[c.class].Add(-1)
	default:
		c.conn.slow[c.class].Store(slowCalls)
	}
	c.conn.out.flush()
	c.release()
	if place != nil {
		<-place
	}
	<-c.conn.calls
}

// enterLane waits for a place to run in, but not longer than the call may take.
// It returns where the place is given back.
func (c *call) enterLane() chan struct{} {
	lane := c.lane()
	select {
	case lane <- struct{}{}:
		return lane
	default:
	}
	select {
	case lane <- struct{}{}:
		return lane
	case <-c.ctx.Done():
		c.late = true
		return nil
	}
}

// lane is where the call needs a place.
func (c *call) lane() chan struct{} {
	if c.class == classRead || c.class == classWrite {
		return c.conn.data
	}
	return c.conn.meta
}

// answer makes the reply and gives it to the connection's output.
func (c *call) answer() {
	if c.reply == nil {
		c.reply = c.srv.bufs.Get(smallReply)
	}
	c.dispatch()
	if c.ticket != nil {
		c.conn.order.leave(c.ticket)
		c.ticket = nil
	}
	if c.joined {
		return
	}
	rpc.PutMarkBefore(c.out, c.file.size())
	c.observe()
	c.srv.replies.finish(c)
	if c.conn.out.add(c.out, c.reply, c.counts, c.file) {
		c.reply, c.counts, c.file = nil, 0, nil
	}
}

// smallReply is room for every reply without file data, names or paths.
const smallReply = 1 << 10

// reset makes c ready for the next call. It returns false if c may still be
// known to somebody, and must not be used again.
func (c *call) reset() bool {
	if c.counted > 0 || c.req != nil || c.counts > 0 || c.file != nil {
		c.giveBack()
	}
	if !c.ctx.end() {
		c.release()
		return false
	}
	c.caller, c.machine, c.late, c.denied = Caller{}, nil, false, false
	c.entry, c.replay, c.joined, c.out = nil, nil, false, nil
	return true
}

// release gives back what the call holds.
func (c *call) release() {
	c.ctx.end()
	c.giveBack()
	c.srv.bufs.Put(c.reply)
	c.reply, c.out, c.msg = nil, nil, nil
	if c.ticket != nil {
		c.conn.order.leave(c.ticket)
		c.ticket = nil
	}
}

// giveBack gives the memory of a large request or of a reply that nobody sends.
func (c *call) giveBack() {
	c.srv.bufs.Put(c.req)
	c.req = nil
	c.conn.in.give(c.counted)
	c.conn.held.give(c.counts)
	c.counted, c.counts = 0, 0
	if c.file != nil {
		c.file.release()
		c.file = nil
	}
}

// dispatch makes the reply in c.out, whatever happens.
func (c *call) dispatch() {
	defer func() {
		if p := recover(); p != nil {
			c.srv.log.Error("panic in a call", "program", c.hdr.Prog, "procedure", c.hdr.Proc,
				"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			c.accept(rpc.SystemErr)
		}
	}()
	defer c.leave()
	if c.refused != nil {
		c.refuse(c.refused)
		return
	}
	if auth := c.authenticate(); auth != rpc.AuthOK {
		c.refuse(&rpc.HeaderError{Auth: auth})
		return
	}
	handler, stat, low, high := findHandler(&c.hdr)
	c.accept(stat)
	switch {
	case stat == rpc.ProgMismatch:
		c.out = xdr.AppendUint32(xdr.AppendUint32(c.out, low), high)
	case stat != rpc.Success:
	case c.hdr.Prog == wire.NFSProgram && changing[c.hdr.Proc] && !c.srv.replies.begin(c):
	default:
		if !handler(c, &c.args) {
			c.conn.garbage.Store(c.conn.garbage.Load() || len(c.msg) > maxCall)
			c.accept(rpc.GarbageArgs)
			return
		}
		c.conn.raise(gradeSpeaks)
		if c.replay != nil {
			c.out = append(c.start(), c.replay...)
		}
		c.remember()
	}
}

// accept starts the reply over, as that to an accepted call.
func (c *call) accept(stat rpc.AcceptStat) {
	c.out = rpc.AppendAccepted(c.start(), c.hdr.XID, stat)
}

// start is an empty reply: room for the record mark.
func (c *call) start() []byte { return append(c.reply.B[:0], 0, 0, 0, 0) }

func (c *call) refuse(e *rpc.HeaderError) {
	switch {
	case e.Mismatch:
		c.out = rpc.AppendRPCMismatch(c.start(), c.hdr.XID)
	case e.Auth != rpc.AuthOK:
		c.out = rpc.AppendAuthError(c.start(), c.hdr.XID, e.Auth)
	default:
		c.accept(rpc.GarbageArgs)
	}
}

// authenticate takes the caller's identity from the credential.
func (c *call) authenticate() rpc.AuthStat {
	switch c.hdr.Cred.Flavor {
	case rpc.AuthNone:
		c.caller = Caller{UID: nobody, GID: nobody}
		return rpc.AuthOK
	case rpc.AuthSys:
		var cred rpc.SysCred
		if cred.Decode(c.hdr.Cred.Body) != nil {
			return rpc.AuthBadCred
		}
		c.groups = cred.Groups
		c.caller = Caller{UID: cred.UID, GID: cred.GID, Groups: c.groups[:cred.NGroups:cred.NGroups]}
		c.machine = cred.Machine
		return rpc.AuthOK
	}
	// macOS tries AUTH_REJECTEDCRED again and again, but takes this for EACCES.
	return rpc.AuthTooWeak
}

// handler decodes the arguments and appends the results to c.out. It returns
// false, whatever it appended, if the arguments do not decode.
type handler func(c *call, d *xdr.Decoder) bool

// findHandler finds who answers a call, or what is wrong with it.
func findHandler(h *rpc.Call) (f handler, stat rpc.AcceptStat, low, high uint32) {
	var procs []handler
	switch h.Prog {
	case wire.NFSProgram:
		if h.Vers != wire.NFSVersion {
			return nil, rpc.ProgMismatch, wire.NFSVersion, wire.NFSVersion
		}
		procs = nfsProcs[:]
	case wire.MountProgram:
		switch h.Vers {
		case wire.MountV1:
			procs = mountV1Procs[:]
		case wire.MountV3:
			procs = mountV3Procs[:]
		default:
			return nil, rpc.ProgMismatch, wire.MountV1, wire.MountV3
		}
	default:
		return nil, rpc.ProgUnavail, 0, 0
	}
	if h.Proc >= uint32(len(procs)) || procs[h.Proc] == nil {
		return nil, rpc.ProcUnavail, 0, 0
	}
	return procs[h.Proc], rpc.Success, 0, 0
}

// nfsProcs are the procedures of NFSv3 by number.
var nfsProcs = [wire.NumProcs]handler{
	wire.ProcNull: (*call).null, wire.ProcGetattr: (*call).getattr, wire.ProcSetattr: (*call).setattr,
	wire.ProcLookup: (*call).lookup, wire.ProcAccess: (*call).access, wire.ProcReadlink: (*call).readlink,
	wire.ProcRead: (*call).read, wire.ProcWrite: (*call).write, wire.ProcCreate: (*call).create,
	wire.ProcMkdir: (*call).mkdir, wire.ProcSymlink: (*call).symlink, wire.ProcMknod: (*call).mknod,
	wire.ProcRemove: (*call).remove, wire.ProcRmdir: (*call).rmdir, wire.ProcRename: (*call).rename,
	wire.ProcLink: (*call).link, wire.ProcReaddir: (*call).readdir, wire.ProcReaddirplus: (*call).readdirplus,
	wire.ProcFsstat: (*call).fsstat, wire.ProcFsinfo: (*call).fsinfo, wire.ProcPathconf: (*call).pathconf,
	wire.ProcCommit: (*call).commit,
}

func (c *call) null(d *xdr.Decoder) bool { return d.Done() == nil }

// open finds the object of a handle and turns the caller into whom the export
// takes him for. Unless the status is OK the object must not be touched.
func (c *call) open(h []byte) (*export, ID, Status) {
	x, id, st := c.find(h)
	if st != OK {
		return nil, 0, st
	}
	return x, id, OK
}

// find is open that gives the object also to a caller whom the export refuses:
// c.denied is set then.
func (c *call) find(h []byte) (*export, ID, Status) {
	if c.late {
		return nil, 0, ErrJukebox
	}
	x, id, st := c.srv.table.open(h, &c.work)
	if st != OK {
		return nil, 0, st
	}
	c.x = x
	c.conn.raise(gradeClient)
	if c.recall(x) {
		return nil, 0, ErrJukebox // which nobody gets to see
	}
	if err := c.squash(x); err != nil {
		return x, id, c.squashStatus(err)
	}
	return x, id, OK
}

// openSecond finds another object for the same call; it must be in x.
func (c *call) openSecond(x *export, h []byte) (ID, Status) {
	y, id, st := c.srv.table.open(h, &c.work)
	if st != OK {
		return 0, st
	}
	y.leave()
	if y != x {
		return 0, ErrXDev
	}
	return id, OK
}

func (c *call) squash(x *export) error {
	if x.Squash == nil {
		return nil
	}
	who, err := x.Squash(c.caller)
	if err != nil {
		c.denied = true
		return err
	}
	who.Call = c.caller.Call
	c.caller = who
	return nil
}

func (c *call) squashStatus(err error) Status {
	if st := c.status(err); st != ErrIO {
		return st
	}
	return ErrAccess
}

// missing is the answer to a call that the file system has no interface for
// and that would change something.
func (x *export) missing() Status {
	if x.writable {
		return ErrNotSupp
	}
	return ErrROFS
}

// found is the status of a method that has given a or err.
func (c *call) found(a *Attr, err error) Status {
	if err == nil && !a.valid() {
		err = errNoObject
	}
	return c.status(err)
}

// errNoObject is for a file system that succeeds without giving an object.
var errNoObject = fmt.Errorf("%w: attributes without id or type", ErrServerFault)

func (c *call) leave() {
	if c.x != nil {
		c.x.leave()
		c.x = nil
	}
}

// status is what is sent for a file system's error: never a number that RFC
// 1813 does not know, and never ErrBadCookie, on which macOS ends a listing
// without a word.
func (c *call) status(err error) Status {
	st := StatusOf(err)
	if err != nil && st == OK {
		st = ErrServerFault
	}
	if _, known := statusText[st]; !known || st == ErrBadCookie {
		st = ErrIO
	}
	if st == ErrIO || st == ErrServerFault {
		c.srv.log.LogAttrs(c.srv.base, slog.LevelWarn, "file system failed",
			slog.Uint64("procedure", uint64(c.hdr.Proc)), slog.Any("err", err))
	}
	return st
}

// attr is the attributes of an object as they are now, if they can be had. What
// a client caches on the strength of them, such as data or the absence of a
// name, must be read after them: if it was read before, a change between the
// two would never be noticed.
func (c *call) attr(x *export, id ID) (p wire.PostAttr) {
	var ctx context.Context = &c.ctx
	if c.ctx.Err() != nil {
		short, cancel := context.WithTimeout(c.srv.base, attrTime)
		defer cancel()
		ctx = short
	}
	if a, err := x.FS.GetAttr(ctx, &c.caller, id); err == nil {
		p = x.post(&a)
	}
	return p
}

// unchanged is the wcc_data of a call that has failed: one snapshot serves as
// before and after, which is exact, for this call has changed nothing between.
func (c *call) unchanged(x *export, id ID) (w wire.Wcc) {
	if w.After = c.attr(x, id); w.After.Has {
		a := &w.After.Attr
		w.HasBefore, w.Before = true, wire.PreAttr{Size: a.Size, Mtime: a.Mtime, Ctime: a.Ctime}
	}
	return w
}

// changed is the wcc_data of a call that has changed an object.
func (c *call) changed(x *export, id ID, w *WCC) (r wire.Wcc) {
	if w.HasBefore {
		r.HasBefore = true
		r.Before = wire.PreAttr{Size: w.Before.Size, Mtime: wireTime(w.Before.Mtime), Ctime: wireTime(w.Before.Ctime)}
	}
	if r.After = x.post(&w.After); !r.After.Has {
		r.After = c.attr(x, id)
	}
	return r
}
