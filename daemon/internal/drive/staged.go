package drive

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/daemon/internal/drive/staging"
	"github.com/moorage/moorage/nfs"
)

// idleStaged is how many staged files stay open that nobody uses.
const idleStaged = 128

// staged is the content of a file that is not, or not all, on the remote. It is
// there from the moment when somebody is about to write, so that the state that
// it is laid over stays as it is.
type staged struct {
	id    uint64
	ready chan struct{} // closed when f or err is set
	f     *staging.File
	err   error
	fresh bool // the node's record does not know of it yet

	// recording is held from a Sync of f until what it gave is recorded.
	recording sync.Mutex
	// filling is held alone while bytes of the base are copied into f, where
	// nothing was written, and shared by those who write.
	filling sync.RWMutex

	mu           sync.Mutex
	mtime, ctime time.Time // valid unless clean
	clean        bool      // all is recorded, but what was filled
	filled       bool      // bytes of the base were copied into f, which is not recorded
	seq          uint64    // moves with every change
	writers      int
	ending       chan struct{} // not nil: about to be given up if nobody writes; closed when that is decided
	ended        bool          // given up: ask for it again
	spans        int           // parts of f's file that are being sent
	refs         int           // under stagedFiles.mu
	elem         *list.Element // likewise; nil: in use
	retired      chan struct{} // likewise; not nil: see stagedFiles.retire
}

// stagedFiles are the staged files that are open.
type stagedFiles struct {
	store *staging.Store

	mu      sync.Mutex
	m       map[uint64]*staged
	retired map[uint64]*staged // see retire
	idle    list.List          // of *staged, used last in front
}

func newStagedFiles(store *staging.Store) *stagedFiles {
	return &stagedFiles{store: store, m: map[uint64]*staged{}, retired: map[uint64]*staged{}}
}

// peek gives the open file of a node, if there is one, without holding it: its
// fields that mu guards, and f's state, may be read.
func (s *stagedFiles) peek(id uint64) *staged {
	s.mu.Lock()
	e := s.m[id]
	s.mu.Unlock()
	if e == nil {
		return nil
	}
	select {
	case <-e.ready:
		if e.err == nil {
			return e
		}
	default:
	}
	return nil
}

// has reports whether somebody has, or is about to have, the node's file open.
func (s *stagedFiles) has(id uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m[id] != nil || s.retired[id] != nil
}

// retire has a file loaded again by who asks for it next, as soon as nobody uses
// e any more. It reports whether it was not retired before.
func (s *stagedFiles) retire(e *staged) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m[e.id] != e {
		return false
	}
	delete(s.m, e.id)
	e.retired = make(chan struct{})
	s.retired[e.id] = e
	return true
}

// leaves waits until nobody uses a file that was retired. Who uses it may wait for
// what the caller holds, so that it does not wait for long.
func (e *staged) leaves(ctx context.Context) error {
	t := time.NewTimer(retiredPatience)
	defer t.Stop()
	select {
	case <-e.retired:
		return nil
	case <-t.C:
		return fmt.Errorf("%w: a file that could not be written is still in use", nfs.ErrJukebox)
	case <-ctx.Done():
		return ctx.Err()
	}
}

const retiredPatience = time.Second

// acquire gives the file of a node, which load makes if it is not open.
func (s *stagedFiles) acquire(ctx context.Context, id uint64, load func(*staged) error) (*staged, error) {
	s.mu.Lock()
	for s.retired[id] != nil {
		old := s.retired[id]
		s.mu.Unlock()
		if err := old.leaves(ctx); err != nil {
			return nil, err
		}
		s.mu.Lock()
	}
	e := s.m[id]
	if e == nil {
		e = &staged{id: id, ready: make(chan struct{}), clean: true, refs: 1}
		s.m[id] = e
		s.mu.Unlock()
		if e.err = load(e); e.err != nil {
			s.mu.Lock()
			delete(s.m, id)
			s.mu.Unlock()
		}
		close(e.ready)
		return e, e.err
	}
	e.refs++
	if e.elem != nil {
		s.idle.Remove(e.elem)
		e.elem = nil
	}
	s.mu.Unlock()
	select {
	case <-e.ready:
	case <-ctx.Done():
		s.release(e)
		return nil, ctx.Err()
	}
	if e.err != nil {
		return nil, e.err
	}
	return e, nil
}

// release ends a use. Files that are not used for long are closed; one into
// which nothing was written is taken away.
func (s *stagedFiles) release(e *staged) {
	s.mu.Lock()
	e.refs--
	if e.refs > 0 || s.m[e.id] != e {
		last := e.refs == 0 && e.err == nil
		s.mu.Unlock()
		if last {
			e.f.Close() // given up before; nothing of it counts
			s.replaced(e)
		}
		return
	}
	e.elem = s.idle.PushFront(e)
	var drop []*staged
	for el := s.idle.Back(); el != nil && s.idle.Len() > idleStaged; {
		o, prev := el.Value.(*staged), el.Prev()
		o.mu.Lock()
		clean := o.clean
		o.mu.Unlock()
		if clean {
			s.idle.Remove(el)
			o.elem = nil
			delete(s.m, o.id)
			drop = append(drop, o)
		}
		el = prev
	}
	s.mu.Unlock()
	for _, o := range drop {
		o.f.Close()
		if o.fresh {
			s.store.Remove(o.id) // what is left is found at the next start
		}
	}
}

// replaced ends the wait for a file that was retired and is closed now.
func (s *stagedFiles) replaced(e *staged) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.retired[e.id] == e {
		delete(s.retired, e.id)
		close(e.retired)
	}
}

// dropFresh takes a file away into which nothing was written, unless somebody is
// about to.
func (s *stagedFiles) dropFresh(id uint64) error {
	s.mu.Lock()
	e := s.m[id]
	if e == nil || e.elem == nil {
		s.mu.Unlock()
		return nil
	}
	e.mu.Lock()
	drop := e.fresh && e.clean && !e.filled
	e.mu.Unlock()
	if !drop {
		s.mu.Unlock()
		return nil
	}
	s.idle.Remove(e.elem)
	e.elem = nil
	delete(s.m, id)
	s.mu.Unlock()
	return errors.Join(e.f.Close(), s.store.Remove(id))
}

// forget makes sure that nobody finds e any more. Who holds it can go on, to no
// effect.
func (s *stagedFiles) forget(e *staged) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m[e.id] != e {
		return
	}
	delete(s.m, e.id)
	if e.elem != nil {
		s.idle.Remove(e.elem)
		e.elem = nil
		e.f.Close()
	}
}

// close closes all files but those that are still being sent. What is not recorded
// is lost, as it would be in a crash.
func (s *stagedFiles) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for id, e := range s.m {
		delete(s.m, id)
		if e.err == nil && e.refs == 0 {
			err = errors.Join(err, e.f.Close())
		}
	}
	s.idle.Init()
	return err
}

// overlay brings a node to what was written and is not recorded yet.
func (e *staged) overlay(n *nodes.Node) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.clean || e.ended {
		return
	}
	e.apply(n, e.f.State())
	n.Mtime, n.Ctime = e.mtime, latest(n.Ctime, e.ctime)
}

// latest is the later of two times: a change time does not go back.
func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// apply brings a node to a state of its staged file.
func (e *staged) apply(n *nodes.Node, st staging.State) {
	if n.State&nodes.Staged == 0 {
		n.RSize = n.Size
		n.State |= nodes.Staged
	}
	n.Size, n.Base = st.Size, st.Base
}

// stage gives the staged content of a file; release it. Without write it must
// have some.
func (d *Drive) stage(ctx context.Context, id uint64, write bool) (*staged, error) {
	for {
		e, err := d.staged.acquire(ctx, id, func(e *staged) error { return d.loadStaged(e, write) })
		if err != nil {
			return nil, err
		}
		if !write {
			return e, nil
		}
		e.mu.Lock()
		ending, ended := e.ending, e.ended
		if !ended && ending == nil {
			e.writers++
			e.mu.Unlock()
			return e, nil
		}
		e.mu.Unlock()
		d.staged.release(e)
		if ended {
			continue
		}
		select {
		case <-ending:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// unstage ends what stage began with write.
func (d *Drive) unstage(e *staged) {
	e.mu.Lock()
	e.writers--
	e.mu.Unlock()
	d.staged.release(e)
}

// errNotStaged means that a file has no content of its own here.
var errNotStaged = errors.New("nothing is staged")

// loadStaged opens the staged content of a node, or begins it.
func (d *Drive) loadStaged(e *staged, write bool) error {
	var n nodes.Node
	// Changes of nodes come one after the other: those that did not see e in the
	// table are made.
	err := d.update(func(tx *nodes.Tx) (err error) {
		n, err = tx.Get(e.id)
		return err
	})
	switch {
	case errors.Is(err, nodes.ErrNotFound):
		return fmt.Errorf("%w: id %d", nfs.ErrStale, e.id)
	case err != nil:
		return err
	case n.State&nodes.Staged != 0:
		e.f, err = d.staged.store.Load(n.ID, staging.State{Size: n.Size, Base: n.Base}, func(yield func(uint32, []byte) bool) error {
			return d.store.Regions(n.ID, yield)
		})
		return err
	case !write:
		return errNotStaged
	case n.Size < 0:
		return fmt.Errorf("%w: the size of %q is not known yet", nfs.ErrJukebox, n.Name)
	}
	base := n.Size
	if n.State&nodes.Created != 0 {
		base = 0
	}
	e.fresh = true
	e.f, err = d.staged.store.Create(n.ID, base)
	return err
}

// record puts what was written on stable storage. extra makes further changes
// to the node at the same time.
func (d *Drive) record(e *staged, extra func(*nodes.Node)) error {
	e.recording.Lock()
	defer e.recording.Unlock()
	e.mu.Lock()
	seq, mtime, ctime, clean, filled := e.seq, e.mtime, e.ctime, e.clean, e.filled
	e.filled = false
	e.mu.Unlock()
	if clean && !filled && extra == nil {
		return nil
	}
	d.step("sync")
	st, regions, err := e.f.Sync()
	if errors.Is(err, staging.ErrSync) {
		return d.loses(e, err)
	}
	if err != nil {
		return err
	}
	d.step("record")
	err = d.update(func(tx *nodes.Tx) error {
		n, err := tx.Get(e.id)
		if errors.Is(err, nodes.ErrNotFound) {
			return fmt.Errorf("%w: id %d", nfs.ErrStale, e.id)
		}
		if err != nil {
			return err
		}
		if !clean {
			n.Mtime, n.Ctime = mtime, latest(n.Ctime, ctime)
		}
		if !clean || filled || len(regions) > 0 {
			e.apply(&n, st)
			for _, r := range regions {
				tx.PutRegion(e.id, r.Index, r.Record)
			}
		}
		if extra != nil {
			extra(&n)
		}
		tx.Put(n)
		return d.pend(tx, e.id)
	})
	if err != nil {
		return err
	}
	d.step("recorded")
	e.f.Recorded()
	e.mu.Lock()
	e.fresh = false
	if e.seq == seq {
		e.clean = true
	}
	e.mu.Unlock()
	return nil
}

// pend notes that a node is not on the remote as it is here. In a directory that is
// gone nothing can be changed any more.
func (d *Drive) pend(tx *nodes.Tx, id uint64) error {
	cut, err := cutOff(tx, id)
	if err == nil && cut {
		err = fmt.Errorf("%w: id %d", nfs.ErrStale, id)
	}
	if err != nil {
		return err
	}
	_, err = tx.Pending(id)
	if errors.Is(err, nodes.ErrNotFound) {
		tx.PutPending(id, nodes.Pending{Since: d.o.Clock()})
		return nil
	}
	return err
}
