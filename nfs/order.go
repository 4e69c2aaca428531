package nfs

import (
	"sync"

	"github.com/moorage/moorage/nfs/internal/handle"
	"github.com/moorage/moorage/nfs/internal/wire"
)

// writeOrder keeps the writes of one connection to the same bytes of a file in
// the order in which they came, however many goroutines run them. Writes to
// different places do not wait for each other.
type writeOrder struct {
	mu      sync.Mutex
	tickets []*ticket // of the writes in work, oldest first
}

// ticket is the place of one WRITE, or of a SETATTR, which counts as a write to
// the whole file because it may change the size.
type ticket struct {
	file     [handle.Size]byte
	from, to uint64
	done     chan struct{}   // closed by leave; nil if nobody waits
	before   []chan struct{} // of those that must be done first
}

// enter gives c its place. Calls enter in the order in which they came. nil
// means that c is no write.
func (o *writeOrder) enter(c *call) *ticket {
	args := c.args
	var h []byte
	var from, to uint64
	switch c.hdr.Proc {
	case wire.ProcWrite:
		var a wire.WriteArgs
		a.Decode(&args)
		h, from = a.Handle, a.Offset
		to = from + uint64(len(a.Data))
	case wire.ProcSetattr:
		var a wire.HandleArgs
		a.Decode(&args)
		h, to = a.Handle, ^uint64(0)
	default:
		return nil
	}
	if len(h) != handle.Size {
		return nil
	}
	t := &ticket{from: from, to: to}
	copy(t.file[:], h)
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range o.tickets {
		if e.file != t.file || e.from >= t.to || t.from >= e.to {
			continue
		}
		if e.done == nil {
			e.done = make(chan struct{})
		}
		t.before = append(t.before, e.done)
	}
	o.tickets = append(o.tickets, t)
	return t
}

// leave lets go who waits for t.
func (o *writeOrder) leave(t *ticket) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, e := range o.tickets {
		if e == t {
			o.tickets = append(o.tickets[:i], o.tickets[i+1:]...)
			break
		}
	}
	if t.done != nil {
		close(t.done)
	}
}

// waits reports whether await has to wait. No ticket has not.
func (t *ticket) waits() bool {
	if t == nil {
		return false
	}
	for _, done := range t.before {
		select {
		case <-done:
		default:
			return true
		}
	}
	return false
}

// await waits for the turn of the call's ticket, but not longer than the call
// may take.
func (c *call) await() {
	if c.ticket == nil {
		return
	}
	for _, done := range c.ticket.before {
		select {
		case <-done:
			continue
		default:
		}
		select {
		case <-done:
		case <-c.ctx.Done():
			c.late = true
			return
		}
	}
}
