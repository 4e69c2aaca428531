package nfs

import (
	"encoding/binary"
	"net"
	"sync"
	"time"

	"github.com/moorage/moorage/nfs/internal/rpc"
	"github.com/moorage/moorage/nfs/internal/wire"
)

// Observer is told about every call that a [Server] answers, see
// [Options].Observer. [Stats] and [Trace] are two; [Observers] joins several.
type Observer interface {
	// Observe is called once for each call, when its reply is made and before
	// it is sent, concurrently and in the call's own goroutine: it must not
	// block and must not panic. c belongs to the server again when it returns.
	Observe(c *CallInfo)
}

// CallInfo describes one call that was answered. Its String is the line that
// [Trace] prints.
type CallInfo struct {
	// What was called. All are 0 if the call's RPC version was refused.
	Program, Version, Procedure uint32
	// Denied says that RPC refused the call for its RPC version or its
	// credential (reply_stat of RFC 5531 §9 is MSG_DENIED).
	Denied bool
	// Accept is accept_stat of RFC 5531 §9, unless Denied; 0 is success.
	Accept uint32
	// Status is nfsstat3 (of MNT: mountstat3, with the same numbers), if RPC
	// succeeded and the procedure's results begin with one.
	Status Status
	// Peer is the other end of the connection.
	Peer net.Addr
	// UID is whom the call counts as: as the client stated, or as the export's
	// Squash decided; 65534 without an AUTH_SYS credential.
	UID uint32
	// Received and Sent are the bytes of the two records with one mark each.
	Received, Sent int
	// Start is when the record had arrived, Duration the time from then until
	// the reply was made: waiting for a place to run is part of it.
	Start    time.Time
	Duration time.Duration
	// Call and Reply are the RPC messages without record marks. They are valid
	// only during Observe. The data of a reply to READ may be missing.
	Call, Reply []byte
}

// Observers is an Observer that tells each of obs, in this order.
func Observers(obs ...Observer) Observer { return observers(obs) }

type observers []Observer

func (o observers) Observe(c *CallInfo) {
	for _, each := range o {
		each.Observe(c)
	}
}

// observing is a server's Observer with memory for what it is told, so that
// observing allocates nothing.
type observing struct {
	Observer
	infos sync.Pool // of *CallInfo
}

func newObserving(o Observer) *observing {
	if o == nil {
		return nil
	}
	return &observing{Observer: o, infos: sync.Pool{New: func() any { return new(CallInfo) }}}
}

// observe tells the server's Observer about the call, whose reply is in c.out.
func (c *call) observe() {
	o := c.srv.observing
	if o == nil {
		return
	}
	start := c.ctx.deadline.Add(-c.srv.limits.Call)
	info := o.infos.Get().(*CallInfo)
	*info = CallInfo{
		Program: c.hdr.Prog, Version: c.hdr.Vers, Procedure: c.hdr.Proc,
		Peer: c.conn.nc.RemoteAddr(), UID: c.caller.UID,
		Received: 4 + len(c.msg), Sent: len(c.out) + c.file.size(), Start: start, Duration: time.Since(start),
		Call: c.msg, Reply: c.out[4:],
	}
	info.readReply()
	o.Observe(info)
	*info = CallInfo{}
	o.infos.Put(info)
}

// readReply takes Denied, Accept and Status from the reply, which has an empty
// verifier like all that this server makes.
func (c *CallInfo) readReply() {
	const replyStat, accept, status = 8, rpc.ReplySize - 4, rpc.ReplySize
	word := func(at int) uint32 {
		if len(c.Reply) < at+4 {
			return 0
		}
		return binary.BigEndian.Uint32(c.Reply[at:])
	}
	if c.Denied = word(replyStat) != 0; c.Denied {
		return
	}
	if c.Accept = word(accept); c.Accept == uint32(rpc.Success) && c.hasStatus() {
		c.Status = Status(word(status))
	}
}

// hasStatus reports whether the procedure's results begin with a status.
func (c *CallInfo) hasStatus() bool {
	if c.Program == wire.NFSProgram {
		return c.Procedure != wire.ProcNull
	}
	return c.Program == wire.MountProgram && c.Procedure == wire.MountMnt
}
