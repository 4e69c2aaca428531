package mounts

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/mounter"
)

// What Options.Look fails with. All else counts as a look that did not take place.
var (
	ErrStale = errors.New("the system takes the mount for stale")
	ErrDeaf  = errors.New("the mount does not answer")
)

const (
	// lookTime is how long a look may take.
	lookTime = 10 * time.Second
	// maxStale is how many looks find a mount stale before it is taken away.
	maxStale = 3
	// maxDeaf is for how many times LookEvery the system may ask a drive nothing and
	// answer nobody before the mount is taken away. A client whose server was away for
	// long tries it again after five minutes at the latest, by itself and without harm to
	// those who wait.
	maxDeaf = 6
)

// pulse is what is known of whether a mount answers. It is of run's goroutine.
type pulse struct {
	looked  chan error // of the look that is under way; nil: there is none
	called  uint64     // how many calls the server had had when it began
	next    *time.Timer
	stale   int
	silence time.Time // since when it does not answer; zero: it does
}

// dueLook is when d's mount is to be looked at again; nil if it is not now.
func (d *drive) dueLook() <-chan time.Time {
	if d.m.o.Look == nil || d.live == nil || d.pulse.looked != nil {
		return nil
	}
	if d.pulse.next == nil {
		d.pulse.next = time.NewTimer(d.m.o.LookEvery)
	}
	return d.pulse.next.C
}

// lookAtMount begins a look at the mount.
func (d *drive) lookAtMount(ctx context.Context) {
	c := make(chan error, 1)
	d.pulse.next, d.pulse.looked, d.pulse.called = nil, c, d.calls()
	dir := d.live.mount.Dir
	d.m.wg.Go(func() {
		short, cancel := context.WithTimeout(ctx, lookTime)
		defer cancel()
		c <- d.m.o.Look(short, dir)
	})
}

// calls is how many calls d's server has had.
func (d *drive) calls() (n uint64) {
	d.mu.Lock()
	stats := d.stats
	d.mu.Unlock()
	if stats != nil {
		for _, p := range stats.Snapshot().Procedures {
			n += p.Calls
		}
	}
	return n
}

// judge draws the conclusions from a look at the mount. A mount that answers nobody is
// taken away, by force, since everybody hangs who touches it, and made anew.
func (d *drive) judge(ctx context.Context, err error) {
	p := &d.pulse
	p.looked = nil
	if d.live == nil {
		return
	}
	if errors.Is(err, ErrDeaf) && d.calls() != p.called {
		err = nil // it is slow: the system asks, and the drive's own limits hold
	}
	was := p.silent()
	switch {
	case errors.Is(err, ErrStale):
		p.stale++
	case errors.Is(err, ErrDeaf):
		if p.silence.IsZero() {
			p.silence = time.Now()
		}
	default:
		if err != nil {
			d.log.Warn("the mount could not be looked at", "err", err)
		}
		p.stale, p.silence = 0, time.Time{}
	}
	if p.silent() != was {
		d.refresh()
	}
	if !p.silent() {
		return
	}
	d.log.Warn("the mount does not answer", "dir", d.live.mount.Dir, "err", err)
	if p.stale < maxStale && (p.silence.IsZero() || time.Since(p.silence) < maxDeaf*d.m.o.LookEvery) {
		p.next = time.NewTimer(d.m.o.LookEvery / 6)
		return
	}
	d.renew(ctx)
}

func (p *pulse) silent() bool { return p.stale > 0 || !p.silence.IsZero() }

// renew takes a mount away that is dead, and has it made again.
func (d *drive) renew(ctx context.Context) {
	dir := d.live.mount.Dir
	if err := d.m.o.Mounter.Unmount(ctx, dir, true); err != nil && !errors.Is(err, mounter.ErrNotMounted) {
		d.log.Error("a mount that does not answer stays", "dir", dir, "err", err)
		d.pulse.next = time.NewTimer(d.m.o.LookEvery)
		return
	}
	d.log.Warn("a mount that did not answer was taken away, and is made again", "dir", dir)
	d.down(true)
	d.rest(api.Connecting, nil)
	d.put(op{kind: opMount, retry: true})
}

// deaf is what a drive shows whose mount does not answer.
func deaf(name string) *api.Problem {
	return &api.Problem{Code: api.CodeTimeout, What: fmt.Sprintf("The system does not get through to the drive %s.", name),
		Means: "Programs that use it wait.", Do: "Nothing: it is mounted again if that does not pass. To have it away now: moorage unmount " + name + " --force"}
}
