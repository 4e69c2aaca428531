package nfs

import (
	"net"
	"sync"
	"time"

	"github.com/moorage/moorage/nfs/internal/rpc"
)

const (
	// gatherRecord is up to which size replies are copied together.
	gatherRecord = 8 << 10
	// gatherSize is the memory in which they are put together.
	gatherSize = 8 << 10
	// flushSize is how many bytes of replies wait at most for more to come.
	flushSize = 32 << 10
	// maxQueued is how many bytes may wait for a client that does not read,
	// beside the large replies, which count against Limits.Memory.
	maxQueued = 256 << 10
)

// segment is a piece of the stream of replies. Whoever writes it gives its
// memory back.
type segment struct {
	b       []byte
	buf     *rpc.Buffer
	counted int64 // bytes of conn.held
	gather  bool  // small replies may still be added
	file    *fileData
}

// output is the sending side of a connection. One goroutine at a time writes,
// and takes along what others have added meanwhile.
type output struct {
	c *conn

	mu       sync.Mutex
	drained  sync.Cond
	queue    []segment
	spare    []segment
	vecs     net.Buffers
	queued   int
	writing  bool
	broken   bool // nothing can be written any more
	deadline time.Time
}

func (o *output) init(c *conn) {
	o.c = c
	o.drained.L = &o.mu
}

// add queues a reply, which is b; buf is its memory and taken over if b is too
// large to be copied: then the result is true.
func (o *output) add(b []byte, buf *rpc.Buffer, counted int64, file *fileData) (taken bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.queued > maxQueued && o.writing && !o.broken {
		o.drained.Wait()
	}
	if o.broken {
		return false
	}
	o.queued += len(b) + file.size()
	if len(b) > gatherRecord || counted > 0 || file != nil {
		o.queue = append(o.queue, segment{b: b, buf: buf, counted: counted, file: file})
		return true
	}
	if n := len(o.queue); n > 0 && o.queue[n-1].gather {
		if s := &o.queue[n-1]; cap(s.b)-len(s.b) >= len(b) {
			s.b = append(s.b, b...)
			return false
		}
	}
	g := o.c.srv.bufs.Get(max(gatherSize, len(b)))
	o.queue = append(o.queue, segment{b: append(g.B, b...), buf: g, gather: true})
	return false
}

// full reports whether enough has been queued to be written now.
func (o *output) full() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.queued >= flushSize
}

// flush writes what is queued, unless somebody else does.
func (o *output) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.writing || len(o.queue) == 0 {
		return
	}
	o.writing = true
	for len(o.queue) > 0 {
		batch := o.queue
		o.queue, o.spare, o.queued = o.spare[:0], nil, 0
		broken := o.broken
		o.mu.Unlock()
		if !broken {
			broken = !o.write(batch)
		}
		for i := range batch {
			o.release(&batch[i])
			batch[i] = segment{}
		}
		o.mu.Lock()
		o.spare = batch
		o.broken = o.broken || broken
		o.drained.Broadcast()
	}
	o.writing = false
}

func (o *output) release(s *segment) {
	o.c.srv.bufs.Put(s.buf)
	o.c.held.give(s.counted)
	if s.file != nil {
		s.file.release()
	}
}

// write sends a batch in one go, as far as it is in memory; false if the
// connection is dead.
func (o *output) write(batch []segment) bool {
	c := o.c
	now := time.Now()
	// Setting a deadline costs as much as a call, so it may be late by an eighth.
	stall := c.srv.limits.Stall
	if o.deadline.Sub(now) < stall-stall/8 {
		o.deadline = now.Add(stall)
		c.nc.SetWriteDeadline(o.deadline)
	}
	err := o.send(batch)
	if err != nil {
		if !closedByUs(err) {
			c.log.Debug("replies not written", "err", err)
		}
		c.nc.Close() // first: who gets no memory for a reply leaves it unfinished
		c.in.close()
		c.held.close()
		return false
	}
	c.touch(now)
	return true
}

func (o *output) send(batch []segment) error {
	for len(batch) > 0 {
		n := 0
		for n < len(batch) && batch[n].file == nil {
			n++
		}
		if n > 0 {
			if err := o.sendMemory(batch[:n]); err != nil {
				return err
			}
		}
		if batch = batch[n:]; len(batch) > 0 {
			if err := batch[0].file.send(o.c.nc, batch[0].b); err != nil {
				return err
			}
			batch = batch[1:]
		}
	}
	return nil
}

func (o *output) sendMemory(batch []segment) error {
	if len(batch) == 1 {
		_, err := o.c.nc.Write(batch[0].b)
		return err
	}
	o.vecs = o.vecs[:0]
	for i := range batch {
		o.vecs = append(o.vecs, batch[i].b)
	}
	v := o.vecs // WriteTo moves its receiver's start
	_, err := v.WriteTo(o.c.nc)
	clear(o.vecs)
	return err
}

// abandon gives up what is queued and whatever is added.
func (o *output) abandon() {
	o.mu.Lock()
	o.broken = true
	o.drained.Broadcast()
	var queue []segment
	if !o.writing { // else the writer releases it
		queue, o.queue = o.queue, nil
	}
	o.mu.Unlock()
	for i := range queue {
		o.release(&queue[i])
	}
}
