// Package link is a TCP proxy for tests that is as far away and as narrow as a
// link of a given delay and rate, and that fails when told to.
//
// What it adds is exact in the mean: bytes leave at the rate, all connections
// of one direction together, and arrive half the round-trip time later. It has
// no slow start and no loss. A new connection takes one round trip more, as a
// handshake does.
package link

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Options of a [Proxy].
type Options struct {
	RTT  time.Duration // round trip; each way takes half of it
	Rate int64         // bits per second, in each direction, shared by all connections; 0: no limit
}

// Stats counts what went through, since Listen.
type Stats struct {
	Conns int64 // accepted
	Up    int64 // bytes from clients that went on to the upstream
	Down  int64 // bytes from the upstream that went on to clients
}

// Proxy passes connections on to an upstream. Its methods may be called
// concurrently.
type Proxy struct {
	o        Options
	upstream string
	ln       net.Listener
	up, down pipe
	conns    atomic.Int64
	wg       sync.WaitGroup

	mu     sync.Mutex
	closed bool
	black  bool
	live   map[*conn]struct{}
}

// Listen starts a proxy on a loopback port that the system chooses. Close it.
func Listen(upstream string, o Options) (*Proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{o: o, upstream: upstream, ln: ln, live: map[*conn]struct{}{}}
	p.up.init(o.Rate)
	p.down.init(o.Rate)
	p.wg.Add(1)
	go p.accept()
	return p, nil
}

// Addr is where to connect, host:port.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// Stats tells what went through so far.
func (p *Proxy) Stats() Stats {
	return Stats{Conns: p.conns.Load(), Up: p.up.bytes.Load(), Down: p.down.bytes.Load()}
}

// Stall holds all bytes back, in both directions, until Stall(false). Nothing
// is lost.
func (p *Proxy) Stall(on bool) {
	p.up.hold(on)
	p.down.hold(on)
}

// Reset breaks all connections off as if either end had reset them.
func (p *Proxy) Reset() {
	for _, c := range p.all() {
		c.reset()
	}
}

// HalfOpen makes all present connections deliver nothing any more, without a
// word to either end, as when a router forgets them. New ones work.
func (p *Proxy) HalfOpen() {
	for _, c := range p.all() {
		c.mute.Store(true)
	}
}

// Cut ends each present connection towards the client, in good order, once n
// more bytes were passed to it.
func (p *Proxy) Cut(n int64) {
	for _, c := range p.all() {
		c.cut.Store(n + 1)
	}
}

// BlackHole makes new connections be accepted and go nowhere, and present ones
// HalfOpen; BlackHole(false) makes new ones work again.
func (p *Proxy) BlackHole(on bool) {
	p.mu.Lock()
	p.black = on
	p.mu.Unlock()
	if on {
		p.HalfOpen()
	}
}

// Close ends all connections and returns when none is left.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	err := p.ln.Close()
	p.up.end()
	p.down.end()
	for _, c := range p.all() {
		c.close()
	}
	p.wg.Wait()
	return err
}

func (p *Proxy) all() []*conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	cs := make([]*conn, 0, len(p.live))
	for c := range p.live {
		cs = append(cs, c)
	}
	return cs
}

func (p *Proxy) accept() {
	defer p.wg.Done()
	for {
		client, err := p.ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		c := &conn{client: client.(*net.TCPConn), done: make(chan struct{})}
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			client.Close()
			return
		}
		c.mute.Store(p.black)
		p.live[c] = struct{}{}
		p.conns.Add(1)
		p.wg.Add(1)
		p.mu.Unlock()
		go func() {
			defer p.wg.Done()
			defer func() {
				p.mu.Lock()
				delete(p.live, c)
				p.mu.Unlock()
			}()
			p.serve(c)
		}()
	}
}

// serve passes a connection's bytes on until both directions ended.
func (p *Proxy) serve(c *conn) {
	defer c.close()
	if !c.sleep(time.Now().Add(p.o.RTT)) { // the handshake
		return
	}
	s, err := net.Dial("tcp", p.upstream)
	if err != nil {
		c.reset()
		return
	}
	server := s.(*net.TCPConn)
	if !c.join(server) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.pass(c, &p.up, server, c.client, false) })
	both.Go(func() { p.pass(c, &p.down, c.client, server, true) })
	both.Wait()
}

// conn is one connection with its two ends.
type conn struct {
	client *net.TCPConn
	mute   atomic.Bool
	cut    atomic.Int64 // 0: not to be cut; else bytes left to pass down, and one
	done   chan struct{}

	mu     sync.Mutex
	closed bool
	server *net.TCPConn // nil before it is there
}

// join adds the other end, unless c is closed.
func (c *conn) join(server *net.TCPConn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		server.Close()
		return false
	}
	c.server = server
	return true
}

func (c *conn) close() { c.shut(false) }
func (c *conn) reset() { c.shut(true) }

func (c *conn) shut(reset bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	close(c.done)
	for _, e := range []*net.TCPConn{c.client, c.server} {
		if e == nil {
			continue
		}
		if reset {
			e.SetLinger(0)
		}
		e.Close()
	}
}

// sleep waits until then; false if the connection ended before.
func (c *conn) sleep(then time.Time) bool {
	d := time.Until(then)
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.done:
		return false
	}
}
