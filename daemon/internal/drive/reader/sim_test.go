package reader

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// The goals, measured in a bubble of synctest against a remote whose delay and
// rate are exact: what comes out is the same at every run and on every machine.

// sim is a file far away.
func sim(t *testing.T, size int64, delay time.Duration, rate float64, o Options, fn func(c *Controller, f *File, r *remote)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &remote{size: size, delay: delay, rate: rate, empty: true}
		c := New(o)
		defer c.Close()
		fn(c, c.File(newSink(), size, r.fetch), r)
	})
}

func TestSequentialRate(t *testing.T) {
	for _, k := range []struct {
		name  string
		rtt   time.Duration
		rate  float64 // bits per second
		size  int64
		ahead int64 // bytes that the client asks for at a time; 0: one read
		read  int
		all   float64 // of the link, at least, the first second included
	}{
		{"one reader of 1 MiB", 50 * time.Millisecond, 200e6, 48 << 20, 0, 1 << 20, 0.92},
		{"one reader of 128 KiB", 50 * time.Millisecond, 200e6, 48 << 20, 0, 128 << 10, 0.90},
		{"8 MiB ahead in 512 KiB", 50 * time.Millisecond, 200e6, 48 << 20, 8 << 20, 512 << 10, 0.95},
		{"2 MiB ahead in 128 KiB", 50 * time.Millisecond, 200e6, 48 << 20, 2 << 20, 128 << 10, 0.94},
		{"512 KiB ahead in 32 KiB", 50 * time.Millisecond, 200e6, 48 << 20, 512 << 10, 32 << 10, 0.92},
		{"near", time.Millisecond, 1e9, 160 << 20, 2 << 20, 128 << 10, 0.98},
		{"slow", 100 * time.Millisecond, 10e6, 8 << 20, 2 << 20, 128 << 10, 0.94},
		{"far and fast", 150 * time.Millisecond, 1e9, 384 << 20, 4 << 20, 256 << 10, 0.75},
	} {
		t.Run(k.name, func(t *testing.T) {
			sim(t, k.size, k.rtt, k.rate/8, Options{}, func(c *Controller, f *File, r *remote) {
				all, settled := readAll(t, f, k.size, k.ahead, k.read, r.bytes)
				s := c.Stats()
				t.Logf("%.3f of the link, from 1 s on %.3f; %d requests, at most %d at a time, %.3f fetched, rtt %v, %.1f MB/s, %d ahead",
					all*8/k.rate, settled*8/k.rate, s.Requests, r.mostOpen, float64(s.Fetched)/float64(k.size), s.RTT, float64(s.Bandwidth)/1e6, s.Parallel)
				if settled*8/k.rate < 0.95 || all*8/k.rate < k.all {
					t.Errorf("%.3f of the link, from 1 s on %.3f", all*8/k.rate, settled*8/k.rate)
				}
				if float64(s.Fetched) > 1.05*float64(k.size) {
					t.Errorf("%d bytes were fetched for %d", s.Fetched, k.size)
				}
				if most := int64(k.size/usualPart)*3 + 40; s.Requests > most {
					t.Errorf("%d requests; want at most %d", s.Requests, most)
				}
			})
		})
	}
}

func TestRandomRate(t *testing.T) {
	const size, delay, rate = 10 << 30, 50 * time.Millisecond, 200e6
	rates := map[int]float64{}
	for _, readers := range []int{1, 16} {
		sim(t, size, delay, rate/8, Options{}, func(c *Controller, f *File, r *remote) {
			var mu sync.Mutex
			var times []time.Duration
			var wg sync.WaitGroup
			start := time.Now()
			for i := range readers {
				rng := rand.New(rand.NewPCG(uint64(i), uint64(readers)))
				wg.Go(func() {
					for time.Since(start) < 10*time.Second {
						d := took(func() {
							if _, err := f.ReadAt(context.Background(), make([]byte, 4096), rng.Int64N(size/4096)*4096); err != nil {
								t.Error(err)
							}
						})
						mu.Lock()
						times = append(times, d)
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			slices.Sort(times)
			rates[readers] = float64(len(times)) / time.Since(start).Seconds()
			s := c.Stats()
			p50, p99 := float64(times[len(times)/2])/float64(delay), float64(times[len(times)*99/100])/float64(delay)
			t.Logf("%d readers: p50 %.2f RTT, p99 %.2f RTT, %.0f a second, %d KiB each, %d hedges", readers, p50, p99, rates[readers], s.Fetched/int64(len(times))>>10, s.Hedges)
			if p50 > 1.2 {
				t.Errorf("p50 is %.2f RTT", p50)
			}
			if s.Fetched > int64(len(times))*256<<10 {
				t.Errorf("%d bytes were fetched for %d reads", s.Fetched, len(times))
			}
		})
	}
	if rates[16] < 12*rates[1] {
		t.Errorf("16 readers read %.1f times as much as one", rates[16]/rates[1])
	}
}

// Four streams and 64 random readers in one file: the streams are found, the
// link is busy, and memory stays small.
func TestMixedLoad(t *testing.T) {
	const size, rate = 10 << 30, 200e6
	sim(t, size, 50*time.Millisecond, rate/8, Options{}, func(c *Controller, f *File, r *remote) {
		ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
		defer cancel()
		var streamed [4]int64
		var random, most atomic.Int64
		var wg sync.WaitGroup
		for i := range streamed {
			wg.Go(func() {
				p := make([]byte, 128<<10)
				for off := int64(i) << 30; ; off += int64(len(p)) {
					if _, err := f.ReadAt(ctx, p, off); err != nil {
						return
					}
					streamed[i] += int64(len(p))
				}
			})
		}
		for i := range 64 {
			rng := rand.New(rand.NewPCG(7, uint64(i)))
			wg.Go(func() {
				p := make([]byte, 4096)
				for {
					if _, err := f.ReadAt(ctx, p, rng.Int64N(size/4096)*4096); err != nil {
						return
					}
					random.Add(1)
					m := c.o.Budget.inUse()
					for old := most.Load(); m > old && !most.CompareAndSwap(old, m); old = most.Load() {
					}
				}
			})
		}
		wg.Wait()
		s := c.Stats()
		all := float64(s.Fetched) / ctxSeconds / (rate / 8)
		t.Logf("streams got %v KiB/s, random readers %d a second; %.3f of the link; memory at most %d MiB; %d requests", kib(streamed[:]), random.Load()/ctxSeconds, all, most.Load()>>20, s.Requests)
		if most.Load() > 64<<20 {
			t.Errorf("%d bytes of memory", most.Load())
		}
		if all < 0.85 {
			t.Errorf("%.3f of the link", all)
		}
		for i, n := range streamed {
			if n < 8*usualPart {
				t.Errorf("stream %d got %d bytes", i, n)
			}
		}
	})
}

const ctxSeconds = 8

func kib(ns []int64) (out []int64) {
	for _, n := range ns {
		out = append(out, n>>10/ctxSeconds)
	}
	return out
}
