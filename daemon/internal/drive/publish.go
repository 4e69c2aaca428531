package drive

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"path"
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
	turns    int // how often it was looked at again at once
	running  bool
	again    bool  // touched while it ran
	rests    bool  // there is nothing to publish until it is due
	parked   error // waits for a person
	err      error // why it was not done the last time
	waits    error // what it waits for that only somebody else can end
	done     int64 // bytes sent so far
	total    int64 // bytes to send; 0: not known
	claimed  *claimed
	began    ends // when it began
}

// ends count what those that are held may wait for.
type ends struct {
	done  uint64 // tasks that changed something
	freed uint64 // those that gave places back
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
	queue    dueQueue
	held     map[taskKey]error   // those that wait for another one, not for a time: errHeld or errBusy
	stays    map[taskKey]bool    // those that are of this computer alone, as names are now
	places   map[taskKey]taskKey // places on the remote, and the tasks that work on them
	moving   map[uint64]taskKey  // directories that are being moved or removed
	onWay    map[taskKey]uint64  // places where something on its way may have arrived, and its nodes
	wayOf    map[uint64]taskKey  // likewise
	halves   map[uint64]bool     // directories that are moved, maybe piece by piece
	below    map[uint64]int      // how many tasks work below a directory
	running  int
	ends     ends
	parallel int
	recent   []Published           // newest last
	sent     int64                 // bytes
	idle     *sync.Cond            // something ended
	ended    map[taskKey]time.Time // when, within lately
}

func newPublisher(d *Drive, parallel int) *publisher {
	p := &publisher{d: d, log: d.o.Logger, wake: make(chan struct{}, 1), work: map[taskKey]*work{}, ended: map[taskKey]time.Time{}, parallel: parallel,
		held: map[taskKey]error{}, stays: map[taskKey]bool{}, places: map[taskKey]taskKey{}, moving: map[uint64]taskKey{},
		onWay: map[taskKey]uint64{}, wayOf: map[uint64]taskKey{}, halves: map[uint64]bool{}, below: map[uint64]int{}}
	p.idle = sync.NewCond(&p.mu)
	return p
}

// load takes up what an earlier process left.
func (p *publisher) load() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	add := func(k taskKey, since time.Time) {
		if p.work[k] == nil {
			w := p.get(k)
			w.since = since
			p.at(w, now)
		}
	}
	err := p.d.store.AllPending(func(id uint64, pe nodes.Pending) bool {
		add(nodeTask(id), pe.Since)
		return true
	})
	err = errors.Join(err, p.d.store.Tombs(0, func(t nodes.Tomb) bool {
		add(tombTask(t.Dir, t.Name), t.Since)
		return true
	}))
	return errors.Join(err, p.d.store.Uploads(func(id uint64, u nodes.Upload) bool {
		add(nodeTask(id), now)
		p.isSent(id, u)
		return true
	}))
}

// touch says that something is to be done after a pause, from now on.
func (p *publisher) touch(k taskKey, q quiet) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w := p.work[k]; w == nil || w.rests || w.parked != nil {
		defer p.d.health.wake()
	}
	w := p.get(k)
	w.again, w.rests, w.parked, w.attempts, w.turns = w.running, false, nil, 0, 0
	p.at(w, time.Now().Add(time.Duration(q)*p.d.o.Quiet/4))
}

// stored touches tasks of a change that was stored, if it was: who looks sooner
// finds nothing to do.
func (p *publisher) stored(err error, q quiet, tasks ...taskKey) {
	for _, k := range tasks {
		if err == nil {
			p.touch(k, q)
		}
	}
}

// hurry has a task done soon, if it waits for nothing but time.
func (p *publisher) hurry(k taskKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w := p.get(k); w.err == nil && !w.running && p.held[k] == nil {
		p.at(w, time.Now())
	}
}

// get finds a task or makes it. p.mu is held, as in what follows.
func (p *publisher) get(k taskKey) *work {
	w := p.work[k]
	if w == nil {
		w = &work{key: k, since: p.d.o.Clock()}
		p.work[k] = w
	}
	return w
}

// at has a task done at a time.
func (p *publisher) at(w *work, due time.Time) {
	w.due = due
	delete(p.held, w.key)
	delete(p.stays, w.key)
	heap.Push(&p.queue, dueTask{due, w.key})
	p.poke()
}

func (p *publisher) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// online has everything tried at once that failed while the remote was away, or
// refused us.
func (p *publisher) online() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.work {
		if w.err != nil && (w.parked == nil || refused(w.parked)) && !w.running {
			w.attempts, w.parked = 0, nil
			p.at(w, time.Now())
		}
	}
}

// run hands out what is due until the drive closes, and waits for it then.
func (p *publisher) run() {
	defer p.wg.Wait()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(p.start())
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
	for len(p.queue) > 0 {
		next := p.queue[0]
		w := p.work[next.key]
		if w == nil || w.running || p.held[w.key] != nil || w.parked != nil || !w.due.Equal(next.at) {
			heap.Pop(&p.queue) // it is not waiting for that time any more
			continue
		}
		if wait := next.at.Sub(now); wait > 0 {
			return wait
		}
		if p.running >= p.parallel {
			break // the end of one wakes us
		}
		heap.Pop(&p.queue)
		w.running, w.again, w.began = true, false, p.ends
		p.running++
		p.wg.Add(1)
		go p.do(w)
	}
	return time.Hour
}

// dueTask is a task and when it is due.
type dueTask struct {
	at  time.Time
	key taskKey
}

// dueQueue is a heap of tasks, the earliest first.
type dueQueue []dueTask

func (q dueQueue) Len() int           { return len(q) }
func (q dueQueue) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q dueQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *dueQueue) Push(x any)        { *q = append(*q, x.(dueTask)) }
func (q *dueQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// claim reserves what a task works on until it ends: places on the remote, and
// a directory that it moves or removes. It fails while another task has one of
// these, or works below that directory. above are the directories above.
func (p *publisher) claim(k taskKey, places []taskKey, dir uint64, above []uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.blocked(k, places, above) {
		return false
	}
	for _, s := range places {
		if o, ok := p.places[s]; ok && o != k {
			return false
		}
	}
	for _, id := range above {
		if o, ok := p.moving[id]; ok && o != k {
			return false
		}
	}
	if dir != 0 && p.below[dir] > 0 {
		return false
	}
	w := p.work[k]
	if w == nil || w.claimed != nil {
		return w != nil
	}
	w.claimed = &claimed{places, dir, above}
	for _, s := range places {
		p.places[s] = k
	}
	if dir != 0 {
		p.moving[dir] = k
	}
	for _, id := range above {
		p.below[id]++
	}
	return true
}

// claimed is what a task has reserved.
type claimed struct {
	places []taskKey
	dir    uint64
	above  []uint64
}

// unclaim gives back what claim reserved.
func (p *publisher) unclaim(w *work) {
	c := w.claimed
	if c == nil {
		return
	}
	w.claimed = nil
	for _, s := range c.places {
		delete(p.places, s)
		p.ended[s] = time.Now()
	}
	delete(p.moving, c.dir)
	for _, id := range c.above {
		if p.below[id]--; p.below[id] == 0 {
			delete(p.below, id)
		}
	}
}

// errHeld means that a task waits for another one, which wakes it.
var errHeld = errors.New("waits for something else on this computer")

// errBusy means that a task waits for a place that another one works on.
var errBusy = errors.New("waits for something else on its way")

// errStays means that a task is of a file that stays on this computer.
var errStays = errors.New("stays on this computer")

// errNow means that a task is to be looked at again at once.
var errNow = errors.New("has changed meanwhile")

// orNow is err, or errNow if there is none.
func orNow(err error) error {
	if err != nil {
		return err
	}
	return errNow
}

// restError means that there is nothing to publish, and something to be done
// here after a while.
type restError struct{ wait time.Duration }

func (e restError) Error() string { return "rests" }

// laterError means that a task is to be looked at after a pause. why, if not nil,
// is something that a pause alone does not end.
type laterError struct {
	pause quiet
	why   error
}

func (e laterError) Error() string { return "waits a moment" }

// maxTurns is how often a task is looked at again at once.
const maxTurns = 16

// maxBackoff is the longest pause between two tries.
const maxBackoff = 5 * time.Minute

// mayGo reports whether something has happened since a task began that it may
// wait for. That others began to wait, too, is nothing: they would wake each
// other for ever.
func (p *publisher) mayGo(w *work, k taskKey) bool {
	return p.ends.done != w.began.done || errors.Is(p.held[k], errBusy) && p.ends.freed != w.began.freed
}

// rouse has what stays on this computer looked at again, after a directory has
// got another name.
func (p *publisher) rouse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k := range p.stays {
		if w := p.work[k]; w != nil && !w.running {
			p.at(w, time.Now())
		}
	}
}

func (p *publisher) do(w *work) {
	defer p.wg.Done()
	err := p.d.publish(p.d.flights.base, w.key)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running--
	if err == nil || errors.Is(err, errNow) {
		p.ends.done++
	}
	if w.claimed != nil {
		p.ends.freed++
	}
	p.unclaim(w)
	w.running, w.done, w.total = false, 0, 0
	now := time.Now()
	if len(p.ended) > 256 {
		maps.DeleteFunc(p.ended, func(_ taskKey, at time.Time) bool { return now.Sub(at) > lately })
	}
	p.ended[w.key] = now
	for k := range p.held {
		if o := p.work[k]; o != nil && p.mayGo(o, k) {
			p.at(o, now)
		}
	}
	var wait laterError
	var rest restError
	w.rests, w.waits = false, nil
	switch {
	case w.again:
		w.err = nil
		p.at(w, w.due)
	case err == nil:
		delete(p.work, w.key)
	case errors.Is(err, errHeld), errors.Is(err, errBusy):
		w.err = nil
		if p.held[w.key] = err; p.mayGo(w, w.key) { // what it waits for has ended meanwhile
			p.at(w, now)
		}
	case errors.Is(err, errStays):
		w.rests, w.err = true, nil
		p.stays[w.key] = true
	case errors.Is(err, errNow):
		w.err = nil
		w.turns++
		pause := time.Duration(0)
		if w.turns > maxTurns { // whatever it is that does not change, no processor waits for it
			pause = p.d.o.RetryMin
		}
		p.at(w, now.Add(pause))
	case errors.As(err, &rest):
		w.rests, w.err = true, nil
		p.at(w, now.Add(rest.wait))
	case errors.As(err, &wait):
		w.err, w.waits = nil, wait.why
		p.at(w, now.Add(time.Duration(wait.pause)*p.d.o.Quiet/4))
	case p.d.flights.base.Err() != nil:
	case parks(err):
		w.parked, w.err = err, err
		p.log.Warn("not published until somebody sees to it", "task", p.name(w.key), "err", err)
	default:
		w.err = err
		w.attempts++
		pause := min(p.d.o.RetryMin<<min(w.attempts-1, 16), maxBackoff)
		asked, _ := rateLimited(err)
		p.at(w, now.Add(asked+pause/2+rand.N(pause/2+1)))
		p.log.Info("not published yet", "task", p.name(w.key), "err", err, "attempts", w.attempts)
	}
	p.idle.Broadcast()
	p.poke()
	p.d.health.wake()
}

// lately is how long ago a task ended whose effects a read may just have met.
const lately = time.Second

// isBaseGone reports whether a file waits for a person because what it was laid
// over is not on the remote any more.
func (p *publisher) isBaseGone(id uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.work[nodeTask(id)]
	return w != nil && errors.Is(w.parked, ErrBaseGone)
}

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
			if _, ok := p.places[k]; ok {
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
	return path.Join(way, k.name)
}

// hasten has everything published now, also what is parked. p.mu is held.
func (p *publisher) hasten() {
	for _, w := range p.work {
		w.parked, w.waits = nil, nil
		if !w.running && !w.rests && p.held[w.key] == nil {
			p.at(w, time.Now())
		}
	}
}

// sync is hasten that waits for the end. The error tells what could not be
// published.
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
	p.hasten()
	for {
		left := 0
		var err error
		for k, w := range p.work {
			switch {
			case w.parked != nil:
				err = errors.Join(err, fmt.Errorf("%s: %w", p.name(k), w.parked))
			case w.waits != nil && !w.running:
				err = errors.Join(err, fmt.Errorf("%s: %w", p.name(k), w.waits))
			case w.rests, p.held[k] != nil && !w.running:
			default:
				left++
				if !w.running && w.err == nil && time.Until(w.due) > 0 {
					p.at(w, time.Now()) // new since, or waiting for quiet
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
		p.idle.Wait()
	}
}
