// Package staging keeps the bytes that were written here and are not on the
// remote yet: for each node one file with holes, laid over the version of the
// remote that it began with, its base.
//
// What lies in a file is meaningful only together with what the caller recorded
// of it durably, a [State] and [Region]s, which [File.Sync] gives: below
// State.Base the base shows wherever no recorded extent says otherwise, and what
// lies behind State.Size does not count. So a power failure leaves either what
// was recorded last, or that with some of the later writes in the places that
// were recorded as written, and never a byte of which nobody recorded that it is
// there.
//
// One exception: a Truncate that is followed by growth before it was synced and
// recorded may turn the bytes that it took away into zeros at the old size. A
// caller that records a truncation before it answers never shows that.
package staging

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/moorage/moorage/daemon/internal/drive/disk"
)

// Errors of this package.
var (
	// ErrMoved means that the file was changed since.
	ErrMoved = errors.New("the file was changed meanwhile")
	// ErrNotLocal means that bytes were asked for that do not lie here.
	ErrNotLocal = errors.New("these bytes are not in the staging file")
	// ErrCorrupt means that a record is none that this package made.
	ErrCorrupt = errors.New("the record of a staged file is damaged")
	// ErrOpen means that the node's file is open already.
	ErrOpen = errors.New("the staged file is open already")
	// ErrSync means that bytes could not be put on stable storage. The file takes
	// no more changes; what was recorded before still holds, and the file can be
	// closed and loaded again from that. Where the lost bytes replaced others they
	// may go on being read, until a power failure brings the others back, if
	// nobody writes them again: clients have to be told to.
	ErrSync = errors.New("a staged file could not be put on stable storage")
)

const (
	folder = "staging"
	taken  = ".taken" // behind the name of a file that is not of its node any more
)

// Store holds one [File] per node. Its methods may be called concurrently.
type Store struct {
	fs    disk.FS
	gens  atomic.Uint64 // the last generation that was given to a file
	used  atomic.Int64
	names group // syncs the names in folder

	mu      sync.Mutex
	open    map[uint64]*File
	suspect map[uint64]bool // the last Sync of this node's file failed
}

// Open opens the staging files in fs.
func Open(fs disk.FS) (*Store, error) {
	l, err := fs.List(folder)
	if err != nil {
		return nil, fmt.Errorf("open the staging files: %w", err)
	}
	s := &Store{fs: fs, open: map[uint64]*File{}, suspect: map[uint64]bool{}}
	for _, i := range l {
		if strings.HasSuffix(i.Name, taken) {
			if err := fs.Remove(folder + "/" + i.Name); err != nil {
				return nil, fmt.Errorf("remove what was published: %w", err)
			}
			continue
		}
		s.used.Add(i.Used)
	}
	// The folder's own name has to be on stable storage once. It may be there
	// since a process that was killed before it got to that.
	var rooted bool
	s.names.running = make(chan struct{}, 1)
	s.names.do = func() error {
		if err := fs.SyncDir(folder); err != nil || rooted {
			return err
		}
		err := fs.SyncDir(".")
		rooted = err == nil
		return err
	}
	return s, nil
}

// Create makes the file of a node that has none. Of a base version the first
// base bytes show, 0 if there is none; the size starts as base. A file that was
// left behind under this id is emptied. Nothing is durable before [File.Sync].
func (s *Store) Create(id uint64, base int64) (*File, error) {
	if base < 0 || base > maxBase {
		return nil, fmt.Errorf("create staging file %x over %d bytes: %w", id, base, fs.ErrInvalid)
	}
	f := s.newFile(id)
	if err := s.claim(f); err != nil {
		return nil, fmt.Errorf("create staging file %x: %w", id, err)
	}
	err := f.create(base)
	if err != nil {
		s.release(f)
		return nil, fmt.Errorf("create staging file %x: %w", id, err)
	}
	return f, nil
}

// Load opens the file of a node as it was recorded: st and the regions with
// extents, in any order, which regions gives to yield until that returns false.
// The error matches fs.ErrNotExist if the file is gone, and ErrCorrupt if the
// record is none of ours.
func (s *Store) Load(id uint64, st State, regions func(yield func(region uint32, rec []byte) bool) error) (*File, error) {
	f := s.newFile(id)
	if err := s.claim(f); err != nil {
		return nil, fmt.Errorf("load staging file %x: %w", id, err)
	}
	err := f.load(st, regions)
	if err != nil {
		s.release(f)
		return nil, fmt.Errorf("load staging file %x: %w", id, err)
	}
	return f, nil
}

// Remove takes the file of a node away; nothing happens if there is none. The
// node's record has to be gone durably. A File that is still open can be read
// until it is closed.
func (s *Store) Remove(id uint64) error {
	used := s.detach(id)
	err := s.fs.Remove(name(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove staging file %x: %w", id, err)
	}
	s.used.Add(-used)
	return nil
}

// Take is Remove for a file whose bytes are wanted elsewhere: it is the caller's
// from now on, under the name and in the folder that are given. At the next Open
// it is taken away if it is still there.
func (s *Store) Take(id uint64) (disk.FS, string, error) {
	used := s.detach(id)
	to := name(id) + "-" + strconv.FormatUint(s.gens.Add(1), 16) + taken
	if err := s.fs.Rename(name(id), to); err != nil {
		return nil, "", fmt.Errorf("take staging file %x: %w", id, err)
	}
	s.used.Add(-used)
	return s.fs, to, nil
}

// detach makes the file of a node one that is of none, and tells how many bytes
// of the disk it takes.
func (s *Store) detach(id uint64) int64 {
	s.mu.Lock()
	f := s.open[id]
	delete(s.open, id)
	delete(s.suspect, id)
	s.mu.Unlock()
	if f != nil {
		return f.detach()
	}
	return s.usedOf(id)
}

// usedOf is how many bytes a file takes, 0 if that cannot be told.
func (s *Store) usedOf(id uint64) int64 {
	f, err := s.fs.Open(name(id), false)
	if err != nil {
		return 0
	}
	defer f.Close()
	i, err := f.Stat()
	if err != nil {
		return 0
	}
	return i.Used
}

// IDs gives the nodes that have a file here, in no special order.
func (s *Store) IDs() ([]uint64, error) {
	l, err := s.fs.List(folder)
	if err != nil {
		return nil, fmt.Errorf("list the staging files: %w", err)
	}
	var ids []uint64
	for _, i := range l {
		id, err := strconv.ParseUint(i.Name, 16, 64)
		if err == nil && !i.Dir && name(id) == folder+"/"+i.Name {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// Used is how many bytes the files take on the disk, as far as is known without
// asking it: a little less than what was written in small pieces since the last
// Sync.
func (s *Store) Used() int64 { return s.used.Load() }

func (s *Store) claim(f *File) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[f.id] != nil {
		return ErrOpen
	}
	s.open[f.id] = f
	return nil
}

func (s *Store) release(f *File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[f.id] == f {
		delete(s.open, f.id)
	}
}

func (s *Store) isSuspect(id uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.suspect[id]
}

func (s *Store) setSuspect(id uint64, suspect bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if suspect {
		s.suspect[id] = true
	} else {
		delete(s.suspect, id)
	}
}

func name(id uint64) string { return fmt.Sprintf(folder+"/%016x", id) }

// group runs do for many callers at once: each call returns after a run that
// began after the call did.
type group struct {
	do      func() error
	running chan struct{} // has room for one, which runs do

	mu   sync.Mutex
	next *turn // the run that has not begun yet
}

type turn struct {
	done chan struct{}
	err  error
}

func (g *group) run() error {
	g.mu.Lock()
	t := g.next
	if t != nil {
		g.mu.Unlock()
		<-t.done
		return t.err
	}
	t = &turn{done: make(chan struct{})}
	g.next = t
	g.mu.Unlock()

	g.running <- struct{}{}
	g.mu.Lock()
	g.next = nil // who comes now needs the run after this
	g.mu.Unlock()
	t.err = g.do()
	<-g.running
	close(t.done)
	return t.err
}
