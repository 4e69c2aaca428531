package git

import (
	"context"
	"sync"
	"time"

	"github.com/moorage/moorage/providers"
)

// flights runs work that several callers want, once. Work goes on while
// somebody waits for it, or for as long as it takes if it was started to be
// kept; close ends all of it.
type flights struct {
	life context.Context
	end  context.CancelFunc
	wg   sync.WaitGroup

	mu     sync.Mutex
	byKey  map[any]*flight
	closed bool
}

type flight struct {
	group   *flights
	done    chan struct{} // closed when err is final
	err     error
	cancel  context.CancelFunc
	began   time.Time
	keys    []any
	waiters int // guarded by group.mu; the keeper counts as one
}

func newFlights() *flights {
	g := &flights{byKey: make(map[any]*flight)}
	g.life, g.end = context.WithCancel(context.Background())
	return g
}

// join returns the flights of keys, each once, that of the first key first. Those
// keys that have none get a new one, in which fn runs with them. The caller leaves
// every flight that it was given. If keep is set, the new one goes on when all
// have left.
func join[K comparable](g *flights, keys []K, keep bool, fn func(ctx context.Context, keys []K) error) ([]*flight, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, providers.ErrClosed
	}
	var fresh []K
	var names []any
	for _, k := range keys {
		if g.byKey[k] == nil {
			fresh = append(fresh, k)
			names = append(names, k)
		}
	}
	if len(fresh) > 0 {
		g.start(names, keep, func(ctx context.Context) error { return fn(ctx, fresh) })
	}
	var out []*flight
	seen := make(map[*flight]bool)
	for _, k := range keys {
		if f := g.byKey[k]; !seen[f] {
			seen[f] = true
			f.waiters++
			out = append(out, f)
		}
	}
	return out, nil
}

// start begins a flight. g.mu is held.
func (g *flights) start(keys []any, keep bool, fn func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(g.life)
	f := &flight{group: g, done: make(chan struct{}), cancel: cancel, began: time.Now(), keys: keys}
	if keep {
		f.waiters++
	}
	for _, k := range keys {
		g.byKey[k] = f
	}
	g.wg.Go(func() {
		err := fn(ctx)
		cancel()
		g.mu.Lock()
		defer g.mu.Unlock()
		f.forget()
		if err != nil && g.closed {
			err = providers.ErrClosed
		}
		f.err = err
		close(f.done)
	})
}

// running returns the flight of key, or nil. The caller leaves it.
func (g *flights) running(key any) *flight {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.byKey[key]
	if f != nil {
		f.waiters++
	}
	return f
}

// busy tells whether key has a flight.
func (g *flights) busy(key any) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.byKey[key] != nil
}

// leave says that the caller waits no longer.
func (f *flight) leave() {
	f.group.mu.Lock()
	defer f.group.mu.Unlock()
	if f.waiters--; f.waiters == 0 {
		f.cancel()
		f.forget()
	}
}

// forget lets whoever wants the same from now on start anew.
func (f *flight) forget() {
	for _, k := range f.keys {
		if f.group.byKey[k] == f {
			delete(f.group.byKey, k)
		}
	}
}

// do is a flight with one key, waited for.
func (g *flights) do(ctx context.Context, key any, keep bool, fn func(ctx context.Context) error) error {
	fs, err := join(g, []any{key}, keep, func(ctx context.Context, _ []any) error { return fn(ctx) })
	if err != nil {
		return err
	}
	defer fs[0].leave()
	return fs[0].wait(ctx)
}

func (f *flight) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close ends all work and waits for it.
func (g *flights) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.end()
	g.wg.Wait()
}
