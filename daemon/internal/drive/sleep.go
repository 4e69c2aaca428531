package drive

import (
	"time"

	"github.com/moorage/moorage/providers"
)

// How often it is looked whether this computer has slept, and by how much more time
// than that has to have passed.
const (
	sleepTick = 10 * time.Second
	sleepLeap = 20 * time.Second
)

// watchSleep finds out when this computer, or this process, stood still for a while.
// What counts is the clock on the wall: that of the processor may stand still, too.
func (d *Drive) watchSleep() {
	t := time.NewTicker(sleepTick)
	defer t.Stop()
	for at := d.o.Clock().Round(0); ; {
		select {
		case <-d.flights.done():
			return
		case <-t.C:
		}
		now := d.o.Clock().Round(0)
		if slept := now.Sub(at) - sleepTick; slept > sleepLeap {
			d.o.Logger.Info("this computer has slept, or its clock was set", "for", slept.Round(time.Second))
			d.lookAnew()
		}
		at = now
	}
}

// NetworkChanged tells that this computer's addresses are others now. It waits for
// nothing.
func (d *Drive) NetworkChanged() {
	if d.enter() != nil {
		return
	}
	defer d.leave()
	d.lookAnew()
}

// lookAnew has the remote looked at: connections to it may be dead, and what has to
// wait because it could not be reached need not any more.
func (d *Drive) lookAnew() {
	if w, ok := d.p.(providers.Waker); ok {
		w.Woke()
	}
	select {
	case d.woken <- struct{}{}:
	default:
	}
	if d.pub != nil {
		d.pub.online()
	}
}
