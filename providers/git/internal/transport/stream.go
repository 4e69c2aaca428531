package transport

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/git/internal/pktline"
	"github.com/moorage/moorage/providers/git/internal/wire"
)

// conn is a connection to a running git-upload-pack.
type conn interface {
	io.Reader
	io.Writer
	io.Closer // ends reads and writes that wait
	// Complaint is what the server said beside the protocol, "" if nothing.
	// It is called when reading came to an end or failed, before Close.
	Complaint() string
}

// Stream speaks to servers over connections that stay: ssh, git://, a program.
// A connection of version 2 takes one request after the other; idle ones are
// kept for a while.
type Stream struct {
	dial     func(context.Context) (conn, error)
	hangUp   func() // called when no connection is left for a while, and by Close
	timeouts Timeouts
	network  providers.Network // its limits
	life     context.Context
	end      context.CancelFunc

	mu     sync.Mutex
	idle   []*stream
	stale  int // connections made before this number of Refresh calls have old refs
	active int // connections in use, or being made
	timer  *time.Timer
}

const (
	keepIdle = 60 * time.Second
	maxIdle  = 4
)

func newStream(to Timeouts, dial func(context.Context) (conn, error), hangUp func()) *Stream {
	s := &Stream{dial: dial, hangUp: hangUp, timeouts: to}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// stream is a connection past the advertisement.
type stream struct {
	conn
	br     *bufio.Reader
	advert []byte
	asked  bool // the server may have read its refs for it
	age    int  // Stream.stale when it was made
}

// Close ends all connections.
func (s *Stream) Close() error {
	s.end()
	s.mu.Lock()
	idle := s.idle
	s.idle = nil
	s.mu.Unlock()
	for _, st := range idle {
		st.Close()
	}
	if s.hangUp != nil {
		s.hangUp()
	}
	return nil // the timer may still fire, and finds nothing
}

// open makes a connection and reads the advertisement.
func (s *Stream) open(ctx context.Context) (*stream, error) {
	if s.life.Err() != nil {
		return nil, providers.ErrClosed
	}
	dctx, cancel := context.WithTimeout(ctx, s.timeouts.Connect)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	c, err := s.dial(dctx)
	if err != nil {
		if s.life.Err() != nil {
			return nil, providers.ErrClosed
		}
		return nil, offline(ctx, "connect", err)
	}
	g := s.guard(ctx, c, s.timeouts.Header)
	s.mu.Lock()
	age := s.stale
	s.mu.Unlock()
	st := &stream{conn: c, br: bufio.NewReaderSize(c, 64<<10), age: age}
	st.advert, err = readAdvertisement(st.br)
	g.stop()
	if err != nil {
		err = s.refused(ctx, g, c, err)
		c.Close()
		return nil, err
	}
	return st, nil
}

// refused finds out why there was no advertisement.
func (s *Stream) refused(ctx context.Context, g *guard, c conn, err error) error {
	if gerr := g.err(ctx, s); gerr != nil {
		return fmt.Errorf("connect: %w", gerr)
	}
	var remote *pktline.RemoteError
	switch {
	case errors.As(err, &remote):
		return fmt.Errorf("connect: %w: %w", providers.ErrNoRemote, err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, pktline.ErrMalformed):
		// git-upload-pack did not start, or something else did.
		if why := c.Complaint(); why != "" {
			return fmt.Errorf("connect: %w, or not for this login; the server says: %s", providers.ErrNoRemote, why)
		}
		if errors.Is(err, pktline.ErrMalformed) {
			return fmt.Errorf("connect: %w: %w", providers.ErrProtocol, err)
		}
		return fmt.Errorf("connect: %w: the server hung up without a word", providers.ErrOffline)
	}
	return offline(ctx, "connect", err)
}

// Advertise makes a connection, which the next Call uses.
func (s *Stream) Advertise(ctx context.Context) ([]byte, error) {
	defer s.use()()
	st, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	s.keep(st)
	return st.advert, nil
}

// use says that a connection is needed until the result is called.
func (s *Stream) use() (done func()) {
	s.mu.Lock()
	s.active++
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		s.active--
		if s.timer == nil {
			s.timer = time.AfterFunc(keepIdle, s.hangUpIdle)
		} else {
			s.timer.Reset(keepIdle)
		}
		s.mu.Unlock()
	}
}

// keep puts st with the idle ones.
func (s *Stream) keep(st *stream) {
	s.mu.Lock()
	if s.life.Err() != nil || len(s.idle) >= maxIdle || st.asked && st.age < s.stale {
		s.mu.Unlock()
		st.Close()
		return
	}
	s.idle = append(s.idle, st)
	s.mu.Unlock()
}

// Refresh lets go of the connections on which requests were made: git's
// upload-pack reads loose refs once, and tells them again as long as it runs.
func (s *Stream) Refresh() {
	s.mu.Lock()
	s.stale++
	var asked, fresh []*stream
	for _, st := range s.idle {
		if st.asked {
			asked = append(asked, st)
		} else {
			fresh = append(fresh, st)
		}
	}
	s.idle = fresh
	s.mu.Unlock()
	for _, st := range asked {
		st.Close()
	}
}

func (s *Stream) hangUpIdle() {
	s.mu.Lock()
	idle := s.idle
	s.idle = nil
	unused := s.active == 0
	s.mu.Unlock()
	for _, st := range idle {
		st.Close()
	}
	if unused && s.hangUp != nil {
		s.hangUp()
	}
}

// Call sends a request over an idle connection, or a new one.
func (s *Stream) Call(ctx context.Context, request []byte) (wire.Reply, error) {
	done := s.use()
	rep, err := s.call(ctx, request)
	if err != nil {
		done()
		return nil, err
	}
	rep.done = done
	return rep, nil
}

func (s *Stream) call(ctx context.Context, request []byte) (*streamReply, error) {
	for {
		s.mu.Lock()
		var st *stream
		if n := len(s.idle); n > 0 {
			st = s.idle[n-1]
			s.idle = s.idle[:n-1]
		}
		s.mu.Unlock()
		kept := st != nil
		if !kept {
			var err error
			if st, err = s.open(ctx); err != nil {
				return nil, err
			}
		}
		g := s.guard(ctx, st.conn, s.timeouts.Header)
		st.asked = true
		_, err := st.Write(request)
		if err == nil {
			_, err = st.br.Peek(1)
		}
		if err == nil {
			g.extend(s.timeouts.Idle)
			return &streamReply{s: s, st: st, r: s.network.Reader(ctx, st.br), guard: g, ctx: ctx}, nil
		}
		g.stop()
		gerr := g.err(ctx, s)
		if gerr == nil && !kept {
			if why := st.Complaint(); why != "" {
				gerr = fmt.Errorf("%w: it says: %s", providers.ErrOffline, why)
			}
		}
		st.Close()
		if gerr != nil {
			return nil, fmt.Errorf("ask the server: %w", gerr)
		}
		if !kept {
			return nil, offline(ctx, "ask the server", err)
		}
		// The server had hung up meanwhile.
	}
}

type streamReply struct {
	s     *Stream
	st    *stream
	r     io.Reader // st.br, within the limits
	guard *guard
	ctx   context.Context
	done  func()
}

func (r *streamReply) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if n > 0 {
		r.guard.watch.progress()
	}
	if err != nil && err != io.EOF {
		if gerr := r.guard.err(r.ctx, r.s); gerr != nil {
			err = gerr
		}
		err = offline(r.ctx, "read from the server", err)
	} else if err == io.EOF {
		if gerr := r.guard.err(r.ctx, r.s); gerr != nil {
			err = fmt.Errorf("read from the server: %w", gerr)
		}
	}
	return n, err
}

func (r *streamReply) Close(whole bool) {
	defer r.done()
	if r.guard.stop() && whole && r.st.br.Buffered() == 0 {
		r.s.keep(r.st)
		return
	}
	r.st.Close()
}

// guard ends a connection when it is silent, when ctx is done, and with s.
type guard struct {
	watch   *watch
	unlink  []func() bool
	mu      sync.Mutex
	silent  bool
	stopped bool
	fired   bool
}

func (s *Stream) guard(ctx context.Context, c conn, idle time.Duration) *guard {
	g := &guard{}
	end := func() {
		g.mu.Lock()
		fire := !g.stopped
		g.fired = g.fired || fire
		g.mu.Unlock()
		if fire {
			c.Close()
		}
	}
	g.watch = newWatch(idle, func() {
		g.mu.Lock()
		g.silent = !g.stopped
		g.mu.Unlock()
		end()
	})
	g.unlink = []func() bool{context.AfterFunc(ctx, end), context.AfterFunc(s.life, end)}
	return g
}

func (g *guard) extend(idle time.Duration) {
	g.watch.idle = idle
	g.watch.progress()
}

// stop ends the watch and tells whether the connection is still good.
func (g *guard) stop() bool {
	g.watch.stop()
	for _, u := range g.unlink {
		u()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopped = true
	return !g.fired
}

// err is the reason for which the guard ended the connection, if it did.
func (g *guard) err(ctx context.Context, s *Stream) error {
	g.mu.Lock()
	silent := g.silent
	g.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case s.life.Err() != nil:
		return providers.ErrClosed
	case silent:
		return fmt.Errorf("%w: %w", providers.ErrOffline, errIdle)
	}
	return nil
}
