package reader

// What is measured here is against a bare loop of parallel range requests in
// the same run, through a link of 50 ms and 200 Mbit/s. It takes a minute and
// runs with MOORAGE_TEST_LONG=1 in the environment. A time is never a reason to
// fail; counts of bytes and requests are.

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/drivetest/link"
)

const (
	goalRTT  = 50 * time.Millisecond
	goalRate = 200e6 // bits per second
)

// flat is a file of size bytes for http.ServeContent. Its bytes cost nothing,
// so that the link is what is measured.
type flat struct{ size, at int64 }

func (f *flat) Read(p []byte) (int, error) {
	n := min(int64(len(p)), f.size-f.at)
	if n <= 0 {
		return 0, io.EOF
	}
	f.at += n
	return int(n), nil
}

func (f *flat) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += f.at
	case io.SeekEnd:
		off += f.size
	}
	f.at = off
	return off, nil
}

// sink is a Store that knows what it has and not the bytes.
type sink struct {
	mu   sync.Mutex
	have map[int64]bool
}

func newSink() *sink { return &sink{have: map[int64]bool{}} }

func (s *sink) Have(off, n int64) []Range {
	s.mu.Lock()
	defer s.mu.Unlock()
	var rs []Range
	for u := off / Unit; u*Unit < off+n; u++ {
		if s.have[u] {
			rs = append(rs, Range{Off: u * Unit, N: Unit})
		}
	}
	return rs
}

func (s *sink) ReadAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for u := off / Unit; u*Unit < off+int64(len(p)); u++ {
		if !s.have[u] {
			return 0, errMissing
		}
	}
	return len(p), nil
}

func (s *sink) WriteAt(p []byte, off int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := 0; i < len(p); i += Unit {
		s.have[(off+int64(i))/Unit] = true
	}
	return nil
}

// far is a web server behind a link.
type far struct {
	link   *link.Proxy
	client *http.Client
	url    string
	size   int64
}

func newFar(tb testing.TB, size int64, o link.Options) *far {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, &flat{size: size})
	}))
	tb.Cleanup(srv.Close)
	p, err := link.Listen(srv.Listener.Addr().String(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { p.Close() })
	t := &http.Transport{MaxIdleConnsPerHost: 64}
	tb.Cleanup(t.CloseIdleConnections)
	return &far{link: p, client: &http.Client{Transport: t}, url: "http://" + p.Addr() + "/", size: size}
}

func (f *far) fetch(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", f.url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+n-1))
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusPartialContent {
		resp.Body.Close()
		return nil, fmt.Errorf("status %s", resp.Status)
	}
	return resp.Body, nil
}

// warm makes n connections, which an engine that has just looked has.
func (f *far) warm(tb testing.TB, n int) {
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			b, err := f.fetch(context.Background(), 0, 1)
			if err != nil {
				tb.Error(err)
				return
			}
			time.Sleep(2 * f.rtt())
			io.Copy(io.Discard, b)
			b.Close()
		})
	}
	wg.Wait()
}

func (f *far) rtt() time.Duration { return goalRTT }

// raw reads size bytes by parallel range requests and gives the rate in bytes
// per second.
func (f *far) raw(tb testing.TB, size, part int64, workers int) float64 {
	var next atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range workers {
		wg.Go(func() {
			for {
				off := next.Add(part) - part
				if off >= size {
					return
				}
				b, err := f.fetch(context.Background(), off, min(part, size-off))
				if err != nil {
					tb.Error(err)
					return
				}
				io.Copy(io.Discard, b)
				b.Close()
			}
		})
	}
	wg.Wait()
	return float64(size) / time.Since(start).Seconds()
}

func long(tb testing.TB) {
	if os.Getenv("MOORAGE_TEST_LONG") != "1" {
		tb.Skip("a measurement of a minute; MOORAGE_TEST_LONG=1 runs it")
	}
}

func goalLink() link.Options { return link.Options{RTT: goalRTT, Rate: goalRate} }

// readAll reads like a kernel's client that has ahead bytes of READs of size
// bytes outstanding, or one if that is less. It returns bytes per second, and
// those of the time from 1 s on, of which sent tells.
func readAll(tb testing.TB, f *File, size, ahead int64, read int, sent func() int64) (all, settled float64) {
	var next, early atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	timer := time.AfterFunc(time.Second, func() { early.Store(sent()) })
	defer timer.Stop()
	for range max(ahead/int64(read), 1) {
		wg.Go(func() {
			p := make([]byte, read)
			for {
				off := next.Add(int64(read)) - int64(read)
				if off >= size {
					return
				}
				if _, err := f.ReadAt(context.Background(), p, off); err != nil && err != io.EOF {
					tb.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	t := time.Since(start)
	return float64(size) / t.Seconds(), float64(sent()-early.Load()) / (t - time.Second).Seconds()
}

func TestGoalSequential(t *testing.T) {
	long(t)
	const size = 96 << 20
	for _, k := range []struct {
		name  string
		ahead int64
		read  int
	}{
		{"one reader of 1 MiB", 0, 1 << 20},
		{"one reader of 128 KiB", 0, 128 << 10},
		{"8 MiB ahead in 512 KiB", 8 << 20, 512 << 10},
		{"2 MiB ahead in 128 KiB", 2 << 20, 128 << 10},
	} {
		t.Run(k.name, func(t *testing.T) {
			f := newFar(t, size, goalLink())
			f.warm(t, 8)
			raw := f.raw(t, size, 2<<20, 8)
			before := f.link.Stats()
			c := New(Options{})
			defer c.Close()
			file := c.File(newSink(), size, f.fetch)
			all, settled := readAll(t, file, size, k.ahead, k.read, func() int64 { return f.link.Stats().Down })
			s, l := c.Stats(), f.link.Stats()
			down := float64(l.Down-before.Down) / size
			t.Logf("%.3f of the link, %.3f of a bare loop (%.3f); from 1 s on %.3f of the link; %d requests, %.3f fetched, %.3f on the link, %d hedges, rtt %v, %.1f MB/s, %d at a time",
				all*8/goalRate, all/raw, raw*8/goalRate, settled*8/goalRate, s.Requests, float64(s.Fetched)/size, down, s.Hedges, s.RTT, float64(s.Bandwidth)/1e6, s.Parallel)
			if float64(s.Fetched) > 1.05*size {
				t.Errorf("%d bytes were fetched for %d", s.Fetched, size)
			}
		})
	}
}

func TestGoalRandom(t *testing.T) {
	long(t)
	const size = 10 << 30
	f := newFar(t, size, goalLink())
	f.warm(t, 16)
	rate := map[int]float64{}
	for _, readers := range []int{1, 16} {
		c := New(Options{})
		file := c.File(newSink(), size, f.fetch)
		var mu sync.Mutex
		var took []time.Duration
		var wg sync.WaitGroup
		start := time.Now()
		for i := range readers {
			rng := rand.New(rand.NewPCG(uint64(i), uint64(readers)))
			wg.Go(func() {
				for time.Since(start) < 5*time.Second {
					t0 := time.Now()
					if _, err := file.ReadAt(context.Background(), make([]byte, 4096), rng.Int64N(size/4096)*4096); err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					took = append(took, time.Since(t0))
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		rate[readers] = float64(len(took)) / time.Since(start).Seconds()
		slices.Sort(took)
		s := c.Stats()
		c.Close()
		rtts := func(i int) float64 { return float64(took[i]) / float64(goalRTT) }
		t.Logf("%d readers: p50 %.2f RTT, p99 %.2f RTT, %.0f a second, %d KiB each, %d hedges", readers, rtts(len(took)/2), rtts(len(took)*99/100), rate[readers], s.Fetched/int64(len(took))>>10, s.Hedges)
		if s.Fetched > int64(len(took))*256<<10 {
			t.Errorf("%d bytes were fetched for %d reads", s.Fetched, len(took))
		}
	}
	t.Logf("16 readers read %.1f times as much as one", rate[16]/rate[1])
}

func TestGoalFirstByte(t *testing.T) {
	long(t)
	f := newFar(t, 10<<30, goalLink())
	f.warm(t, 4)
	c := New(Options{})
	defer c.Close()
	for _, n := range []int{1, 4096, 128 << 10, 1 << 20} {
		file := c.File(newSink(), f.size, f.fetch)
		d := took(func() {
			if _, err := file.ReadAt(context.Background(), make([]byte, n), 0); err != nil {
				t.Error(err)
			}
		})
		t.Logf("the first %d bytes came after %.2f RTT", n, float64(d)/float64(goalRTT))
		file.Close()
	}
}

// Four streams and 64 random readers at a time stay within the memory that
// they are given, and the streams keep the link busy.
func TestGoalMemory(t *testing.T) {
	long(t)
	f := newFar(t, 10<<30, goalLink())
	f.warm(t, 16)
	c := New(Options{})
	defer c.Close()
	file := c.File(newSink(), f.size, f.fetch)
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
	defer cancel()
	var streamed, random, most atomic.Int64
	var wg sync.WaitGroup
	for i := range int64(4) {
		wg.Go(func() {
			p := make([]byte, 1<<20)
			for off := i << 30; ; off += 1 << 20 {
				if _, err := file.ReadAt(ctx, p, off); err != nil {
					return
				}
				streamed.Add(1 << 20)
			}
		})
	}
	for i := range 64 {
		rng := rand.New(rand.NewPCG(7, uint64(i)))
		wg.Go(func() {
			p := make([]byte, 4096)
			for {
				if _, err := file.ReadAt(ctx, p, rng.Int64N(f.size/4096)*4096); err != nil {
					return
				}
				random.Add(1)
			}
		})
	}
	wg.Go(func() {
		var m runtime.MemStats
		for ctx.Err() == nil {
			runtime.ReadMemStats(&m)
			most.Store(max(most.Load(), int64(m.HeapInuse)))
			time.Sleep(50 * time.Millisecond)
		}
	})
	wg.Wait()
	s := c.Stats()
	t.Logf("streams: %.3f of the link; %d random reads a second; %.3f of the link in all; heap at most %d MiB; %d requests, %d at a time", float64(streamed.Load())*8/8/goalRate, random.Load()/8, float64(s.Fetched)*8/8/goalRate, most.Load()>>20, s.Requests, s.Parallel)
	if most.Load() > 256<<20 {
		t.Errorf("the heap grew to %d bytes", most.Load())
	}
}

// What the Controller itself costs: no delay, no link, bodies of nothing.
func BenchmarkSequential(b *testing.B) {
	for _, read := range []int{128 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKiB", read>>10), func(b *testing.B) {
			size := int64(b.N) * int64(read)
			r := &remote{size: size, empty: true}
			c := New(Options{})
			defer c.Close()
			f := c.File(newSink(), size, r.fetch)
			b.SetBytes(int64(read))
			b.ReportAllocs()
			b.ResetTimer()
			readAll(b, f, size, 4<<20, read, r.bytes)
		})
	}
}

func BenchmarkStored(b *testing.B) {
	for _, read := range []int{4 << 10, 256 << 10} {
		b.Run(fmt.Sprintf("%dKiB", read>>10), func(b *testing.B) {
			const size = 64 << 20
			r := &remote{size: size, empty: true}
			c := New(Options{})
			defer c.Close()
			f := c.File(newSink(), size, r.fetch)
			f.Prefetch(0, size)
			if err := f.Wait(context.Background()); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				p := make([]byte, read)
				for pb.Next() {
					if _, err := f.ReadAt(context.Background(), p, rand.Int64N(size/int64(read))*int64(read)); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
