package nfs

import (
	"sync"
	"sync/atomic"
	"time"
)

// turnTime is how long a reader may be with one call before another reader
// takes over, at least; at most it is twice as long.
const turnTime = time.Millisecond

// turn watches the reader of a connection while it runs a call. Handing every
// call to a goroutine costs more than most calls; running them all where they
// are read would make each wait for those before it. So a reader begins to run
// what it has read, and if that takes long, a timer makes another reader that
// goes on with the connection.
//
// The timer is armed as long as calls come, and compares what it sees with
// what it saw the last time, so that a call costs some atomic operations.
type turn struct {
	c      *conn
	timer  *time.Timer
	holder atomic.Pointer[reader] // runs a call, and can be taken over
	runs   atomic.Uint64          // calls begun
	armed  atomic.Bool

	mu      sync.Mutex // one tick at a time; guards what follows
	last    uint64     // runs at the last tick
	stopped bool
}

func (t *turn) init(c *conn) {
	t.c = c
	t.timer = time.AfterFunc(time.Hour, t.tick)
	t.timer.Stop()
}

// stop ends the watch, when no reader is left.
func (t *turn) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	t.timer.Stop()
}

func (t *turn) running() bool { return t.holder.Load() != nil }

// begin says that r runs a call from now on.
func (t *turn) begin(r *reader) {
	t.runs.Add(1)
	t.holder.Store(r)
	if !t.armed.Load() {
		t.arm()
	}
}

// end says that r is done with its call. It returns false if somebody else
// reads the connection by now.
func (t *turn) end(r *reader) bool {
	if t.holder.CompareAndSwap(r, nil) {
		return true
	}
	t.mu.Lock() // until takeOver is done with r
	defer t.mu.Unlock()
	return false
}

func (t *turn) arm() {
	if t.armed.CompareAndSwap(false, true) {
		t.timer.Reset(turnTime)
	}
}

func (t *turn) tick() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return
	}
	n, r := t.runs.Load(), t.holder.Load()
	if n == t.last && r == nil {
		// Nothing came since the last tick.
		t.armed.Store(false)
		if t.runs.Load() != n {
			t.arm()
		}
		return
	}
	// That the same reader may have begun another call meanwhile does no harm.
	if n == t.last && t.holder.CompareAndSwap(r, nil) {
		t.takeOver(r)
	}
	t.last = n
	t.timer.Reset(turnTime)
}

// takeOver reads on behind r's back, which keeps its call and its buffer. The
// call has a place from now on, if there is one.
func (t *turn) takeOver(r *reader) {
	t.c.slow[r.cl.class].Store(slowCalls)
	lane := r.cl.lane()
	select {
	case lane <- struct{}{}:
		r.place = lane
	default:
	}
	t.c.hold()
	go r.successor().run()
}
