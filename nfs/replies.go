package nfs

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"

	"github.com/moorage/moorage/nfs/internal/rpc"
	"github.com/moorage/moorage/nfs/internal/wire"
)

// CallKey names one call of one client. A client that repeats a call because it
// got no reply sends the same xid and the same arguments, and the key is the
// same, also on another connection and after a restart of the server; that of
// any other call is not. The zero key names none.
type CallKey [16]byte

// ReplyKeeper is a file system that remembers, beyond a restart, which calls
// have changed it, so that a client that repeats such a call gets its reply and
// not ErrExist for what it has made itself. Methods that change something find
// the key in [Caller].Call. A file system records it with the change, at the
// latest when it begins: if the process ends before KeepReply and the call
// comes again, the method is called again with the same key, and has to find
// out how far the change went.
type ReplyKeeper interface {
	// KeptReply gives what KeepReply was told, and not forgotten yet. It is
	// asked before the method is called.
	KeptReply(key CallKey) (reply []byte, ok bool)
	// KeepReply is called after the method has succeeded and before the reply is
	// sent. reply is some hundred bytes, and must not be kept as it is.
	KeepReply(key CallKey, reply []byte)
}

// changing are the procedures whose repetition could do something else than
// the first time.
var changing = [wire.NumProcs]bool{
	wire.ProcSetattr: true, wire.ProcCreate: true, wire.ProcMkdir: true, wire.ProcSymlink: true, wire.ProcMknod: true,
	wire.ProcRemove: true, wire.ProcRmdir: true, wire.ProcRename: true, wire.ProcLink: true,
}

// replyCache is the duplicate request cache: it answers the repetition of a
// change with the reply to the first call. Calls are told apart by a hash of
// all that is in them, so that a client whose xids repeat gets a wrong reply
// only if it asks for the very same thing again under the same xid.
type replyCache struct {
	limit int

	mu    sync.Mutex
	byKey map[CallKey]*cachedReply
	ring  []*cachedReply // complete ones, the oldest at next if it is full
	next  int
	seq   uint64 // of entries made; never 0
}

type cachedReply struct {
	key     CallKey
	conn    uint64
	seq     uint64
	reply   []byte  // without mark; nil while the call is in work
	waiting []*conn // whose clients repeated it meanwhile
}

// maxWaiting is how many connections wait for one call in work. A client has
// one that lives.
const maxWaiting = 8

func newReplyCache(limit int) *replyCache {
	return &replyCache{limit: limit, byKey: make(map[CallKey]*cachedReply), seq: 1}
}

// now is the number of the entry made last.
func (r *replyCache) now() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seq
}

// keyedArgs is how many bytes of the arguments tell calls apart: more than a
// change can have that is in order. What is longer is refused, and must not cost
// more than the refusal.
const keyedArgs = 8 << 10

// keyOf hashes a call. The time stamp in its credential is left out.
func keyOf(c *call) (key CallKey) {
	var head [4 * 8]byte
	args := c.args.Rest()
	for i, v := range [...]uint32{
		c.hdr.XID, c.hdr.Prog, c.hdr.Vers, c.hdr.Proc, c.caller.UID, c.caller.GID, uint32(len(c.machine)), uint32(len(args)),
	} {
		binary.BigEndian.PutUint32(head[4*i:], v)
	}
	var room [512]byte
	b := append(room[:0], head[:]...)
	b = append(b, c.machine...)
	b = append(b, c.conn.host...)
	b = append(b, 0)
	b = append(b, args[:min(len(args), keyedArgs)]...)
	sum := sha256.Sum256(b)
	copy(key[:], sum[:])
	return key
}

// begin looks for the reply to a call that may be a repetition. It returns true
// if the call is to be done, which finish ends. Otherwise c.out is the reply, or
// the call is joined to the same one in work, which sends the reply to both.
func (r *replyCache) begin(c *call) bool {
	key := keyOf(c)
	c.caller.Call = key
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.byKey[key]
	// Who asks for a mount on its connection is a program that begins, and its
	// xids may begin where those of an earlier one did.
	if e != nil && (e.conn == c.conn.id || e.seq > c.conn.since.Load()) {
		if e.reply != nil {
			c.out = append(c.start(), e.reply...)
			return false
		}
		c.joined = true
		if len(e.waiting) < maxWaiting {
			c.conn.hold()
			e.waiting = append(e.waiting, c.conn)
		}
		return false
	}
	r.seq++
	c.entry = &cachedReply{key: key, conn: c.conn.id, seq: r.seq}
	r.byKey[key] = c.entry
	return true
}

// finish keeps the reply of a call that was begun, unless the client is only
// told to ask again, and answers those that are joined to it.
func (r *replyCache) finish(c *call) {
	e := c.entry
	if e == nil {
		return
	}
	reply := append([]byte(nil), c.out[4:]...)
	r.mu.Lock()
	if replyIsFinal(reply) {
		e.reply = reply
		if len(r.ring) < r.limit {
			r.ring = append(r.ring, e)
		} else {
			r.forget(r.ring[r.next])
			r.ring[r.next] = e
			r.next = (r.next + 1) % r.limit
		}
	} else {
		r.forget(e)
	}
	waiting := e.waiting
	e.waiting = nil
	r.mu.Unlock()
	if len(waiting) == 0 {
		return
	}
	msg := append([]byte(nil), c.out...)
	for _, w := range waiting {
		// Their clients may not read, which is no matter of c's.
		go func() {
			defer w.drop()
			w.out.add(msg, nil, 0, nil)
			w.out.flush()
		}()
	}
}

// forget needs mu.
func (r *replyCache) forget(e *cachedReply) {
	if r.byKey[e.key] == e {
		delete(r.byKey, e.key)
	}
}

// replyIsFinal reports whether the call that got this reply was done or
// refused for good.
func replyIsFinal(reply []byte) bool {
	if len(reply) < rpc.ReplySize+4 {
		return false
	}
	return rpc.AcceptStat(binary.BigEndian.Uint32(reply[rpc.ReplySize-4:])) == rpc.Success && replyStatus(reply) != ErrJukebox
}

// replyStatus is the status in the reply to a call that was accepted.
func replyStatus(reply []byte) Status {
	return Status(binary.BigEndian.Uint32(reply[rpc.ReplySize:]))
}

// recall looks for a reply that x kept from before a restart. It returns true
// if c.replay is it.
func (c *call) recall(x *export) bool {
	if x.keeper == nil || c.entry == nil || c.conn.since.Load() > 0 {
		return false
	}
	var ok bool
	c.replay, ok = x.keeper.KeptReply(c.entry.key)
	return ok
}

// remember has x keep the reply to a change that was made just now.
func (c *call) remember() {
	if c.x == nil || c.x.keeper == nil || c.entry == nil || c.replay != nil {
		return
	}
	if reply := c.out[4:]; replyIsFinal(reply) && replyStatus(reply) == OK {
		c.x.keeper.KeepReply(c.entry.key, reply)
	}
}
