package link

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// packet is how many bytes of one connection leave at a time, at most: so
// finely do connections share the link.
const packet = 8 << 10

// slack is how far ahead of the clock bytes may leave. A sleep ends late, and
// what it was late by would be lost to the link.
const slack = 3 * time.Millisecond

// pipe is one direction of the link.
type pipe struct {
	rate  int64 // bits per second; 0: no limit
	bytes atomic.Int64

	mu   sync.Mutex
	free time.Time     // when the link has sent all that was given to it
	held chan struct{} // closed while nothing is held back
	over bool
}

func (p *pipe) init(rate int64) {
	p.rate = rate
	p.held = make(chan struct{})
	close(p.held)
}

// hold starts or ends a stall.
func (p *pipe) hold(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.held:
		if on && !p.over {
			p.held = make(chan struct{})
		}
	default:
		if !on {
			close(p.held)
		}
	}
}

// end lets everything go, for good.
func (p *pipe) end() {
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
	p.hold(false)
}

// send gives n bytes to the link: the time at which the last of them left.
func (p *pipe) send(n int) time.Time {
	now := time.Now()
	if p.rate <= 0 {
		return now
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(time.Duration(float64(n) * 8 / float64(p.rate) * float64(time.Second)))
	return p.free
}

func (p *pipe) wait(done <-chan struct{}) bool {
	p.mu.Lock()
	held := p.held
	p.mu.Unlock()
	select {
	case <-held:
		return true
	default:
	}
	select {
	case <-held:
		return true
	case <-done:
		return false
	}
}

// parcel is what travels: bytes, or the end of the stream.
type parcel struct {
	b  []byte
	at time.Time // when it arrives
}

// pass moves the bytes of one direction of c until it ends. down says that it
// is the one towards the client.
func (p *Proxy) pass(c *conn, way *pipe, dst, src *net.TCPConn, down bool) {
	// What travels at a time is bounded by the rate and, where there is no
	// limit, by this queue.
	queue := make(chan parcel, 4096)
	var last sync.WaitGroup
	last.Go(func() { p.deliver(c, way, dst, queue, down) })
	defer last.Wait()
	defer close(queue)
	for {
		b := make([]byte, packet)
		n, err := src.Read(b)
		if n > 0 {
			left := way.send(n)
			if !c.sleep(left.Add(-slack)) {
				return
			}
			select {
			case queue <- parcel{b[:n], left.Add(p.o.RTT / 2)}:
			case <-c.done:
				return
			}
		}
		if err == io.EOF {
			select {
			case queue <- parcel{nil, time.Now().Add(p.o.RTT / 2)}:
			case <-c.done:
			}
			return
		}
		if err != nil {
			c.reset()
			return
		}
	}
}

// deliver writes parcels when their time has come.
func (p *Proxy) deliver(c *conn, way *pipe, dst *net.TCPConn, queue <-chan parcel, down bool) {
	for q := range queue {
		if !c.sleep(q.at) || !way.wait(c.done) {
			continue
		}
		if c.mute.Load() {
			continue
		}
		if q.b == nil {
			dst.CloseWrite()
			continue
		}
		b, cut := q.b, false
		if left := c.cut.Load(); down && left > 0 {
			if int64(len(b)) >= left-1 {
				b, cut = b[:left-1], true
			} else {
				c.cut.Store(left - int64(len(b)))
			}
		}
		way.bytes.Add(int64(len(b))) // before whoever gets them can look
		if _, err := dst.Write(b); err != nil {
			c.reset()
			continue
		}
		if cut {
			c.close()
		}
	}
}
