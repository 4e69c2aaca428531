package nfs

import (
	"bufio"
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
	// that an `ls` does not wait behind reads from a slow remote. A place is
	// held until the reply is written.
	dataPlaces = 32
	metaPlaces = 64

	// lingerTime is how long a drained connection is read on, see linger.
	lingerTime = 200 * time.Millisecond
)

// conn is one connection. One goroutine reads records, each call runs on its
// own, and whoever finishes a call while nobody writes becomes the writer and
// takes along what others have finished meanwhile.
type conn struct {
	srv *Server
	nc  net.Conn
	log *slog.Logger

	calls chan struct{} // a place for each call between being read and answered
	data  chan struct{}
	meta  chan struct{}
	in    share // large requests
	out   share // large replies

	inFlight atomic.Int64
	active   atomic.Int64 // Unix nanoseconds of the last sign of life
	useful   atomic.Bool  // has made a call that a program accepted
	draining atomic.Bool
	wg       sync.WaitGroup // calls

	mu      sync.Mutex
	queue   []*call
	writing bool
	broken  bool // nothing can be written any more
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{
		srv: s, nc: nc, log: s.log.With("peer", nc.RemoteAddr().String()),
		calls: make(chan struct{}, s.limits.Calls),
		data:  make(chan struct{}, dataPlaces), meta: make(chan struct{}, metaPlaces),
		in: share{m: s.mem}, out: share{m: s.mem},
	}
	c.touch()
	return c
}

func (c *conn) touch() { c.active.Store(time.Now().UnixNano()) }

// before reports whether c should be evicted rather than d.
func (c *conn) before(d *conn) bool {
	if cu, du := c.useful.Load(), d.useful.Load(); cu != du {
		return du
	}
	return c.active.Load() < d.active.Load()
}

// drain stops reading; calls that were read are still answered.
func (c *conn) drain() {
	c.draining.Store(true)
	c.nc.SetReadDeadline(time.Unix(1, 0))
	c.in.close()
}

// abort closes the connection under its calls; those that wait for memory to
// answer in give up.
func (c *conn) abort() {
	c.in.close()
	c.out.close()
	c.nc.Close()
}

// run reads calls until the connection ends, waits for them, and closes it.
func (c *conn) run() {
	defer c.nc.Close()
	err := c.read()
	c.in.close()
	// A client that has only closed its sending side still gets its replies.
	if err != io.EOF && !c.draining.Load() {
		c.abort()
		c.log.Debug("connection closed", "err", err)
	}
	c.wg.Wait()
	if c.draining.Load() {
		c.linger()
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

func (c *conn) read() error {
	br := bufio.NewReaderSize(c.nc, 64<<10)
	records := rpc.NewRecordReader(br, maxRecord)
	patience := c.srv.limits.Stall // for the first record
	for {
		if br.Buffered() == 0 {
			c.setReadDeadline(patience)
		}
		patience = c.srv.limits.Idle
		size, last, err := records.Next()
		if err != nil {
			return err
		}
		c.touch()
		// Before anything is allocated: a place for the call, and memory.
		c.calls <- struct{}{}
		if err := c.readCall(br, records, size, last); err != nil {
			return err
		}
	}
}

// readCall reads the rest of a record and starts the call. The call's place
// among c.calls is given back with the call, or on an error.
func (c *conn) readCall(br *bufio.Reader, records *rpc.RecordReader, size int, last bool) error {
	cl := &call{conn: c, srv: c.srv}
	if err := cl.receive(br, records, size, last); err != nil {
		cl.release()
		return err
	}
	c.inFlight.Add(1)
	c.wg.Add(1)
	go cl.run()
	return nil
}

// setReadDeadline does not undo a drain that happens at the same time.
func (c *conn) setReadDeadline(d time.Duration) {
	c.nc.SetReadDeadline(time.Now().Add(d))
	if c.draining.Load() {
		c.nc.SetReadDeadline(time.Unix(1, 0))
	}
}

// send queues the reply of cl and writes it unless somebody else does.
func (c *conn) send(cl *call) {
	c.mu.Lock()
	c.queue = append(c.queue, cl)
	if c.writing {
		c.mu.Unlock()
		return
	}
	c.writing = true
	var spare []*call
	for len(c.queue) > 0 {
		batch := c.queue
		c.queue = spare[:0]
		broken := c.broken
		c.mu.Unlock()
		if !broken {
			broken = !c.write(batch)
		}
		for i, done := range batch {
			batch[i] = nil
			done.finish()
		}
		spare = batch
		c.mu.Lock()
		c.broken = broken
	}
	c.writing = false
	c.mu.Unlock()
}

// write sends the replies of batch in one go; false if the connection is dead.
func (c *conn) write(batch []*call) bool {
	c.nc.SetWriteDeadline(time.Now().Add(c.srv.limits.Stall))
	var err error
	if len(batch) == 1 {
		_, err = c.nc.Write(batch[0].out)
	} else {
		vecs := make(net.Buffers, 0, len(batch))
		for _, cl := range batch {
			vecs = append(vecs, cl.out)
		}
		_, err = vecs.WriteTo(c.nc)
	}
	if err != nil {
		if !errors.Is(err, net.ErrClosed) {
			c.log.Debug("replies not written", "err", err)
		}
		c.abort()
		return false
	}
	c.touch()
	return true
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

// end frees the timer when the call is over.
func (x *callContext) end() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.cancel != nil {
		x.cancel()
	}
}
