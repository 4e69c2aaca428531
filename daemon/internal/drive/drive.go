// Package drive lays a file system over a remote: objects with ids that never
// change, attributes and listings that are kept and renewed, reads that go
// through to the remote, and changes that are kept here and published later.
//
// # What is promised
//
// An id that was given out names the same object after a restart and after a
// crash. Only a remote that answers can take an object away; one that cannot
// be reached leaves what is known as it is. A read returns bytes of one version
// or an error. No call waits longer than its context: the work goes on, and a
// client that asks again finds it done.
//
// What a Commit, a stable write or a change of names was acknowledged for is on
// this computer's disk, and survives a crash and a power failure. It is
// published after a while of quiet, and for as long as that takes. What the
// remote has by then is replaced only if it is what was known of it; otherwise
// both stay, one of them under another name.
//
// # How it is done
//
// A node tells what the drive shows, and how that differs from the remote:
// that it is not there yet, that it is there elsewhere, that its bytes differ
// (package staging has those). A tomb tells that the remote still has a name
// that was given up here. Both are written with the change itself, in one
// durable step. The publisher compares, and asks the remote for what is left to
// do, each time with the condition that it still has what is known of it; so
// it does not matter how often, or in which order, it looks. An upload is noted
// before it begins, so that one whose end was not seen is found on the remote
// by its checksum.
//
// # How fresh it is
//
// A remote that can be probed is probed every Options.ProbeInterval, and what
// is known counts until the probe shows another revision. With other remotes
// it counts for Options.TTL. Where versions cover trees, folders whose version
// is the same are not listed again. A listing that took long counts ten times as
// long, up to five minutes. Folders in use are listed again in the background.
// A file that is being read in one go stays at its version until the reading
// ends, if the remote still has that version.
//
// # Where bytes are
//
// Bytes of a remote are fetched by package reader and kept by package blocks, by
// node and version; what is there is read without the remote. Files of a remote
// that keeps them on this computer are read from it. What was written here and
// is published moves from package staging to the cache.
//
// # How listings come
//
// Names are stored and shown as they arrive, and a client that lists the folder
// goes on behind them. Nothing is taken away before all have come. A folder's
// times move once, then, and only if some client may have a cache to drop: one
// that is in the midst of a listing would begin again each time. Where the
// remote gives whole trees, a client that goes from folder to folder is run
// ahead of.
package drive

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/moorage/moorage/daemon/internal/drive/blocks"
	"github.com/moorage/moorage/daemon/internal/drive/disk"
	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/daemon/internal/drive/reader"
	"github.com/moorage/moorage/daemon/internal/drive/staging"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
)

// Options say what a Drive shows and how. Provider and StateDir must be set.
type Options struct {
	Provider providers.Provider                      // stays the caller's: the Drive does not close it
	StateDir string                                  // folder of the nodes; of this drive alone
	UID, GID uint32                                  // owner of everything
	Logger   *slog.Logger                            // nil: silent
	Clock    func() time.Time                        // nil: time.Now
	Rand     func(below time.Duration) time.Duration // a duration at random, so that drives do not try again in step; nil: rand.N

	TTL             time.Duration // how long attributes and listings count where the remote cannot be probed; 0: 30 s
	ProbeInterval   time.Duration // 0: 30 s
	RefreshInterval time.Duration // how often it is looked whether listings of folders in use are old; 0: a quarter of TTL
	Patience        time.Duration // how long a call waits for news when it has something older to answer; 0: 3 s
	CallTimeout     time.Duration // of one call of the provider about names; 0: 2 min
	OpenTimeout     time.Duration // of opening a file, which may fetch all of it; 0: 30 min
	RetryMin        time.Duration // first pause before an unreachable remote is tried again; 0: 1 s
	RetryMax        time.Duration // the pauses double up to this; 0: 30 s
	OpenFiles       int           // files that are remembered as being read; 0: 64

	CacheDir   string         // folder for what was read, of this drive alone, which may be deleted at any time; "": one in StateDir
	CacheLimit int64          // bytes of it; 0: 10 GiB
	Budget     *reader.Budget // memory for bytes on their way, which drives share; nil: one of its own

	Paused   bool          // nothing is published before Drive.Pause(false)
	ReadOnly bool          // nothing can be changed, whatever the remote allows
	Quiet    time.Duration // how long a file that was saved is left alone before it is published; 0: 1 s
	Host     string        // this computer, as the names of conflict copies tell it; "": "this computer"

	// For tests: where the state is in place of StateDir, and who is told of each
	// step of a change, before it is taken.
	Disk  disk.FS
	Cache disk.FS // in place of CacheDir
	Nodes vfs.FS
	Step  func(name string)
}

func (o *Options) setDefaults() {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&o.TTL, 30*time.Second)
	def(&o.ProbeInterval, 30*time.Second)
	def(&o.RefreshInterval, max(o.TTL/4, time.Millisecond))
	def(&o.Patience, 3*time.Second)
	def(&o.CallTimeout, 2*time.Minute)
	def(&o.OpenTimeout, 30*time.Minute)
	def(&o.RetryMin, time.Second)
	def(&o.RetryMax, 30*time.Second)
	def(&o.Quiet, time.Second)
	if o.Host == "" {
		o.Host = "this computer"
	}
	if o.Nodes == nil {
		o.Nodes = vfs.Default
	}
	if o.CacheLimit <= 0 {
		o.CacheLimit = 10 << 30
	}
	if o.OpenFiles <= 0 {
		o.OpenFiles = 64
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.N[time.Duration]
	}
}

// Drive is a remote as a file system. It is safe for concurrent use.
type Drive struct {
	o        Options
	p        providers.Provider
	info     providers.Info
	store    *nodes.Store
	flights  *flights
	health   *health
	stamps   *stamps
	versions *versions
	cache    *blocks.Cache
	reader   *reader.Controller
	identity string // of the nodes, in the cache
	streams  *streams
	lists    *listings
	missing  *missing
	limbo    *limbo
	lost     *lostFiles
	folders  *folders
	storage  *diskTrouble
	pins     *pins

	turns   *turns
	repeats repeats
	uses    *uses
	writer  providers.Writer // nil: nothing can be changed
	disk    disk.FS
	staged  *stagedFiles
	pub     *publisher  // nil if writer is
	kept    keptChanges // if pub is nil

	closing sync.RWMutex // read: a call is on
	closed  bool

	mu       sync.Mutex
	rev      uint64 // key of revision, see revision.go; 0: it is not known
	revision string // of the last probe or turn
	moment   uint64 // when that was
	turnings uint64 // how often Turn began or ended; the remote is turning while it is odd
	hidden   int64
	deferred map[uint64]providers.Entry // newer states of files that are being read
	usage    usage

	turning chan struct{} // a token of who turns the remote
	watcher sync.WaitGroup
	woken   chan struct{} // wakes watch after a sleep of this computer
}

var (
	_ nfs.FileSystem = (*Drive)(nil)
	_ nfs.LinkReader = (*Drive)(nil)
	_ nfs.FileReader = (*Drive)(nil)
	_ nfs.Describer  = (*Drive)(nil)
)

// Open makes the drive. It asks the remote for its revision and its root, no
// more. A remote that cannot be reached is an error only if nothing is known
// of it from an earlier time.
func Open(ctx context.Context, o Options) (*Drive, error) {
	o.setDefaults()
	if o.Disk == nil {
		dir, err := disk.Dir(o.StateDir)
		if err != nil {
			return nil, fmt.Errorf("make the drive's state folder: %w", err)
		}
		o.Disk = dir
	}
	store, err := nodes.OpenIn(o.Nodes, filepath.Join(o.StateDir, "nodes"), o.Logger)
	if err != nil {
		return nil, err
	}
	lost := newLostFiles()
	d := &Drive{
		o: o, p: o.Provider, info: o.Provider.Info(), store: store, flights: newFlights(), stamps: newStamps(1 << 16), lists: newListings(o.Provider), missing: newMissing(), limbo: newLimbo(lost), lost: lost, folders: newFolders(), storage: newDiskTrouble(), pins: newPins(),
		streams: newStreams(1024), deferred: map[uint64]providers.Entry{}, disk: o.Disk, turns: newTurns(), uses: newUses(),
		woken: make(chan struct{}, 1), turning: make(chan struct{}, 1),
	}
	parallel := max(2, d.info.MaxParallel)
	d.health = newHealth(o.Clock, parallel)
	d.versions = newVersions(o.OpenFiles)
	if err := d.loadPins(); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	if err := d.openReading(); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	if err := d.begin(ctx); err != nil {
		d.flights.close()
		return nil, errors.Join(err, d.closeReading(), store.Close())
	}
	d.watcher.Add(1)
	go d.watch()
	d.watcher.Go(d.keepFresh)
	d.watcher.Go(d.dropLost)
	d.watcher.Go(d.watchSleep)
	d.watcher.Go(d.watchDisk)
	d.watcher.Go(d.keepPinned)
	d.watcher.Go(d.collect)
	if d.pub != nil {
		d.watcher.Add(1)
		go func() {
			defer d.watcher.Done()
			d.pub.run()
		}()
	}
	return d, nil
}

// step tells a test of a step.
func (d *Drive) step(name string) {
	if d.o.Step != nil {
		d.o.Step(name)
	}
}

// begin loads what is known and looks at the root.
func (d *Drive) begin(ctx context.Context) error {
	staged, err := staging.Open(d.disk)
	if err != nil {
		return err
	}
	d.staged = newStagedFiles(staged)
	if w, ok := d.p.(providers.Writer); ok && d.info.Writable && !d.o.ReadOnly {
		d.writer = w
		d.pub = newPublisher(d, 2*cap(d.health.puts))
		if err := errors.Join(d.pub.load(), d.repeats.load(d.store)); err != nil {
			return err
		}
	}
	if err := d.sweepStaged(); err != nil {
		return err
	}
	if d.pub == nil {
		if err := d.loadKept(); err != nil {
			return err
		}
	}
	hidden, err := d.store.Meta("hidden")
	if err != nil {
		return err
	}
	if len(hidden) == 8 {
		d.hidden = int64(binary.BigEndian.Uint64(hidden))
	}
	if err := d.loadRevision(); err != nil {
		return err
	}
	_, rootErr := d.store.Get(nodes.Root)
	known := rootErr == nil
	if rootErr != nil && !errors.Is(rootErr, nodes.ErrNotFound) {
		return rootErr
	}
	err = d.probe(ctx)
	if err == nil {
		err = d.statRoot(ctx)
	}
	if err != nil && (!known || !d.unavailable(err)) {
		return fmt.Errorf("open drive: %w", err)
	}
	return nil
}

// sweepStaged takes away what was staged for nodes that do not need it.
func (d *Drive) sweepStaged() error {
	ids, err := d.staged.store.IDs()
	if err != nil {
		return err
	}
	for _, id := range ids {
		n, err := d.store.Get(id)
		if err == nil && n.State&nodes.Staged != 0 {
			continue
		}
		if err != nil && !errors.Is(err, nodes.ErrNotFound) {
			return err
		}
		if err := d.staged.store.Remove(id); err != nil {
			return err
		}
	}
	return nil
}

// discard takes away what was staged for a node that is gone.
func (d *Drive) discard(id uint64) {
	if e := d.staged.peek(id); e != nil {
		e.mu.Lock()
		e.ended = true
		e.mu.Unlock()
		d.staged.forget(e)
	}
	if err := d.staged.store.Remove(id); err != nil {
		d.o.Logger.Warn("a file that was removed still takes room", "err", err)
	}
	d.uncache(map[uint64]bool{id: true})
}

// Close stops everything that the drive started and closes its state.
func (d *Drive) Close() error {
	d.flights.cancel() // calls that wait return
	d.reader.Close()   // as do those
	d.closing.Lock()
	if d.closed {
		d.closing.Unlock()
		return nil
	}
	d.closed = true
	d.closing.Unlock()
	d.flights.close()
	d.watcher.Wait()
	return errors.Join(d.closeReading(), d.staged.close(), d.store.Close())
}

// enter begins a call of a client; leave ends it.
func (d *Drive) enter() error {
	d.closing.RLock()
	if d.closed {
		d.closing.RUnlock()
		return fmt.Errorf("drive: %w: %w", nfs.ErrIO, providers.ErrClosed)
	}
	return nil
}

func (d *Drive) leave() { d.closing.RUnlock() }

// Status is how a drive is.
type Status struct {
	Online    bool      // the remote answers
	Err       error     // why not, or the last trouble since it last did; nil: none
	Disk      error     // why this computer's disk does not take changes, see Drive.Trouble; nil: it does
	Since     time.Time // of Online
	Revision  string    // of the remote, as it says it; "" if it cannot be probed
	Hidden    int64     // names of the remote that no system could show
	Writable  bool
	Pending   int   // changes that are not on the remote yet
	Parked    int   // of these, that wait for a person
	Saved     int64 // bytes of them on this computer
	Published int64 // bytes sent to the remote since the drive was opened

	Pinned Pinned

	CacheUsed, CacheLimit int64 // bytes of the disk
	Fetched               int64 // bytes that came from the remote since the drive was opened, without names
}

// Status tells how the drive is. It does no I/O.
func (d *Drive) Status() Status {
	s := Status{Fetched: d.reader.Stats().Fetched, Disk: d.Trouble(), Pinned: d.pins.sum()}
	s.CacheUsed, s.CacheLimit = d.cache.Usage()
	s.Online, s.Since, s.Err = d.health.state()
	if d.pub == nil {
		s.Pending, s.Saved = len(d.kept.changes), d.kept.bytes
	} else {
		s.Writable = true
		s.Pending, s.Parked, s.Published = d.pub.counts()
		s.Saved = d.staged.store.Used()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s.Revision, s.Hidden = d.revision, d.hidden
	return s
}

// SetCacheLimit changes Options.CacheLimit. What is too much goes in the background.
func (d *Drive) SetCacheLimit(bytes int64) {
	if d.enter() != nil {
		return
	}
	defer d.leave()
	d.cache.SetLimit(bytes)
}

// update changes the nodes. While they cannot be written, which [Drive.Trouble]
// tells, what is known is still served, and nothing new.
func (d *Drive) update(fn func(*nodes.Tx) error) error { return d.store.Update(fn) }

// Changes wakes up after Status has changed. There is one channel.
func (d *Drive) Changes() <-chan struct{} { return d.health.changes }

// probe asks the remote for its revision, if it can tell.
func (d *Drive) probe(ctx context.Context) error {
	prober, ok := d.p.(providers.Prober)
	if !ok {
		return nil
	}
	_, err := do(ctx, d.flights, "probe", d.o.CallTimeout, func(ctx context.Context) (struct{}, error) {
		var v providers.Version
		turns := d.turned()
		err := d.health.call(ctx, true, func(ctx context.Context) (err error) {
			v, err = prober.Probe(ctx)
			return err
		})
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, d.turnTo(v, turns)
	})
	if errors.Is(err, providers.ErrUnsupported) {
		return nil
	}
	return err
}

// watch probes while the remote answers, and tries it again while it does not.
func (d *Drive) watch() {
	defer d.watcher.Done()
	pause := d.o.ProbeInterval
	retry := d.o.RetryMin
	for {
		timer := time.NewTimer(pause)
		select {
		case <-d.flights.done():
			timer.Stop()
			return
		case <-timer.C:
		case <-d.woken:
			timer.Stop()
		case <-d.health.wentDown:
			timer.Stop()
			pause, retry = d.o.RetryMin, d.o.RetryMin
			if _, _, err := d.health.state(); refused(err) {
				pause = max(pause, refusedPause)
			}
			continue
		}
		if d.health.online() {
			d.probeLogged()
			d.settle()
			pause = d.o.ProbeInterval
			continue
		}
		if d.tryAgain() {
			d.o.Logger.Info("the remote answers again")
			d.pins.changed()
			if d.pub != nil {
				d.pub.online()
			}
			pause, retry = d.o.ProbeInterval, d.o.RetryMin
			continue
		}
		retry = min(2*retry, d.o.RetryMax)
		pause = retry
		if _, _, err := d.health.state(); refused(err) {
			pause = max(pause, refusedPause) // many tries can lock an account
		}
	}
}

// refusedPause is how long a remote that refused us is left alone.
const refusedPause = 5 * time.Minute

// settle brings files that are not being read any more to their newest state.
func (d *Drive) settle() {
	d.mu.Lock()
	ids := slices.Collect(maps.Keys(d.deferred))
	d.mu.Unlock()
	for _, id := range ids {
		if err := d.catchUp(id, false); err != nil {
			d.o.Logger.Warn("a file cannot be brought to its newest state", "err", err)
		}
	}
}

func (d *Drive) probeLogged() {
	ctx, cancel := context.WithTimeout(d.flights.base, d.o.CallTimeout)
	defer cancel()
	if err := d.probe(ctx); err != nil && d.flights.base.Err() == nil {
		d.o.Logger.Warn("probe failed", "err", err)
	}
}

// tryTimeout is how long a remote that was away is waited for.
const tryTimeout = 20 * time.Second

// tryAgain asks an unreachable remote for the least, and reports whether it is
// there.
func (d *Drive) tryAgain() bool {
	ctx, cancel := context.WithTimeout(d.flights.base, min(d.o.CallTimeout, tryTimeout))
	defer cancel()
	err := d.health.try(ctx, func(ctx context.Context) error {
		if pr, ok := d.p.(providers.Prober); ok {
			turns := d.turned()
			v, err := pr.Probe(ctx)
			if err == nil {
				return d.turnTo(v, turns)
			}
			if !errors.Is(err, providers.ErrUnsupported) {
				return err
			}
		}
		_, err := d.p.ReadDir(ctx, "", "") // Stat of the root may be answered without the remote
		return err
	})
	return err == nil
}
