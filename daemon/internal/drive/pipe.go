package drive

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/moorage/moorage/providers"
)

// How what arrives is stored: so much at once at most, less at first, so that
// somebody sees it soon; and small pages together with those that arrive within
// a moment, because every transaction waits for the disk. While it waits, pages
// are fetched ahead.
const (
	batch      = 8192
	firstBatch = 1024
	gather     = 50 * time.Millisecond
	pagesAhead = 8
)

// pipe fetches page after page, and stores what they hold while the next one is
// fetched. It returns when all is stored, last having been true once, or after
// the first error. What was fetched before an error is stored.
func pipe[T any](ctx context.Context, fetch func(ctx context.Context, cursor string) (items []T, next string, err error), store func(items []T, last bool) error) error {
	type page struct {
		items []T
		last  bool
		err   error
	}
	pages := make(chan page, pagesAhead-1)
	ctx, cancel := context.WithCancel(ctx)
	var fetcher sync.WaitGroup
	defer fetcher.Wait()
	defer cancel()
	fetcher.Go(func() {
		for cursor := ""; ; {
			items, next, err := fetch(ctx, cursor)
			if err == nil && next != "" && next == cursor {
				err = fmt.Errorf("a listing's cursor stands still: %w", providers.ErrProtocol)
			}
			select {
			case pages <- page{items, next == "", err}:
			case <-ctx.Done():
				return
			}
			if cursor = next; err != nil || next == "" {
				return
			}
		}
	})
	var items []T
	var stored time.Time // when it was begun last
	size := firstBatch
	timer := time.NewTimer(gather)
	defer timer.Stop()
	for {
		var p page
		select {
		case p = <-pages:
			items = append(items, p.items...)
		case <-timer.C:
		case <-ctx.Done():
			p.err = ctx.Err()
		}
		for more := true; more && !p.last && p.err == nil && len(items) < batch; {
			select {
			case p = <-pages: // it came while the last ones were stored
				items = append(items, p.items...)
			default:
				more = false
			}
		}
		if !p.last && p.err == nil {
			if len(items) == 0 {
				continue
			}
			if wait := gather - time.Since(stored); wait > 0 && len(items) < batch {
				timer.Reset(wait)
				continue
			}
		}
		stored = time.Now()
		for rest := items; len(rest) > 0 || p.last && p.err == nil; {
			n := min(size, len(rest))
			last := p.last && p.err == nil && n == len(rest)
			if err := store(rest[:n], last); err != nil {
				return err
			}
			if rest = rest[n:]; last {
				return nil
			}
			size = min(2*size, batch)
		}
		if p.err != nil {
			return p.err
		}
		clear(items) // the memory is kept, what it held is not
		items = items[:0]
	}
}
