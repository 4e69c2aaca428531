package drive

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/daemon/internal/drive/staging"
	"github.com/moorage/moorage/nfs"
)

// ErrDisk means that the disk of this computer does not take what is written. What
// was acknowledged before is safe; the errors beside it tell whether it is full
// (syscall.ENOSPC).
var ErrDisk = errors.New("this computer's disk does not take what is written")

// diskTrouble knows whether this computer's disk takes what is written.
type diskTrouble struct {
	woken  chan struct{} // of one element
	losses atomic.Uint64 // how often bytes may have been lost that nobody was promised

	mu     sync.Mutex
	err    error     // of files; the store has its own
	since  time.Time // of err, or of the store's
	last   time.Time // when something failed last
	failed map[uint64]time.Time
}

func newDiskTrouble() *diskTrouble {
	return &diskTrouble{woken: make(chan struct{}, 1), failed: map[uint64]time.Time{}}
}

const (
	// diskPasses is how long clients are told to come again, and not that there is
	// an error.
	diskPasses = 5 * time.Second
	// diskPoll is how often a disk that does not take everything is looked at.
	diskPoll = time.Second
	// diskForgotten is how long a failure is told of, and within which time a
	// second one of the same file is taken for one that does not pass.
	diskForgotten = time.Minute
)

// note tells of a failure.
func (t *diskTrouble) note(err error, now time.Time) {
	t.mu.Lock()
	if t.err == nil {
		t.since = now
	}
	t.err, t.last = err, now
	t.mu.Unlock()
	select {
	case t.woken <- struct{}{}:
	default:
	}
}

// again notes that a file failed, and reports whether it did so lately.
func (t *diskTrouble) again(id uint64, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for o, at := range t.failed {
		if now.Sub(at) > diskForgotten {
			delete(t.failed, o)
		}
	}
	_, again := t.failed[id]
	t.failed[id] = now
	return again
}

// Losses counts how often bytes may have been lost that were written and not
// committed.
func (d *Drive) Losses() uint64 { return d.storage.losses.Load() }

var _ nfs.LossTeller = (*Drive)(nil)

// loses is called when bytes of e could not be put on stable storage. The
// operating system tells that once and takes them for written then, so that all
// that counts is what was recorded before; what is lost of the rest, clients
// send again.
func (d *Drive) loses(e *staged, cause error) error {
	now := d.o.Clock()
	err := fmt.Errorf("%w: %w", ErrDisk, cause)
	if !d.staged.retire(e) {
		return fmt.Errorf("%w: %w", nfs.ErrJukebox, err) // somebody else was told
	}
	d.storage.losses.Add(1)
	d.storage.note(err, now)
	d.o.Logger.Error("what was written could not be put on this computer's disk", "err", cause)
	switch {
	case full(cause):
		return fmt.Errorf("%w: %w", nfs.ErrNoSpace, err)
	case d.storage.again(e.id, now):
		return fmt.Errorf("%w: %w", nfs.ErrIO, err)
	}
	return fmt.Errorf("%w: %w", nfs.ErrJukebox, err)
}

// failsToWrite is err of changing a staged file.
func (d *Drive) failsToWrite(err error) error {
	if errors.Is(err, staging.ErrSync) { // an earlier change, and somebody was told
		return err
	}
	if errors.Is(err, syscall.EFBIG) { // the disk is well, and takes no file that large
		return fmt.Errorf("%w: %w", nfs.ErrFBig, err)
	}
	err = fmt.Errorf("%w: %w", ErrDisk, err)
	d.storage.note(err, d.o.Clock())
	s := nfs.ErrIO
	if full(err) {
		s = nfs.ErrNoSpace
	}
	return fmt.Errorf("%w: %w", s, err)
}

// full reports whether err is of a disk that has no room.
func full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, nodes.ErrFull)
}

// ofDisk reports whether err is of this computer's disk.
func ofDisk(err error) bool {
	return errors.Is(err, nodes.ErrBroken) || errors.Is(err, nodes.ErrFull) || errors.Is(err, staging.ErrSync) || errors.Is(err, ErrDisk)
}

// diskStatus is what a client is told of an error of this computer's disk.
func (d *Drive) diskStatus(err error) nfs.Status {
	if full(err) {
		return nfs.ErrNoSpace
	}
	d.storage.mu.Lock()
	since := d.storage.since
	d.storage.mu.Unlock()
	if since.IsZero() || d.o.Clock().Sub(since) < diskPasses {
		return nfs.ErrJukebox // a file is loaded again, or the store opened anew
	}
	return nfs.ErrIO
}

// Trouble is why this computer's disk does not take changes; nil: it does.
func (d *Drive) Trouble() error {
	if err := d.store.Trouble(); err != nil {
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	d.storage.mu.Lock()
	defer d.storage.mu.Unlock()
	return d.storage.err
}

// watchDisk finds out when trouble has begun and passed, while the drive is open.
func (d *Drive) watchDisk() {
	tick := time.NewTicker(diskPoll)
	tick.Stop()
	defer tick.Stop()
	for broken := false; ; {
		polled := false
		select {
		case <-d.flights.done():
			return
		case <-d.store.Troubles():
		case <-d.storage.woken:
		case <-tick.C:
			polled = true
		}
		was := broken
		if broken = d.store.Trouble() != nil; was && !broken && d.pub != nil {
			// A change that was refused may be in the store all the same.
			if err := d.pub.load(); err != nil {
				d.o.Logger.Warn("what waits to be published is not all known", "err", err)
			}
		}
		if !d.diskPassed(broken) {
			tick.Reset(diskPoll)
			if !polled {
				d.health.wake()
			}
			continue
		}
		tick.Stop()
		d.o.Logger.Info("this computer's disk takes changes again")
		if d.pub != nil {
			d.pub.online()
		}
		d.health.wake()
	}
}

// diskPassed reports whether all is well, and forgets the trouble then.
func (d *Drive) diskPassed(broken bool) bool {
	now := d.o.Clock()
	room := d.hasRoom(0) == nil
	t := d.storage
	t.mu.Lock()
	defer t.mu.Unlock()
	if broken {
		if t.since.IsZero() {
			t.since = now
		}
		return false
	}
	if t.err != nil && !(errors.Is(t.err, errNoRoom) && room) && now.Sub(t.last) < diskForgotten {
		return false
	}
	t.err, t.since = nil, time.Time{}
	return true
}

// errNoRoom means that a change was refused so that there is room for order.
var errNoRoom = fmt.Errorf("%w: %w", ErrDisk, syscall.ENOSPC)

// room fails before the disk is so full that what is here could not be kept in
// order.
func (d *Drive) room(n int64) error {
	err := d.hasRoom(n)
	if err != nil {
		d.storage.note(err, d.o.Clock())
	}
	return err
}

func (d *Drive) hasRoom(n int64) error {
	free, _, err := d.disk.Free()
	if err == nil && free-n < journalReserve {
		return fmt.Errorf("%w: this computer's disk is full: %d MiB are free: %w", nfs.ErrNoSpace, free>>20, errNoRoom)
	}
	return nil
}

// journalReserve is how many bytes of the disk are left free by writes, so that
// what was accepted can still be published and forgotten.
const journalReserve = 256 << 20
