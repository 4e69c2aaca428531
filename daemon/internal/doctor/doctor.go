// Package doctor looks at everything that drives need of this computer and of their
// remotes, says in one sentence each what it found and what to do, and does itself what is
// safe. It works beside a running service and without one.
package doctor

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/autostart"
	"github.com/moorage/moorage/daemon/internal/config"
	"github.com/moorage/moorage/daemon/places"
)

// What can be done about a finding, for api.Check.Fix.
const (
	fixFolders = "folders"        // make them, with the right modes
	fixSocket  = "stale-socket"   // remove what a service that was killed has left
	fixMounts  = "dead-mounts"    // take away mounts that nobody serves
	fixLogin   = "start-at-login" // have the system start the service
	fixClient  = "load-client"    // load the kernel's NFS client
)

// limit bounds each look and each fix. Those of drives go to the network, so many at a
// time.
const (
	limit     = 15 * time.Second
	manyTries = 16
)

// Login has the service started at login; *autostart.Login is one.
type Login interface {
	Status() (autostart.Status, error)
	Install() error
}

// Mount is one NFS mount that the system has.
type Mount struct {
	Dir    string
	Host   string
	Port   uint16 // 0 if the system does not tell
	Export string
}

// Options are what the doctor looks at. All but those marked are needed.
type Options struct {
	Places places.Places
	Socket string // of the service's API
	Config *config.File
	Login  Login // nil: nobody here starts services
	Logger *slog.Logger

	Proxy proxyFunc // of drives; nil: that of the environment

	// Keyring says where passwords can be stored, or fails as package secrets does.
	Keyring func(ctx context.Context) (where string, err error)

	// Probe tells what the system has for mounting. Table reads its mounts, Unmount
	// takes one away by force.
	Probe   func(ctx context.Context) []api.Check
	Table   func(ctx context.Context) ([]Mount, error)
	Unmount func(ctx context.Context, dir string) error

	// Drives are those of the running service; nil: none runs. Try opens and lists one
	// that is not mounted. Look lists, and with read also reads from, the folder of one
	// that is, such that nothing hangs for longer than ctx.
	Drives func() ([]api.Drive, error)
	Try    func(ctx context.Context, d api.Drive) error
	Look   func(ctx context.Context, dir string, read bool) error
}

// Doctor examines. Its methods may be called concurrently, and then wait for each other.
// An examination takes limit at most, and a moment; with many drives whose remotes are
// silent, that for every manyTries of them.
type Doctor struct {
	o     Options
	looks []look
	fixes map[string]func(ctx context.Context) (done string, err error)

	turn chan struct{} // capacity 1: one examination at a time

	mu   sync.Mutex
	away map[string]time.Time // looks that have not come back, by id, since when
}

// look finds out about one thing, or several that belong together.
type look struct {
	id, name string
	once     bool // what it finds is not there a second time
	find     func(ctx context.Context) []api.Check
}

// New makes a doctor.
func New(o Options) *Doctor {
	if o.Proxy == nil {
		o.Proxy = http.ProxyFromEnvironment
	}
	d := &Doctor{o: o, turn: make(chan struct{}, 1), away: make(map[string]time.Time)}
	one := func(id, name string, find func(ctx context.Context, c *api.Check)) look {
		return look{id: id, name: name, find: func(ctx context.Context) []api.Check {
			c := api.Check{ID: id, Name: name, State: api.CheckOK}
			find(ctx, &c)
			return []api.Check{c}
		}}
	}
	d.looks = []look{
		{id: "mounting", name: "mounting", find: d.mounting},
		one("session-bus", "session bus", sessionBus),
		one("keyring", "keyring", d.keyring),
		one("config", "config file", d.config),
		{id: "folders", name: "folders", find: d.folders},
		one("space-state", "space for changes", func(_ context.Context, c *api.Check) { space(c, o.Places.State) }),
		one("space-cache", "space for the cache", func(_ context.Context, c *api.Check) { space(c, o.Places.Cache) }),
		one("login", "start at login", d.login),
		one("git", "git", git),
		{id: "crashes", name: "crashes", once: true, find: d.crashes},
		one("mounts", "mounts", d.mounts),
	}
	if o.Drives == nil {
		d.looks = append(d.looks, one("socket", "service's socket", d.socket))
	}
	d.fixes = map[string]func(ctx context.Context) (string, error){
		fixFolders: d.mendFolders, fixSocket: d.removeSocket, fixMounts: d.removeMounts, fixLogin: d.startAtLogin, fixClient: loadClient,
	}
	return d
}

// Examine looks at everything, all at the same time.
func (d *Doctor) Examine(ctx context.Context) []api.Check {
	if !d.begin(ctx) {
		return nil
	}
	defer d.end()
	return flat(d.examine(ctx, nil))
}

// begin waits until nobody else is examined; false: ctx is done before.
func (d *Doctor) begin(ctx context.Context) bool {
	select {
	case d.turn <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (d *Doctor) end() { <-d.turn }

// examine gives what each look found. Those that are once are not done again if they are
// in before.
func (d *Doctor) examine(ctx context.Context, before [][]api.Check) [][]api.Check {
	looks := slices.Clone(d.looks)
	var drives []api.Check
	if d.o.Drives != nil {
		l, err := d.o.Drives()
		if err != nil {
			drives = []api.Check{failed(api.Check{ID: "drives", Name: "drives"}, err)}
		}
		for _, dr := range l {
			looks = append(looks, look{id: driveID(dr), name: "drive " + dr.Name, find: func(ctx context.Context) []api.Check { return d.drive(ctx, dr) }})
		}
	}
	found := make([][]api.Check, len(looks), len(looks)+1)
	places := make(chan struct{}, manyTries)
	var wg sync.WaitGroup
	for i, l := range looks {
		if l.once && before != nil {
			found[i] = before[i]
			continue
		}
		wg.Go(func() {
			if i >= len(d.looks) { // at a drive
				places <- struct{}{}
				defer func() { <-places }()
			}
			found[i] = d.bounded(ctx, l)
		})
	}
	wg.Wait()
	return append(found, drives)
}

// bounded gives l its time. A look that hangs in the operating system is left alone, and
// not begun again before it has come back.
func (d *Doctor) bounded(ctx context.Context, l look) []api.Check {
	late := func(since time.Time) []api.Check {
		return []api.Check{{ID: l.id, Name: l.name, State: api.CheckBad,
			Detail: fmt.Sprintf("No answer for %v.", time.Since(since).Round(time.Second)), Remedy: "Try again. If it stays, restart the computer, or report this."}}
	}
	began := time.Now()
	d.mu.Lock()
	since, hangs := d.away[l.id]
	if !hangs {
		d.away[l.id] = began
	}
	d.mu.Unlock()
	if hangs {
		return late(since)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	done := make(chan []api.Check, 1)
	go func() {
		defer cancel()
		found := l.find(ctx)
		d.mu.Lock()
		delete(d.away, l.id)
		d.mu.Unlock()
		done <- found
	}()
	select {
	case found := <-done:
		return found
	case <-ctx.Done():
	}
	// It was told to end, which takes a moment.
	grace := time.NewTimer(time.Second)
	defer grace.Stop()
	select {
	case found := <-done:
		return found
	case <-grace.C:
		return late(began)
	}
}

// Treat does what can be done about what it finds, or of that only fixes, and examines
// again.
func (d *Doctor) Treat(ctx context.Context, fixes []string) []api.Check {
	if !d.begin(ctx) {
		return nil
	}
	defer d.end()
	before := d.examine(ctx, nil)
	done := make(map[string]string) // by id of the check
	byFix := make(map[string]string)
	for _, c := range flat(before) {
		if c.Fix == "" || len(fixes) > 0 && !slices.Contains(fixes, c.Fix) {
			continue
		}
		said, ok := byFix[c.Fix]
		if !ok {
			said = d.mend(ctx, c.Fix)
			byFix[c.Fix] = said
		}
		done[c.ID] = said
	}
	if len(done) == 0 {
		return flat(before)
	}
	after := flat(d.examine(ctx, before))
	for i, c := range after {
		after[i].Done = done[c.ID]
	}
	return after
}

// mend says what it did.
func (d *Doctor) mend(ctx context.Context, fix string) string {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	said, err := d.fixes[fix](ctx)
	if err != nil {
		d.o.Logger.Warn("the doctor could not help", "fix", fix, "err", err)
		return fmt.Sprintf("Tried and failed: %v.", err)
	}
	d.o.Logger.Info("the doctor helped", "fix", fix, "done", said)
	return said
}

func flat(found [][]api.Check) []api.Check { return slices.Concat(found...) }
