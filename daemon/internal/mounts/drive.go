package mounts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/problem"
	"github.com/moorage/moorage/daemon/internal/state"
	"github.com/moorage/moorage/mounter"
	"github.com/moorage/moorage/nfs"
)

// drive is one drive. Its goroutine (run) does one op after the other and alone
// touches live, pulse, attempts and retry; everybody else asks it by put.
type drive struct {
	m    *Manager
	id   string
	loc  Location // of when it was loaded; what depends on the revision may have changed
	log  *slog.Logger
	wake chan struct{} // capacity 1

	live     *live
	attempts int
	retry    *time.Timer // nil: no further attempt is planned
	locked   bool        // the attempt that is planned is for the secret to be reachable again
	over     bool        // run shall end
	pulse    pulse       // of live

	revising chan struct{} // capacity 1: a token of who changes the revision

	saving sync.Mutex // one write of the state file at a time; before mu

	using sync.RWMutex // see use
	src   *Source      // of live, while others than run may ask it

	mu     sync.Mutex
	st     state.Drive
	auto   bool
	view   api.Drive  // what is not in st
	stats  *nfs.Stats // of the server; nil: there is none
	ops    []op
	cancel context.CancelFunc // of the op at work, if it may be cut short
	held   bool               // no op may begin, see hold
	ended  bool               // run is over: ops are refused
	erased bool               // nothing of it is shown or saved any more
	kept   kept               // of when it was last not open
	barred *api.Error         // why it cannot be mounted; nil: it can

	turning *string // the revision that it is on its way to; nil: none
}

// live is what a mounted drive consists of.
type live struct {
	src   *Source
	srv   *Server
	gate  *gate
	mount state.Mount
}

type opKind int

const (
	opMount opKind = iota
	opAdopt        // take up the mount of an earlier service
	opUnmount
	opForget // unmount, and be gone; with force also if changes would be lost
	opLeave  // stop serving; the mount stays
	opTable  // the mount table may have changed
	opLook   // see what it keeps for its remote, before it is opened
)

// op is something that a drive is asked to do.
type op struct {
	kind  opKind
	force bool
	retry bool            // of opMount: go on trying while the remote is away
	quiet bool            // of opMount: show nothing as long as the secret is not reachable
	l     net.Listener    // of opAdopt: listens on the old port; nil if that is another program's, or held
	table []mounter.Mount // of opTable
	done  chan *api.Error // capacity 1; nil if nobody waits
}

func (o *op) reply(err *api.Error) {
	if o.done != nil {
		o.done <- err
	}
}

// cuts reports whether o makes work on a mount pointless.
func (o *op) cuts() bool { return o.kind == opUnmount || o.kind == opForget || o.kind == opLeave }

func (m *Manager) newDrive(st state.Drive, loc Location, auto bool) *drive {
	d := &drive{m: m, id: st.ID, loc: loc, st: st, auto: auto, wake: make(chan struct{}, 1), revising: make(chan struct{}, 1),
		log: m.o.Logger.With("drive", st.Name, "id", st.ID)}
	d.view.State, d.view.Since = api.Stopped, m.o.Clock()
	return d
}

func (d *drive) name() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.st.Name
}

// settings returns a copy of what is durable of d.
func (d *drive) settings() state.Drive {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.st
}

// save changes what is durable of d, on disk first.
func (d *drive) save(change func(*state.Drive)) error {
	d.saving.Lock()
	defer d.saving.Unlock()
	d.mu.Lock()
	st, erased := d.st, d.erased
	d.mu.Unlock()
	if erased {
		return noDrive(st.Name)
	}
	change(&st)
	if err := d.m.o.State.Save(st); err != nil {
		return err
	}
	d.mu.Lock()
	change(&d.st)
	d.mu.Unlock()
	return nil
}

// now is describe with what the open file system has to publish at this moment.
func (d *drive) now() api.Drive {
	var h Health
	knows := false
	d.use(func(s *Source) {
		if knows = s.Sync != nil; knows {
			h = s.health()
		}
	})
	v := d.describe()
	if knows && v.Address != "" {
		v.Pending, v.Traffic = h.Pending, h.Traffic
	}
	return v
}

// describe returns d as it was last shown.
func (d *drive) describe() api.Drive {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.describeLocked()
}

func (d *drive) describeLocked() api.Drive {
	v := d.view
	v.Name, v.URL, v.Kind, v.Auto, v.Remembered = d.st.Name, d.st.URL, d.loc.Kind, d.auto, d.st.Remembered
	v.ReadOnly = v.ReadOnly || d.st.ReadOnly
	if v.Pending == (api.Pending{}) && (d.view.Address == "" || v.ReadOnly) { // nothing that is open knows better
		v.Pending = d.kept.pending
	}
	switch {
	case d.st.Mount != nil:
		v.Dir = d.st.Mount.Dir
	case d.st.Dir != "":
		v.Dir = d.st.Dir
	default:
		v.Dir = d.m.defaultDir(d.st.Name)
	}
	if v.Problem != nil {
		p := *v.Problem
		v.Problem = &p
	}
	v.Shown = d.shown(&v)
	return v
}

// show changes the visible state of d and tells everybody who watches.
func (d *drive) show(change func(v *api.Drive)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	old := d.view.State
	change(&d.view)
	if d.view.State != old {
		d.view.Since = d.m.o.Clock()
	}
	if p := d.view.Problem; p != nil && p.Time.IsZero() {
		q := *p
		q.Time = d.m.o.Clock()
		d.view.Problem = &q
	}
	if !d.erased { // whoever came too late must not bring it back
		d.m.o.Events.Put(d.describeLocked())
	}
}

// rest shows that d is not served: in state s, for the reason p.
func (d *drive) rest(s api.State, p *api.Error) {
	d.show(func(v *api.Drive) {
		*v = api.Drive{State: s, Since: v.Since}
		if p != nil {
			v.Problem = &p.Problem
		}
	})
}

// connecting shows that a mount was asked for, unless d is on its way or there already.
func (d *drive) connecting() {
	if s := d.describe().State; s == api.Stopped || s == api.NeedsYou || s == api.Failed {
		d.rest(api.Connecting, nil)
	}
}

func (d *drive) step(s string) { d.show(func(v *api.Drive) { v.Step = s }) }

// put asks d to do o, after what it was asked before. What o makes pointless is
// called off.
func (d *drive) put(o op) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		if o.l != nil {
			o.l.Close()
		}
		o.reply(noDrive(d.st.Name))
		return
	}
	if o.cuts() {
		keep := d.ops[:0]
		for _, q := range d.ops {
			if q.kind == opMount {
				q.reply(calledOff(d.st.Name))
			} else {
				keep = append(keep, q)
			}
		}
		d.ops = keep
		if d.cancel != nil {
			d.cancel()
		}
	}
	if n := len(d.ops); o.kind == opTable && n > 0 && d.ops[n-1].kind == opTable {
		d.ops[n-1] = o
	} else {
		d.ops = append(d.ops, o)
	}
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// await waits for the reply of an op that was put with done (nil: does not wait).
func (d *drive) await(ctx context.Context, done chan *api.Error) (api.Drive, error) {
	if done == nil {
		return d.now(), nil
	}
	select {
	case err := <-done:
		if err != nil {
			return api.Drive{}, err
		}
		return d.now(), nil
	case <-ctx.Done():
		return api.Drive{}, ctx.Err()
	}
}

// settle is how long what changes is gathered before it is shown again.
const settle = 200 * time.Millisecond

// run does what d is asked until it is over.
func (d *drive) run(ctx context.Context) {
	var soon <-chan time.Time // after it, changes are shown again; nil: at once
	stale := false            // there were some meanwhile
	for !d.over {
		if o, octx, finish := d.take(ctx); o != nil {
			d.do(octx, *o)
			finish()
			continue
		}
		var changes <-chan struct{}
		var died <-chan struct{}
		var again, measure <-chan time.Time
		if d.live != nil {
			changes, died = d.live.src.Changes, d.live.srv.Done()
			pause := d.m.o.Measure
			switch {
			case d.describe().Pending.Files > 0: // somebody may watch it
				pause /= 10
			case d.live.src.Sync != nil: // what begins to wait is not told by Changes
				pause /= 5
			}
			measure = time.After(pause)
		}
		if d.retry != nil {
			again = d.retry.C
		}
		select {
		case <-d.wake:
		case <-changes:
			if stale = soon != nil; !stale {
				d.refresh()
				soon = time.After(settle)
			}
		case <-soon:
			soon = nil
			if stale && d.live != nil {
				d.refresh()
				soon = time.After(settle)
			}
			stale = false
		case <-measure:
			h, v := d.live.src.health(), d.describe()
			if (api.Cache{Used: h.CacheUsed, Limit: h.CacheLimit}) != v.Cache || h.Pending != v.Pending || h.Traffic != v.Traffic {
				d.refresh()
			}
		case <-d.dueLook():
			d.lookAtMount(ctx)
		case err := <-d.pulse.looked:
			d.judge(ctx, err)
		case <-died:
			d.collapse()
		case <-again:
			d.retry = nil
			d.put(op{kind: opMount, retry: true, quiet: d.locked})
		}
	}
	d.stopRetry()
	d.mu.Lock()
	d.ended = true
	rest := d.ops
	name := d.st.Name
	d.ops = nil
	d.mu.Unlock()
	for _, o := range rest {
		if o.l != nil {
			o.l.Close()
		}
		o.reply(noDrive(name))
	}
}

// take returns the next op, if there is one, with a context that ends when a
// later op makes it pointless. Work that must be finished is not cut short by
// the end of ctx, because all of it is bounded.
func (d *drive) take(ctx context.Context) (*op, context.Context, func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.ops) == 0 || d.held {
		return nil, nil, nil
	}
	o := d.ops[0]
	d.ops = d.ops[1:]
	if o.kind != opMount && o.kind != opAdopt {
		return &o, context.WithoutCancel(ctx), func() {}
	}
	octx, cancel := context.WithCancel(ctx)
	for _, later := range d.ops {
		if later.cuts() {
			cancel()
		}
	}
	d.cancel = cancel
	return &o, octx, func() {
		d.mu.Lock()
		d.cancel = nil
		d.mu.Unlock()
		cancel()
	}
}

func (d *drive) do(ctx context.Context, o op) {
	switch o.kind {
	case opMount:
		o.reply(d.mount(ctx, o))
	case opAdopt:
		d.adopt(ctx, o.l)
	case opUnmount:
		o.reply(d.unmount(ctx, o.force))
	case opForget:
		o.reply(d.forget(ctx, o.force))
	case opLeave:
		d.leave()
	case opTable:
		d.table(ctx, o.table)
	case opLook:
		d.look()
		d.show(func(*api.Drive) {})
	}
}

// mount mounts d and shows how that went.
func (d *drive) mount(ctx context.Context, o op) *api.Error {
	if d.live != nil {
		return nil
	}
	if o.quiet && d.stillLocked(ctx) {
		return nil
	}
	d.stopRetry()
	d.rest(api.Connecting, nil)
	err := d.connect(ctx)
	st := d.settings()
	switch {
	case err == nil:
		d.attempts = 0
		d.refresh()
		d.log.Info("mounted", "dir", d.live.mount.Dir)
		return nil
	case ctx.Err() != nil:
		d.rest(api.Stopped, nil)
		return calledOff(st.Name)
	}
	e := problem.Of(err, st.URL)
	d.log.Warn("mounting failed", "code", e.Problem.Code, "err", err)
	switch {
	case o.retry && problem.Transient(err):
		d.planRetry(e)
	case d.waitsFor(err):
		d.waitForSecret(e)
	case problem.NeedsPerson(e):
		d.rest(api.NeedsYou, e)
	default:
		d.rest(api.Failed, e)
	}
	return e
}

// maxRetry is the longest pause between attempts.
const maxRetry = time.Minute

// planRetry shows that d waits for its remote, and why.
func (d *drive) planRetry(e *api.Error) {
	d.plan(maxRetry)
	d.rest(api.Connecting, e)
	d.step("wait")
}

// plan has d tried again after a pause that grows, up to most.
func (d *drive) plan(most time.Duration) {
	d.attempts++
	pause := min(d.m.o.Retry<<min(d.attempts-1, 10), most)
	pause += time.Duration(rand.Int64N(int64(pause)/4 + 1)) // so that drives do not ask all at once
	d.retry = time.NewTimer(pause)
}

func (d *drive) stopRetry() {
	d.locked = false
	if d.retry != nil {
		d.retry.Stop()
		d.retry = nil
	}
}

// refresh shows a mounted drive with what its remote says.
func (d *drive) refresh() {
	h := d.live.src.health()
	l := d.live
	d.show(func(v *api.Drive) {
		var lost *api.Problem
		if v.Problem != nil && v.Problem.Code == api.CodeLost {
			lost = v.Problem
		}
		since := v.Since
		state := api.Mounted
		var p *api.Problem
		if !h.Online {
			state = api.Degraded
			p = offline(h.Err, d.st.URL, !l.mount.ReadOnly)
			if v.Problem != nil && v.Problem.Code == p.Code {
				p.Time = v.Problem.Time
			}
		} else if d.pulse.silent() {
			state = api.Degraded
			p = deaf(d.st.Name)
			if v.Problem != nil && v.Problem.Code == p.Code {
				p.Time = v.Problem.Time
			}
		} else if h.Disk != nil {
			state = api.Degraded
			p = diskTrouble(h.Disk, d.st.URL)
			if v.Problem != nil && v.Problem.Code == p.Code {
				p.Time = v.Problem.Time
			}
		} else if p = lost; p == nil && h.Pending.Parked == 0 && h.PinRoom {
			p = pinsFull(d.st.Name)
			if v.Problem != nil && v.Problem.Code == p.Code {
				p.Time = v.Problem.Time
			}
		} else if p == nil && h.Pending.Parked > 0 {
			p = parked(h.Pending.Parked, d.st.Name)
			if v.Problem != nil && v.Problem.Code == p.Code {
				p.Time = v.Problem.Time
			}
		}
		old := v.State
		*v = api.Drive{State: old, Since: since, ReadOnly: l.mount.ReadOnly, Revision: h.Revision, Shown: h.Shown, Address: l.srv.Addr().String(),
			Cache: api.Cache{Used: h.CacheUsed, Limit: h.CacheLimit}, Pending: h.Pending, Traffic: h.Traffic, Problem: p}
		v.State = state
	})
}

// offline is what a mounted drive shows while its remote is away.
func offline(err error, url string, writable bool) *api.Problem {
	if err == nil {
		err = errors.New("no answer")
	}
	p := problem.Of(err, url).Problem
	p.Means = "The drive shows what is cached; what was not read before cannot be read now."
	if writable {
		p.Means += " What you change is kept on this computer and published when the remote answers."
	}
	if problem.Transient(err) || p.Code == api.CodeInternal {
		p.Code = api.CodeOffline
		p.What = fmt.Sprintf("%s does not answer: %v.", url, err)
		p.Do = "Nothing: it is tried again by itself."
	}
	return &p
}

// diskTrouble is what a mounted drive shows while this computer's disk takes no
// changes.
func diskTrouble(err error, url string) *api.Problem {
	p := problem.Of(err, url).Problem
	if p.Code != api.CodeDiskFull {
		p = api.Problem{Code: api.CodeDisk, What: "This computer's disk does not take what is written: " + err.Error() + "."}
	}
	p.Means = "Nothing can be changed on the drive meanwhile. What was saved before is safe."
	p.Do = "Free some space; the rest goes by itself."
	if p.Code == api.CodeDisk {
		p.Do = "Look after the disk and its cable; it is tried again by itself."
	}
	return &p
}

func noDrive(name string) *api.Error {
	return problem.New(api.ExitNotFound, api.CodeNoDrive, fmt.Sprintf("There is no drive named %q.", name), "",
		"See moorage status for the names.")
}

func calledOff(name string) *api.Error {
	return problem.New(api.ExitFailed, api.CodeStopping, fmt.Sprintf("Mounting %q was called off.", name), "", "")
}

func errStopping() *api.Error {
	return problem.New(api.ExitFailed, api.CodeStopping, "The service is about to end.", "", "Try again in a moment.")
}
