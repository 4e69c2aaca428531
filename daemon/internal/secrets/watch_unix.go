//go:build unix && !darwin

package secrets

import (
	"context"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	settle = 100 * time.Millisecond // what the bus tells is gathered for so long
	// apart is how long two calls of changed are apart, at least: one makes callers ask
	// the keyring, and there may be one that tells of that, or falls over it.
	apart = 2 * time.Second
)

// Watch implements watcher.
func (secretService) Watch(ctx context.Context, changed func()) error {
	c, err := dialBus(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	signals := make(chan *dbus.Signal, 64) // what does not fit is told by those that do
	c.Signal(signals)
	for _, match := range [][]dbus.MatchOption{
		{dbus.WithMatchSender("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, ssName)},
		{dbus.WithMatchSender(ssName), dbus.WithMatchPathNamespace(ssPath), dbus.WithMatchInterface("org.freedesktop.DBus.Properties")},
		{dbus.WithMatchSender(ssName), dbus.WithMatchPathNamespace(ssPath), dbus.WithMatchInterface(ssService)},
	} {
		if err := c.AddMatchSignalContext(ctx, match...); err != nil {
			return ssError(err)
		}
	}
	told := false // since changed was called last
	last := time.Time{}
	var due <-chan time.Time
	for {
		select {
		case _, ok := <-signals:
			switch {
			case !ok:
				return fmt.Errorf("%w: it went away", ErrNoBus)
			case !told:
				told = true
				due = time.After(max(settle, apart-time.Since(last)))
			}
		case <-due:
			told, due, last = false, nil, time.Now()
			changed()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
