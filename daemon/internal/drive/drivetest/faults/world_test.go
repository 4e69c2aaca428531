package faults

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive"
	"github.com/moorage/moorage/daemon/internal/drive/disk"
	"github.com/moorage/moorage/daemon/internal/drive/disk/disktest"
	"github.com/moorage/moorage/daemon/internal/drive/drivetest/rough"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
)

var owner = &nfs.Caller{UID: 1000, GID: 1000}

// errGone is what a client has of a process that ended.
var errGone = errors.New("the process is gone")

// bound is how long anything may take, by the clock of the bubble.
const bound = 2 * time.Hour

// tree is what is on a drive or a remote: contents by path. A folder's path ends in
// a slash, and a link's content begins with "-> ".
type tree map[string]string

func (t tree) clone() tree { return maps.Clone(t) }

// rename gives a path, and all that is below it, another name.
func (t tree) rename(from, to string) {
	t.remove(to)
	for p, content := range t.clone() {
		if rest, ok := strings.CutPrefix(p, from); ok && (rest == "" || rest[0] == '/') {
			delete(t, p)
			t[to+rest] = content
		}
	}
}

func (t tree) remove(p string) {
	delete(t, p)
	delete(t, p+"/")
}

// differ tells what is not the same in two trees; "" if nothing.
func differ(got, want tree) string {
	var out []string
	for p, content := range want {
		if g, ok := got[p]; !ok {
			out = append(out, fmt.Sprintf("%q is missing", p))
		} else if g != content {
			out = append(out, fmt.Sprintf("%q holds %.40q (%d bytes), not %.40q (%d bytes)", p, g, len(g), content, len(content)))
		}
	}
	for p := range got {
		if _, ok := want[p]; !ok {
			out = append(out, fmt.Sprintf("%q is too much", p))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

// world is a remote, a computer with a drive of it, and a client of that.
type world struct {
	t       *testing.T
	remote  *rough.Remote // nil: it is shop
	shop    *shop
	session *rough.Session
	provide func(*rough.Session) providers.Provider // what the drive gets; nil: the session
	o       drive.Options

	disk, cache *disktest.Disk
	onto        func(disk.FS) disk.FS // what the drive has of these; nil: all
	d           *drive.Drive

	acked tree // what the client knows to be there
	maybe tree // likewise, if the call that was not answered was done; nil: there is none

	ids    map[string]nfs.ID // of what was moved
	side   []string          // paths that stay on this computer
	theirs tree              // what somebody else made of files that were changed here

	mu           sync.Mutex
	dead         bool
	steps        []string
	cut          func(n int, step string) bool // whether the process ends at the nth step
	power        bool                          // and the power with it
	next, cached *disktest.Disk
	known        map[string]bool // contents that there were
	counts       map[string]int  // uploads by path; nil: they are not counted
	torn         bool            // a write was not answered: other contents can be
}

func newWorld(t *testing.T, o rough.Options) *world {
	w := &world{t: t, disk: disktest.New(1), cache: disktest.New(2), acked: tree{}, theirs: tree{}, ids: map[string]nfs.ID{}, known: map[string]bool{}}
	o.Put = w.stored
	w.remote = rough.New(1, o)
	w.remote.Calm(true)
	t.Cleanup(w.close)
	return w
}

// open starts the process.
func (w *world) open() {
	w.t.Helper()
	w.mu.Lock()
	w.dead = false
	w.mu.Unlock()
	o := w.o
	if w.remote != nil {
		w.session = w.remote.Connect()
		o.Provider = w.session
		if w.provide != nil {
			o.Provider = w.provide(w.session)
		}
	}
	o.StateDir, o.UID, o.GID = "state", owner.UID, owner.GID
	o.Disk, o.Cache, o.Nodes, o.Step, o.Host = w.disk, w.cache, w.disk.Pebble(), w.step, "host"
	if w.onto != nil {
		o.Disk, o.Cache = w.onto(w.disk), w.onto(w.cache)
	}
	if o.ProbeInterval == 0 {
		o.ProbeInterval, o.TTL = 5*time.Second, 5*time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	var err error
	if w.d, err = drive.Open(ctx, o); err != nil {
		w.t.Fatalf("open: %v", err)
	}
}

func (w *world) close() {
	if w.d == nil {
		return
	}
	if err := w.d.Close(); err != nil && !w.isDead() {
		w.t.Errorf("close: %v", err)
	}
	w.d = nil
}

// reopen ends the process in good order and starts it again.
func (w *world) reopen() {
	w.t.Helper()
	w.close()
	w.open()
}

func (w *world) isDead() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dead
}

// step is called by the engine before each step of a change.
func (w *world) step(name string) {
	w.mu.Lock()
	w.steps = append(w.steps, name)
	hit := w.cut != nil && !w.dead && w.cut(len(w.steps), name)
	w.mu.Unlock()
	if hit {
		w.kill()
	}
}

// kill ends the process, or the power.
func (w *world) kill() {
	w.mu.Lock()
	w.dead, w.cut = true, nil
	power := w.power
	w.mu.Unlock()
	if w.session != nil {
		w.session.Cut()
	}
	var next, cached *disktest.Disk
	if power {
		next, cached = w.disk.Crash(nil), w.cache.Crash(nil)
	} else {
		next, cached = w.disk.Kill(), w.cache.Kill()
	}
	w.mu.Lock()
	w.next, w.cached = next, cached
	w.mu.Unlock()
}

// restart starts the process again after kill, and looks whether all is there that
// was acknowledged.
func (w *world) restart() {
	w.t.Helper()
	w.close()
	w.disk, w.cache = w.next, w.cached
	w.open()
	w.verify()
}

// stored is told of what the drive puts on the remote.
func (w *world) stored(p string, b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.counts != nil {
		w.counts[p]++
	}
	if !w.known[string(b)] && !w.torn {
		w.t.Errorf("%d bytes were put on the remote as %s, which were never the content of a file: %.40q", len(b), p, b)
	}
}

// know notes contents that there may be.
func (w *world) know(t tree) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, content := range t {
		w.known[content] = true
	}
}

// has fills the remote before the drive is opened.
func (w *world) has(t tree) {
	w.t.Helper()
	for _, p := range slices.Sorted(maps.Keys(t)) {
		var err error
		if dir, ok := strings.CutSuffix(p, "/"); ok {
			err = w.remote.Mkdir(dir)
		} else {
			err = w.remote.Edit(p, []byte(t[p]))
		}
		if err != nil {
			w.t.Fatal(err)
		}
		w.acked[p] = t[p]
	}
	w.know(t)
}

// patient makes a call until it is answered, as a client does that is told to ask
// again.
func patient(call func(context.Context) error) error {
	for end := time.Now().Add(bound); ; {
		ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
		began := time.Now()
		err := call(ctx)
		cancel()
		if took := time.Since(began); took > 9*time.Second {
			return fmt.Errorf("a call took %v, and gave %v", took, err)
		}
		if nfs.StatusOf(err) != nfs.ErrJukebox {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("no answer for long: %w", err)
		}
		time.Sleep(time.Second)
	}
}

// do has the client make a call that changes something. effect is what it does.
func (w *world) do(what string, effect func(tree), call func(context.Context) error) {
	w.t.Helper()
	if w.isDead() {
		return
	}
	w.maybe = w.acked.clone()
	effect(w.maybe)
	w.know(w.maybe)
	err := patient(func(ctx context.Context) error {
		if w.isDead() {
			return errGone
		}
		return call(ctx)
	})
	if w.isDead() {
		return // no answer arrives any more
	}
	if err != nil {
		w.t.Errorf("%s: %v", what, err)
	} else {
		w.acked = w.maybe
	}
	w.maybe = nil
}
