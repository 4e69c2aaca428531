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
	"log/slog"
	"os"
	"runtime/debug"
	"time"

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
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{ReplaceAttr: crash.RedactAttr}))
	texts, err := assets.English()
	if err != nil {
		return err
	}
	socket, err := client.DefaultSocket()
	if err != nil {
		return err
	}
	dir, err := single.Dir(socket)
	if err != nil {
		return err
	}
	raised := make(chan struct{}, 1)
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
		defer recordCrashes(log)()
	}

	service := client.New(socket)
	home, err := os.UserHomeDir()
	if err != nil {
		log.Warn("paths are written whole", "err", err)
	}
	controller := desktop.New(desktop.Options{
		Service: service, Details: service,
		Subscribe: func(ctx context.Context) (desktop.Stream, error) {
			s, err := service.Events(ctx)
			if err != nil {
				return nil, err
			}
			return s, nil
		},
		Start:  client.Start,
		Browse: desktop.Browse,
		Texts:  texts,
		Home:   home,
		Logger: log,
	})
	defer controller.Close()
	newGUI(texts, controller, raised, log).run(hidden)
	return nil
}

// recordCrashes keeps what the runtime says should this process crash. What it returns
// ends that.
func recordCrashes(log *slog.Logger) (end func()) {
	p, err := places.Default()
	if err != nil {
		log.Warn("crashes are not recorded", "err", err)
		return func() {}
	}
	version := "unknown"
	if b, ok := debug.ReadBuildInfo(); ok && b.Main.Version != "" {
		version = b.Main.Version
	}
	r, err := crash.Start(crash.Options{Dir: p.Crashes(), Program: "moorage-desktop", Version: version, Clock: time.Now})
	if err != nil {
		log.Warn("crashes are not recorded", "err", err)
		return func() {}
	}
	for _, old := range r.Old {
		log.Error("an earlier run has crashed", "at", old.Time, "report", old.Path)
	}
	return func() {
		if err := r.Close(); err != nil {
			log.Warn("the recording of crashes did not end well", "err", err)
		}
	}
}
