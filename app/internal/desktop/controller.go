// Package desktop keeps the view of the app true: it follows the service's
// events, asks the service to do what a person wants, and opens drives in the
// file manager. It draws nothing; whoever does takes a View at every wake-up.
package desktop

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/assets"
	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
	"github.com/moorage/moorage/daemon/crash"
)

// Service is what the app asks of the service. Its methods may be called
// concurrently and return when ctx is done.
type Service interface {
	Add(ctx context.Context, a api.AddDrive) (api.Drive, error)
	Edit(ctx context.Context, name string, e api.EditDrive) (api.Drive, error)
	Remove(ctx context.Context, name string) error
	Mount(ctx context.Context, name string, wait bool) (api.Drive, error)
	Unmount(ctx context.Context, name string, u api.UnmountDrive) (api.Drive, error)
	SetSecret(ctx context.Context, name, secret string) error
}

var _ Service = (*client.Client)(nil)

// Stream delivers the service's events, beginning with all present drives and
// api.Ready. An error of Next other than that of ctx ends it.
type Stream interface {
	Next(ctx context.Context) (api.Event, error)
	Close()
}

// Options are what a Controller stands on. All fields but Home, Crashes, Clock,
// Logger and Backoff must be set.
type Options struct {
	Service   Service
	Details   Details
	Revisions Revisions
	Doctor    Doctor
	Prospects Prospects
	Login     Login
	Setup     Setup
	Secrets   Secrets
	Local     func(ctx context.Context, fix bool) ([]api.Check, error) // the doctor's report without a service
	Subscribe func(ctx context.Context) (Stream, error)                // client.ErrNoService when there is none
	Start     func(ctx context.Context) error                          // starts the service and waits for it
	Browse    func(ctx context.Context, folder string) error           // shows a folder in the file manager
	Texts     assets.Texts
	Version   string // of the app
	Home      string // of the person; "": paths are written whole
	Evidence  Evidence
	Crashes   func() ([]crash.Report, error) // of all programs, the newest first; nil: none are recorded
	Clock     func() time.Time               // nil: time.Now
	Logger    *slog.Logger                   // nil: silent
	Backoff   Backoff                        // zero: half a second up to half a minute
}

// Bounds of what the service may take. They are above its own, so that its
// answer comes first.
const (
	askTimeout  = 30 * time.Second
	slowTimeout = 3 * time.Minute // mounts, unmounts and what includes one
)

// Controller is the app without its windows. All methods may be called
// concurrently, and none but Close waits for the service.
type Controller struct {
	o      Options
	ctx    context.Context // done at Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
	wake   chan struct{} // to the drawer
	again  chan struct{} // to follow: try now
	look   chan struct{} // to watch: the watched drive may have changed

	mu      sync.Mutex
	model   *model.Model
	news    []model.News        // not taken yet
	ending  map[string]struct{} // drives that have just published something
	stopped bool                // the service was told to end, and is not started again
	ended   bool

	lastCrash time.Time // of follow alone
}

// New starts following the service. The caller must Close it.
func New(o Options) *Controller {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Backoff = o.Backoff.orDefault()
	ctx, cancel := context.WithCancel(context.Background())
	c := &Controller{
		o: o, ctx: ctx, cancel: cancel,
		wake: make(chan struct{}, 1), again: make(chan struct{}, 1), look: make(chan struct{}, 1),
		model: model.New(o.Texts, o.Home), ending: map[string]struct{}{},
	}
	c.change(func(m *model.Model) { m.SetUp(model.Setup{Version: o.Version, Unknown: true}, nil) })
	c.run(c.follow)
	c.run(c.watch)
	return c
}

// Close gives up what is under way and waits for it to end. The service and
// its drives go on.
func (c *Controller) Close() {
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	c.cancel()
	c.wg.Wait()
}

// Changes wakes whoever shows the view: after a receive, View has something
// new. Wake-ups that come while nobody receives become one.
func (c *Controller) Changes() <-chan struct{} { return c.wake }

// View returns what is to be shown now.
func (c *Controller) View() model.View {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.model.View(c.o.Clock())
}

// run calls f in a goroutine for which Close waits; after Close it does
// nothing.
func (c *Controller) run(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.wg.Go(f)
	}
}

// change alters the model and wakes the drawer.
func (c *Controller) change(f func(*model.Model)) {
	c.mu.Lock()
	f(c.model)
	c.news = append(c.news, c.model.News(c.o.Clock())...)
	c.mu.Unlock()
	signal(c.wake)
}

// News takes what a person is to be told of and was not told yet.
func (c *Controller) News() []model.News {
	c.mu.Lock()
	defer c.mu.Unlock()
	news := c.news
	c.news = nil
	return news
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Do begins what the person wants and returns at once; how it goes shows in
// the view. Verbs that only the window can do are ignored.
func (c *Controller) Do(verb model.Verb, drive string) {
	switch verb {
	case model.Mount:
		c.ask(verb, drive, askTimeout, func(ctx context.Context) error {
			_, err := c.o.Service.Mount(ctx, drive, false)
			return err
		})
	case model.Unmount, model.Force:
		c.ask(verb, drive, slowTimeout, func(ctx context.Context) error {
			_, err := c.o.Service.Unmount(ctx, drive, api.UnmountDrive{Force: verb == model.Force, Wait: true})
			return err
		})
	case model.Remove:
		c.ask(verb, drive, slowTimeout, func(ctx context.Context) error {
			return c.o.Service.Remove(ctx, drive)
		})
	case model.Auto, model.ReadOnly, model.KeepHere, model.Publish:
		c.changeOf(verb, drive)
	case model.GoBack:
		c.goBack(drive)
	case model.Open:
		c.open(drive)
	case model.Dismiss:
		c.change(func(m *model.Model) { m.Dismiss(drive) })
	case model.UnmountAll:
		c.mu.Lock()
		names := c.model.Active()
		c.mu.Unlock()
		for _, name := range names {
			c.Do(model.Unmount, name)
		}
	case model.Reconnect:
		signal(c.again)
	case model.Examine, model.Treat:
		c.examine(verb, drive)
	case model.Pause, model.Resume:
		c.pause(verb)
	case model.Preferences, model.Secrets, model.AppAtLogin, model.ServiceAtLogin:
		c.settings(verb)
	}
}

// Add makes a new drive known and begins to mount it. done gets nil, or what
// to tell the person; it is called from another goroutine, and not at all
// after Close.
func (c *Controller) Add(a api.AddDrive, done func(*api.Problem)) {
	c.run(func() {
		ctx, cancel := context.WithTimeout(c.ctx, askTimeout)
		defer cancel()
		a.Dir = c.expand(a.Dir)
		d, err := c.o.Service.Add(ctx, a)
		if c.ctx.Err() != nil {
			return
		}
		done(c.problem(err))
		if err == nil {
			c.Do(model.Mount, d.Name)
		}
	})
}

// expand puts the person's home in the place of a "~" at the beginning of a path, which
// the app shows there.
func (c *Controller) expand(path string) string {
	if rest, ok := strings.CutPrefix(path, "~"); ok && c.o.Home != "" && (rest == "" || rest[0] == '/' || rest[0] == filepath.Separator) {
		return filepath.Join(c.o.Home, rest)
	}
	return path
}

// SetSecret hands a password or token to the service, which keeps it in the
// keyring, and tries the drive again. done is called as that of Add.
func (c *Controller) SetSecret(drive, secret string, done func(*api.Problem)) {
	c.run(func() {
		ctx, cancel := context.WithTimeout(c.ctx, askTimeout)
		defer cancel()
		err := c.o.Service.SetSecret(ctx, drive, secret)
		if c.ctx.Err() != nil {
			return
		}
		done(c.problem(err))
		if d, ok := c.drive(drive); err == nil && ok && (d.State == api.NeedsYou || d.State == api.Failed) {
			c.Do(model.Mount, drive)
		}
	})
}

func (c *Controller) drive(name string) (api.Drive, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.model.Drive(name)
}

func (c *Controller) ask(verb model.Verb, drive string, limit time.Duration, f func(context.Context) error) {
	c.change(func(m *model.Model) { m.Ask(drive, verb) })
	c.run(func() {
		ctx, cancel := context.WithTimeout(c.ctx, limit)
		defer cancel()
		err := f(ctx)
		if err != nil {
			c.o.Logger.Warn("the service refused", "verb", string(verb), "drive", drive, "err", err)
		}
		c.change(func(m *model.Model) { m.Answer(drive, verb, c.problem(err)) })
	})
}

func (c *Controller) open(drive string) {
	d, ok := c.drive(drive)
	if !ok || d.Dir == "" {
		p := api.Problem{What: c.o.Texts.Get("open.nowhere.what"), Do: c.o.Texts.Get("open.nowhere.do")}
		c.change(func(m *model.Model) { m.Answer(drive, model.Open, &p) })
		return
	}
	c.run(func() {
		err := c.o.Browse(c.ctx, d.Dir)
		if err == nil || c.ctx.Err() != nil {
			return
		}
		c.o.Logger.Warn("open in the file manager", "folder", d.Dir, "err", err)
		p := api.Problem{What: c.o.Texts.Get("open.failed.what"), Do: c.o.Texts.Get("open.failed.do", d.Dir)}
		c.change(func(m *model.Model) { m.Answer(drive, model.Open, &p) })
	})
}

// problem puts an error of the service into sentences; nil for nil.
func (c *Controller) problem(err error) *api.Problem {
	var e *api.Error
	t := c.o.Texts
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return &e.Problem
	case errors.Is(err, client.ErrNoService):
		return &api.Problem{What: t.Get("link.lost.what"), Do: t.Get("service.slow.do")}
	case errors.Is(err, context.DeadlineExceeded):
		return &api.Problem{What: t.Get("service.slow.what"), Do: t.Get("service.slow.do")}
	}
	return &api.Problem{What: t.Get("service.other.what", err), Do: t.Get("service.other.do")}
}
