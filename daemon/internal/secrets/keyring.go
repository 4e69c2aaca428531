package secrets

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Keyring is a keyring of a system. Its calls may hang for as long as it does; they
// end with ctx where the system lets them. Get, Set, Delete and List ask nobody
// where that can be avoided, and fail with ErrLocked then.
type Keyring interface {
	Get(ctx context.Context, id string) (string, error) // ErrNotFound
	Set(ctx context.Context, id, secret string) error
	Delete(ctx context.Context, id string) error // ErrNotFound
	// List tells the ids of what is kept; errors.ErrUnsupported if the system does not tell.
	List(ctx context.Context) ([]string, error)
	// Unlock has the system ask the person, and ends with her answer.
	Unlock(ctx context.Context) error
	// Limit is how long a secret may be, in bytes.
	Limit() int
}

// watcher is a Keyring that tells when it may have been locked, unlocked, started or
// ended. Watch calls changed in its own goroutine, until ctx is done or it fails.
type watcher interface {
	Watch(ctx context.Context, changed func()) error
}

// service is the name under which programs that show keyrings list our secrets.
const service = "moorage"

// guarded is a keyring whose calls return within a time-out. At most one call to
// the system is under way, however long it hangs, and an Unlock.
type guarded struct {
	k         Keyring
	timeout   time.Duration
	ctx       context.Context // of all calls; ends in close
	cancel    context.CancelFunc
	turn      chan struct{} // capacity 1: held while the system works for us
	since     atomic.Int64  // when the turn was taken, in ns; 0: nobody has it
	unlocking chan struct{} // capacity 1
}

func guard(k Keyring, timeout time.Duration) *guarded {
	ctx, cancel := context.WithCancel(context.Background())
	return &guarded{k: k, timeout: timeout, ctx: ctx, cancel: cancel, turn: make(chan struct{}, 1), unlocking: make(chan struct{}, 1)}
}

func (g *guarded) get(ctx context.Context, id string) (string, error) {
	s, err := run(ctx, g, func(ctx context.Context) (string, error) { return g.k.Get(ctx, id) }, nil)
	if err != nil {
		return "", fmt.Errorf("read a secret from the keyring: %w", err)
	}
	return s, nil
}

// set stores a secret. If the caller was told that it failed, it is not stored,
// even when the keyring answers later.
func (g *guarded) set(ctx context.Context, id, secret string) error {
	_, err := run(ctx, g, func(ctx context.Context) (struct{}, error) { return struct{}{}, g.k.Set(ctx, id, secret) },
		func(ctx context.Context) { _ = g.k.Delete(ctx, id) })
	if err != nil {
		return fmt.Errorf("store a secret in the keyring: %w", err)
	}
	return nil
}

func (g *guarded) delete(ctx context.Context, id string) error {
	_, err := run(ctx, g, func(ctx context.Context) (struct{}, error) { return struct{}{}, g.k.Delete(ctx, id) }, nil)
	if err != nil {
		return fmt.Errorf("remove a secret from the keyring: %w", err)
	}
	return nil
}

func (g *guarded) list(ctx context.Context) ([]string, error) {
	l, err := run(ctx, g, g.k.List, nil)
	if err != nil {
		return nil, fmt.Errorf("list the secrets in the keyring: %w", err)
	}
	return l, nil
}

// check reports whether the keyring works, without changing it.
func (g *guarded) check(ctx context.Context) error {
	if _, err := g.get(ctx, "check"); !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil
}

// unlock has the system ask the person, until ctx is done.
func (g *guarded) unlock(ctx context.Context) error {
	select {
	case g.unlocking <- struct{}{}:
	default:
		return fmt.Errorf("unlock the keyring: %w: it is asking already", ErrLocked)
	}
	done := make(chan error, 1)
	uctx, cancel := context.WithCancel(g.ctx)
	go func() {
		defer func() { <-g.unlocking }()
		defer cancel()
		done <- g.k.Unlock(uctx)
	}()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		cancel()
		err = ctx.Err()
	case <-g.ctx.Done():
		err = ErrTimeout
	}
	if err != nil {
		return fmt.Errorf("unlock the keyring: %w", err)
	}
	return nil
}

// close ends what is under way, and waits a moment for it: not every system lets
// itself be interrupted.
func (g *guarded) close() {
	g.cancel()
	t := time.NewTimer(time.Second)
	defer t.Stop()
	for _, c := range []chan struct{}{g.turn, g.unlocking} {
		select {
		case c <- struct{}{}: // for good: nobody has a turn any more
		case <-t.C:
			return
		}
	}
}

// run runs f, which may hang. If f succeeds after the caller was told that it did
// not, undo runs. While a call hangs for longer than the time-out, others fail at once.
func run[T any](ctx context.Context, g *guarded, f func(context.Context) (T, error), undo func(context.Context)) (T, error) {
	var none T
	if since := g.since.Load(); since != 0 && time.Since(time.Unix(0, since)) > g.timeout {
		return none, ErrTimeout
	}
	timer := time.NewTimer(g.timeout)
	defer timer.Stop()
	select {
	case g.turn <- struct{}{}:
	case <-timer.C:
		return none, ErrTimeout
	case <-ctx.Done():
		return none, ctx.Err()
	case <-g.ctx.Done():
		return none, ErrTimeout
	}
	g.since.Store(time.Now().UnixNano())
	type result struct {
		v   T
		err error
	}
	results := make(chan result) // unbuffered: delivered, or known not to be
	gone := make(chan struct{})
	go func() {
		defer func() {
			g.since.Store(0)
			<-g.turn
		}()
		v, err := f(g.ctx)
		select {
		case results <- result{v, err}:
		case <-gone:
			if err == nil && undo != nil {
				undo(g.ctx)
			}
		}
	}()
	select {
	case r := <-results:
		return r.v, r.err
	case <-timer.C:
		close(gone)
		return none, ErrTimeout
	case <-ctx.Done():
		close(gone)
		return none, ctx.Err()
	}
}
