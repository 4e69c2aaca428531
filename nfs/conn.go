package nfs

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moorage/moorage/nfs/internal/rpc"
)

const (
	// maxData is rtmax and wtmax: the most data of one READ or WRITE, in bytes.
	maxData = 1 << 20
	// maxRecord is the longest record taken: a WRITE with the longest header.
	maxRecord = maxData + 4<<10
	// smallRecord is what a request or reply may have without being counted
	// against Limits.Memory; the number of calls bounds these.
	smallRecord = 4 << 10

	// Calls that move file data and all others have places of their own, so
	// that an `ls` does not wait behind reads from a slow remote.
	dataPlaces = 32
	metaPlaces = 64

	// lingerTime is how long a drained connection is read on, see linger.
	lingerTime = 200 * time.Millisecond
)

// conn is one connection. Whoever reads it runs the calls, too, one after the
// other, as long as each comes back soon; see reader and turn. Replies are
// gathered in output.
type conn struct {
	srv  *Server
	nc   net.Conn
	log  *slog.Logger
	id   uint64 // differs between the connections of a server
	host string // the peer, whatever connection it comes by
	born time.Time

	calls chan struct{} // a place for each call on a goroutine of its own
	data  chan struct{}
	meta  chan struct{}
	slow  [classes]atomic.Int32 // see call.inline
	in    share                 // large requests
	held  share                 // large replies
	order writeOrder
	turn  turn
	out   output
	since atomic.Uint64 // the replies that its client cannot be waiting for; see replyCache.begin

	refs     atomic.Int64 // readers, calls that are not theirs, replies that are owed
	active   atomic.Int64 // Unix nanoseconds of the last sign of life
	grade    atomic.Int32 // what its calls have shown: gradeSilent and so on
	draining atomic.Bool
	garbage  atomic.Bool // a large call had no arguments of its procedure

	hurry    sync.Once
	hurrying chan struct{} // closed by drain and abort
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{
		srv: s, nc: nc, log: s.log.With("peer", nc.RemoteAddr().String()), id: s.connID.Add(1),
		calls: make(chan struct{}, s.limits.Calls),
		data:  make(chan struct{}, dataPlaces), meta: make(chan struct{}, metaPlaces),
		in: share{m: s.mem}, held: share{m: s.mem}, hurrying: make(chan struct{}),
	}
	c.host = nc.RemoteAddr().Network()
	if t, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		c.host = t.IP.String()
	}
	c.out.init(c)
	c.turn.init(c)
	c.born = time.Now()
	c.touch(c.born)
	return c
}

// touch takes note of a sign of life.
func (c *conn) touch(now time.Time) { c.active.Store(now.UnixNano()) }

// busy reports whether a call is in work.
func (c *conn) busy() bool { return c.refs.Load() > 1 || c.turn.running() }

// Grades of connections. Only a client of an export has handles that open.
const (
	gradeSilent int32 = iota
	gradeSpeaks       // a program has accepted a call
	gradeClient       // a handle was right
)

// workTime is how long a client's connection is taken to be at work after its
// last call: nobody can take its place meanwhile.
const workTime = time.Minute

func (c *conn) raise(grade int32) {
	for old := c.grade.Load(); old < grade && !c.grade.CompareAndSwap(old, grade); old = c.grade.Load() {
	}
}

// idle reports whether c may be closed for another connection.
func (c *conn) idle(now time.Time) bool {
	return !c.busy() && (c.grade.Load() < gradeClient || now.UnixNano()-c.active.Load() > int64(workTime))
}

// before reports whether c is to be given up before o when there are too many.
func (c *conn) before(o *conn) bool {
	if cg, og := c.grade.Load(), o.grade.Load(); cg != og {
		return cg < og
	}
	return c.active.Load() < o.active.Load()
}

// hold keeps the connection until drop.
func (c *conn) hold() { c.refs.Add(1) }

// drop ends it if nobody needs it any more.
func (c *conn) drop() {
	if c.refs.Add(-1) > 0 {
		return
	}
	if c.draining.Load() {
		c.linger()
	}
	c.abort()
	c.turn.stop()
	c.srv.gone(c)
}

// drain stops reading; calls that were read are still answered.
func (c *conn) drain() {
	c.draining.Store(true)
	c.nc.SetReadDeadline(time.Unix(1, 0))
	c.hurry.Do(func() { close(c.hurrying) })
	c.in.close()
}

// abort closes the connection under its calls; those that wait for memory to
// answer in give up.
func (c *conn) abort() {
	c.nc.Close() // first: who gets no memory for a reply leaves it unfinished
	c.hurry.Do(func() { close(c.hurrying) })
	c.in.close()
	c.held.close()
	c.out.abandon()
}

// ended is called by the last reader, with the error that ended the stream.
func (c *conn) ended(err error) {
	c.in.close()
	// A client that has only closed its sending side still gets its replies.
	if err == io.EOF || c.draining.Load() {
		return
	}
	if offence(err) {
		c.punish()
	}
	c.abort()
	c.log.Debug("connection closed", "err", err)
}

// offence reports whether err is of what no client sends.
func offence(err error) bool {
	return errors.Is(err, errCallSize) || errors.Is(err, rpc.ErrRecordSize) || errors.Is(err, rpc.ErrFragments) || errors.Is(err, rpc.ErrNotCall)
}

// punish leaves the connection open and unread for Limits.Penalty, but any other
// can take its place. Its peer, who waits until it can send more, would otherwise
// send the same again at once, for ever.
func (c *conn) punish() {
	c.grade.Store(gradeSilent)
	t := time.NewTimer(c.srv.limits.Penalty)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.hurrying:
	}
}

// linger lets the client see the end of the stream before the connection is
// closed. Closing with unread calls in the receive buffer would send a reset,
// which takes replies that are under way with it.
func (c *conn) linger() {
	w, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || w.CloseWrite() != nil {
		return
	}
	c.nc.SetReadDeadline(time.Now().Add(lingerTime))
	io.Copy(io.Discard, io.LimitReader(c.nc, 16*maxRecord))
}

// callContext is the context of one call's file system methods. It makes its
// timer when somebody asks for Done, because most never do.
type callContext struct {
	context.Context
	deadline time.Time

	mu     sync.Mutex
	inner  context.Context
	cancel context.CancelFunc
}

func (x *callContext) Deadline() (time.Time, bool) { return x.deadline, true }

func (x *callContext) Done() <-chan struct{} {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.inner == nil {
		x.inner, x.cancel = context.WithDeadline(x.Context, x.deadline)
	}
	return x.inner.Done()
}

func (x *callContext) Err() error {
	x.mu.Lock()
	inner := x.inner
	x.mu.Unlock()
	if inner != nil {
		return inner.Err()
	}
	if err := x.Context.Err(); err != nil {
		return err
	}
	if !time.Now().Before(x.deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

// end frees the timer when the call is over, and reports whether nobody can
// know the context any more, so that it may be used for another call.
func (x *callContext) end() (fresh bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.cancel != nil {
		x.cancel()
	}
	return x.cancel == nil
}

// closedByUs reports whether err only says that we closed the connection.
func closedByUs(err error) bool { return errors.Is(err, net.ErrClosed) }
