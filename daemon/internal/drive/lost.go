package drive

import (
	"errors"
	"slices"
	"sync"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
)

// lostFiles are files that the remote does not have any more. What the cache has
// of them is taken away a little later: their nodes go only if the change that
// they are part of succeeds.
type lostFiles struct {
	woken chan struct{} // of one element

	mu  sync.Mutex
	ids []uint64
}

func newLostFiles() *lostFiles { return &lostFiles{woken: make(chan struct{}, 1)} }

func (l *lostFiles) add(n *nodes.Node) {
	if n.Kind != nodes.File {
		return
	}
	l.mu.Lock()
	l.ids = append(l.ids, n.ID)
	l.mu.Unlock()
	select {
	case l.woken <- struct{}{}:
	default:
	}
}

func (l *lostFiles) take() []uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids := l.ids
	l.ids = nil
	return ids
}

// lostBatch is how many nodes are looked for in one go.
const lostBatch = 1024

// dropLost keeps the cache free of files that are gone, while the drive is open.
func (d *Drive) dropLost() {
	for {
		select {
		case <-d.lost.woken:
		case <-d.flights.done():
			return
		}
		for batch := range slices.Chunk(d.lost.take(), lostBatch) {
			if d.flights.base.Err() != nil {
				return
			}
			gone := map[uint64]bool{}
			// Changes come one after the other: this one comes after theirs.
			err := d.update(func(tx *nodes.Tx) error {
				for _, id := range batch {
					if _, err := tx.Get(id); errors.Is(err, nodes.ErrNotFound) {
						gone[id] = true
					}
				}
				return nil
			})
			if err == nil {
				d.uncache(gone)
			}
		}
	}
}

// cutOff reports whether a directory above a node is gone, and what is in it not
// yet.
func cutOff(tx *nodes.Tx, id uint64) (bool, error) {
	if !tx.HasCutOff() {
		return false, nil
	}
	for range maxDepth {
		n, err := tx.Get(id)
		if errors.Is(err, nodes.ErrNotFound) {
			return tx.CutOff(id)
		}
		if err != nil || id == nodes.Root {
			return false, err
		}
		id = n.Parent
	}
	return false, nodes.ErrCorrupt
}

// collect takes away what was in large directories that are gone, while the drive
// is open.
func (d *Drive) collect() {
	for {
		select {
		case <-d.store.Garbage():
		case <-d.flights.done():
			return
		}
		for more := true; more && d.flights.base.Err() == nil; {
			d.step("collect")
			err := d.update(func(tx *nodes.Tx) (err error) {
				tx.OnRemove(d.limbo.add)
				if more, err = tx.Collect(); err != nil {
					return err
				}
				if gone := tx.HiddenGone(); gone > 0 {
					d.addHidden(tx, -gone)
				}
				return nil
			})
			if err != nil {
				d.o.Logger.Warn("what was in a folder that is gone still takes room", "err", err)
				break
			}
		}
	}
}

// uncache takes away what the cache has of nodes that are gone.
func (d *Drive) uncache(gone map[uint64]bool) {
	d.versions.forget(gone)
	for id := range gone {
		d.cache.Drop(id)
	}
}
