package mounts

import (
	"context"
	"net"
	"time"
)

// Keeper keeps the listeners of mounted drives while no service runs, where there is no
// mount helper that does; *keeper.Client is one.
type Keeper interface {
	// Listen gives the listener that is kept for drive, or a new one at port of the
	// loopback, 0 for any. The caller closes what it gets.
	Listen(ctx context.Context, drive string, port uint16) (net.Listener, error)
	// Drop ends the keeping.
	Drop(ctx context.Context, drive string) error
}

const keepTime = 5 * time.Second // that a keeper may take

// own opens a listener at port without the mount helper. It is kept, if it can be, for
// the time in which the service was killed and is not back.
func (d *drive) own(ctx context.Context, port uint16) (net.Listener, error) {
	if d.m.o.Keep == nil {
		return Listen(ctx, loopback(port))
	}
	kctx, cancel := context.WithTimeout(ctx, keepTime)
	defer cancel()
	l, err := d.m.o.Keep.Listen(kctx, d.id, port)
	if err == nil && port != 0 && portOf(l) != port { // of a mount that is not there any more
		l.Close()
		d.unkeep()
		l, err = d.m.o.Keep.Listen(kctx, d.id, port)
	}
	if err == nil {
		return l, nil
	}
	d.log.Info("the drive's port is not kept when the service ends by itself", "err", err)
	return Listen(ctx, loopback(port))
}

// unkeep has d's listener not be kept any more.
func (d *drive) unkeep() {
	if d.m.o.Keep == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), keepTime)
	defer cancel()
	if err := d.m.o.Keep.Drop(ctx, d.id); err != nil {
		d.log.Warn("the drive's port is kept though nobody needs it", "err", err)
	}
}

func portOf(l net.Listener) uint16 {
	a, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0
	}
	return uint16(a.Port)
}
