package drive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/nfs"
)

// PinState is how far a pin is.
type PinState string

// The states of a pin.
const (
	PinFetching PinState = "fetching" // more of it is on its way, or about to be
	PinKept     PinState = "kept"     // all of it is here
	PinOffline  PinState = "offline"  // the rest comes when the remote answers again
	PinNoRoom   PinState = "no-room"  // the rest does not fit into the cache or on the disk
	PinFailed   PinState = "failed"   // some of it cannot be had: Err says why; it is tried again
)

// Pin is a file or folder that is kept on this computer, with all below it.
type Pin struct {
	Path  string // on the drive; "": all of it
	Dir   bool
	State PinState
	Here  int64 // bytes that are on this computer, of Total
	Total int64 // bytes, as far as is known
	Files int64
	Since time.Time // when it was pinned
	Err   error     // of PinFailed
}

// ErrNotPinned means that there is no pin to be taken away.
var ErrNotPinned = errors.New("not pinned")

// CoveredError means that a path stays pinned with the folder that it is in.
type CoveredError struct{ By string }

// Error says by what.
func (e *CoveredError) Error() string { return fmt.Sprintf("pinned with the folder %q", e.By) }

// pins are the nodes that are pinned.
type pins struct {
	woken chan struct{} // wakes who fetches, when something may be missing; of one element
	asked chan struct{} // wakes it when a pin was made or taken away; likewise

	loading sync.Mutex // held by the one that loads

	mu sync.Mutex
	m  map[uint64]*pinned // not changed but exchanged
}

// pinned is one pin. What is below mu of pins is guarded by it.
type pinned struct {
	id    uint64
	since time.Time

	state              PinState
	here, total, files int64
	err                error
}

func newPins() *pins {
	return &pins{woken: make(chan struct{}, 1), asked: make(chan struct{}, 1), m: map[uint64]*pinned{}}
}

func (p *pins) wake() {
	select {
	case p.woken <- struct{}{}:
	default:
	}
}

func (p *pins) ask() {
	select {
	case p.asked <- struct{}{}:
	default:
	}
}

// changed has it looked what is missing, if anything is pinned.
func (p *pins) changed() {
	p.mu.Lock()
	some := len(p.m) > 0
	p.mu.Unlock()
	if some {
		p.wake()
	}
}

func (p *pins) all() map[uint64]*pinned {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.m
}

// loadPins brings pins to what is stored, and drops those of nodes that are gone.
func (d *Drive) loadPins() error {
	d.pins.loading.Lock()
	defer d.pins.loading.Unlock()
	m := map[uint64]*pinned{}
	var gone []uint64
	var trouble error
	err := d.store.Pins(func(id uint64, since time.Time) bool {
		n, err := d.store.Get(id)
		switch {
		case errors.Is(err, nodes.ErrNotFound), err == nil && n.State&nodes.Gone != 0:
			gone = append(gone, id)
		case err != nil:
			trouble = err
		default:
			m[id] = &pinned{id: id, since: since, state: PinFetching}
		}
		return trouble == nil
	})
	if err = errors.Join(err, trouble); err != nil {
		return fmt.Errorf("load what is pinned: %w", err)
	}
	d.pins.mu.Lock()
	for id, old := range d.pins.m {
		if m[id] != nil {
			m[id] = old
		}
	}
	d.pins.m = m
	d.pins.mu.Unlock()
	if len(gone) == 0 {
		return nil
	}
	return d.update(func(tx *nodes.Tx) error {
		for _, id := range gone {
			n, err := tx.Get(id)
			if errors.Is(err, nodes.ErrNotFound) || err == nil && n.State&nodes.Gone != 0 {
				tx.DeletePin(id)
			} else if err != nil {
				return err
			}
		}
		return nil
	})
}

// isPinned reports whether a node is kept on this computer. What cannot be told
// is.
func (d *Drive) isPinned(id uint64) bool {
	m := d.pins.all()
	if len(m) == 0 {
		return false
	}
	for range maxDepth {
		if m[id] != nil {
			return true
		}
		if id == nodes.Root {
			return false
		}
		n, err := d.store.Get(id)
		if err != nil {
			return !errors.Is(err, nodes.ErrNotFound)
		}
		id = n.Parent
	}
	return false
}

// at finds what a path on the drive leads to; "" is the root.
func (d *Drive) at(ctx context.Context, path string) (nodes.Node, error) {
	n, err := d.node(nodes.Root)
	for name := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if err != nil || name == "" {
			break
		}
		if n.Kind != nodes.Dir {
			return n, fmt.Errorf("%w: %q", nfs.ErrNotDir, n.Name)
		}
		n, err = d.child(ctx, n.ID, name)
	}
	return n, err
}

// Pin keeps what a path leads to on this computer, with all below it, also what
// comes later: it is fetched in the background and stays readable while the remote
// is away. It returns when that is stored. A node that is renamed stays pinned.
func (d *Drive) Pin(ctx context.Context, path string) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.leave()
	n, err := d.at(ctx, path)
	if err != nil {
		return fmt.Errorf("pin %q: %w", path, err)
	}
	err = d.update(func(tx *nodes.Tx) error {
		if _, err := tx.Pin(n.ID); !errors.Is(err, nodes.ErrNotFound) {
			return err
		}
		if _, err := tx.Get(n.ID); err != nil {
			return fmt.Errorf("%w: %q", nfs.ErrNoEnt, path)
		}
		tx.PutPin(n.ID, d.o.Clock())
		return nil
	})
	if err == nil {
		err = d.loadPins()
	}
	d.pins.ask()
	d.health.wake()
	return err
}

// Unpin takes a pin away: what it kept goes from this computer when there is need
// for room. ErrNotPinned, or a *CoveredError, if the path has none of its own.
func (d *Drive) Unpin(ctx context.Context, path string) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.leave()
	n, err := d.at(ctx, path)
	if err != nil {
		return fmt.Errorf("unpin %q: %w", path, err)
	}
	err = d.update(func(tx *nodes.Tx) error {
		if _, err := tx.Pin(n.ID); errors.Is(err, nodes.ErrNotFound) {
			return d.covered(n)
		} else if err != nil {
			return err
		}
		tx.DeletePin(n.ID)
		return nil
	})
	if err == nil {
		err = d.loadPins()
	}
	d.pins.ask()
	d.health.wake()
	return err
}

// covered is why n, which has no pin, has none to be taken away.
func (d *Drive) covered(n nodes.Node) error {
	m := d.pins.all()
	for range maxDepth {
		if n.ID == nodes.Root {
			break
		}
		up, err := d.store.Get(n.Parent)
		if err != nil {
			return err
		}
		if n = up; m[n.ID] != nil {
			by, err := d.way(n.ID, false)
			if err != nil {
				return err
			}
			return &CoveredError{by}
		}
	}
	return ErrNotPinned
}

// Pins lists what is pinned, by path.
func (d *Drive) Pins() []Pin {
	if d.enter() != nil {
		return nil
	}
	defer d.leave()
	var l []Pin
	d.pins.mu.Lock()
	all := slices.Collect(maps.Values(d.pins.m))
	d.pins.mu.Unlock()
	for _, p := range all {
		n, err := d.node(p.id)
		if err != nil {
			continue
		}
		way, err := d.way(p.id, false)
		if err != nil {
			continue
		}
		d.pins.mu.Lock()
		l = append(l, Pin{Path: way, Dir: n.Kind == nodes.Dir, State: p.state, Here: p.here, Total: p.total, Files: p.files, Since: p.since, Err: p.err})
		d.pins.mu.Unlock()
	}
	slices.SortFunc(l, func(a, b Pin) int { return cmp.Compare(a.Path, b.Path) })
	return l
}

// Pinned sums up what is pinned. A file that is in two pins counts twice.
type Pinned struct {
	Pins        int
	Here, Total int64 // bytes
	NoRoom      bool  // not all of it fits
}

// sum does no I/O.
func (p *pins) sum() (s Pinned) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.m {
		s.Pins++
		s.Here += e.here
		s.Total += e.total
		s.NoRoom = s.NoRoom || e.state == PinNoRoom
	}
	return s
}
