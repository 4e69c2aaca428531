package drive

import (
	"cmp"
	"container/heap"
	"container/list"
	"context"
	"errors"
	"log/slog"
	"maps"
	"path"
	"slices"
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

	index   int           // in the queue; -1: it is not there
	place   *list.Element // in publisher.order
	counted standing
	held    bool      // it waits for another one, and not for a time
	on      heldError // for which
	// Turns of the publisher.
	began   uint64
	doneAt  uint64 // when it ended last and had changed something
	freedAt uint64 // likewise, and gave places back
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
	order    list.List                  // of *work, as they were changed
	queue    dueQueue                   // those that wait for a time
	waiting  map[taskKey]map[*work]bool // those that wait for another one, by that
	tally    [standings]int             // of all
	stuck    map[taskKey]*work          // those that are stuck or parked
	paused   bool                       // nothing is begun
	life     context.Context            // of what is under way; ends with the drive, and when it is paused
	halt     context.CancelFunc         // ends life
	turn     uint64                     // how many have ended
	changes  uint64                     // of these, how many had changed something
	looked   uint64                     // changes when look was called last
	lookAt   time.Time                  // when it may be called again
	syncs    int                        // how many wait for all
	stays    map[taskKey]bool           // those that are of this computer alone, as names are now
	places   map[taskKey]taskKey        // places on the remote, and the tasks that work on them
	moving   map[uint64]taskKey         // directories that are being moved or removed
	onWay    map[taskKey]uint64         // places where something on its way may have arrived, and its nodes
	wayOf    map[uint64]taskKey         // likewise
	halves   map[uint64]bool            // directories that are moved, maybe piece by piece
	below    map[uint64]int             // how many tasks work below a directory
	running  int
	parallel int
	recent   []Published           // newest last
	sent     int64                 // bytes
	idle     *sync.Cond            // something ended
	ended    map[taskKey]time.Time // when, within lately
	endedMax int                   // how many of these before it is looked which are older
}

func newPublisher(d *Drive, parallel int) *publisher {
	p := &publisher{d: d, log: d.o.Logger, wake: make(chan struct{}, 1), work: map[taskKey]*work{}, ended: map[taskKey]time.Time{}, parallel: parallel,
		waiting: map[taskKey]map[*work]bool{}, stuck: map[taskKey]*work{}, stays: map[taskKey]bool{}, places: map[taskKey]taskKey{}, moving: map[uint64]taskKey{},
		onWay: map[taskKey]uint64{}, wayOf: map[uint64]taskKey{}, halves: map[uint64]bool{}, below: map[uint64]int{}}
	p.idle = sync.NewCond(&p.mu)
	p.paused = d.o.Paused
	p.life, p.halt = context.WithCancel(d.flights.base)
	return p
}

// load takes up what an earlier process left.
func (p *publisher) load() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.d.o.Clock()
	var found []*work
	seen := map[taskKey]bool{}
	add := func(k taskKey, since time.Time) {
		if !seen[k] && p.work[k] == nil {
			seen[k] = true
			found = append(found, &work{key: k, since: since})
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
	err = errors.Join(err, p.d.store.Uploads(func(id uint64, u nodes.Upload) bool {
		add(nodeTask(id), now)
		p.isSent(id, u)
		return true
	}))
	slices.SortFunc(found, func(a, b *work) int {
		return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.key.node, b.key.node), cmp.Compare(a.key.name, b.key.name))
	})
	due := time.Now()
	for _, w := range found {
		p.add(w)
		p.at(w, due)
	}
	return err
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
	p.soon(w, time.Duration(q)*p.d.o.Quiet/4)
}

// updateAnd is update for changes that leave something to do: after notes that, and
// it is begun when the change is made. A task that came before it would find
// nothing to do.
func (d *Drive) updateAnd(fn func(tx *nodes.Tx, after func(taskKey, quiet)) error) error {
	var tasks []task
	err := d.update(func(tx *nodes.Tx) error {
		return fn(tx, func(k taskKey, q quiet) { tasks = append(tasks, task{k, q}) })
	})
	if err != nil {
		return err
	}
	for _, t := range tasks {
		d.pub.touch(t.key, t.delay)
	}
	return nil
}

// hurry has a task done soon, if it waits for nothing but time.
func (p *publisher) hurry(k taskKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hasten(k)
}

// hasten is hurry with p.mu held.
func (p *publisher) hasten(k taskKey) {
	if w := p.get(k); w.err == nil && !w.running && !w.held {
		p.at(w, time.Now())
	}
}

// get finds a task or makes it. p.mu is held, as in what follows.
func (p *publisher) get(k taskKey) *work {
	w := p.work[k]
	if w == nil {
		w = &work{key: k, since: p.d.o.Clock()}
		p.add(w)
	}
	return w
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
	pause := time.Hour
	if p.paused {
		return pause
	}
	for len(p.queue) > 0 {
		w := p.queue[0]
		if wait := w.due.Sub(now); wait > 0 {
			pause = min(pause, wait)
			break
		}
		if p.running >= p.parallel {
			return pause // the end of one wakes us
		}
		heap.Pop(&p.queue)
		w.running, w.again, w.began = true, false, p.turn
		p.count(w)
		p.running++
		p.wg.Add(1)
		go p.do(p.life, w)
	}
	if p.running == 0 && p.overlooked() {
		if pause = min(pause, p.lookAt.Sub(now)); pause <= 0 {
			p.look()
		}
	}
	return pause
}

// claim reserves what a task works on until it ends: places on the remote, and
// a directory that it moves or removes. It fails, telling which one it waits for,
// while another task has one of these, or works below that directory. above are
// the directories above.
func (p *publisher) claim(k taskKey, places []taskKey, dir uint64, above []uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if id := p.blocked(k, places, above); id != 0 {
		return busyWith(nodeTask(id))
	}
	for _, s := range places {
		if o, ok := p.places[s]; ok && o != k {
			return busyWith(o)
		}
	}
	for _, id := range above {
		if o, ok := p.moving[id]; ok && o != k {
			return busyWith(o)
		}
	}
	if dir != 0 && p.below[dir] > 0 {
		return busyWith(workBelow(dir))
	}
	w := p.work[k]
	if w == nil {
		return errNow
	}
	if w.claimed != nil {
		return nil
	}
	w.claimed = &claimed{places: places, above: above}
	for _, s := range places {
		p.places[s] = k
	}
	if dir != 0 {
		w.claimed.dirs = append(w.claimed.dirs, dir)
		p.moving[dir] = k
	}
	for _, id := range above {
		p.below[id]++
	}
	return nil
}

// claimDir adds a directory that is to be moved to what a task has reserved. It
// fails as claim does.
func (p *publisher) claimDir(k taskKey, dir uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.work[k]
	if w == nil || w.claimed == nil {
		return errNow
	}
	mine := 0
	for _, id := range w.claimed.above {
		if id == dir {
			mine++
		}
	}
	if o, ok := p.moving[dir]; ok && o != k {
		return busyWith(o)
	}
	if p.below[dir] > mine {
		return busyWith(workBelow(dir))
	}
	w.claimed.dirs = append(w.claimed.dirs, dir)
	p.moving[dir] = k
	return nil
}

// claimed is what a task has reserved.
type claimed struct {
	places []taskKey
	dirs   []uint64 // that are moved or removed
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
	for _, dir := range c.dirs {
		delete(p.moving, dir)
	}
	for _, id := range c.above {
		if p.below[id]--; p.below[id] == 0 {
			delete(p.below, id)
			p.rise(workBelow(id), true)
		}
	}
}

// errStays means that a task is of a file that stays on this computer.
var errStays = errors.New("stays on this computer")

// errOther means that there is nothing to do for a task, because another one sees
// to what it is about. Nobody who is held waits for that.
var errOther = errors.New("is seen to elsewhere")

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

func (p *publisher) do(ctx context.Context, w *work) {
	defer p.wg.Done()
	err := p.d.publish(ctx, w.key)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running--
	w.running, w.done, w.total = false, 0, 0
	p.ends(w, err)
	p.unclaim(w)
	now := time.Now()
	if len(p.ended) > p.endedMax {
		maps.DeleteFunc(p.ended, func(_ taskKey, at time.Time) bool { return now.Sub(at) > lately })
		p.endedMax = max(256, 2*len(p.ended))
	}
	p.ended[w.key] = now
	var wait laterError
	var rest restError
	var hold heldError
	w.rests, w.waits = false, nil
	switch {
	case w.again:
		w.err = nil
		p.at(w, w.due)
	case err == nil, errors.Is(err, errOther):
		p.drop(w)
	case errors.As(err, &hold):
		w.err = nil
		p.hold(w, hold)
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
		if pause := time.Duration(wait.pause) * p.d.o.Quiet / 4; wait.why == nil {
			p.soon(w, pause)
		} else {
			p.at(w, now.Add(pause))
		}
	case p.d.flights.base.Err() != nil:
	case ctx.Err() != nil: // paused; nothing is wrong with it
		w.err = nil
		p.at(w, now)
	case parks(err):
		w.parked, w.err = err, err
		p.log.Warn("not published until somebody sees to it", "task", p.name(w.key), "err", err)
	default:
		w.err = err
		w.attempts++
		pause := min(p.d.o.RetryMin<<min(w.attempts-1, 16), maxBackoff)
		asked, _ := rateLimited(err)
		p.at(w, now.Add(asked+pause/2+p.d.o.Rand(pause/2+1)))
		p.log.Info("not published yet", "task", p.name(w.key), "err", err, "attempts", w.attempts)
	}
	if p.work[w.key] == w {
		p.count(w)
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
