// Package model compares the drive engine with a model of what it promises,
// while computers crash, lines break and somebody else changes the remote.
package model

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive"
	"github.com/moorage/moorage/daemon/internal/drive/disk/disktest"
	"github.com/moorage/moorage/daemon/internal/drive/drivetest/rough"
	"github.com/moorage/moorage/nfs"
)

const (
	uid = 1000
	gid = 1000
)

var owner = &nfs.Caller{UID: uid, GID: gid}

// Trace is what happened in a cycle.
type Trace struct {
	mu    sync.Mutex
	lines []string
}

// Lines are the last n lines, each with the time.
func (t *Trace) Lines(n int) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.lines[max(0, len(t.lines)-n):])
}

func (t *Trace) add(s string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, s)
}

// Stats are what cycles went through.
type Stats struct {
	Kills, PowerLosses, Ops int
}

// world is one cycle: a remote, a computer with a drive, two clients of it, and
// somebody else.
type world struct {
	seed   uint64
	rng    *rand.Rand // of the one who runs the cycle
	remote *rough.Remote
	kind   rough.Kind
	began  time.Time

	disk    *disktest.Disk
	cache   *disktest.Disk // loses power together with disk
	session *rough.Session
	d       *drive.Drive
	clients []*client
	shared  *shared

	stats Stats
	trace *Trace

	mu      sync.Mutex
	dead    bool // the power is off, or the process gone
	next    *disktest.Disk
	cached  *disktest.Disk // next of cache
	steps   int            // until the fault; 0: never
	power   bool           // the fault is of the power
	errs    []string
	history map[uint64]bool // hashes of the contents that there were
	fuzzies []*file         // what crashes left
}

// log adds to the trace.
func (w *world) log(format string, args ...any) {
	w.trace.add(fmt.Sprintf("%9.3f ", time.Since(w.began).Seconds()) + fmt.Sprintf(format, args...))
}

// fail notes that a promise was broken.
func (w *world) fail(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	w.log("FAILURE: %s", s)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errs = append(w.errs, s)
}

func (w *world) isDead() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dead
}

func (w *world) isFailed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.errs) > 0
}

// remember notes a content that there was, or will be.
func (w *world) remember(b []byte) {
	h := hash(b)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.history[h] = true
}

// Run goes through one cycle and tells what promises were broken. It belongs into
// a bubble of testing/synctest.
func Run(seed uint64, trace *Trace) (Stats, []string) {
	rng := rand.New(rand.NewPCG(seed, 1))
	w := &world{seed: seed, rng: rng, began: time.Now(), history: map[uint64]bool{}, trace: trace}
	w.kind = rough.Kind(rng.IntN(rough.Kinds))
	o := rough.Options{Kind: w.kind, KeepVersions: rng.IntN(2) == 0, Log: w.log, Put: w.stored, Before: w.meets}
	if rng.IntN(3) > 0 {
		o.FailBefore = 0.1 * rng.Float64()
		o.FailAfter = 0.1 * rng.Float64()
	}
	if rng.IntN(3) > 0 {
		o.Latency = time.Duration(1+rng.IntN(1000)) * time.Millisecond
	}
	w.remote = rough.New(seed, o)
	w.log("a %s remote, keeps versions: %v, fails %.2f %.2f, takes up to %v", w.kind, o.KeepVersions, o.FailBefore, o.FailAfter, o.Latency)
	w.disk, w.cache = disktest.New(seed), disktest.New(seed+1)
	w.shared = newShared(w)
	for i := range 2 {
		w.clients = append(w.clients, newClient(w, i))
	}
	w.remote.Calm(true)
	if !w.open() {
		return w.stats, w.errs
	}
	for range 1 + rng.IntN(3) {
		w.round()
		if w.isFailed() {
			break
		}
	}
	if !w.isFailed() {
		w.finish()
	}
	w.d.Close()
	return w.stats, w.errs
}

// open starts the process and looks whether all is there.
func (w *world) open() bool {
	w.mu.Lock()
	w.dead, w.steps, w.next = false, 0, nil
	w.mu.Unlock()
	for _, c := range w.clients {
		c.crash()
	}
	w.session = w.remote.Connect()
	w.remote.Calm(true)
	d, err := w.start(w.disk, w.cache, w.session, func(name string) { w.step(name) })
	if err != nil {
		w.fail("open: %v", err)
		return false
	}
	w.d = d
	w.log("opened")
	for _, c := range w.clients {
		c.verify()
	}
	return !w.isFailed()
}

func (w *world) start(disk, cache *disktest.Disk, s *rough.Session, step func(string)) (*drive.Drive, error) {
	return drive.Open(context.Background(), drive.Options{
		Provider: s, StateDir: "state", UID: uid, GID: gid, Disk: disk, Cache: cache, Nodes: disk.Pebble(), Step: step, Host: "host",
		ProbeInterval: 5 * time.Second, TTL: 5 * time.Second, Rand: func(below time.Duration) time.Duration { return below / 2 },
		Logger: slog.New(slog.NewTextHandler(logWriter{w}, &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == "time" || a.Key == "level" {
				return slog.Attr{}
			}
			return a
		}})),
	})
}

type logWriter struct{ w *world }

func (l logWriter) Write(p []byte) (int, error) {
	l.w.log("drive: %s", strings.TrimSpace(string(p)))
	return len(p), nil
}

// step is called by the engine before each step.
func (w *world) step(name string) {
	w.mu.Lock()
	dead := w.dead
	fault := w.steps == 1
	if w.steps > 0 {
		w.steps--
	}
	w.mu.Unlock()
	if !dead {
		w.log("step: %s", name)
	}
	if fault {
		w.cut("at the step " + name)
	}
}

// cut ends the process, or the power.
func (w *world) cut(why string) {
	w.mu.Lock()
	if w.dead {
		w.mu.Unlock()
		return
	}
	w.dead = true
	power := w.power
	w.mu.Unlock()
	w.session.Cut()
	var next, cached *disktest.Disk
	if !power {
		w.log("KILLED %s", why)
		w.stats.Kills++
		next, cached = w.disk.Kill(), w.cache.Kill()
	} else {
		w.log("POWER LOST %s", why)
		w.stats.PowerLosses++
		next, cached = w.disk.Crash(nil), w.cache.Crash(nil)
	}
	w.mu.Lock()
	w.next, w.cached = next, cached
	w.mu.Unlock()
}

// round has all of them do something, until a fault.
func (w *world) round() {
	w.remote.Calm(false)
	w.mu.Lock()
	w.power = w.rng.IntN(2) == 0
	w.mu.Unlock()
	var wg sync.WaitGroup
	stop := make(chan struct{})
	switch w.rng.IntN(4) {
	case 0:
		w.disk.CrashAt(w.disk.Ops()+1+uint64(w.rng.IntN(600)), func() { w.cut("at an operation of the disk") })
	case 1:
		w.mu.Lock()
		w.steps = 1 + w.rng.IntN(100)
		w.mu.Unlock()
	case 2:
		at := time.Duration(w.rng.Int64N(int64(60 * time.Second)))
		wg.Go(func() {
			select {
			case <-time.After(at):
				w.cut("at some time")
			case <-stop:
			}
		})
	}
	var working sync.WaitGroup
	for _, c := range w.clients {
		n := 5 + w.rng.IntN(25)
		working.Go(func() { c.work(n) })
	}
	n := w.rng.IntN(12)
	working.Go(func() { w.shared.others(n) })
	working.Wait()
	if !w.isDead() && w.rng.IntN(2) == 0 {
		time.Sleep(time.Duration(w.rng.Int64N(int64(20 * time.Second))))
	}
	close(stop)
	wg.Wait()
	w.disk.CrashAt(0, nil)
	w.mu.Lock()
	w.steps = 0
	w.mu.Unlock()
	if !w.isDead() && w.rng.IntN(3) > 0 {
		w.cut("between operations")
	}
	if err := w.d.Close(); err != nil && !w.isDead() {
		w.fail("close: %v", err)
	}
	w.log("closed")
	w.mu.Lock()
	next, cached := w.next, w.cached
	w.mu.Unlock()
	if next != nil {
		w.disk, w.cache = next, cached
	}
	w.session.Cut()
	w.open()
}

// meets has somebody else change something in the shared folder now and then,
// when the engine is about to.
func (w *world) meets(p string, dice *rand.Rand) {
	if !strings.HasPrefix(p, "shared/") || dice.IntN(12) > 0 || w.isFailed() {
		return
	}
	if dice.IntN(4) == 0 {
		w.remote.Delete(p)
		return
	}
	w.remote.Edit(p, w.shared.othersContent(dice))
}

// stored is told of what the engine puts on the remote.
func (w *world) stored(p string, b []byte) {
	if strings.HasPrefix(p, "shared/") {
		w.shared.check("put on the remote as "+p, b)
		return
	}
	h := hash(b)
	w.mu.Lock()
	known := w.history[h]
	fuzzies := w.fuzzies
	w.mu.Unlock()
	if known {
		return
	}
	var why []string
	for _, f := range fuzzies {
		s := f.check(b)
		if s == "" {
			return
		}
		why = append(why, s)
	}
	w.fail("%d bytes were put on the remote as %s, which were never the content of a file (%v)", len(b), p, why)
}

// result is what became of a call.
type result int

const (
	done    result = iota
	refused        // nothing was done
	crashed        // who knows
)

// call makes a call of the drive until it is answered.
func (w *world) call(who, what string, f func(ctx context.Context) error, may ...nfs.Status) (result, error) {
	w.mu.Lock()
	w.stats.Ops++
	w.mu.Unlock()
	for i := range 400 {
		ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
		w.log("%s: %s …", who, what)
		err := f(ctx)
		cancel()
		if w.isDead() { // no answer arrives any more
			w.log("%s: %s: no answer", who, what)
			return crashed, err
		}
		w.log("%s: %s: %v", who, what, err)
		if err == nil {
			return done, nil
		}
		s := nfs.StatusOf(err)
		for _, m := range may {
			if s == m {
				return refused, err
			}
		}
		switch {
		case s == nfs.ErrJukebox:
			time.Sleep(time.Second)
			if w.isDead() {
				return refused, err
			}
		case s == nfs.ErrIO:
			var rough bool
			if st := w.d.Status(); !st.Online || st.Err != nil {
				rough = true
			}
			if !rough && i > 3 {
				w.fail("%s: %s: %v", who, what, err)
			}
			if i > 3 {
				return refused, err
			}
			time.Sleep(time.Second)
		default:
			w.fail("%s: %s: %v", who, what, err)
			return refused, err
		}
	}
	w.fail("%s: %s: no answer for long", who, what)
	return refused, nil
}
