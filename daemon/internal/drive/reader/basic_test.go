package reader

import (
	"sync"
	"testing"
	"testing/synctest"
)

// A random read asks for the units it touches, gets its bytes before these are
// complete, and a second one needs no request.
func TestRandom(t *testing.T) {
	run1(t, 1<<30, Options{}, func(s *setup) {
		s.r.rate = 1 << 20 // a unit takes 62 ms
		d := took(func() { s.read(500<<20+100, 4096) })
		if d > rtt*6/5+16e6 { // what is sent at a time takes 16 ms
			s.Errorf("the first byte came after %v", d)
		}
		synctest.Wait()
		if got := s.r.requests(); len(got) != 1 || got[0] != (Range{Off: 500 << 20, N: Unit}) {
			s.Errorf("asked for %v", got)
		}
		s.read(500<<20+Unit-8, 8)
		if d := took(func() { s.read(500<<20, Unit) }); d != 0 {
			s.Errorf("a read of what is there took %v", d)
		}
		s.read(1<<30-10, 100)
		if got := s.r.requests(); len(got) != 2 || got[1] != (Range{Off: 1<<30 - Unit, N: Unit}) {
			s.Errorf("asked for %v", got)
		}
	})
}

// However many readers want the same bytes, they are asked for once.
func TestSingleFlight(t *testing.T) {
	run1(t, 100<<20, Options{}, func(s *setup) {
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() { s.read(50<<20+int64(i)*1000, 200<<10) })
		}
		wg.Wait()
		seen := map[int64]int{}
		for _, r := range s.r.requests() {
			for u := r.Off / Unit; u < (r.Off+r.N)/Unit; u++ {
				seen[u]++
			}
		}
		for u, n := range seen {
			if n > 1 {
				s.Errorf("unit %d was asked for %d times", u, n)
			}
		}
	})
}
