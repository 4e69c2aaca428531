package nodes

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// pebbleKV is a KV in a folder.
type pebbleKV struct {
	db     *pebble.DB
	avail  func() (uint64, error) // free bytes of the disk
	broken atomic.Bool            // a write failed; what the log holds is not known
}

var _ KV = (*pebbleKV)(nil)

// reserve is how much of the disk is left free. Pebble ends the process when it
// finds no room for its own tidying up.
const reserve = 64 << 20

// retryPause is how long pebble waits after an error of its tidying up. It tries
// again at once by itself, for as long as a disk is full.
const retryPause = 100 * time.Millisecond

func openPebble(dir string, files vfs.FS, log *slog.Logger) (kv *pebbleKV, err error) {
	defer func() {
		if r := recover(); r != nil {
			kv, err = nil, fmt.Errorf("%w: %v", ErrBroken, r)
		}
	}()
	o := &pebble.Options{
		FS:                 files,
		Logger:             pebbleLogger{log},
		FormatMajorVersion: pebble.FormatValueSeparation,
		MaxOpenFiles:       128,
		MemTableSize:       16 << 20,
		Cache:              pebble.NewCache(16 << 20),
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) {
				log.Error("node store", "message", "background error: "+err.Error())
				time.Sleep(retryPause)
			},
			// Without this a damaged block ends the process. Who reads it gets an error.
			DataCorruption: func(i pebble.DataCorruptionInfo) {
				log.Error("node store", "message", i.String())
			},
		},
	}
	defer o.Cache.Unref() // the store has its own reference
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10) // new names are looked for before they are added
	}
	db, err := pebble.Open(dir, o)
	if pebble.IsCorruptionError(err) {
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if err != nil {
		return nil, err
	}
	avail := func() (uint64, error) {
		u, err := files.GetDiskUsage(dir)
		return u.AvailBytes, err
	}
	return &pebbleKV{db: db, avail: avail}, nil
}

func (p *pebbleKV) Get(key []byte) ([]byte, error) {
	v, closer, err := p.db.Get(key)
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
	it, err := p.db.NewIter(nil)
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
	it, err := p.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
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

// Apply turns a failed commit, which pebble reports by way of its logger, into
// an error. Afterwards nothing is written any more: pebble's memory may be
// ahead of its log.
func (p *pebbleKV) Apply(changes []Change) (durable func() error, err error) {
	if p.broken.Load() {
		return nil, ErrBroken
	}
	if free, err := p.avail(); err == nil && free < reserve {
		return nil, fmt.Errorf("%w: only %d MiB are free on the disk", ErrFull, free>>20)
	}
	defer p.recovered(&err)
	b := p.db.NewBatch()
	for _, c := range changes {
		if c.Value == nil {
			err = b.Delete(c.Key, nil)
		} else {
			err = b.Set(c.Key, c.Value, nil)
		}
		if err != nil {
			return nil, errors.Join(err, b.Close())
		}
	}
	if err := p.db.ApplyNoSyncWait(b, pebble.Sync); err != nil {
		return nil, p.failed(err)
	}
	return func() (err error) {
		defer p.recovered(&err)
		if err := b.SyncWait(); err != nil {
			return p.failed(err)
		}
		// What went into files of a folder that is gone is not durable.
		if _, err := p.avail(); err != nil {
			return p.failed(err)
		}
		return b.Close()
	}, nil
}

func (p *pebbleKV) failed(err error) error {
	p.broken.Store(true)
	return fmt.Errorf("%w: %w", ErrBroken, err)
}

// recovered is deferred where pebble may panic by way of its logger.
func (p *pebbleKV) recovered(err *error) {
	if r := recover(); r != nil {
		*err = p.failed(fmt.Errorf("%v", r))
	}
}

func (p *pebbleKV) Close() error { return p.db.Close() }

// pebbleLogger passes on what pebble says. Fatalf must not return.
type pebbleLogger struct{ log *slog.Logger }

func (l pebbleLogger) Infof(format string, a ...any) {}

func (l pebbleLogger) Errorf(format string, a ...any) {
	l.log.Error("node store", "message", fmt.Sprintf(format, a...))
}

func (l pebbleLogger) Fatalf(format string, a ...any) { panic(fmt.Sprintf(format, a...)) }
