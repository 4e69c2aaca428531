package reader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pattern is what every file of these tests repeats. Its length is a prime one
// above that of a unit, so that units differ.
var pattern = func() []byte {
	p := make([]byte, Unit+1)
	rand.NewChaCha8([32]byte{}).Read(p)
	return p
}()

// content fills p with what every file of these tests holds at off.
func content(p []byte, off int64) {
	for len(p) > 0 {
		n := copy(p, pattern[off%int64(len(pattern)):])
		p, off = p[n:], off+int64(n)
	}
}

// memStore is a Store in memory.
type memStore struct {
	size int64

	mu     sync.Mutex
	units  map[int64][]byte // by number
	wrote  []Range
	full   error // of WriteAt
	unread error // of ReadAt
}

func newStore(size int64) *memStore { return &memStore{size: size, units: map[int64][]byte{}} }

func (s *memStore) Have(off, n int64) []Range {
	s.mu.Lock()
	defer s.mu.Unlock()
	var rs []Range
	for u := off / Unit; u*Unit < off+n; u++ {
		b, ok := s.units[u]
		if !ok {
			continue
		}
		if len(rs) > 0 && rs[len(rs)-1].Off+rs[len(rs)-1].N == u*Unit {
			rs[len(rs)-1].N += int64(len(b))
		} else {
			rs = append(rs, Range{Off: u * Unit, N: int64(len(b))})
		}
	}
	return rs
}

var errMissing = errors.New("missing")

func (s *memStore) ReadAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unread != nil {
		return 0, s.unread
	}
	n := 0
	for n < len(p) {
		b, ok := s.units[(off+int64(n))/Unit]
		at := int(off+int64(n)) % Unit
		if !ok || at >= len(b) {
			return 0, errMissing
		}
		n += copy(p[n:], b[at:])
	}
	return n, nil
}

func (s *memStore) WriteAt(p []byte, off int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full != nil {
		return s.full
	}
	if off%Unit != 0 || int64(len(p))%Unit != 0 && off+int64(len(p)) != s.size {
		panic(fmt.Sprintf("WriteAt of %d bytes at %d: no whole units", len(p), off))
	}
	s.wrote = append(s.wrote, Range{Off: off, N: int64(len(p))})
	for i := 0; i < len(p); i += Unit {
		s.units[(off+int64(i))/Unit] = bytes.Clone(p[i:min(i+Unit, len(p))])
	}
	return nil
}

// breaks makes writes and reads fail.
func (s *memStore) breaks(full, unread error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full, s.unread = full, unread
}

// lose takes a unit away.
func (s *memStore) lose(unit int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.units, unit)
}

func (s *memStore) stored() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var n int64
	for _, b := range s.units {
		n += int64(len(b))
	}
	return n
}

// remote answers a Fetch after delay, at rate for all requests together, and
// misbehaves as told.
type remote struct {
	size  int64
	delay time.Duration
	rate  float64 // bytes per second; 0: no limit
	each  float64 // bytes per second of one request; 0: no limit
	empty bool    // bodies hold nothing in particular

	mu       sync.Mutex
	free     time.Time // when the link has sent all
	asked    []Range
	open     int
	mostOpen int
	sent     int64 // bytes
	ended    int   // requests whose ctx ended before they were through
	// fault is asked at each request, by number from 0: an error, and what to do
	// to the body. Both may be nil.
	fault func(i int, off, n int64) (*damage, error)
}

// damage is what is wrong with a body.
type damage struct {
	delay time.Duration // more, before the first byte
	stop  int64         // bytes after which
	err   error         // this comes; nil: silence until ctx ends
	more  int64         // bytes too many
	bad   bool          // other bytes than there should be
}

func (r *remote) fetch(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	r.mu.Lock()
	i := len(r.asked)
	r.asked = append(r.asked, Range{Off: off, N: n})
	r.open++
	r.mostOpen = max(r.mostOpen, r.open)
	var err error
	d := &damage{stop: -1}
	if r.fault != nil {
		var e *damage
		if e, err = r.fault(i, off, n); e != nil {
			d = e
		}
	}
	r.mu.Unlock()
	if !pause(ctx, r.delay+d.delay) {
		err = ctx.Err()
	}
	if err != nil {
		r.close(ctx)
		return nil, err
	}
	return &body{r: r, ctx: ctx, off: off, end: off + n + d.more, from: off, d: d}, nil
}

func (r *remote) close(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open--
	if ctx.Err() != nil {
		r.ended++
	}
}

// breaks sets how it misbehaves from now on.
func (r *remote) breaks(fault func(i int, off, n int64) (*damage, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = fault
}

func (r *remote) requests() []Range {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.asked)
}

func (r *remote) bytes() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sent
}

// total is how many bytes were asked for.
func (r *remote) total() (n int64) {
	for _, a := range r.requests() {
		n += a.N
	}
	return n
}

func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

type body struct {
	r              *remote
	ctx            context.Context
	from, off, end int64
	d              *damage
	free           time.Time
}

func (b *body) Read(p []byte) (int, error) {
	n := min(int64(len(p)), b.end-b.off, 16<<10)
	if b.d.stop >= 0 {
		if n = min(n, b.from+b.d.stop-b.off); n == 0 {
			if b.d.err != nil {
				return 0, b.d.err
			}
			<-b.ctx.Done()
			return 0, b.ctx.Err()
		}
	}
	if n == 0 {
		return 0, io.EOF
	}
	if b.r.rate > 0 {
		b.r.mu.Lock()
		now := time.Now()
		if b.r.free.Before(now) {
			b.r.free = now
		}
		b.r.free = b.r.free.Add(time.Duration(float64(n) / b.r.rate * float64(time.Second)))
		wait := b.r.free.Sub(now)
		b.r.mu.Unlock()
		pause(b.ctx, wait)
	}
	if b.r.each > 0 {
		pause(b.ctx, time.Until(b.free))
		b.free = time.Now().Add(time.Duration(float64(n) / b.r.each * float64(time.Second)))
	}
	if b.ctx.Err() != nil {
		return 0, b.ctx.Err()
	}
	b.r.mu.Lock()
	b.r.sent += n
	b.r.mu.Unlock()
	if b.d.bad {
		clear(p[:n])
	} else if !b.r.empty {
		content(p[:n], b.off)
	}
	b.off += n
	return int(n), nil
}

func (b *body) Close() error {
	b.r.close(b.ctx)
	return nil
}

// setup is a Controller with one File of a remote, in a bubble of synctest.
type setup struct {
	*testing.T
	c     *Controller
	f     *File
	store *memStore
	r     *remote
}

const rtt = 50 * time.Millisecond

func run1(t *testing.T, size int64, o Options, fn func(s *setup)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &setup{T: t, c: New(o), store: newStore(size), r: &remote{size: size, delay: rtt}}
		s.f = s.c.File(s.store, size, s.r.fetch)
		fn(s)
		s.c.Close()
		if n := s.c.o.Budget.inUse(); n != 0 {
			t.Errorf("%d bytes of the budget are never given back", n)
		}
		if n := len(s.c.residents) + len(s.c.active) + len(s.c.live); n != 0 {
			t.Errorf("%d parts and streams are left after Close", n)
		}
		if s.r.open != 0 {
			t.Errorf("%d requests are open after Close", s.r.open)
		}
	})
}

// read reads and compares.
func (s *setup) read(off, n int64) {
	s.Helper()
	if err := s.tryRead(context.Background(), off, n); err != nil {
		s.Error(err)
	}
}

func (s *setup) tryRead(ctx context.Context, off, n int64) error {
	p, want := make([]byte, n), make([]byte, n)
	m, err := s.f.ReadAt(ctx, p, off)
	if err != nil && err != io.EOF {
		return err
	}
	if left := max(s.f.size-off, 0); int64(m) != min(n, left) || (err == io.EOF) != (n > left) {
		return fmt.Errorf("read %d at %d: got %d bytes and %v", n, off, m, err)
	}
	content(want, off)
	if !bytes.Equal(p[:m], want[:m]) {
		return fmt.Errorf("read %d at %d: wrong bytes", n, off)
	}
	return nil
}

// took is how long fn takes.
func took(fn func()) time.Duration {
	start := time.Now()
	fn()
	return time.Since(start)
}
