package drive

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/moorage/moorage/nfs"
)

// maxFlights bounds how much work goes on without anybody who waits.
const maxFlights = 1024

// flights run work that outlives the calls that wait for it, once per key at a
// time. They own its goroutines.
type flights struct {
	base   context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	closed bool
	m      map[string]*flight
}

type flight struct {
	done  chan struct{}
	value any // valid after done, as is err
	err   error
}

func newFlights() *flights {
	f := &flights{m: map[string]*flight{}}
	f.base, f.cancel = context.WithCancel(context.Background())
	return f
}

func (f *flights) done() <-chan struct{} { return f.base.Done() }

// close cancels all work and waits for it.
func (f *flights) close() {
	f.cancel()
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.wg.Wait()
}

// do waits until ctx is done for the work of that key, which is begun unless it
// is going on. The work has timeout, not ctx.
func do[T any](ctx context.Context, f *flights, key string, timeout time.Duration, work func(context.Context) (T, error)) (T, error) {
	var none T
	f.mu.Lock()
	fl := f.m[key]
	if fl == nil {
		if f.closed || f.base.Err() != nil {
			f.mu.Unlock()
			return none, fmt.Errorf("%w: the drive is closing", nfs.ErrJukebox)
		}
		if len(f.m) >= maxFlights {
			f.mu.Unlock()
			return none, fmt.Errorf("%w: too much is going on", nfs.ErrJukebox)
		}
		fl = &flight{done: make(chan struct{})}
		f.m[key] = fl
		f.wg.Add(1)
		go func() {
			defer f.wg.Done()
			wctx, cancel := context.WithTimeout(f.base, timeout)
			defer cancel()
			v, err := work(wctx)
			fl.value, fl.err = v, err
			f.mu.Lock()
			delete(f.m, key)
			f.mu.Unlock()
			close(fl.done)
		}()
	}
	f.mu.Unlock()
	select {
	case <-fl.done:
	case <-ctx.Done():
		return none, ctx.Err()
	}
	if fl.err != nil {
		return none, fl.err
	}
	return fl.value.(T), nil
}
