package blocks

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/moorage/moorage/daemon/internal/drive/disk"
	"github.com/moorage/moorage/daemon/internal/drive/disk/disktest"
)

// unit names a unit of a version.
type unit struct {
	Key
	n int64
}

// model is what may be on a disk, and what must.
type model struct {
	sizes map[Key]int64
	keys  []Key
	put   map[unit]bool // ever
	now   map[unit]bool // by this process
	safe  map[unit]bool // Flush has returned since, and nothing took it away
}

func newModel(rng *rand.Rand) *model {
	m := &model{sizes: map[Key]int64{}, put: map[unit]bool{}, now: map[unit]bool{}, safe: map[unit]bool{}}
	for object := range uint64(3) {
		for _, version := range []string{"1", "2"} {
			k := Key{object<<7 + 1, version} // in two folders
			size := 1 + rng.Int64N(4*Unit)
			if rng.IntN(3) == 0 {
				size = extentSize - Unit + rng.Int64N(3*extentSize)
			}
			m.sizes[k] = size
			m.keys = append(m.keys, k)
		}
	}
	return m
}

// pick picks a few units that lie together, of few places, so that they are
// picked again.
func (m *model) pick(rng *rand.Rand) (k Key, first, n int64) {
	k = m.keys[rng.IntN(len(m.keys))]
	units := (m.sizes[k] + Unit - 1) / Unit
	first = rng.Int64N(units)
	if units > 8 {
		first = rng.Int64N(4)*255 + rng.Int64N(4)
	}
	first = min(first, units-1)
	return k, first, min(1+rng.Int64N(3), units-first)
}

func (m *model) dropped(which func(Key) bool) {
	for u := range m.safe {
		if which(u.Key) {
			delete(m.safe, u)
		}
	}
}

// check reads everything.
func (m *model) check(c *Cache) error {
	for _, k := range m.keys {
		f, err := c.File(k, m.sizes[k])
		if err != nil {
			return err
		}
		defer f.Close()
		units := (m.sizes[k] + Unit - 1) / Unit
		for n := range units {
			u := unit{k, n}
			if units > 1100 && !m.put[u] && n%50 != 0 {
				continue
			}
			has := total(f.Have(n*Unit, 1)) > 0
			got, err := tryGet(f, n*Unit, Unit)
			switch {
			case err != nil:
				return err
			case got && !m.put[u]:
				return fmt.Errorf("unit %v was never put and is there", u)
			case got && !has:
				return fmt.Errorf("unit %v is there and Have does not say so", u)
			case !got && m.safe[u]:
				return fmt.Errorf("unit %v was flushed and is not there", u)
			}
		}
	}
	return nil
}

// TestCrash does random things and cuts the power, or kills the process, at a
// random moment, again and again on the same disk.
func TestCrash(t *testing.T) {
	runs := 15
	if testing.Short() {
		runs = 10
	} else if long() {
		runs = 3000
	}
	for seed := range uint64(runs) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { crashRun(t, seed) })
		if t.Failed() {
			return
		}
	}
}

func crashRun(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	m := newModel(rng)
	d := disktest.New(seed)
	limited := rng.IntN(3) == 0
	for range 5 {
		next := make(chan *disktest.Disk, 1)
		kill, dice := rng.IntN(4) == 0, rand.New(rand.NewPCG(rng.Uint64(), 0))
		d.CrashAt(d.Ops()+1+rng.Uint64N(200), func() { // in whichever goroutine
			if kill {
				next <- d.Kill()
			} else {
				next <- d.Crash(dice)
			}
		})
		o := Options{Floor: -1}
		if limited {
			o.Limit = 20 * Unit
		}
		tune := manual()
		tune.files = 2
		clear(m.now)
		var fs disk.FS = d
		if seed%2 == 1 {
			fs = atOnce{d}
		}
		c, err := open(fs, o, tune)
		if err == nil {
			err = m.check(c)
			for step := 0; step < 100 && err == nil && !d.Dead(); step++ {
				err = m.step(c, rng, limited)
			}
			if cerr := c.Close(); err == nil {
				err = cerr
			}
		}
		if err != nil && !d.Dead() {
			t.Fatal(err)
		}
		if d.Dead() {
			d = <-next
		} else {
			d = d.Crash(rng)
		}
	}
}

// step does one thing. Errors without a cut of power are failures, and so are
// other bytes with one.
func (m *model) step(c *Cache, rng *rand.Rand, limited bool) error {
	k, first, n := m.pick(rng)
	f, err := c.File(k, m.sizes[k])
	if err != nil {
		return err
	}
	defer f.Close()
	switch rng.IntN(12) {
	default:
		for u := first; u < first+n; u++ {
			m.put[unit{k, u}], m.now[unit{k, u}] = true, true
		}
		err := tryPut(f, first, n)
		if limited && errors.Is(err, ErrFull) {
			err = nil
		}
		return err
	case 3, 4, 5:
		_, err := tryGet(f, first*Unit+rng.Int64N(Unit), rng.Int64N(n*Unit)+1)
		return err
	case 6:
		present := map[unit]bool{}
		for u := range m.now {
			g, err := c.File(u.Key, m.sizes[u.Key])
			if err != nil {
				return err
			}
			present[u] = total(g.Have(u.n*Unit, 1)) > 0
			g.Close()
		}
		if err := c.Flush(); err != nil || limited {
			return err
		}
		for u, p := range present {
			if p {
				m.safe[u] = true
			}
		}
	case 7:
		return c.flushAll(false)
	case 8:
		m.dropped(func(Key) bool { return true })
		c.evict()
	case 9:
		switch rng.IntN(4) {
		case 0:
			m.dropped(func(o Key) bool { return o.Object == k.Object })
			c.Drop(k.Object)
		case 1:
			m.dropped(func(o Key) bool { return o.Object == k.Object && o != k })
			c.Prune(k)
		}
	case 10:
		_, _, _ = f.Span(0, 1)
		c.checkMark()
	}
	return nil
}

// TestCrashConcurrent cuts the power while many do things.
func TestCrashConcurrent(t *testing.T) {
	runs := 4
	if testing.Short() {
		runs = 1
	} else if long() {
		runs = 500
	}
	for seed := range uint64(runs) {
		rng := rand.New(rand.NewPCG(seed, 2))
		m := newModel(rng)
		for _, k := range m.keys { // all may be there
			for n := range (m.sizes[k] + Unit - 1) / Unit {
				m.put[unit{k, n}] = true
			}
		}
		d := disktest.New(seed)
		for range 3 {
			next := make(chan *disktest.Disk, 1)
			dice := rand.New(rand.NewPCG(rng.Uint64(), 0))
			d.CrashAt(d.Ops()+100+rng.Uint64N(1500), func() { next <- d.Crash(dice) })
			tune := manual()
			tune.files, tune.flush, tune.unflush = 3, 1e6, 10*Unit
			var fs disk.FS = d
			if seed%2 == 1 {
				fs = atOnce{d}
			}
			c, err := open(fs, Options{Floor: -1, Limit: 60 * Unit}, tune)
			if err == nil {
				concurrent(t, c, m, seed, d.Dead)
				_ = c.Close() // without power it fails
			}
			if err != nil && !d.Dead() {
				t.Fatal(err)
			}
			if d.Dead() {
				d = <-next
			}
		}
		d.CrashAt(0, nil)
		c, err := open(d, Options{Floor: -1}, manual())
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(m.check(c), c.Close()); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// concurrent has many goroutines read, write and take away until it is the end.
func concurrent(t *testing.T, c *Cache, m *model, seed uint64, ended func() bool) {
	var g sync.WaitGroup
	for i := range uint64(6) {
		g.Go(func() {
			rng := rand.New(rand.NewPCG(seed, i))
			for step := 0; step < 500 && !ended(); step++ {
				k, first, n := m.pick(rng)
				f, err := c.File(k, m.sizes[k])
				if err != nil {
					t.Error(err)
					return
				}
				switch rng.IntN(20) {
				default:
					_, err = tryGet(f, first*Unit+rng.Int64N(Unit), rng.Int64N(n*Unit)+1)
				case 0, 1, 2, 3, 4, 5:
					err = tryPut(f, first, n)
				case 6:
					f.Have(0, m.sizes[k])
				case 7:
					c.evict()
				case 8:
					if rng.IntN(5) == 0 {
						c.Drop(k.Object)
					} else {
						c.Prune(k)
					}
				case 9:
					if rng.IntN(10) == 0 {
						err = c.Flush()
					}
				}
				f.Close()
				if err != nil && !errors.Is(err, ErrFull) && (strings.Contains(err.Error(), "other bytes") || !ended()) {
					t.Errorf("seed %d: %v", seed, err)
					return
				}
			}
		})
	}
	g.Wait()
}
