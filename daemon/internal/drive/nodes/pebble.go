package nodes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// pebbleKV is a KV in a folder. When the disk fails to write, nothing is written
// any more (see guard) until the folder could be opened anew, which is tried for
// as long as it takes. What was applied by then and is not on the disk is
// applied again, in its order, so that nobody notices.
type pebbleKV struct {
	dir   string
	files vfs.FS
	log   *slog.Logger
	avail func() (uint64, error) // free bytes of the disk

	patience time.Duration // how long who waits for stable storage waits for a disk that failed

	stop   context.CancelFunc
	ending context.Context
	mender sync.WaitGroup
	woken  chan struct{} // wakes the mender; of one element
	turns  chan struct{} // wakes who asked for Store.Troubles; likewise

	// applying is held by one Apply at a time, and when the store is exchanged.
	applying sync.Mutex

	mu      sync.Mutex
	lock    io.Closer // of the folder
	cur     *instance
	seq     uint64
	waiting []applied     // what is not known to be on stable storage, oldest first
	trouble error         // why nothing is written; nil: nothing is wrong
	mended  chan struct{} // closed when trouble has ended; nil: there is none
}

var _ KV = (*pebbleKV)(nil)

// instance is the folder, opened.
type instance struct {
	db      *pebble.DB
	g       *guard
	jammed  bool          // by a panic: it cannot be closed
	refs    int           // under pebbleKV.mu; being the current one is one
	drained chan struct{} // closed when there are none
}

// applied are changes that readers see.
type applied struct {
	seq     uint64
	changes []Change
}

// reserve is how much of the disk is left free, for pebble's own tidying up.
const reserve = 64 << 20

// retryPause is how long pebble waits after an error of its tidying up. It tries
// again at once by itself.
const retryPause = 100 * time.Millisecond

// How often it is tried whether a failure of the disk has passed.
const (
	mendMin = 50 * time.Millisecond
	mendMax = 5 * time.Second
)

func openPebble(dir string, files vfs.FS, log *slog.Logger) (*pebbleKV, error) {
	p := &pebbleKV{dir: dir, files: files, log: log, patience: 3 * time.Second, woken: make(chan struct{}, 1), turns: make(chan struct{}, 1)}
	p.avail = func() (uint64, error) {
		u, err := files.GetDiskUsage(dir)
		return u.AvailBytes, err
	}
	in, err := p.open(false)
	if err != nil {
		return nil, errors.Join(err, p.unlock())
	}
	p.cur = in
	p.ending, p.stop = context.WithCancel(context.Background())
	p.mender.Go(p.mend)
	return p, nil
}

// open opens the folder, again if it was open before.
func (p *pebbleKV) open(again bool) (in *instance, err error) {
	g := &guard{FS: p.files, locker: p.locked, holds: again}
	g.failed = func() { wake(p.woken) }
	defer func() {
		if r := recover(); r != nil {
			in, err = nil, fmt.Errorf("%w: %v", ErrBroken, r)
		}
	}()
	o := &pebble.Options{
		FS:                 g,
		Logger:             pebbleLogger{p.log, g},
		FormatMajorVersion: pebble.FormatValueSeparation,
		MaxOpenFiles:       128,
		MemTableSize:       16 << 20,
		Cache:              pebble.NewCache(16 << 20),
		ErrorIfNotExists:   again, // a folder that was removed is not to begin anew
		// Writers wait for compactions at this many; those of a disk that fails
		// never come.
		L0StopWritesThreshold: 1000,
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) {
				if !pebble.IsCorruptionError(err) { // else opening it anew would be of no use
					g.fail(err)
				}
				time.Sleep(retryPause)
			},
			// Without this a damaged block ends the process. Who reads it gets an error.
			DataCorruption: func(i pebble.DataCorruptionInfo) {
				p.log.Error("node store", "message", i.String())
			},
		},
	}
	defer o.Cache.Unref() // the store has its own reference
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10) // new names are looked for before they are added
	}
	db, err := pebble.Open(p.dir, o)
	if pebble.IsCorruptionError(err) {
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if err != nil {
		return nil, errors.Join(err, g.err())
	}
	if err := g.err(); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrBroken, err), db.Close())
	}
	return &instance{db: db, g: g, refs: 1, drained: make(chan struct{})}, nil
}

// locked locks the folder once, for all that open it.
func (p *pebbleKV) locked(name string) (io.Closer, error) {
	p.mu.Lock()
	has := p.lock != nil
	p.mu.Unlock()
	if has {
		return io.NopCloser(nil), nil
	}
	l, err := p.files.Lock(name)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lock = l
	return io.NopCloser(nil), nil
}

func (p *pebbleKV) unlock() error {
	p.mu.Lock()
	l := p.lock
	p.lock = nil
	p.mu.Unlock()
	if l == nil {
		return nil
	}
	return l.Close()
}

// use gives what is open; done ends that.
func (p *pebbleKV) use() (in *instance, done func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	in = p.cur
	in.refs++
	return in, func() { p.drop(in) }
}

func (p *pebbleKV) drop(in *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if in.refs--; in.refs == 0 {
		close(in.drained)
	}
}

func (in *instance) close() error {
	if in.jammed {
		return nil
	}
	return in.db.Close()
}

func (p *pebbleKV) Get(key []byte) ([]byte, error) {
	in, done := p.use()
	defer done()
	v, closer, err := in.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	v = bytes.Clone(v)
	return v, closer.Close()
}

func (p *pebbleKV) GetEach(keys [][]byte, fn func(i int, v []byte) bool) error {
	in, done := p.use()
	defer done()
	it, err := in.db.NewIter(nil)
	if err != nil {
		return err
	}
	for i, key := range keys {
		if it.SeekGE(key) && bytes.Equal(it.Key(), key) && !fn(i, it.Value()) {
			break
		}
	}
	return it.Close()
}

func (p *pebbleKV) Scan(from, to []byte, fn func(k, v []byte) bool) error {
	in, done := p.use()
	defer done()
	it, err := in.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		if !fn(it.Key(), it.Value()) {
			break
		}
	}
	return it.Close()
}

// unsettledError is why changes that readers see are not on stable storage. They
// may get there later, see Settle.
type unsettledError struct {
	seq uint64
	err error
}

func (e *unsettledError) Error() string { return e.err.Error() }
func (e *unsettledError) Unwrap() error { return e.err }

// Apply fails at once while the disk does.
func (p *pebbleKV) Apply(changes []Change) (durable func() error, err error) {
	p.applying.Lock()
	defer p.applying.Unlock()
	in, done := p.use()
	defer func() {
		if err != nil {
			done()
		}
	}()
	if err := in.g.err(); err != nil {
		return nil, broken(err)
	}
	if free, err := p.avail(); err == nil && free < reserve {
		err = fmt.Errorf("%w: only %d MiB are free on the disk", ErrFull, free>>20)
		p.suffer(err)
		wake(p.woken)
		return nil, err
	}
	defer p.recovered(in, &err)
	b := in.db.NewBatch()
	if err := fillBatch(b, changes); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	p.mu.Lock()
	p.seq++
	seq := p.seq
	p.waiting = append(p.waiting, applied{seq, changes})
	p.mu.Unlock()
	if err := in.db.ApplyNoSyncWait(b, pebble.Sync); err != nil {
		return nil, p.fail(in, err)
	}
	return func() (err error) {
		defer done()
		if err = p.synced(in, b); err != nil {
			return &unsettledError{seq, err}
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.settle(seq)
		return nil
	}, nil
}

func fillBatch(b *pebble.Batch, changes []Change) error {
	for _, c := range changes {
		var err error
		if c.Value == nil {
			err = b.Delete(c.Key, nil)
		} else {
			err = b.Set(c.Key, c.Value, nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// synced waits until a batch, and all before it, are on stable storage.
func (p *pebbleKV) synced(in *instance, b *pebble.Batch) (err error) {
	defer p.recovered(in, &err)
	if err := b.SyncWait(); err != nil {
		return p.fail(in, err)
	}
	if err := in.g.err(); err != nil { // which pebble was not told of
		return broken(err)
	}
	// What went into files of a folder that is gone is not durable.
	if _, err := p.avail(); err != nil {
		return p.fail(in, err)
	}
	return b.Close()
}

// settle forgets changes that are on stable storage: those up to seq. p.mu is
// held.
func (p *pebbleKV) settle(seq uint64) {
	n := 0
	for n < len(p.waiting) && p.waiting[n].seq <= seq {
		n++
	}
	p.waiting = p.waiting[n:]
	if len(p.waiting) == 0 {
		p.waiting = nil
	}
}

// Settle waits a little for changes to be on stable storage after all, since they
// are made; err is what waiting for that gave.
func (p *pebbleKV) Settle(err error) error {
	var u *unsettledError
	if !errors.As(err, &u) {
		return err
	}
	seq, cause := u.seq, u.err
	t := time.NewTimer(p.patience)
	defer t.Stop()
	for {
		p.mu.Lock()
		left := len(p.waiting) > 0 && p.waiting[0].seq <= seq
		mended := p.mended
		p.mu.Unlock()
		if !left {
			return nil
		}
		if _, err := p.avail(); err != nil { // that does not pass soon
			return cause
		}
		if mended == nil {
			p.suffer(cause)
			continue
		}
		select {
		case <-mended:
		case <-t.C:
			return cause
		case <-p.ending.Done():
			return cause
		}
	}
}

func broken(err error) error { return fmt.Errorf("%w: %w", ErrBroken, err) }

func (p *pebbleKV) fail(in *instance, err error) error {
	in.g.fail(err)
	return broken(err)
}

// recovered is deferred where pebble may panic by way of its logger.
func (p *pebbleKV) recovered(in *instance, err *error) {
	if r := recover(); r != nil {
		p.mu.Lock()
		in.jammed = true
		p.mu.Unlock()
		*err = p.fail(in, fmt.Errorf("%v", r))
	}
}

// suffer notes why nothing is written.
func (p *pebbleKV) suffer(err error) {
	p.mu.Lock()
	turned := p.trouble == nil
	p.trouble = err
	if turned {
		p.mended = make(chan struct{})
	}
	p.mu.Unlock()
	if turned {
		p.log.Error("the drive's state cannot be written", "err", err)
		wake(p.turns)
	}
}

// recover notes that all is well again. p.mu is held.
func (p *pebbleKV) recover() {
	if p.trouble != nil {
		close(p.mended)
		p.log.Info("the drive's state can be written again")
	}
	p.trouble, p.mended = nil, nil
	wake(p.turns)
}

// mend sees to it that the disk is written to again, until Close.
func (p *pebbleKV) mend() {
	pause := mendMin
	var last time.Time
	for {
		select {
		case <-p.woken:
		case <-p.ending.Done():
			return
		}
		if time.Since(last) > time.Minute {
			pause = mendMin
		}
		for {
			err := p.tryMend()
			if err == nil {
				break
			}
			p.suffer(err)
			t := time.NewTimer(pause)
			select {
			case <-t.C:
			case <-p.ending.Done():
				t.Stop()
				return
			}
			pause = min(2*pause, mendMax)
		}
		last = time.Now()
	}
}

// tryMend makes it possible to write, if the disk lets it.
func (p *pebbleKV) tryMend() error {
	p.mu.Lock()
	old, trouble := p.cur, p.trouble
	p.mu.Unlock()
	cause := old.g.err()
	if cause == nil && trouble == nil {
		return nil
	}
	if cause != nil {
		p.suffer(broken(cause))
	}
	switch free, err := p.avail(); {
	case err != nil:
		return broken(err)
	case free < reserve && cause == nil:
		return trouble
	case free < reserve:
		return fmt.Errorf("%w: %w", broken(cause), ErrFull)
	}
	if cause == nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.recover()
		return nil
	}
	in, err := p.open(true)
	if err != nil {
		return broken(err)
	}
	if err := p.exchange(in); err != nil {
		return errors.Join(err, in.close())
	}
	select {
	case <-old.drained:
	case <-p.ending.Done():
		<-old.drained // readers that are left end before Close is called
	}
	err = old.close()
	in.g.release()
	if err != nil {
		p.log.Warn("node store", "message", err.Error())
	}
	return nil
}

// exchange makes in, with all that was applied, what everybody uses.
func (p *pebbleKV) exchange(in *instance) error {
	p.applying.Lock()
	defer p.applying.Unlock()
	p.mu.Lock()
	waiting := p.waiting
	p.mu.Unlock()
	b := in.db.NewBatch()
	for _, a := range waiting {
		if err := fillBatch(b, a.changes); err != nil {
			return errors.Join(err, b.Close())
		}
	}
	err := in.db.Apply(b, pebble.Sync)
	if err == nil {
		err = in.g.err()
	}
	if err == nil {
		_, err = p.avail()
	}
	if err = errors.Join(err, b.Close()); err != nil {
		return broken(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.cur
	p.cur = in
	p.waiting = nil
	p.recover()
	if old.refs--; old.refs == 0 {
		close(old.drained)
	}
	return nil
}

// Trouble is why nothing is written; nil if it is.
func (p *pebbleKV) Trouble() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trouble
}

// Troubles wakes up after Trouble has changed.
func (p *pebbleKV) Troubles() <-chan struct{} { return p.turns }

func (p *pebbleKV) Close() error {
	p.stop()
	p.mender.Wait()
	return errors.Join(p.cur.close(), p.unlock())
}

func wake(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// pebbleLogger passes on what pebble says. Fatalf must not return.
type pebbleLogger struct {
	log *slog.Logger
	g   *guard
}

func (l pebbleLogger) Infof(format string, a ...any) {}

func (l pebbleLogger) Errorf(format string, a ...any) {
	if !l.g.off.Load() { // else it was said, and goes on
		l.log.Error("node store", "message", fmt.Sprintf(format, a...))
	}
}

func (l pebbleLogger) Fatalf(format string, a ...any) { panic(fmt.Sprintf(format, a...)) }
