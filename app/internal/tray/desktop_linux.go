package tray

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
)

// busTimeout bounds each question to the session bus.
const busTimeout = 2 * time.Second

// Desktop is the person's desktop session, which may have a tray, and may get
// one later: a StatusNotifierItem is taken up by the watcher that starts after
// it.
type Desktop struct {
	bus    *dbus.Conn
	cancel context.CancelFunc // of bus
	wg     sync.WaitGroup

	mu    sync.Mutex
	shows bool
}

// watcher is the name that a tray owns on the session bus
// (freedesktop.org, StatusNotifierItem, "StatusNotifierWatcher").
const watcher = "org.kde.StatusNotifierWatcher"

// Connect finds the desktop session. The caller must Close it. ErrNoDesktop
// means that nothing may be put into a tray: the toolkit would not survive it.
func Connect(ctx context.Context) (*Desktop, error) {
	// Without an address the library would start a bus of its own, which
	// nobody else is on and nobody ends.
	if os.Getenv("DBUS_SESSION_BUS_ADDRESS") == "" {
		if _, err := os.Stat(filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "bus")); err != nil {
			return nil, ErrNoDesktop
		}
	}
	// The connection lives as long as its context, so the bound on the time to
	// make it is a cancel that otherwise is called off.
	alive, cancel := context.WithCancel(context.WithoutCancel(ctx))
	timer := time.AfterFunc(busTimeout, cancel)
	bus, err := dbus.ConnectSessionBus(dbus.WithContext(alive))
	if err != nil {
		timer.Stop()
		cancel()
		return nil, fmt.Errorf("%w: %w", ErrNoDesktop, err)
	}
	timer.Stop() // where it has fired, the next call fails
	d := &Desktop{bus: bus, cancel: cancel}
	if err := d.watch(ctx); err != nil {
		d.Close()
		return nil, fmt.Errorf("%w: %w", ErrNoDesktop, err)
	}
	return d, nil
}

func (d *Desktop) watch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, busTimeout)
	defer cancel()
	err := d.bus.AddMatchSignalContext(ctx,
		dbus.WithMatchSender("org.freedesktop.DBus"),
		dbus.WithMatchInterface("org.freedesktop.DBus"),
		dbus.WithMatchMember("NameOwnerChanged"),
		dbus.WithMatchArg(0, watcher))
	if err != nil {
		return err
	}
	signals := make(chan *dbus.Signal, 4)
	d.bus.Signal(signals)
	var has bool
	if err := d.bus.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, watcher).Store(&has); err != nil {
		return err
	}
	d.set(has)
	d.wg.Go(func() {
		for s := range signals { // closed with the bus
			if len(s.Body) == 3 {
				owner, ok := s.Body[2].(string)
				d.set(ok && owner != "")
			}
		}
		d.set(false)
	})
	return nil
}

func (d *Desktop) set(shows bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shows = shows
}

// ShowsTray says whether the desktop shows trays at this moment. It may be
// called concurrently and does not wait.
func (d *Desktop) ShowsTray() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.shows
}

// Close leaves the session.
func (d *Desktop) Close() {
	d.bus.Close()
	d.cancel()
	d.wg.Wait()
}
