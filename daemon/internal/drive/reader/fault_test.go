package reader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	errFlaky   = errors.New("flaky")
	errChanged = errors.New("changed")
	errDenied  = errors.New("denied")
)

// limitedError is a remote's request for a pause.
type limitedError struct{ after time.Duration }

func (e *limitedError) Error() string { return "too many requests" }

func isDeadline(err error) bool { return errors.Is(err, context.DeadlineExceeded) }

func options() Options {
	return Options{
		Retryable: func(err error) bool { return errors.Is(err, errFlaky) },
		Changed:   func(err error) bool { return errors.Is(err, errChanged) },
		RateLimited: func(err error) (time.Duration, bool) {
			var e *limitedError
			if errors.As(err, &e) {
				return e.after, true
			}
			return 0, false
		},
	}
}

// first misbehaves at the first n requests.
func first(n int, err error, d *damage) func(int, int64, int64) (*damage, error) {
	return func(i int, _, _ int64) (*damage, error) {
		if i < n {
			return d, err
		}
		return nil, nil
	}
}

func TestRetry(t *testing.T) {
	for _, k := range []struct {
		name  string
		fault func(int, int64, int64) (*damage, error)
		want  error // nil: the read gets its bytes
		asks  int
		most  time.Duration
	}{
		{"once", first(1, errFlaky, nil), nil, 2, 2*rtt + 100*time.Millisecond},
		{"three times", first(3, errFlaky, nil), nil, 4, 4*rtt + 700*time.Millisecond},
		{"always", first(99, errFlaky, nil), errFlaky, 4, 4*rtt + 700*time.Millisecond},
		{"for good", first(99, errDenied, nil), errDenied, 1, rtt},
		{"broken off", first(1, nil, &damage{stop: 100_000, err: io.ErrUnexpectedEOF}), nil, 2, 2*rtt + 100*time.Millisecond},
		{"short body", first(1, nil, &damage{stop: 100_000, err: io.EOF}), nil, 2, 2*rtt + 100*time.Millisecond},
		{"empty bodies", first(99, nil, &damage{stop: 0, err: io.EOF}), ErrLength, 4, 4*rtt + 700*time.Millisecond},
		{"silent from the start", first(1, nil, &damage{stop: 0}), nil, 2, 15*time.Second + rtt + 100*time.Millisecond},
		{"silent in the middle", first(1, nil, &damage{stop: 100_000}), nil, 2, 15*time.Second + 2*rtt + 100*time.Millisecond},
		{"silent for ever", first(99, nil, &damage{stop: 0}), ErrInactive, 4, 60*time.Second + 700*time.Millisecond},
	} {
		t.Run(k.name, func(t *testing.T) {
			run1(t, 1<<30, options(), func(s *setup) {
				s.r.breaks(k.fault)
				var wg sync.WaitGroup
				for range 3 { // all that wait get the same
					wg.Go(func() {
						var err error
						d := took(func() { err = s.tryRead(context.Background(), 7<<20, 4*Unit) })
						if !errors.Is(err, k.want) || d > k.most {
							s.Errorf("%v after %v; want %v within %v", err, d, k.want, k.most)
						}
					})
				}
				wg.Wait()
				synctest.Wait()
				if got := s.r.requests(); len(got) != k.asks {
					s.Errorf("asked for %v; want %d requests", got, k.asks)
				}
				if n := s.store.stored(); k.want != nil && n != 0 || k.want == nil && n != 4*Unit {
					s.Errorf("%d bytes are stored", n)
				}
				// Another read is another chance.
				if s.r.breaks(nil); k.want != nil {
					s.read(7<<20, 4*Unit)
				}
			})
		})
	}
}

// What came before a request broke is not asked for again.
func TestResume(t *testing.T) {
	run1(t, 1<<30, options(), func(s *setup) {
		s.r.fault = func(i int, off, n int64) (*damage, error) {
			return &damage{stop: Unit + 1, err: io.ErrUnexpectedEOF}, nil // each brings a bit more than a unit
		}
		s.read(0, 16*Unit)
		want := int64(0)
		for _, r := range s.r.requests() {
			if r.Off != want {
				s.Errorf("asked for %v; want it to go on at %d", r, want)
			}
			want += Unit + 1
		}
	})
}

// A body that is longer than asked for is of another place. Nothing of it gets
// into the store.
func TestLongBody(t *testing.T) {
	run1(t, 1<<30, options(), func(s *setup) {
		s.r.breaks(first(99, nil, &damage{stop: -1, more: 5, bad: true}))
		s.f.ReadAt(context.Background(), make([]byte, 3*Unit), 6<<20)
		time.Sleep(time.Minute)
		if n := s.store.stored(); n != 0 {
			s.Errorf("%d bytes are stored", n)
		}
		s.r.breaks(nil)
		s.read(6<<20, 3*Unit)
	})
}

// When the version is gone, all who wait are told, requests end, nothing is
// stored any more, and what was stored can be read.
func TestChanged(t *testing.T) {
	run1(t, 1<<30, options(), func(s *setup) {
		s.read(100<<20, Unit)
		s.r.rate = 1e6
		go s.f.ReadAt(context.Background(), make([]byte, 1<<20), 0)
		time.Sleep(100 * time.Millisecond)
		s.r.breaks(func(int, int64, int64) (*damage, error) { return nil, fmt.Errorf("get: %w", errChanged) })
		stored := s.store.stored()
		var wg sync.WaitGroup
		for i := range int64(5) {
			wg.Go(func() {
				if err := s.tryRead(context.Background(), (200+i*50)<<20, 10); !errors.Is(err, errChanged) {
					s.Errorf("got %v", err)
				}
			})
		}
		wg.Wait()
		time.Sleep(time.Minute)
		if n := s.store.stored(); n != stored {
			s.Errorf("%d bytes were stored after", n-stored)
		}
		asked := len(s.r.requests())
		if err := s.tryRead(context.Background(), 300<<20, 10); !errors.Is(err, errChanged) {
			s.Errorf("got %v", err)
		}
		if n := len(s.r.requests()); n != asked {
			s.Error("a version that is gone was asked for")
		}
		s.read(100<<20, Unit)
		s.f.Prefetch(0, 1<<30)
		if err := s.f.Wait(context.Background()); !errors.Is(err, errChanged) {
			s.Errorf("Wait: %v", err)
		}
	})
}

// A request that is later than nearly all others is made again, once, and the
// first one to answer counts.
func TestHedge(t *testing.T) {
	for _, wins := range []string{"second", "first"} {
		run1(t, 1<<40, options(), func(s *setup) {
			for i := range int64(20) {
				s.read(i<<30, 100)
			}
			late := &damage{delay: time.Hour, stop: -1}
			if wins == "first" {
				late.delay = rtt
			}
			s.r.breaks(first(21, nil, late))
			d := took(func() { s.read(900<<30, 100) })
			if most := 5 * rtt / 2; d > most {
				s.Errorf("a late request was made up for after %v; want at most %v", d, most)
			}
			st := s.c.Stats()
			if st.Hedges != 1 || len(s.r.requests()) != 22 {
				s.Errorf("%d hedges, %d requests", st.Hedges, len(s.r.requests()))
			}
			synctest.Wait()
			if n := s.c.Stats().InFlight; n != 0 {
				s.Errorf("%d requests go on", n)
			}
			s.read(900<<30, Unit)
		})
	}
	// A body that falls silent is made up for long before it is given up.
	run1(t, 1<<40, options(), func(s *setup) {
		for i := range int64(20) {
			s.read(i<<30, 100)
		}
		s.r.breaks(first(21, nil, &damage{stop: 3000}))
		if d := took(func() { s.read(900<<30, Unit) }); d > 2*time.Second {
			s.Errorf("it took %v", d)
		}
		if got := s.r.requests(); got[21].Off != 900<<30+3000 {
			s.Errorf("asked for %v", got[20:])
		}
	})
	// Hedges are few, however many requests are late.
	run1(t, 1<<40, options(), func(s *setup) {
		for i := range int64(100) {
			s.read(i<<30, 100)
		}
		s.r.fault = func(i int, off, n int64) (*damage, error) { return &damage{delay: time.Second, stop: -1}, nil }
		var wg sync.WaitGroup
		for i := range int64(16) {
			wg.Go(func() { s.read((200+i)<<30, 100) })
		}
		wg.Wait()
		if n := s.c.Stats().Hedges; n > maxHedges {
			s.Errorf("%d hedges", n)
		}
	})
}

// A remote that asks for fewer requests gets fewer, and none before it said.
func TestRateLimited(t *testing.T) {
	run1(t, 1<<40, options(), func(s *setup) {
		var told time.Time
		s.r.fault = func(i int, off, n int64) (*damage, error) {
			switch {
			case i < 16:
				told = time.Now().Add(rtt)
				return nil, &limitedError{5 * time.Second}
			case time.Since(told) < 5*time.Second:
				t.Errorf("request %d came after %v", i, time.Since(told))
			}
			return nil, nil
		}
		var wg sync.WaitGroup
		for i := range int64(40) {
			wg.Go(func() { s.read(i<<30, 100) })
		}
		time.Sleep(3 * time.Second)
		s.r.mu.Lock()
		s.r.mostOpen = 0
		s.r.mu.Unlock()
		time.Sleep(2200 * time.Millisecond)
		s.r.mu.Lock()
		if s.r.mostOpen > 8 {
			s.Errorf("%d requests at a time after a refusal of 16", s.r.mostOpen)
		}
		s.r.mu.Unlock()
		wg.Wait()
		// It comes back.
		for i := range int64(600) {
			wg.Go(func() { s.read(i<<30+1<<29, 100) })
		}
		wg.Wait()
		s.c.mu.Lock()
		defer s.c.mu.Unlock()
		if s.c.most != 16 {
			s.Errorf("%d requests at a time long after a refusal", s.c.most)
		}
	})
	// Nobody waits for a pause of minutes.
	run1(t, 1<<40, options(), func(s *setup) {
		s.r.breaks(first(1, &limitedError{5 * time.Minute}, nil))
		var e *limitedError
		if err := s.tryRead(context.Background(), 0, 100); !errors.As(err, &e) {
			s.Errorf("got %v", err)
		}
		d := took(func() {
			if err := s.tryRead(context.Background(), 1<<30, 100); !errors.As(err, &e) {
				s.Errorf("got %v", err)
			}
		})
		if d != 0 || len(s.r.requests()) != 1 {
			s.Errorf("%d requests, %v", len(s.r.requests()), d)
		}
		time.Sleep(5 * time.Minute)
		s.read(1<<30, 100)
	})
}

// Where each connection is slow, more of them are used, as long as that gains.
func TestMoreAtATime(t *testing.T) {
	for _, k := range []struct {
		each       float64 // bytes per second of one request
		less, more int
	}{{2e6, 9, 12}, {25e6, 4, 6}} {
		sim(t, 320<<20, rtt, 25e6, Options{}, func(c *Controller, f *File, r *remote) {
			r.each = k.each
			readAll(t, f, f.size, 4<<20, 256<<10, r.bytes)
			if n := c.Stats().Parallel; n < k.less || n > k.more {
				t.Errorf("%d requests ahead at a time where each brings %v MB/s of 25", n, k.each/1e6)
			}
		})
	}
}
