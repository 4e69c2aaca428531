package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"math/rand/v2"
	"net"
	"os"
	"time"

	"github.com/moorage/moorage/nfs/internal/rpc"
	"github.com/moorage/moorage/nfs/internal/wire"
	"github.com/moorage/moorage/nfs/internal/xdr"
)

// inSize is how much of a connection one read takes at most, in bytes. Less
// costs more system calls, much more does not stay in the processor's cache.
const inSize = 1 << 20

// errReply means that a server's reply breaks RFC 5531 or answers no call.
var errReply = errors.New("senseless reply")

// conn is one connection with a window of calls under way. One goroutine does
// everything: it takes the replies that have come, makes the next calls, and
// sends these with one write. No call allocates memory, and no call wakes a
// second goroutine, so that a server gets the processor time.
type conn struct {
	nc      *net.TCPConn
	start   time.Time
	headers [2][wire.NumProcs][]byte // of NFS and MOUNT, behind the xid

	slots []slot
	shift int    // bits of an xid that are the slot's number
	turn  uint32 // the other bits of the next xid

	in         []byte
	head, tail int // of what was read and not taken

	gather     // the calls
	mark   int // where the call that is being made begins

	hist histogram
}

// slot is a place in the window.
type slot struct {
	xid  uint32
	busy bool
	sent time.Duration // since conn.start
	a    int           // what the job wants to know when the reply comes
}

// job makes calls and judges their results. Its methods are called by the one
// goroutine of a connection.
type job interface {
	// next begins, fills and ends a call for slot s, or reports false if there
	// is none to make now. stop means that the time is over: a job then only
	// ends what it may not leave half done.
	next(c *conn, s int, stop bool) bool
	// done judges the results of the call of slot s, which begin with results.
	done(c *conn, s int, results []byte) error
}

// dial connects to addr. depth is the number of calls under way, record the
// size of the largest reply without its attributes, in bytes.
func dial(addr string, depth, record int) (*conn, error) {
	nc, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	c := &conn{
		nc: nc.(*net.TCPConn), start: time.Now(), slots: make([]slot, depth),
		shift: bits.Len(uint(depth - 1)), turn: rand.Uint32(),
		in: make([]byte, inSize+record+4096),
		gather: gather{
			out: make([]byte, 0, 64<<10), own: make([]piece, 0, depth), array: make([][]byte, 0, 2*depth+1),
		},
	}
	sys := rpc.SysCred{Machine: []byte("nfsload"), UID: callerUID(), GID: callerGID()}
	cred := rpc.Auth{Flavor: rpc.AuthSys, Body: sys.Append(nil)}
	for i, prog := range []uint32{wire.NFSProgram, wire.MountProgram} {
		for proc := range c.headers[i] {
			h := rpc.Call{RPCVersion: rpc.Version, Prog: prog, Vers: wire.NFSVersion, Proc: uint32(proc), Cred: cred}
			c.headers[i][proc] = h.Append(nil)[4:]
		}
	}
	return c, nil
}

// callerUID and callerGID are this process's; 0 where there are none.
func callerUID() uint32 { return uint32(max(os.Getuid(), 0)) }
func callerGID() uint32 { return uint32(max(os.Getgid(), 0)) }

func (c *conn) close() { c.nc.Close() }

// begin starts a call of NFS in slot s; the arguments are appended to c.out.
func (c *conn) begin(s, proc int) { c.beginHeader(s, c.headers[0][proc]) }

func (c *conn) beginHeader(s int, header []byte) {
	t := &c.slots[s]
	t.xid, t.busy = c.turn<<c.shift|uint32(s), true
	c.turn++
	c.mark = len(c.out)
	c.out = xdr.AppendUint32(append(c.out, 0, 0, 0, 0), t.xid)
	c.out = append(c.out, header...)
}

// end completes the call. data, whose length is a multiple of four, follows
// the arguments; it must not change until the reply is there.
func (c *conn) end(data []byte) {
	if data != nil {
		c.own = append(c.own, piece{len(c.out), data})
	}
	rpc.PutMark(c.out[c.mark:])
	if data != nil {
		n := len(c.out) - c.mark - 4 + len(data)
		binary.BigEndian.PutUint32(c.out[c.mark:], uint32(n)|1<<31)
	}
}

// flush sends what begin and end have made.
func (c *conn) flush() error { return c.sendTo(c.nc) }

// run has j make calls until it has no more or until stop (since c.start), and
// returns when all are answered. last is when the last reply came.
func (c *conn) run(j job, stop, limit time.Duration) (last time.Duration, err error) {
	if err := c.nc.SetDeadline(c.start.Add(limit)); err != nil {
		return 0, err
	}
	busy := 0
	now := time.Since(c.start)
	for s := range c.slots {
		if !j.next(c, s, now >= stop) {
			break
		}
		c.slots[s].sent = now
		busy++
	}
	for busy > 0 {
		if err := c.flush(); err != nil {
			return now, err
		}
		if err := c.fill(); err != nil {
			return now, err
		}
		now = time.Since(c.start)
		for {
			b, err := c.record()
			if err != nil {
				return now, err
			}
			if b == nil {
				break
			}
			s, results, err := c.match(b)
			if err != nil {
				return now, err
			}
			t := &c.slots[s]
			t.busy = false
			busy--
			c.hist.add(now - t.sent)
			if err := j.done(c, s, results); err != nil {
				return now, err
			}
			if j.next(c, s, now >= stop) {
				t.sent = now
				busy++
			}
		}
		// A job may have calls for more slots than the one that got free.
		for s := range c.slots {
			if busy == len(c.slots) || c.slots[s].busy {
				continue
			}
			if !j.next(c, s, now >= stop) {
				break
			}
			c.slots[s].sent = now
			busy++
		}
	}
	return now, nil
}

// fill reads what is there, at least a byte.
func (c *conn) fill() error {
	switch {
	case c.head == c.tail:
		c.head, c.tail = 0, 0
	case c.tail > inSize:
		c.tail = copy(c.in, c.in[c.head:c.tail])
		c.head = 0
	}
	if c.tail == len(c.in) {
		return fmt.Errorf("%w: a record of more than %d bytes", errReply, len(c.in))
	}
	n, err := c.nc.Read(c.in[c.tail:min(len(c.in), c.tail+inSize)])
	c.tail += n
	if n > 0 {
		return nil
	}
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("connection closed by the server: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// record takes the next whole record off what was read; nil if there is none.
func (c *conn) record() ([]byte, error) {
	b := c.in[c.head:c.tail]
	at, joined, fragments := 0, 4, 0
	for {
		if len(b)-at < 4 {
			return nil, nil
		}
		mark := binary.BigEndian.Uint32(b[at:])
		n := int(mark &^ (1 << 31))
		if n > len(c.in) {
			return nil, fmt.Errorf("%w: a fragment of %d bytes", errReply, n)
		}
		if len(b)-at-4 < n {
			return nil, nil
		}
		at += 4 + n
		joined += n
		fragments++
		if mark>>31 != 0 {
			break
		}
	}
	c.head += at
	if fragments > 1 {
		joined = 4
		for from := 0; from < at; {
			n := int(binary.BigEndian.Uint32(b[from:]) &^ (1 << 31))
			joined += copy(b[joined:], b[from+4:from+4+n])
			from += 4 + n
		}
	}
	return b[4:joined:joined], nil
}

// match finds the slot that a reply is for, and the results in it.
func (c *conn) match(b []byte) (s int, results []byte, err error) {
	// xid, REPLY, MSG_ACCEPTED, verifier, SUCCESS
	if len(b) < 24 {
		return 0, nil, fmt.Errorf("%w: %d bytes", errReply, len(b))
	}
	xid := binary.BigEndian.Uint32(b)
	s = int(xid & (1<<c.shift - 1))
	if s >= len(c.slots) || !c.slots[s].busy || c.slots[s].xid != xid {
		return 0, nil, fmt.Errorf("%w: xid %#x was not asked, or is answered again", errReply, xid)
	}
	verf := int(binary.BigEndian.Uint32(b[16:]))
	if binary.BigEndian.Uint64(b[4:]) == 1<<32 && verf == 0 && binary.BigEndian.Uint32(b[20:]) == 0 {
		return s, b[24:], nil
	}
	d := xdr.NewDecoder(b)
	var r rpc.Reply
	if err := r.Decode(&d); err != nil {
		return 0, nil, fmt.Errorf("%w: %w", errReply, err)
	}
	return s, d.Rest(), r.Err()
}

// call makes one call and waits for its results. It may allocate.
func (c *conn) call(header []byte, args, results wire.Message) error {
	j := &oneCall{header: header, args: args, results: results}
	_, err := c.run(j, 1<<62, time.Since(c.start)+20*time.Second)
	return err
}

func (c *conn) nfs(proc int, args, results wire.Message) error {
	if err := c.call(c.headers[0][proc], args, results); err != nil {
		return fmt.Errorf("%s: %w", procNames[proc], err)
	}
	return nil
}

// oneCall is the job of call.
type oneCall struct {
	header        []byte
	args, results wire.Message
	made          bool
}

func (j *oneCall) next(c *conn, s int, _ bool) bool {
	if j.made {
		return false
	}
	j.made = true
	c.beginHeader(s, j.header)
	c.out = j.args.Append(c.out)
	c.end(nil)
	return true
}

func (j *oneCall) done(_ *conn, _ int, results []byte) error {
	d := xdr.NewDecoder(results)
	j.results.Decode(&d)
	return d.Done()
}
