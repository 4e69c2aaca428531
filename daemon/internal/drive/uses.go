package drive

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
)

// maxUses is about how many files are remembered that were used lately.
const maxUses = 4096

// uses know which files somebody may have open: NFS does not say. A file that is
// removed while it is in use stays readable for a while, which takes fetching
// it before the remote's is removed or replaced.
type uses struct {
	mu   sync.Mutex
	read map[uint64]time.Time // when a file was used last, within retain
	lost map[taskKey]uint64   // files in use that are removed here, by their place on the remote
}

func newUses() *uses { return &uses{read: map[uint64]time.Time{}, lost: map[taskKey]uint64{}} }

// note tells of a read or write.
func (u *uses) note(id uint64, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.read) >= maxUses {
		maps.DeleteFunc(u.read, func(_ uint64, at time.Time) bool { return now.Sub(at) > retain })
		if len(u.read) >= maxUses {
			clear(u.read)
		}
	}
	u.read[id] = now
}

// remove tells that n is removed here.
func (u *uses) remove(n *nodes.Node, now time.Time) {
	dir, name, ok := place(n)
	if !ok {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if now.Sub(u.read[n.ID]) <= retain {
		u.lost[tombTask(dir, name)] = n.ID
	}
}

// at gives the file in use that is at a place of the remote.
func (u *uses) at(dir uint64, name string) (id uint64, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	id, ok = u.lost[tombTask(dir, name)]
	return id, ok
}

// rescued says that id does not need a place of the remote any more.
func (u *uses) rescued(id uint64, dir uint64, name string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.lost[tombTask(dir, name)] == id {
		delete(u.lost, tombTask(dir, name))
	}
}

// rescue fetches a file that is in use and removed here, before the remote's is
// removed or replaced.
func (d *Drive) rescue(ctx context.Context, dir uint64, name string) {
	id, ok := d.uses.at(dir, name)
	if !ok {
		return
	}
	n, err := d.node(id)
	if err == nil && n.State&nodes.Gone == 0 {
		return // it is about to be removed
	}
	d.uses.rescued(id, dir, name)
	if err != nil {
		return
	}
	if err := d.localise(ctx, id, true); err != nil {
		d.o.Logger.Info("a file that was removed while it was open cannot be read any more", "name", name, "err", err)
	}
}
