package reader

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// twice fails if any unit was asked for more than once.
func (s *setup) twice() {
	s.Helper()
	seen := map[int64]bool{}
	for _, r := range s.r.requests() {
		for u := r.Off / Unit; u*Unit < r.Off+r.N; u++ {
			if seen[u] {
				s.Errorf("unit %d was asked for twice: %v", u, s.r.requests())
				return
			}
			seen[u] = true
		}
	}
}

// streams is how many run ahead.
func (s *setup) streams() int {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return len(s.c.live)
}

// Kernels read ahead with many READs at a time, which come in any order within
// some 2 MiB. That is one stream and nothing is fetched twice or in vain.
func TestReordered(t *testing.T) {
	for seed := range uint64(4) {
		const size, piece = 16 << 20, 128 << 10
		run1(t, size, Options{}, func(s *setup) {
			s.r.rate = 25e6
			rng := rand.New(rand.NewPCG(seed, 1))
			reads := make(chan int64)
			var wg sync.WaitGroup
			for range 16 {
				wg.Go(func() {
					for off := range reads {
						time.Sleep(time.Duration(off / piece * 7919 % 2000 * 1000))
						s.read(off, piece)
					}
				})
			}
			// A window of 16 reads of which a random one goes next.
			var window []int64
			next := int64(0)
			for next < size || len(window) > 0 {
				for len(window) < 16 && next < size {
					window = append(window, next)
					next += piece
				}
				i := rng.IntN(len(window))
				if window[len(window)-1]-window[0] > reorder-4*piece {
					i = 0
				}
				reads <- window[i]
				window = append(window[:i], window[i+1:]...)
			}
			close(reads)
			wg.Wait()
			s.twice()
			if n := s.r.total(); n != size {
				s.Errorf("asked for %d bytes of %d", n, size)
			}
			if n := len(s.r.requests()); n > 16+40 {
				s.Errorf("%d requests for %d MiB", n, size>>20)
			}
			if n := s.streams(); n != 1 {
				s.Errorf("%d streams were seen", n)
			}
		})
	}
}

// Random reads fetch the units that they touch and none besides, also when
// there are thousands in a file of a few megabytes.
func TestRandomIsExact(t *testing.T) {
	for _, size := range []int64{1 << 40, 64 << 20} {
		run1(t, size, Options{}, func(s *setup) {
			rng := rand.New(rand.NewPCG(3, uint64(size)))
			units := map[int64]bool{}
			for range 300 {
				off := rng.Int64N(size/4096) * 4096
				units[off/Unit] = true
				s.read(off, 4096)
			}
			s.twice()
			if n := s.r.total(); n > int64(len(units))*Unit*11/10 {
				s.Errorf("asked for %d KiB; the reads touch %d", n>>10, len(units)*Unit>>10)
			}
		})
	}
}

// An application's random read of 256 KiB comes as two READs or more at a time.
// That is no stream.
func TestRandomLarge(t *testing.T) {
	for _, piece := range []int64{32 << 10, 128 << 10, 256 << 10} {
		const size = 10 << 30
		run1(t, size, Options{}, func(s *setup) {
			rng := rand.New(rand.NewPCG(4, uint64(piece)))
			for range 100 {
				off := rng.Int64N(size/(256<<10)) * (256 << 10)
				var wg sync.WaitGroup
				for at := off; at < off+256<<10; at += piece {
					wg.Go(func() { s.read(at, piece) })
				}
				wg.Wait()
			}
			time.Sleep(time.Second)
			s.twice()
			if n := s.r.total(); n > 100*256<<10*13/10 {
				s.Errorf("asked for %d KiB; %d were read", n>>10, 100*256)
			}
		})
	}
}

// Whoever reads on gets a window ahead, from the start of the file or not.
func TestRunsAhead(t *testing.T) {
	for _, start := range []int64{0, 300<<20 + 4096*3} {
		run1(t, 1<<30, Options{}, func(s *setup) {
			for off := start; off < start+1<<20; off += 128 << 10 {
				s.read(off, 128<<10)
			}
			time.Sleep(time.Second)
			before := len(s.r.requests())
			ahead := s.store.stored() - 1<<20
			if ahead < 512<<10 || ahead > 16<<20 {
				s.Errorf("%d KiB were fetched ahead", ahead>>10)
			}
			if d := took(func() { s.read(start+1<<20, 128<<10) }); d != 0 {
				s.Errorf("a read of what was fetched ahead took %v", d)
			}
			if before > 12 {
				s.Errorf("%d requests", before)
			}
			s.twice()
		})
	}
}

// Who reads backwards does not want what lies ahead.
func TestBackwards(t *testing.T) {
	run1(t, 1<<30, Options{}, func(s *setup) {
		for i := range int64(64) {
			s.read(500<<20-(i+1)*128<<10, 128<<10)
		}
		time.Sleep(time.Second)
		s.twice()
		if n := s.r.total(); n > 9<<20 {
			s.Errorf("asked for %d KiB; 8192 were read", n>>10)
		}
	})
}

// Who reads a little here and there but onwards gets the gaps as well, where
// these cost no more time than a request.
func TestStride(t *testing.T) {
	run1(t, 1<<30, Options{}, func(s *setup) {
		s.r.rate = 25e6
		for off := int64(0); off < 8<<20; off += 1 << 20 { // learn the link
			s.read(off, 1<<20)
		}
		start := int64(100 << 20)
		d := took(func() {
			for i := range int64(200) {
				s.read(start+i*192<<10, 4096)
			}
		})
		if d > 200*rtt/3 {
			s.Errorf("200 short steps ahead took %v", d)
		}
		s.twice()
	})
}

// A small file that is read from its start comes whole, with one request.
func TestSmallFile(t *testing.T) {
	run1(t, 700_000, Options{}, func(s *setup) {
		s.read(0, 4096)
		time.Sleep(time.Second)
		s.read(690_000, 20_000)
		if got := s.r.requests(); len(got) != 1 || got[0] != (Range{Off: 0, N: 700_000}) {
			s.Errorf("asked for %v", got)
		}
		if n := s.store.stored(); n != 700_000 {
			s.Errorf("%d bytes are stored", n)
		}
	})
	run1(t, 700_000, Options{}, func(s *setup) {
		s.read(300_000, 10)
		time.Sleep(time.Second)
		if n := s.r.total(); n != Unit {
			s.Errorf("asked for %d bytes", n)
		}
	})
	run1(t, 0, Options{}, func(s *setup) {
		s.read(0, 10)
		if len(s.r.requests()) != 0 {
			s.Error("asked for something of an empty file")
		}
	})
}

// What the store has is not fetched: not by reads, not ahead of them. Small
// islands in a read are fetched over if that saves a request.
func TestPartlyStored(t *testing.T) {
	run1(t, 64<<20, Options{}, func(s *setup) {
		for off := int64(0); off < 64<<20; off += 8 << 20 {
			b := make([]byte, 4<<20)
			content(b, off)
			if err := s.store.WriteAt(b, off); err != nil {
				s.Fatal(err)
			}
		}
		for off := int64(0); off < 64<<20; off += 256 << 10 {
			s.read(off, 256<<10)
		}
		s.twice()
		if n := s.r.total(); n != 32<<20 {
			s.Errorf("asked for %d MiB; 32 were missing", n>>20)
		}
	})
	run1(t, 1<<30, Options{}, func(s *setup) {
		s.r.rate = 25e6
		for off := int64(0); off < 8<<20; off += 1 << 20 { // learn the link
			s.read(off, 1<<20)
		}
		time.Sleep(4 * time.Second)
		s.read(500<<20+2*Unit, Unit)
		before := len(s.r.requests())
		s.read(500<<20, 5*Unit)
		if got := s.r.requests()[before:]; len(got) != 1 || got[0] != (Range{Off: 500 << 20, N: 5 * Unit}) {
			s.Errorf("asked for %v", got)
		}
	})
}

// When nobody reads on, or reads elsewhere, what runs ahead is given up, but
// for what is nearly there.
func TestAbandoned(t *testing.T) {
	for _, away := range []bool{false, true} {
		run1(t, 1<<30, Options{}, func(s *setup) {
			s.r.rate = 1e6 // of which the window takes seconds
			for off := int64(0); off < 2<<20; off += 256 << 10 {
				s.read(off, 256<<10)
			}
			limit := idleAfter
			if away {
				s.read(900<<20, 4096)
				limit = awayAfter
			}
			time.Sleep(limit + 2*tidyEvery)
			synctest.Wait()
			n := s.r.bytes()
			if open := s.c.Stats().InFlight; open > 1 {
				s.Errorf("%d requests go on after %v", open, limit)
			}
			time.Sleep(time.Minute)
			if more := s.r.bytes() - n; more > 256<<10 {
				s.Errorf("%d KiB came after nobody read any more", more>>10)
			}
			if s.streams() != 0 {
				s.Error("the stream lives on")
			}
			// Whole units of what came are kept.
			stored := s.store.stored()
			if got := s.c.Stats().Fetched; stored < got*9/10 {
				s.Errorf("%d KiB of %d are stored", stored>>10, got>>10)
			}
			// And it goes on where it stopped.
			for off := int64(2 << 20); off < 4<<20; off += 256 << 10 {
				s.read(off, 256<<10)
			}
			if s.streams() != 1 {
				s.Error("the stream is not found again")
			}
		})
	}
}

// A read whose ctx ends returns at once; what it began gets into the store.
func TestReaderLeaves(t *testing.T) {
	run1(t, 1<<30, Options{}, func(s *setup) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		var err error
		d := took(func() { err = s.tryRead(ctx, 5<<20, 300<<10) })
		if d != 10*time.Millisecond || !isDeadline(err) {
			s.Errorf("%v after %v", err, d)
		}
		time.Sleep(rtt)
		if n := s.store.stored(); n != 5*Unit {
			s.Errorf("%d bytes are stored", n)
		}
		// With ctx over, what is there can still be read.
		if err := s.tryRead(ctx, 5<<20, 300<<10); err != nil {
			s.Error(err)
		}
		if err := s.tryRead(ctx, 9<<20, 1); !isDeadline(err) {
			s.Errorf("got %v", err)
		}
		time.Sleep(time.Second)
		if n := len(s.r.requests()); n != 1 {
			s.Errorf("%d requests", n)
		}
	})
}
