// Package service is the running service: one per user, with its drives and
// its control socket.
package service

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
	"github.com/moorage/moorage/daemon/crash"
	"github.com/moorage/moorage/daemon/internal/config"
	"github.com/moorage/moorage/daemon/internal/control"
	"github.com/moorage/moorage/daemon/internal/doctor"
	"github.com/moorage/moorage/daemon/internal/events"
	"github.com/moorage/moorage/daemon/internal/lockfile"
	"github.com/moorage/moorage/daemon/internal/mounts"
	"github.com/moorage/moorage/daemon/internal/problem"
	"github.com/moorage/moorage/daemon/internal/secrets"
	"github.com/moorage/moorage/daemon/internal/state"
	"github.com/moorage/moorage/daemon/internal/transfer"
	"github.com/moorage/moorage/daemon/places"
)

// Options are what the service is made of.
type Options struct {
	Places  places.Places
	Socket  string // of the control API
	Version string
	Opener  mounts.Opener
	Mounter mounts.Mounter
	Secrets *secrets.Store
	Logger  *slog.Logger

	// Probe tells what the system has for mounting.
	Probe func(ctx context.Context) []api.Check

	// Successor is the command by which program, perhaps a new version, takes over from
	// this process; "" is the program that this process was started from. Its standard
	// error is looked at if it is not set. nil: whoever starts services has to do that.
	Successor func(program string) *exec.Cmd

	// Transfers are what drives of Opener keep to, and Opener's proxy. nil: no limits.
	Transfers *transfer.Transfers

	Prospects Prospects

	// List lists, and with read also reads from, a folder that may hang.
	List func(ctx context.Context, dir string, read bool) error

	Login doctor.Login // nil: nobody here starts services

	Look func(ctx context.Context, dir string) error // see mounts.Options

	Keep mounts.Keeper // see mounts.Options

	// See mounts.Options; nil for a Mounter that is the system's.
	CheckPeer func(net.Conn) error
	Watch     func(ctx context.Context, changed func()) error
}

// The bounds of the end. Programs that have files open get gentle to close
// them; then their drives are taken away, because a mount without a server
// hangs everybody who touches it.
const (
	gentle   = 10 * time.Second
	forced   = 20 * time.Second
	shutdown = 15 * time.Second
)

// Service is a service at work.
type Service struct {
	o       Options
	started time.Time
	conf    *config.File
	m       *mounts.Manager
	failed  *api.Problem  // why a successor did not start
	stop    chan struct{} // capacity 1: a client asked for the end
	restart chan string   // capacity 1: a client asked for a successor, from this program
	hub     *events.Hub
	tries   chan struct{} // one token for each Try under way
	looks   chan struct{} // the same for Found

	pausing  sync.Mutex    // one change of pause at a time; before mu
	repaused chan struct{} // capacity 1: pause is another one

	mu    sync.Mutex
	pause *api.Pause // nil: transfers are not paused
}

// Run runs the service until ctx is done, when it unmounts all drives, until a
// client ends it, or until another program has taken over.
func Run(ctx context.Context, o Options) error {
	if err := takeKey(o.Secrets); err != nil {
		o.Logger.Warn("the file of secrets stays locked", "err", err)
	}
	var failed *api.Problem
	for {
		next, err := run(ctx, o, failed)
		if err != nil || next == nil {
			return err
		}
		if err = handOver(ctx, o, next); err == nil {
			return nil
		}
		o.Logger.Error("the new service did not start, and this one goes on", "program", next.Path, "err", err)
		failed = notStarted(next.Path, err)
	}
}

// run is Run until another program shall take over.
func run(ctx context.Context, o Options, failed *api.Problem) (*successor, error) {
	if err := os.MkdirAll(o.Places.State, 0o700); err != nil {
		return nil, problem.Of(err, "the service")
	}
	// The socket has a lock of its own; this one keeps a service with another socket
	// away from the same drives.
	lock, err := lockfile.Acquire(filepath.Join(o.Places.State, "service.lock"))
	if err != nil {
		return nil, running(ctx, o, control.Held(err))
	}
	defer lock.Release()
	l, err := control.Listen(o.Socket, o.Logger)
	if err != nil {
		return nil, running(ctx, o, err)
	}
	defer recordCrashes(o)()
	forgetTries(o)
	store, err := state.Open(o.Places.Drives())
	if err != nil {
		l.Close()
		return nil, problem.Of(err, "the service")
	}
	hub := new(events.Hub)
	s := &Service{o: o, started: time.Now(), conf: config.New(o.Places.Config), failed: failed,
		stop: make(chan struct{}, 1), restart: make(chan string, 1), tries: make(chan struct{}, manyTries), looks: make(chan struct{}, 1),
		hub: hub, repaused: make(chan struct{}, 1)}
	s.m = mounts.New(mounts.Options{
		Opener: o.Opener, Mounter: o.Mounter, Secrets: o.Secrets, Config: s.conf, State: store,
		CacheDir: o.Places.Cache, MountsDir: o.Places.Mounts, Events: hub, Logger: o.Logger, Clock: time.Now, Rand: rand.Reader,
		CheckPeer: o.CheckPeer, Watch: o.Watch, Look: o.Look, Keep: o.Keep,
		Configure: s.configure,
	})
	s.setPause(s.loadPause()) // before drives are opened
	if err := s.m.Start(ctx); err != nil {
		l.Close()
		return nil, problem.Of(err, "the service")
	}
	server := control.New(control.Options{
		Drives: s.m, Mounts: s.m, Uploads: s.m, Pins: s.m, History: s.m, Secrets: s, Settings: s.m, Pauses: s, Prospects: s,
		Events: func() control.Feed { return hub.Subscribe() },
		Doctor: doctor.New(s.doctorOptions(store)), Stop: s.end, Restart: s.replace, Info: s.info, Logger: o.Logger,
	})
	wctx, unwatch := context.WithCancel(context.Background())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if err := o.Secrets.Watch(wctx, s.m.Look); wctx.Err() == nil {
			o.Logger.Info("the keyring does not tell when it is unlocked; drives that wait look from time to time", "err", err)
		}
	}()
	pauses := make(chan struct{})
	go func() {
		defer close(pauses)
		s.endPauses(wctx)
	}()
	defer func() {
		unwatch()
		<-watched
		<-pauses
	}()
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	o.Logger.Info("the service is ready", "version", o.Version, "pid", os.Getpid(), "socket", o.Socket)
	notify(stateReady)

	var next *successor
	unmount := true
	select {
	case <-ctx.Done():
	case <-s.stop:
		unmount = false
	case program := <-s.restart:
		unmount, next = false, &successor{Cmd: o.Successor(program), trusted: program == ""}
	case err = <-served: // the socket failed: nobody could end us any more
	}
	if next == nil {
		notify(stateStopping)
	}
	if unmount {
		s.unmountAll()
	}
	sctx, cancel := context.WithTimeout(context.Background(), shutdown)
	defer cancel()
	err = errors.Join(err, server.Shutdown(sctx), s.m.Close(sctx))
	o.Logger.Info("the service has ended", "err", err)
	if err != nil {
		return nil, problem.Of(fmt.Errorf("end the service: %w", err), "the service")
	}
	return next, nil
}

// recordCrashes keeps what the runtime says should this process crash, and tells the log
// of earlier ones. It is called with the lock held; what it returns ends it. A service
// without that is better than none.
func recordCrashes(o Options) (end func()) {
	r, err := crash.Start(crash.Options{Dir: o.Places.Crashes(), Program: "mooraged", Version: o.Version, Clock: time.Now})
	if err != nil {
		o.Logger.Warn("crashes are not recorded", "err", err)
		return func() {}
	}
	for _, old := range r.Old {
		o.Logger.Error("an earlier run has crashed", "at", old.Time, "report", old.Path)
	}
	return func() {
		if err := r.Close(); err != nil {
			o.Logger.Warn("the recording of crashes did not end well", "err", err)
		}
	}
}

// running explains that there is another service.
func running(ctx context.Context, o Options, err error) error {
	var r *control.RunningError
	if !errors.As(err, &r) {
		return problem.New(api.ExitFailed, api.CodeInternal, "The service cannot open its control socket: "+err.Error()+".", "",
			"Set XDG_RUNTIME_DIR or MOORAGE_SOCKET to a place that is yours alone.")
	}
	what := "A Moorage service is already running"
	if r.PID != 0 {
		what += fmt.Sprintf(", pid %d", r.PID)
	}
	do := "Use that one, or end it first."
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if s, err := client.New(o.Socket).Service(ctx); err == nil && s.Version != o.Version {
		what += ", of version " + s.Version + "; this is " + o.Version
		do = "Use that one, or have this version take its place, while drives stay mounted: mooraged service restart."
	}
	return problem.New(api.ExitNotFound, api.CodeRunning, what+".", "", do)
}

// unmountAll unmounts all drives, by force those that are still in use after a while.
func (s *Service) unmountAll() {
	ctx, cancel := context.WithTimeout(context.Background(), gentle)
	err := s.m.UnmountAll(ctx, false)
	cancel()
	if err == nil {
		return
	}
	s.o.Logger.Warn("drives in use are taken away from their programs", "err", err)
	ctx, cancel = context.WithTimeout(context.Background(), forced)
	defer cancel()
	if err := s.m.UnmountAll(ctx, true); err != nil {
		s.o.Logger.Error("some drives stay mounted, for the next service", "err", err)
	}
}

// end is asked by a client.
func (s *Service) end(ctx context.Context, r api.StopService) error {
	if r.Unmount {
		if err := s.m.UnmountAll(ctx, false); err != nil {
			return err
		}
	}
	select {
	case s.stop <- struct{}{}:
	default:
	}
	return nil
}

func (s *Service) info() api.Service {
	return api.Service{Version: s.o.Version, PID: os.Getpid(), Started: s.started, Problem: s.m.Problem(), Restart: s.failed, Paused: s.paused()}
}

// configure takes up settings that were checked.
func (s *Service) configure(c config.Settings) {
	if s.o.Transfers == nil {
		return
	}
	if err := s.o.Transfers.Set(transfer.Settings{Upload: c.UploadLimit, Download: c.DownloadLimit, Proxy: c.Proxy}); err != nil {
		s.o.Logger.Error("the settings of the network cannot be used", "err", err)
	}
}
