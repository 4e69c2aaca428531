package reader

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Stats of a [Controller] or a [File]. Counts are since it was made.
type Stats struct {
	Fetched  int64 // bytes that came from the remote, also those that were of no use
	Requests int64 // calls of Fetch
	Retries  int64 // of these, after a failure
	Hedges   int64 // of these, beside one that was late
	InFlight int   // requests under way

	// Of a Controller only:
	Queued    int           // requests that wait for their turn
	Memory    int64         // bytes reserved of the budget, by all who share it
	Bandwidth int64         // bytes per second that the remote was seen to send; 0: not known
	RTT       time.Duration // from a request to its first byte, smoothed; 0: not known
	Parallel  int           // requests that may run ahead at a time
}

// Controller fetches from one remote. Its methods may be called concurrently.
type Controller struct {
	o    Options
	base context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup // loop, plans and attempts
	wake chan struct{}  // of one element: has the loop look after everything

	// mu guards all below, and all of Files, streams, parts and attempts. No I/O
	// is done under it; of other locks only the Budget's is taken.
	mu        sync.Mutex
	closed    bool
	files     map[*File]struct{}
	live      map[*stream]struct{} // that are sure and were read lately
	queues    [3][]*part           // by class; what was promoted or dropped is skipped
	active    map[*part]struct{}   // with requests under way
	residents map[*part]struct{}   // that the store did not take
	warned    time.Time            // when the log told last that it takes nothing
	inFlight  int                  // requests
	aheadNow  int                  // parts under way that run ahead
	due       time.Time            // when the loop looks after everything; zero: when woken
	looking   bool                 // it does now

	meter    meter
	ahead    ahead
	most     int       // requests at a time
	answered int       // requests that went well since the last change of most
	halved   time.Time // when a refusal counted last
	refusals int       // that counted, in a row
	pause    time.Time // no request before
	pauseErr error     // of the remote that wants it
	hedges   float64   // requests beside late ones that may be made
	shrunk   time.Time
	stats    Stats
}

// New returns a Controller; Close it.
func New(o Options) *Controller {
	if o.Budget == nil {
		o.Budget = NewBudget(0)
	}
	if o.Parallel <= 0 {
		o.Parallel = 16
	}
	if o.Inactivity <= 0 {
		o.Inactivity = 15 * time.Second
	}
	if o.Attempts <= 0 {
		o.Attempts = 4
	}
	if o.Retryable == nil {
		o.Retryable = func(error) bool { return false }
	}
	if o.RateLimited == nil {
		o.RateLimited = func(error) (time.Duration, bool) { return 0, false }
	}
	if o.Changed == nil {
		o.Changed = func(error) bool { return false }
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Controller{
		o:         o,
		wake:      make(chan struct{}, 1),
		files:     map[*File]struct{}{},
		live:      map[*stream]struct{}{},
		active:    map[*part]struct{}{},
		residents: map[*part]struct{}{},
		most:      o.Parallel,
		hedges:    2,
	}
	c.ahead.limit = min(startParallel, c.most)
	c.ahead.base = c.ahead.limit
	c.base, c.stop = context.WithCancel(context.Background())
	c.wg.Add(1)
	go c.loop()
	return c
}

// File is one version of a file of size bytes, of which store keeps what was
// fetched. There is one File per store at a time. Close it before the store.
func (c *Controller) File(store Store, size int64, fetch Fetch) *File {
	f := &File{c: c, store: store, size: size, fetch: fetch}
	f.base, f.cancel = context.WithCancel(c.base)
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.closed = c.closed; f.closed {
		f.cancel()
		return f
	}
	c.files[f] = struct{}{}
	return f
}

// Stats tells what the Controller did and learned.
func (c *Controller) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.InFlight = c.inFlight
	for f := range c.files {
		for _, p := range f.parts {
			if p.state == queued {
				s.Queued++
			}
		}
	}
	s.Memory = c.o.Budget.inUse()
	s.Bandwidth = int64(c.meter.bw)
	s.RTT = c.meter.rtt
	s.Parallel = c.ahead.limit
	return s
}

// Close closes all files and returns when no request is left.
func (c *Controller) Close() {
	c.mu.Lock()
	c.closed = true
	var files []*File
	for f := range c.files {
		files = append(files, f)
	}
	c.mu.Unlock()
	c.stop()
	for _, f := range files {
		f.Close()
	}
	c.wg.Wait()
	c.o.Budget.forget(c)
}
