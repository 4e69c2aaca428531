package nfs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moorage/moorage/nfs/internal/rpc"
)

var (
	// ErrServerClosed is what Serve returns after Shutdown.
	ErrServerClosed = errors.New("nfs: server closed")
	// ErrNotLoopback means that a listener can be reached from elsewhere.
	// NFSv3 has no authentication worth the name, so a Server takes loopback
	// addresses and unix sockets only.
	ErrNotLoopback = errors.New("nfs: not a loopback address")
)

// Options configure a [Server]. The zero value is ready for use.
type Options struct {
	Logger *slog.Logger     // nil: silent
	Rand   io.Reader        // for write verifiers; nil: crypto/rand
	Clock  func() time.Time // nil: time.Now
	Limits Limits
	// Observer is told about every call; nil: nobody, at no cost.
	Observer Observer
}

// Limits bound what clients can make a [Server] use. A field that is 0 gets the
// default in brackets.
type Limits struct {
	// Connections is the number of open connections [64]. When it is reached,
	// a newcomer takes the place of one that has not used a handle yet, or of
	// the one that has been idle longest and for a minute at least; kernels
	// connect again when they have something to ask. If there is none, the
	// newcomer is refused.
	Connections int
	// Calls is the number of calls of one connection that are in work or wait
	// for it [512]. Then the server stops reading that connection.
	Calls int
	// Memory is the number of bytes of large requests and replies of all
	// connections together [128 MiB]. One connection has a quarter of it at
	// most, and can always have one request and one reply.
	Memory int64
	// Replies is the number of replies to changes that are kept, for clients
	// that did not get them and ask again [4096]. Each takes some 500 bytes.
	Replies int
	// Call is the time from a call's arrival to its answer, which is
	// ErrJukebox when the file system has none yet [6 s]. Clients give up or
	// tell their user that the server is gone if they get none for 8 s.
	Call time.Duration
	// Stall is the time that a client may take for the rest of a record, for
	// its first one, and for taking a batch of replies [60 s].
	Stall time.Duration
	// Idle is the time that a connection may be silent [30 min].
	Idle time.Duration
	// Penalty is the time that a connection stays open, unread, after it has
	// sent what no client sends [1 s]. It keeps those busy who would send it
	// again as fast as they can.
	Penalty time.Duration
}

func (l Limits) withDefaults() Limits {
	def := Limits{Connections: 64, Calls: 512, Memory: 128 << 20, Replies: 4096, Call: 6 * time.Second, Stall: time.Minute, Idle: 30 * time.Minute, Penalty: time.Second}
	orDefault(&l.Connections, def.Connections)
	orDefault(&l.Calls, def.Calls)
	orDefault(&l.Memory, def.Memory)
	orDefault(&l.Replies, def.Replies)
	orDefault(&l.Call, def.Call)
	orDefault(&l.Stall, def.Stall)
	orDefault(&l.Idle, def.Idle)
	orDefault(&l.Penalty, def.Penalty)
	return l
}

func orDefault[T int | int64 | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// Server answers NFSv3 and MOUNT calls for the file systems exported on it. All
// methods may be called concurrently.
type Server struct {
	log    *slog.Logger
	rand   io.Reader
	clock  func() time.Time
	limits Limits
	mem    *memory
	bufs   rpc.Pool
	table  exportTable
	mounts mountList

	replies   *replyCache
	connID    atomic.Uint64
	observing *observing // nil: nobody observes

	base   context.Context // ends when calls must give up
	cancel context.CancelFunc

	mu        sync.Mutex
	closing   bool
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	left      chan struct{}  // a connection has ended: there may be a place
	wg        sync.WaitGroup // connections
}

// NewServer makes a server without exports.
func NewServer(o Options) (*Server, error) {
	s := &Server{
		log: o.Logger, rand: o.Rand, clock: o.Clock, limits: o.Limits.withDefaults(),
		listeners: make(map[net.Listener]struct{}), conns: make(map[*conn]struct{}), left: make(chan struct{}, 1),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.rand == nil {
		s.rand = rand.Reader
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	s.observing = newObserving(o.Observer)
	s.mem = newMemory(s.limits.Memory)
	s.replies = newReplyCache(s.limits.Replies)
	s.table.init()
	s.base, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// checkListener refuses addresses that others than this computer can reach.
func checkListener(a net.Addr) error {
	switch a := a.(type) {
	case *net.TCPAddr:
		if a.IP.IsLoopback() {
			return nil
		}
	case *net.UnixAddr:
		return nil
	}
	return fmt.Errorf("listen on %v: %w; use 127.0.0.1 or a unix socket", a, ErrNotLoopback)
}

// Serve answers calls on l, which it closes, until Shutdown or until l fails.
// It may run for several listeners at a time. The error is ErrServerClosed,
// ErrNotLoopback or what Accept said.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	if err := checkListener(l.Addr()); err != nil {
		return err
	}
	if !s.addListener(l) {
		return ErrServerClosed
	}
	defer s.removeListener(l)
	var delay time.Duration
	for {
		nc, err := l.Accept()
		if err == nil {
			delay = 0
			s.start(nc)
			continue
		}
		if s.isClosing() {
			return ErrServerClosed
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("nfs: accept: %w", err)
		}
		// Out of descriptors, or a peer that was gone at once: both pass.
		delay = min(max(2*delay, 5*time.Millisecond), time.Second)
		s.log.Warn("accept failed, will try again", "err", err, "delay", delay)
		select {
		case <-time.After(delay):
		case <-s.base.Done():
		}
	}
}

func (s *Server) addListener(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) removeListener(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// start makes room for the connection and runs it.
func (s *Server) start(nc net.Conn) {
	if isDead(nc) {
		// Its client has gone while nobody accepted, and asks again on another
		// one. What it had asked here would be done twice, and late.
		s.log.Debug("connection dropped unread: its client is gone", "peer", nc.RemoteAddr().String())
		nc.Close()
		return
	}
	c := s.admit(nc)
	if c == nil {
		nc.Close()
		return
	}
	c.hold()
	go newReader(c).run()
}

// minStay is how long a connection has before another can take its place. Those
// that come again and again would otherwise push each other out as fast as the
// computer can.
const minStay = 100 * time.Millisecond

// admit gives the connection a place, for which it may have to wait for minStay.
// nil: there is none.
func (s *Server) admit(nc net.Conn) *conn {
	for {
		s.mu.Lock()
		wait := time.Duration(0)
		switch {
		case s.closing:
			s.mu.Unlock()
			return nil
		case len(s.conns) >= s.limits.Connections:
			wait = s.evictLocked()
		}
		if wait == 0 {
			c := newConn(s, nc)
			s.conns[c] = struct{}{}
			s.wg.Add(1)
			s.mu.Unlock()
			return c
		}
		s.mu.Unlock()
		if wait > minStay {
			s.log.Warn("connection refused: too many", "limit", s.limits.Connections)
			return nil
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-s.left:
		case <-s.base.Done():
		}
		t.Stop()
	}
}

// gone is called by a connection that has come to its end.
func (s *Server) gone(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	select {
	case s.left <- struct{}{}:
	default:
	}
	s.wg.Done()
}

// evictLocked closes one idle connection: one that never made a sensible call
// if there is any, else the one that has been idle longest, but none of a client
// that has called a moment ago. If it closes none, it gives the time until one is
// there long enough for that, which is more than minStay if there is none at all.
// It needs s.mu.
func (s *Server) evictLocked() (wait time.Duration) {
	var victim *conn
	now := time.Now()
	wait = minStay + 1
	for c := range s.conns {
		if !c.idle(now) {
			continue
		}
		if young := minStay - now.Sub(c.born); young > 0 {
			wait = min(wait, young)
		} else if victim == nil || c.before(victim) {
			victim = c
		}
	}
	if victim == nil {
		return wait
	}
	victim.nc.Close()
	victim.hurry.Do(func() { close(victim.hurrying) })
	delete(s.conns, victim)
	return 0
}

// Shutdown stops accepting and reading, waits until the calls in work are
// answered and the replies are with the kernel, and closes the connections.
// When ctx ends first, it ends the contexts of the calls and closes at once;
// file system methods that do not return on that are left behind, and the
// error is ctx's.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	for l := range s.listeners {
		l.Close()
	}
	for c := range s.conns {
		c.drain()
	}
	s.mu.Unlock()
	defer s.cancel()

	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.cancel()
	s.mu.Lock()
	for c := range s.conns {
		c.abort()
	}
	s.mu.Unlock()
	// What obeys its context needs a moment to come back.
	select {
	case <-done:
	case <-time.After(time.Second):
	}
	return fmt.Errorf("nfs: shut down: %w", ctx.Err())
}
