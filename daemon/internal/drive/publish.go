package drive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
)

// quiet is how long the publisher waits for more to come, in quarters of
// Options.Quiet.
type quiet int

const (
	quietNow    quiet = 0
	quietRename quiet = 1  // a file was put in the place of another: the usual end of a save
	quietCommit quiet = 4  // a client asked for stable storage, or made a name
	quietWrite  quiet = 20 // more is to be expected
	quietDelete quiet = 20 // some programs take a file away before they put a new one in its place
)

// taskKey names what the publisher has to see to: a node, or a tomb.
type taskKey struct {
	node uint64 // 0: a tomb
	dir  uint64
	name string
}

func nodeTask(id uint64) taskKey { return taskKey{node: id} }

func tombTask(dir uint64, name string) taskKey { return taskKey{dir: dir, name: name} }

// work is a task that waits or is being done.
type work struct {
	key      taskKey
	due      time.Time
	since    time.Time
	attempts int
	running  bool
	again    bool  // touched while it ran
	held     bool  // waits for something that happens here, not for a time
	rests    bool  // there is nothing to publish until it is due
	parked   error // waits for a person
	err      error // why it was not done the last time
	done     int64 // bytes sent so far
	total    int64 // bytes to send; 0: not known
}

// publisher makes the remote what the drive is. What is to be done is in the
// store (pending nodes, tombs); this is when.
type publisher struct {
	d    *Drive
	log  *slog.Logger
	wake chan struct{}
	wg   sync.WaitGroup

	mu       sync.Mutex
	work     map[taskKey]*work
	running  int
	parallel int
	recent   []Published           // newest last
	sent     int64                 // bytes
	idle     *sync.Cond            // something ended
	ended    map[taskKey]time.Time // when, within lately
}

func newPublisher(d *Drive, parallel int) *publisher {
	p := &publisher{d: d, log: d.o.Logger, wake: make(chan struct{}, 1), work: map[taskKey]*work{}, ended: map[taskKey]time.Time{}, parallel: parallel}
	p.idle = sync.NewCond(&p.mu)
	return p
}

// load takes up what an earlier process left.
func (p *publisher) load() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	err := p.d.store.AllPending(func(id uint64, pe nodes.Pending) bool {
		p.work[nodeTask(id)] = &work{key: nodeTask(id), due: now, since: pe.Since}
		return true
	})
	err = errors.Join(err, p.d.store.Tombs(0, func(t nodes.Tomb) bool {
		k := tombTask(t.Dir, t.Name)
		p.work[k] = &work{key: k, due: now, since: t.Since}
		return true
	}))
	return errors.Join(err, p.d.store.Uploads(func(id uint64, _ nodes.Upload) bool {
		if k := nodeTask(id); p.work[k] == nil {
			p.work[k] = &work{key: k, due: now, since: now}
		}
		return true
	}))
}

// touch says that something is to be done after a pause, from now on.
func (p *publisher) touch(k taskKey, q quiet) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.work[k]
	if w == nil {
		w = &work{key: k, since: p.d.o.Clock()}
		p.work[k] = w
	}
	w.due = time.Now().Add(time.Duration(q) * p.d.o.Quiet / 4)
	w.again, w.held, w.rests, w.parked, w.attempts = w.running, false, false, nil, 0
	p.poke()
}

func (p *publisher) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// release has what waits for something here looked at again.
func (p *publisher) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for _, w := range p.work {
		if w.held {
			w.held, w.due = false, now
		}
	}
	p.poke()
}

// online has everything tried at once that failed while the remote was away.
func (p *publisher) online() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for _, w := range p.work {
		if w.err != nil && w.parked == nil && !w.running {
			w.due, w.attempts = now, 0
		}
	}
	p.poke()
}

// run hands out what is due until the drive closes, and waits for it then.
func (p *publisher) run() {
	defer p.wg.Wait()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		next := p.start()
		timer.Reset(next)
		select {
		case <-p.d.flights.done():
			return
		case <-p.wake:
		case <-timer.C:
		}
	}
}

// start begins what is due and tells how long nothing else will be.
func (p *publisher) start() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	next := time.Hour
	for _, w := range p.work {
		if w.running || w.held || w.parked != nil {
			continue
		}
		if wait := w.due.Sub(now); wait > 0 {
			next = min(next, wait)
			continue
		}
		if p.running >= p.parallel {
			return next // the end of one wakes us
		}
		w.running, w.again = true, false
		p.running++
		p.wg.Add(1)
		go p.do(w)
	}
	return next
}

// errHeld means that a task waits for another one, which wakes it.
var errHeld = errors.New("waits for something else on this computer")

// errNow means that a task is to be looked at again at once.
var errNow = errors.New("has changed meanwhile")

// restError means that there is nothing to publish, and something to be done
// here after a while.
type restError struct{ wait time.Duration }

func (e restError) Error() string { return "rests" }

// laterError means that a task is to be looked at after a pause.
type laterError struct{ pause quiet }

func (e laterError) Error() string { return "waits a moment" }

// maxBackoff is the longest pause between two tries.
const maxBackoff = 5 * time.Minute

func (p *publisher) do(w *work) {
	defer p.wg.Done()
	err := p.d.publish(p.d.flights.base, w.key)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running--
	w.running, w.done, w.total = false, 0, 0
	now := time.Now()
	if len(p.ended) > 256 {
		maps.DeleteFunc(p.ended, func(_ taskKey, at time.Time) bool { return now.Sub(at) > lately })
	}
	p.ended[w.key] = now
	var wait laterError
	var rest restError
	w.rests = false
	switch {
	case w.again:
		w.err = nil
	case err == nil:
		delete(p.work, w.key)
		for _, o := range p.work {
			if o.held { // it may have waited for this
				o.held, o.due = false, now
			}
		}
	case errors.Is(err, errHeld):
		w.held, w.err = true, nil
	case errors.Is(err, errNow):
		w.due, w.err = now, nil
	case errors.As(err, &rest):
		w.rests, w.due, w.err = true, now.Add(rest.wait), nil
	case errors.As(err, &wait):
		w.due, w.err = now.Add(time.Duration(wait.pause)*p.d.o.Quiet/4), nil
	case p.d.flights.base.Err() != nil:
	case parks(err):
		w.parked, w.err = err, err
		p.log.Warn("not published until somebody sees to it", "task", p.name(w.key), "err", err)
	default:
		w.err = err
		w.attempts++
		pause := min(p.d.o.RetryMin<<min(w.attempts-1, 16), maxBackoff)
		w.due = now.Add(pause/2 + rand.N(pause/2+1))
		p.log.Info("not published yet", "task", p.name(w.key), "err", err, "attempts", w.attempts)
	}
	p.idle.Broadcast()
	p.poke()
	p.d.health.wake()
}

// lately is how long ago a task ended whose effects a read may just have met.
const lately = time.Second

// await waits until none of some tasks is being done, and reports whether one
// was, or was lately.
func (p *publisher) await(ctx context.Context, keys []taskKey) bool {
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.idle.Broadcast()
	})
	defer stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	was := false
	for ctx.Err() == nil {
		running := false
		for _, k := range keys {
			if w := p.work[k]; w != nil && w.running {
				running = true
			}
			was = was || time.Since(p.ended[k]) < lately
		}
		if !running {
			return was
		}
		was = true
		p.idle.Wait()
	}
	return was
}

// name is a task as the log tells it.
func (p *publisher) name(k taskKey) string {
	if k.node != 0 {
		way, _ := p.d.way(k.node, false)
		return way
	}
	way, _ := p.d.way(k.dir, false)
	return way + "/" + k.name
}

// sync publishes everything now, also what is parked, and waits for it. The error
// tells what could not be published.
func (p *publisher) sync(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.idle.Broadcast()
	})
	defer stop()
	closed := context.AfterFunc(p.d.flights.base, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.idle.Broadcast()
	})
	defer closed()
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for _, w := range p.work {
		w.parked = nil
		if !w.running && !w.rests {
			w.due = now
		}
	}
	p.poke()
	for {
		left := 0
		var err error
		for _, w := range p.work {
			switch {
			case w.parked != nil:
				err = errors.Join(err, fmt.Errorf("%s: %w", p.name(w.key), w.parked))
			case w.rests:
			case !w.held || w.running:
				left++
				if !w.running && w.err == nil {
					w.due = now // new since, or waiting for quiet
				}
			}
		}
		if left == 0 {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%d changes are not published yet: %w", left, ctx.Err())
		}
		if err := p.d.flights.base.Err(); err != nil {
			return fmt.Errorf("the drive is closing: %w", err)
		}
		p.poke()
		p.idle.Wait()
	}
}
