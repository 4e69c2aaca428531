// Command moorage-desktop shows the drives in a window and in the tray. It
// talks to the service, mooraged, and starts it when there is none; ending it
// leaves the service and the drives as they are.
//
//	moorage-desktop            opens the window, also that of a running one
//	moorage-desktop --hidden   for the login: nothing but the tray
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/moorage/moorage/app/internal/autostart"
	"github.com/moorage/moorage/app/internal/desktop"
	"github.com/moorage/moorage/app/internal/single"
	"github.com/moorage/moorage/assets"
	"github.com/moorage/moorage/daemon/client"
	"github.com/moorage/moorage/daemon/crash"
	"github.com/moorage/moorage/daemon/places"
)

func main() {
	hidden := flag.Bool("hidden", false, "start without the window, in the tray")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "moorage-desktop takes no %q: it has only the flag --hidden.\n", flag.Arg(0))
		os.Exit(2)
	}
	if err := run(*hidden); err != nil {
		fmt.Fprintf(os.Stderr, "moorage-desktop: %v\n", err)
		os.Exit(1)
	}
}

func run(hidden bool) error {
	recent := &desktop.Recent{}
	log := slog.New(slog.NewTextHandler(io.MultiWriter(os.Stderr, recent), &slog.HandlerOptions{ReplaceAttr: crash.RedactAttr}))
	socket, err := client.DefaultSocket()
	if err != nil {
		return err
	}
	dir, err := single.Dir(socket)
	if err != nil {
		return err
	}
	raised := make(chan struct{}, 1)
	crashed := false
	instance, err := single.Acquire(dir, func() {
		select {
		case raised <- struct{}{}:
		default:
		}
	})
	switch {
	case errors.Is(err, single.ErrRunning):
		if hidden { // it is in the tray already, or has its window open
			return nil
		}
		return single.Raise(context.Background(), dir)
	case err != nil:
		// Two windows are better than none.
		log.Warn("a second instance will not find this one", "err", err)
	default:
		defer instance.Close()
		var end func()
		end, crashed = recordCrashes(log)
		defer end()
	}

	kit := newToolkit(log)
	texts, err := assets.For(kit.language())
	if err != nil {
		return err
	}
	service := client.New(socket)
	home, err := os.UserHomeDir()
	if err != nil {
		log.Warn("paths are written whole", "err", err)
	}
	options := desktop.Options{
		Service: service, Details: service, Revisions: service, Doctor: service, Prospects: service, Login: newLogin(log),
		Setup: service, Secrets: service, Local: client.DoctorHere,
		Subscribe: func(ctx context.Context) (desktop.Stream, error) {
			s, err := service.Events(ctx)
			if err != nil {
				return nil, err
			}
			return s, nil
		},
		Start:    client.Start,
		Browse:   desktop.Browse,
		Texts:    texts,
		Version:  version(),
		Home:     home,
		Evidence: desktop.Evidence{AppLog: recent.Text},
		Logger:   log,
	}
	if p, err := places.Default(); err == nil {
		options.Evidence.ServiceLog, options.Evidence.Crashes = p.Log, p.Crashes()
		options.Crashes = func() ([]crash.Report, error) { return crash.Reports(p.Crashes()) }
	}
	controller := desktop.New(options)
	defer controller.Close()
	if crashed {
		controller.Crashed()
	}
	newGUI(kit, texts, controller, raised, log).run(hidden)
	return nil
}

// version is that which the Go command recorded.
func version() string {
	if b, ok := debug.ReadBuildInfo(); ok && b.Main.Version != "" {
		return b.Main.Version
	}
	return "unknown"
}

// recordCrashes keeps what the runtime says should this process crash. What it returns
// ends that, and says whether an earlier run has crashed.
func recordCrashes(log *slog.Logger) (end func(), crashed bool) {
	p, err := places.Default()
	if err != nil {
		log.Warn("crashes are not recorded", "err", err)
		return func() {}, false
	}
	r, err := crash.Start(crash.Options{Dir: p.Crashes(), Program: "moorage-desktop", Version: version(), Clock: time.Now})
	if err != nil {
		log.Warn("crashes are not recorded", "err", err)
		return func() {}, false
	}
	for _, old := range r.Old {
		log.Error("an earlier run has crashed", "at", old.Time, "report", old.Path)
	}
	return func() {
		if err := r.Close(); err != nil {
			log.Warn("the recording of crashes did not end well", "err", err)
		}
	}, len(r.Old) > 0
}

// login is what is started at login.
type login struct {
	entry *autostart.Entry
	err   error // why there is no entry
}

var _ desktop.Login = (*login)(nil)

func newLogin(log *slog.Logger) *login {
	program, err := os.Executable()
	if err != nil {
		return &login{err: err}
	}
	l := &login{}
	if l.entry, l.err = autostart.New(program); l.err != nil {
		log.Warn("the app cannot be started at login", "err", l.err)
	}
	return l
}

func (l *login) App() (bool, error) {
	if l.err != nil {
		return false, l.err
	}
	return l.entry.Enabled()
}

func (l *login) SetApp(on bool) error {
	if l.err != nil {
		return l.err
	}
	return l.entry.Set(on)
}

func (l *login) Service(ctx context.Context) (can, on bool, err error) { return client.AtLogin(ctx) }

func (l *login) SetService(ctx context.Context, on bool) error { return client.SetAtLogin(ctx, on) }
