package drive

import (
	"encoding/binary"
	"errors"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
)

// applyPage stores entries of a listing; then, in the same transaction, comes
// what after adds.
func (d *Drive) applyPage(a *applier, entries []providers.Entry, after func()) error {
	return d.update(func(tx *nodes.Tx) error {
		if err := a.begin(tx); err != nil {
			return err
		}
		for _, e := range entries {
			if err := a.put(e); err != nil {
				return err
			}
		}
		after()
		a.end()
		return nil
	})
}

// sweepBatch is how many names are taken away at once.
const sweepBatch = 4096

// sweep ends a listing: names that were known before and not listed are gone.
func (d *Drive) sweep(a *applier, version string, rev uint64) error {
	for after, more := uint64(0), true; more; {
		var gone []nodes.Entry
		var err error
		if gone, after, more, err = a.unlisted(after); err != nil {
			return err
		}
		err = d.update(func(tx *nodes.Tx) error {
			if err := a.begin(tx); err != nil {
				return err
			}
			if err := a.sweepAway(gone); err != nil {
				return err
			}
			if !more {
				a.finish(version, rev)
			}
			a.end()
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// unlisted gives names behind a cookie that were known before and not listed, the
// cookie behind which to go on, and whether there may be more.
func (a *applier) unlisted(after uint64) (gone []nodes.Entry, last uint64, more bool, err error) {
	err = a.d.store.Children(a.dir, after, func(e nodes.Entry) bool {
		if e.Cookie >= a.limit {
			return false
		}
		if after = e.Cookie; !a.listed(after) {
			gone = append(gone, e)
		}
		more = len(gone) == sweepBatch
		return !more
	})
	return gone, after, more, err
}

// sweepAway removes names that are gone.
func (a *applier) sweepAway(gone []nodes.Entry) error {
	for _, e := range gone {
		if a.listed(e.Cookie) {
			continue // somebody has asked for it meanwhile
		}
		if err := a.remove(e.Name); err != nil {
			return err
		}
	}
	return nil
}

// settleTimes moves the times of a directory whose listing has failed after
// names had changed.
func (d *Drive) settleTimes(a *applier) error {
	if !a.came && !a.went {
		return nil
	}
	err := d.update(func(tx *nodes.Tx) error {
		if err := a.begin(tx); err != nil {
			return err
		}
		a.move(a.n.Complete)
		a.end()
		return nil
	})
	if errors.Is(err, nfs.ErrStale) {
		return nil
	}
	return err
}

// addHidden counts names that cannot be shown.
func (d *Drive) addHidden(tx *nodes.Tx, n int64) {
	d.mu.Lock()
	d.hidden += n
	total := d.hidden
	d.mu.Unlock()
	tx.SetMeta("hidden", binary.BigEndian.AppendUint64(nil, uint64(total)))
	d.health.wake()
}
