package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// readerAt is whatever a file is read through.
type readerAt interface {
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
}

// stream is what reading a file from its beginning came to.
type stream struct {
	all, settled float64 // of the link; settled is from 1 s on
	fetched      float64 // bytes on the link for each one read
}

func (s stream) String() string {
	return fmt.Sprintf("%.3f; %.3f from 1 s on; %.3f fetched", s.all, s.settled, s.fetched)
}

// stream reads size bytes in blocks, of which so many are under way.
func (f *far) stream(ctx context.Context, r readerAt, size, block int64, depth int) (stream, error) {
	before := f.link.Stats().Down
	var mu sync.Mutex
	early := before
	timer := time.AfterFunc(time.Second, func() {
		mu.Lock()
		defer mu.Unlock()
		early = f.link.Stats().Down
	})
	defer timer.Stop()
	pool := sync.Pool{New: func() any {
		b := make([]byte, block)
		return &b
	}}
	start := time.Now()
	err := blocks(ctx, size, block, depth, func(ctx context.Context, off, n int64) error {
		p := pool.Get().(*[]byte)
		defer pool.Put(p)
		_, err := r.ReadAt(ctx, (*p)[:n], off)
		return err
	})
	took := time.Since(start)
	after := f.link.Stats().Down
	mu.Lock()
	defer mu.Unlock()
	s := stream{all: f.rate(size, took), fetched: float64(after-before) / float64(size)}
	if took > time.Second {
		s.settled = f.rate(after-early, took-time.Second)
	}
	return s, err
}

// scatter is what random reads came to.
type scatter struct {
	p50, p99 float64 // round trips
	rate     float64 // reads a second
	each     int64   // bytes on the link for each
	reads    int
}

func (s scatter) String() string {
	return fmt.Sprintf("p50 %.2f RTT, p99 %.2f RTT; %.0f/s; %d KiB fetched for each", s.p50, s.p99, s.rate, s.each>>10)
}

// scatter has 4 KiB read at random places of a file, by so many at a time, for a
// while. What is read lies far apart from what was read before, so that each is
// cold.
func (f *far) scatter(ctx context.Context, r readerAt, size int64, readers int, d time.Duration) (scatter, error) {
	const cell = 1 << 20 // no place twice
	places := rand.New(rand.NewPCG(uint64(readers), 1)).Perm(int(size / cell))
	before := f.link.Stats().Down
	var mu sync.Mutex
	var took []time.Duration
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	start := time.Now()
	for i := range readers {
		wg.Go(func() {
			p := make([]byte, 4096)
			rng := rand.New(rand.NewPCG(uint64(i), 2))
			for time.Since(start) < d && ctx.Err() == nil {
				mu.Lock()
				if len(places) == 0 {
					mu.Unlock()
					return
				}
				place := places[0]
				places = places[1:]
				mu.Unlock()
				t0 := time.Now()
				if _, err := r.ReadAt(ctx, p, int64(place)*cell+rng.Int64N(cell/4096)*4096); err != nil {
					cancel(err)
					return
				}
				t1 := time.Now()
				mu.Lock()
				took = append(took, t1.Sub(t0))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	all := time.Since(start)
	f.settle()
	if len(took) == 0 {
		return scatter{}, context.Cause(ctx)
	}
	slices.Sort(took)
	return scatter{
		p50: f.rtts(took[len(took)/2]), p99: f.rtts(took[len(took)*99/100]), rate: float64(len(took)) / all.Seconds(),
		each: (f.link.Stats().Down - before) / int64(len(took)), reads: len(took),
	}, context.Cause(ctx)
}

// median is the middle one of some numbers, 0 of none.
func median(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	x = slices.Sorted(slices.Values(x))
	return x[len(x)/2]
}

// timed is how long something takes, in seconds.
func timed(do func() error) (float64, error) {
	start := time.Now()
	err := do()
	return time.Since(start).Seconds(), err
}
