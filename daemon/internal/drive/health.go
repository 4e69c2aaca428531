package drive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"syscall"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
)

// When the remote counts as unreachable: so many failures in a row within so
// long a time.
const (
	maxFailures   = 3
	failureWindow = 10 * time.Second
)

// longRest is how long a remote may ask to be left alone without counting as
// unreachable.
const longRest = time.Minute

// attempts is how often a call that failed for a passing reason is made.
const attempts = 3

// health knows whether the remote answers, and keeps calls from it while it
// does not, so that clients get an answer at once.
type health struct {
	clock    func() time.Time
	names    chan struct{} // a token per call about names
	data     chan struct{} // a token per call about data
	puts     chan struct{} // a token per change of the remote
	changes  chan struct{} // wakes who asked for Drive.Changes
	wentDown chan struct{} // wakes the watcher

	mu       sync.Mutex
	down     bool
	err      error
	since    time.Time
	failures []time.Time
	counted  uint64    // failures, ever
	rests    time.Time // until when the remote asked to be left alone
}

func newHealth(clock func() time.Time, parallel int) *health {
	return &health{
		clock: clock, names: make(chan struct{}, (parallel+1)/2), data: make(chan struct{}, (parallel+1)/2), puts: make(chan struct{}, max(2, parallel/2)),
		changes: make(chan struct{}, 1), wentDown: make(chan struct{}, 1), since: clock(),
	}
}

func (h *health) state() (online bool, since time.Time, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.down, h.since, h.err
}

func (h *health) online() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.down
}

// wake says that the status changed.
func (h *health) wake() {
	select {
	case h.changes <- struct{}{}:
	default:
	}
}

// downError is the answer while the remote is not asked.
type downError struct{ cause error }

func (e *downError) Error() string { return "the remote is not reachable: " + e.cause.Error() }
func (e *downError) Unwrap() error { return e.cause }

// call makes one call of the provider if the remote is reachable, again after
// a failure that may pass. names says that it is about names, not data.
func (h *health) call(ctx context.Context, names bool, fn func(context.Context) error) error {
	slots := h.data
	if names {
		slots = h.names
	}
	return h.repeat(ctx, slots, fn)
}

// put is call for the publisher.
func (h *health) put(ctx context.Context, fn func(context.Context) error) error {
	return h.repeat(ctx, h.puts, fn)
}

// mayAsk fails while the remote is not to be asked.
func (h *health) mayAsk() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down {
		return &downError{h.err}
	}
	if wait := time.Until(h.rests); wait > 0 {
		return fmt.Errorf("it was asked before: %w", &providers.RateLimitedError{After: wait})
	}
	return nil
}

func (h *health) repeat(ctx context.Context, slots chan struct{}, fn func(context.Context) error) error {
	pause := 50 * time.Millisecond
	for i := 1; ; i++ {
		if err := h.mayAsk(); err != nil {
			return err
		}
		err := h.once(ctx, slots, fn)
		h.record(ctx, err)
		if !passing(err) && !garbled(err) || i == attempts || ctx.Err() != nil {
			return err
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return err
		}
		pause *= 4
	}
}

// try makes one call whether or not the remote is reachable.
func (h *health) try(ctx context.Context, fn func(context.Context) error) error {
	h.mu.Lock()
	wait := time.Until(h.rests)
	h.mu.Unlock()
	if wait > 0 {
		return &providers.RateLimitedError{After: wait}
	}
	err := h.once(ctx, h.names, fn)
	h.record(ctx, err)
	return err
}

func (h *health) once(ctx context.Context, slots chan struct{}, fn func(context.Context) error) error {
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-ctx.Done():
		return fmt.Errorf("waiting for earlier calls: %w", ctx.Err())
	}
	return fn(ctx)
}

// record draws the conclusions from what a call gave.
func (h *health) record(ctx context.Context, err error) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return // the drive is closing
	}
	limit, limited := rateLimited(err)
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.clock()
	switch {
	case limited:
		if until := time.Now().Add(limit); until.After(h.rests) {
			h.rests = until
		}
		if limit > longRest {
			h.goDown(now, err)
		}
	case refused(err), err != nil && ctx.Err() != nil: // the call had its time
		h.goDown(now, err)
	case passing(err):
		h.failures = append(h.failures, now)
		h.counted++
		for len(h.failures) > 0 && now.Sub(h.failures[0]) > failureWindow {
			h.failures = h.failures[1:]
		}
		h.err = err
		if len(h.failures) >= maxFailures {
			h.goDown(now, err)
		}
	case err == nil || answered(err):
		h.failures = nil
		if h.down {
			h.down, h.since = false, now
		}
		if h.err != nil {
			h.err = nil
			h.wake()
		}
	}
}

func (h *health) goDown(now time.Time, err error) {
	h.failures = nil
	changed := !h.down || h.err == nil || h.err.Error() != err.Error()
	h.err = err
	if changed {
		h.wake()
	}
	if !h.down {
		h.down, h.since = true, now
		select {
		case h.wentDown <- struct{}{}:
		default:
		}
	}
}

// passing reports whether the same call may succeed in a moment.
func passing(err error) bool {
	return errors.Is(err, providers.ErrOffline) || errors.Is(err, io.ErrUnexpectedEOF)
}

// garbled reports whether what came is no answer of the remote: what is in between
// may have made it up, and the next one may be right. It says nothing of whether
// the remote can be reached.
func garbled(err error) bool { return errors.Is(err, providers.ErrProtocol) }

// refused reports whether no call will succeed until somebody does something.
func refused(err error) bool {
	for _, e := range []error{providers.ErrAuth, providers.ErrHostKey, providers.ErrNoRemote, providers.ErrNoRevision} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// answered reports whether err is an answer of a remote that works.
func answered(err error) bool {
	for _, e := range []error{
		providers.ErrNotExist, providers.ErrNotDir, providers.ErrIsDir, providers.ErrChanged, providers.ErrPermission, providers.ErrUnsupported,
		providers.ErrExist, providers.ErrNotEmpty, providers.ErrFull, providers.ErrTooLarge, fs.ErrInvalid,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// unavailable reports whether err says nothing about the object that was asked
// for, so that what was known before still counts.
func (d *Drive) unavailable(err error) bool {
	var down *downError
	var limited *providers.RateLimitedError
	return errors.As(err, &down) || errors.As(err, &limited) || passing(err) || garbled(err) || refused(err) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.Is(err, nfs.ErrJukebox)
}

// status is err as the client is told: come again while that may help, and an
// error at once while the remote is known to be away.
func (d *Drive) status(op string, err error) error {
	var down *downError
	var limited *providers.RateLimitedError
	var s nfs.Status
	switch {
	case err == nil:
		return nil
	case errors.As(err, &s):
		return fmt.Errorf("%s: %w", op, err)
	case errors.As(err, &down), refused(err), errors.Is(err, ErrBaseGone): // to come again does not help
		s = nfs.ErrIO
	case ofDisk(err):
		s = d.diskStatus(err)
	case errors.Is(err, syscall.ENOSPC):
		s = nfs.ErrNoSpace
	case errors.Is(err, providers.ErrTooLarge), errors.Is(err, syscall.EFBIG): // of the volume that it is kept on
		s = nfs.ErrFBig
	case errors.Is(err, providers.ErrPermission):
		s = nfs.ErrAccess
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.As(err, &limited), errors.Is(err, providers.ErrChanged):
		s = nfs.ErrJukebox
	case passing(err) && d.health.online():
		s = nfs.ErrJukebox
	default:
		s = nfs.ErrIO
	}
	return fmt.Errorf("%s: %w: %w", op, s, err)
}
