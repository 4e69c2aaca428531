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
	n      int // how many are on
	m      map[string]*flight
}

type flight struct {
	began time.Time
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

// spawn begins work that nobody else does. It has timeout, and ends early when
// the drive closes.
func (f *flights) spawn(timeout time.Duration, work func(context.Context)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.begin(timeout, work)
}

// begin is spawn with mu held.
func (f *flights) begin(timeout time.Duration, work func(context.Context)) error {
	if f.closed || f.base.Err() != nil {
		return fmt.Errorf("%w: the drive is closing", nfs.ErrJukebox)
	}
	if f.n >= maxFlights {
		return fmt.Errorf("%w: too much is going on", nfs.ErrJukebox)
	}
	f.n++
	f.wg.Go(func() {
		ctx, cancel := context.WithTimeout(f.base, timeout)
		defer cancel()
		work(ctx)
		f.mu.Lock()
		f.n--
		f.mu.Unlock()
	})
	return nil
}

// do waits until ctx is done for the work of that key, which is begun unless it
// is going on. The work has timeout, not ctx.
func do[T any](ctx context.Context, f *flights, key string, timeout time.Duration, work func(context.Context) (T, error)) (T, error) {
	var none T
	f.mu.Lock()
	fl := f.m[key]
	if fl == nil {
		fl = &flight{began: time.Now(), done: make(chan struct{})}
		err := f.begin(timeout, func(ctx context.Context) {
			v, err := work(ctx)
			fl.value, fl.err = v, err
			f.mu.Lock()
			delete(f.m, key)
			f.mu.Unlock()
			close(fl.done)
		})
		if err != nil {
			f.mu.Unlock()
			return none, err
		}
		f.m[key] = fl
	}
	f.mu.Unlock()
	ctx, cancel := patient(ctx, fl.began)
	defer cancel()
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

// patienceKey is where a context keeps for how long work that began earlier is
// worth waiting for.
type patienceKey struct{}

// patience makes waiting with ctx end so long after the work began, so that many
// calls which have something older to answer do not each wait for slow work anew.
func patience(ctx context.Context, d time.Duration) context.Context {
	return context.WithValue(ctx, patienceKey{}, d)
}

// patient is ctx for waiting for work that began then.
func patient(ctx context.Context, began time.Time) (context.Context, context.CancelFunc) {
	if d, ok := ctx.Value(patienceKey{}).(time.Duration); ok {
		return context.WithDeadline(ctx, began.Add(d))
	}
	return ctx, func() {}
}
