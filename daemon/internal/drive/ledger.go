package drive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
)

// UploadState is what became of a change, as a person is told.
type UploadState string

// The states of a change. The last two need somebody to look.
const (
	Saved     UploadState = "saved"     // on this computer's disk
	Uploading UploadState = "uploading" // on its way
	Uploaded  UploadState = "uploaded"  // on the remote
	Conflict  UploadState = "conflict"  // on the remote or on its way there, under another name
	Parked    UploadState = "parked"    // not tried again until somebody has seen to Err
)

// LedgerEntry is one change.
type LedgerEntry struct {
	Path    string // on the drive; of a conflict, where the change made here is
	State   UploadState
	Removed bool // it is a removal
	Err     error
	Since   time.Time // when it was made; of Uploaded and Conflict, when that was so
	Done    int64     // bytes sent of Total
	Total   int64     // bytes; 0: not known, or there are none to be sent
}

// Published is a change that came to its end.
type Published struct {
	Path  string
	State UploadState // Uploaded or Conflict
	At    time.Time
	Size  int64
}

// keepRecent is how many ended changes are remembered.
const keepRecent = 100

func (p *publisher) remember(e Published) {
	p.recent = append(p.recent, e)
	if n := len(p.recent) - keepRecent; n > 0 {
		p.recent = slices.Delete(p.recent, 0, n)
	}
}

// published takes note that size bytes are on the remote.
func (p *publisher) published(path string, size int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent += size
	p.remember(Published{Path: path, State: Uploaded, At: p.d.o.Clock(), Size: size})
}

// conflicted takes note of a conflict copy.
func (p *publisher) conflicted(id uint64, _, name string) {
	way, err := p.d.way(id, false)
	if err != nil {
		way = name
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.remember(Published{Path: way, State: Conflict, At: p.d.o.Clock()})
}

// progress gives what an upload of total bytes tells how many more it has sent.
func (p *publisher) progress(id uint64, total int64) func(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.work[nodeTask(id)]
	if w == nil {
		return nil
	}
	w.done, w.total = 0, total
	return func(n int) {
		p.mu.Lock()
		defer p.mu.Unlock()
		w.done = min(w.done+int64(n), w.total)
	}
}

// counts tells how much waits.
func (p *publisher) counts() (pending, parked int, sent int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.work) - p.tally[resting], p.tally[isParked], p.sent
}

// ledgerExtra is how many more changes are looked at than are asked for, because
// some are of files that stay on this computer.
const ledgerExtra = 64

// Ledger tells what was changed and is not on the remote, in the order in which
// it was changed, at most limit of it, and then what ended lately. Side files, which
// stay on this computer, are left out.
func (d *Drive) Ledger(limit int) []LedgerEntry {
	if d.enter() != nil {
		return nil
	}
	defer d.leave()
	if d.pub == nil {
		return slices.Clone(d.kept.changes[:min(limit, len(d.kept.changes))])
	}
	var out []LedgerEntry
	waiting, recent := d.pub.first(limit + ledgerExtra)
	for _, it := range waiting {
		if len(out) == limit {
			return out
		}
		if it.key.node != 0 {
			n, err := d.node(it.key.node)
			if err != nil || n.State&nodes.Gone != 0 {
				continue
			}
			if local, err := d.isLocal(n); err != nil || local {
				continue
			}
			if it.e.Total == 0 {
				it.e.Total = toSend(&n)
			}
		}
		if it.e.Path = d.pub.name(it.key); it.e.Path != "" {
			out = append(out, it.e)
		}
	}
	for _, r := range slices.Backward(recent) {
		if len(out) == limit {
			break
		}
		out = append(out, LedgerEntry{Path: r.Path, State: r.State, Since: r.At, Done: r.Size, Total: r.Size})
	}
	return out
}

// ledgerItem is a LedgerEntry without its path.
type ledgerItem struct {
	key taskKey
	e   LedgerEntry
}

// first are the most tasks that wait for longest, and what ended lately.
func (p *publisher) first(most int) ([]ledgerItem, []Published) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []ledgerItem
	for at := p.order.Front(); at != nil && len(all) < most; at = at.Next() {
		w := at.Value.(*work)
		if w.rests {
			continue
		}
		e := LedgerEntry{State: Saved, Since: w.since, Err: w.err, Done: w.done, Total: w.total, Removed: w.key.node == 0}
		switch {
		case w.parked != nil:
			e.State, e.Err = Parked, w.parked
		case w.running:
			e.State = Uploading
		}
		all = append(all, ledgerItem{w.key, e})
	}
	return all, slices.Clone(p.recent)
}

// toSend is how many bytes publishing a node takes.
func toSend(n *nodes.Node) int64 {
	if n.Kind != nodes.File || n.State&(nodes.Created|nodes.Staged) == 0 {
		return 0
	}
	return max(n.Size, 0)
}

// keptChanges is what a drive that publishes nothing has for its remote: it was
// changed when it could be.
type keptChanges struct {
	changes []LedgerEntry // oldest first
	bytes   int64
}

// loadKept finds out what is kept.
func (d *Drive) loadKept() error {
	var l []LedgerEntry
	var trouble error
	err := d.store.AllPending(func(id uint64, p nodes.Pending) bool {
		n, err := d.store.Get(id)
		if errors.Is(err, nodes.ErrNotFound) || err == nil && n.State&nodes.Gone != 0 {
			return true
		}
		local := false
		if err == nil {
			local, err = d.isLocal(n)
		}
		var at string
		if err == nil {
			at, err = d.way(id, false)
		}
		if err != nil {
			trouble = err
			return false
		}
		if !local {
			l = append(l, LedgerEntry{Path: at, State: Saved, Since: p.Since, Total: toSend(&n)})
		}
		return true
	})
	if err := errors.Join(err, trouble); err != nil {
		return fmt.Errorf("list what is not published: %w", err)
	}
	err = d.store.Tombs(0, func(t nodes.Tomb) bool {
		if at, err := d.way(t.Dir, false); err == nil {
			l = append(l, LedgerEntry{Path: path.Join(at, t.Name), State: Saved, Removed: true, Since: t.Since})
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("list what is not published: %w", err)
	}
	slices.SortStableFunc(l, func(a, b LedgerEntry) int {
		return cmp.Or(a.Since.Compare(b.Since), strings.Compare(a.Path, b.Path))
	})
	d.kept = keptChanges{l, d.staged.store.Used()}
	return nil
}

// Publish has what was changed published now, also what is parked, and waits for
// nothing.
func (d *Drive) Publish() {
	if d.enter() != nil {
		return
	}
	defer d.leave()
	if d.pub == nil {
		return
	}
	d.pub.mu.Lock()
	defer d.pub.mu.Unlock()
	d.pub.hastenAll()
}

// Pause has nothing published until Pause(false): changes wait on this computer, as
// durable as ever. What is on its way is called off and done again later. It does not
// wait, and may be called at any time.
func (d *Drive) Pause(on bool) {
	if d.enter() != nil {
		return
	}
	defer d.leave()
	if d.pub != nil {
		d.pub.pause(on)
	}
}

// Sync is [Drive.Publish] that waits until all is on the remote. The error tells
// what could not be; it is [ErrPaused] if something waits for the end of a pause. When ctx is done it waits no longer, and the publishing goes
// on.
func (d *Drive) Sync(ctx context.Context) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.leave()
	if d.pub == nil {
		return nil
	}
	return d.pub.sync(ctx)
}
