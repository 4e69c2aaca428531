package nfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/moorage/moorage/nfs/internal/rpc"
	"github.com/moorage/moorage/nfs/internal/wire"
)

// readSize is the memory in which a connection's small requests are read and
// worked on. It is small because every connection has it, and because what is
// read of a large request beyond its head has to be copied.
const readSize = 8 << 10

const (
	// maxCall is the longest record of a call that is not a WRITE, in bytes: far
	// more than a SYMLINK with the longest path that any system has.
	maxCall = 128 << 10
	// headSize is how much of a call tells which procedure it is for, in bytes.
	headSize = 24
)

// errCallSize means that a call is far longer than its procedure can be. No
// client sends that, and reading all of it takes time from those who wait.
var errCallSize = errors.New("nfs: call too long for its procedure")

// takesData reports whether the call that begins with head is a WRITE.
func takesData(head []byte) bool {
	return len(head) >= headSize && binary.BigEndian.Uint32(head[12:]) == wire.NFSProgram &&
		binary.BigEndian.Uint32(head[20:]) == wire.ProcWrite
}

// reader is who reads a connection at present. What is in it belongs to its
// goroutine alone, except while that runs a call and is taken over (turn).
type reader struct {
	c    *conn
	buf  []byte
	r, w int // buf[r:w] is read, but not used
	cl   *call

	place    chan struct{}     // where the place of a call that was taken over is given back
	records  *rpc.RecordReader // for what does not fit buf
	bulk     bool              // the last record did not fit
	kept     int               // calls whose replies were kept back because of that
	fresh    bool              // no record has come yet
	waiting  bool              // for the rest of a record
	arrived  time.Time
	deadline time.Time
}

func newReader(c *conn) *reader {
	r := &reader{c: c, buf: make([]byte, readSize), cl: newCall(c), fresh: true}
	r.records = rpc.NewRecordReader(r, maxRecord)
	return r
}

// successor goes on reading where r, which runs a call, has stopped.
func (r *reader) successor() *reader {
	n := newReader(r.c)
	n.w = copy(n.buf, r.buf[r.r:r.w])
	n.fresh, n.waiting, n.arrived, n.deadline = r.fresh, r.waiting, r.arrived, r.deadline
	return n
}

// run reads calls and answers them, until the connection ends or a call takes
// so long that another reader has taken over.
func (r *reader) run() {
	c := r.c
	defer c.drop()
	for {
		if err := r.next(); err != nil {
			r.flush()
			r.cl.release()
			c.ended(err)
			return
		}
		cl := r.cl
		if !cl.inline() {
			r.spawn()
			continue
		}
		c.turn.begin(r)
		cl.answer()
		if !c.turn.end(r) {
			c.out.flush()
			cl.release()
			if r.place != nil {
				<-r.place
			}
			return
		}
		if r.kept++; r.kept >= bulkReplies && r.bulk || c.out.full() {
			r.flush()
		}
		if !cl.reset() {
			r.cl = newCall(c)
		}
	}
}

// spawn gives the call a goroutine of its own.
func (r *reader) spawn() {
	c, cl := r.c, r.cl
	select {
	case c.calls <- struct{}{}:
	default:
		c.out.flush()
		c.calls <- struct{}{}
	}
	cl.own()
	r.cl = newCall(c)
	c.hold()
	go cl.run()
}

// next reads the next call into r.cl. An error means that the connection is of
// no use any more.
func (r *reader) next() error {
	for {
		b := r.buf[r.r:r.w]
		if len(b) < 4 {
			if err := r.fill(len(b) > 0); err != nil {
				return err
			}
			continue
		}
		mark := binary.BigEndian.Uint32(b)
		size, last := int(mark&^rpc.LastFragment), mark&rpc.LastFragment != 0
		if !last || size > len(r.buf)-4 {
			return r.large()
		}
		if size == 0 {
			return rpc.ErrFragments
		}
		if len(b) < 4+size {
			if err := r.fill(true); err != nil {
				return err
			}
			continue
		}
		r.r += 4 + size
		r.bulk = false
		r.cl.msg = b[4 : 4+size : 4+size]
		return r.receive()
	}
}

// bulkReplies is how many replies to large requests go out together. Each of
// them alone would wake the client; all of them would let it run dry.
const bulkReplies = 4

func (r *reader) flush() {
	r.kept = 0
	r.c.out.flush()
}

// fill reads more, after the replies so far are sent. partial says that a
// record has begun.
func (r *reader) fill(partial bool) error {
	if r.r == r.w {
		r.r, r.w = 0, 0
	} else if r.w == len(r.buf) || r.r > len(r.buf)/2 {
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	}
	n, err := r.wait(r.buf[r.w:], partial)
	if n > 0 {
		r.w += n
		r.arrived = time.Now()
		r.c.touch(r.arrived)
		return nil
	}
	if err == io.EOF && partial {
		return io.ErrUnexpectedEOF
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// wait reads into p. Before it has to wait for something to read, it sends the
// replies so far: the client may be waiting for them.
func (r *reader) wait(p []byte, partial bool) (int, error) {
	if r.bulk && r.kept > 0 {
		if n := readNow(r.c.nc, p); n > 0 {
			return n, nil
		}
	}
	r.flush()
	r.patience(partial)
	return r.c.nc.Read(p)
}

// Read drains what is read already and then reads directly, if that is worth a
// system call: a record can be cut into thousands of tiny pieces.
func (r *reader) Read(p []byte) (int, error) {
	if r.r == r.w {
		if len(p) >= len(r.buf) {
			return r.wait(p, true)
		}
		r.r, r.w = 0, 0
		n, err := r.wait(r.buf, true)
		if n == 0 {
			return 0, err
		}
		r.w = n
	}
	n := copy(p, r.buf[r.r:r.w])
	r.r += n
	return n, nil
}

// large reads a record that does not fit r.buf or has several fragments into
// memory of its own.
func (r *reader) large() error {
	r.bulk = true
	size, last, err := r.records.Next()
	if err != nil {
		return err
	}
	need := size
	if !last {
		need = maxRecord // its pieces are seen when they are here
	} else if size > maxCall {
		if r.c.garbage.Load() {
			return fmt.Errorf("%w: %d bytes, after one whose arguments were none", errCallSize, size)
		}
		if err := r.peek(headSize); err != nil {
			return err
		}
		if !takesData(r.buf[r.r:r.w]) {
			return fmt.Errorf("%w: %d bytes", errCallSize, size)
		}
	}
	c, cl := r.c, r.cl
	if need > smallRecord {
		if !c.in.tryTake(int64(need)) {
			r.flush()
			if !c.in.take(int64(need)) {
				return net.ErrClosed
			}
		}
		cl.counted = int64(need)
	}
	cl.req = c.srv.bufs.Get(need)
	cl.msg, err = r.records.Body(cl.req.B, size, last)
	if err != nil {
		return err
	}
	if !last && len(cl.msg) > maxCall && !takesData(cl.msg) {
		return fmt.Errorf("%w: %d bytes", errCallSize, len(cl.msg))
	}
	r.arrived = time.Now()
	c.touch(r.arrived)
	return r.receive()
}

// peek reads until n bytes are there that are not used.
func (r *reader) peek(n int) error {
	for r.w-r.r < n {
		if err := r.fill(true); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) receive() error {
	r.fresh, r.waiting = false, false
	return r.cl.receive(r.arrived)
}

// patience sets how long the next bytes may take. Setting a deadline costs as
// much as a call, so one that is right to an eighth is left alone.
func (r *reader) patience(partial bool) {
	if r.waiting && partial || r.fresh && !r.deadline.IsZero() {
		return // the time of this record runs already
	}
	r.waiting = partial
	d := r.c.srv.limits.Idle
	if partial || r.fresh {
		d = r.c.srv.limits.Stall
	}
	now := time.Now()
	if left := r.deadline.Sub(now); left > d-d/8 && left <= d {
		return
	}
	r.deadline = now.Add(d)
	r.c.nc.SetReadDeadline(r.deadline)
	// Do not undo a drain that happens at the same time.
	if r.c.draining.Load() {
		r.c.nc.SetReadDeadline(time.Unix(1, 0))
	}
}
