// Package store keeps git objects on disk: commits, trees, tags and the sizes
// of blobs in a log that only grows, each blob (and each large file of Git LFS)
// as a plain file that can be read at any offset.
//
// Nothing on disk is believed because it is there. A record of the log carries
// a checksum, and reading ends at the first that is cut off. A blob is written
// beside its place and renamed; at its first use in a process its length is
// compared, and, unless it was forced to the disk before it was renamed, its
// hash computed. So a process may die at any moment, and so may the power.
//
// A folder belongs to one Store at a time. A second one does no harm to the
// contents, but does not see what the first adds to the log.
package store

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/git/internal/object"
	"github.com/moorage/moorage/providers/git/internal/pack"
)

// ErrNotFound is returned for what is not in the store. It is the one that a
// pack asks for.
var ErrNotFound = pack.ErrNotFound

// Key names a file of the store.
type Key struct {
	LFS bool      // ID is the sha256 of a file of Git LFS, else the id of a blob
	ID  object.ID //
}

// Options configure a Store.
type Options struct {
	Limit  int64            // bytes of blobs to keep; 0: no limit
	Clock  func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: silent
}

// Store is safe for concurrent use.
type Store struct {
	dir   string
	clock func() time.Time
	log   *slog.Logger

	records recordLog

	mu        sync.Mutex
	limit     int64                  // bytes of blobs to keep; 0: none
	index     map[object.ID]location // commits, trees, tags
	sizes     map[Key]int64          // never forgotten
	waiters   map[Key]chan struct{}
	files     map[Key]*file
	total     int64 // bytes of files
	scanned   bool  // files is all there is
	receiving int   // while it is not 0, nothing is evicted
	closed    bool

	scan sync.WaitGroup
}

// Open opens the store in dir, which is made (0700) if it is not there.
func Open(dir string, o Options) (*Store, error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{
		dir: dir, limit: o.Limit, clock: o.Clock, log: o.Logger,
		index:   make(map[object.ID]location),
		sizes:   make(map[Key]int64),
		waiters: make(map[Key]chan struct{}),
		files:   make(map[Key]*file),
	}
	for _, d := range []string{dir, s.path("tmp"), s.path("log"), s.path("blobs"), s.path("lfs")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, diskError("make cache folder", err)
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, diskError("protect cache folder", err)
	}
	s.removeStaleTemps()
	if err := s.records.open(s.path("log"), s.load); err != nil {
		return nil, diskError("read cache", err)
	}
	s.scan.Go(s.scanFiles)
	return s, nil
}

// Close lets go of the log. Files that are open stay readable.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.scan.Wait()
	return s.records.close()
}

func (s *Store) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

// staleTemp is how long a temporary file was not written to before it counts as
// left behind by a process that died.
const staleTemp = time.Hour

func (s *Store) removeStaleTemps() {
	entries, err := os.ReadDir(s.path("tmp"))
	if err != nil {
		return
	}
	for _, e := range entries {
		if fi, err := e.Info(); err == nil && s.clock().Sub(fi.ModTime()) > staleTemp {
			os.Remove(s.path("tmp", e.Name()))
		}
	}
}

// load takes one record of the log.
func (s *Store) load(r record, at location) {
	switch r.kind {
	case kindBlobSize, kindLFSSize:
		s.sizes[Key{r.kind == kindLFSSize, r.id}] = r.size
	default:
		s.index[r.id] = at
	}
}

// Put stores a commit, tree or tag under its id, which the caller has computed.
func (s *Store) Put(t object.Type, id object.ID, content []byte) error {
	if s.Has(id) {
		return nil
	}
	at, err := s.records.append(record{kind: byte(t), id: id, content: content})
	if err != nil {
		return diskError("write to cache", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index[id] = at
	s.arrivedLocked(Key{ID: id})
	return nil
}

func (s *Store) arrivedLocked(k Key) {
	if ch, ok := s.waiters[k]; ok {
		close(ch)
		delete(s.waiters, k)
	}
}

// Has tells whether a commit, tree or tag is there.
func (s *Store) Has(id object.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.index[id]
	return ok
}

// Arrival returns a channel that is closed as soon as k is there: a commit, tree
// or tag, or a file.
func (s *Store) Arrival(k Key) <-chan struct{} {
	there := s.HasFile(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	ch, ok := s.waiters[k]
	if !ok {
		ch = make(chan struct{})
		if !k.LFS {
			_, known := s.index[k.ID]
			there = there || known
		}
		if s.files[k] != nil || there {
			close(ch)
			return ch
		}
		s.waiters[k] = ch
	}
	return ch
}

// Get reads a commit, tree or tag, or gives ErrNotFound.
func (s *Store) Get(id object.ID) (object.Type, []byte, error) {
	s.mu.Lock()
	at, ok := s.index[id]
	s.mu.Unlock()
	if !ok {
		return 0, nil, ErrNotFound
	}
	r, err := s.records.read(at)
	if err == nil && (r.id != id || object.HashOf(id.Format(), object.Type(r.kind), r.content) != id) {
		err = errors.New("not what was written")
	}
	if err != nil {
		// The disk lost it: fetch it again.
		s.log.Warn("cache record unreadable", "object", id, "err", err)
		s.mu.Lock()
		if s.index[id] == at {
			delete(s.index, id)
		}
		s.mu.Unlock()
		return 0, nil, ErrNotFound
	}
	return object.Type(r.kind), r.content, nil
}

// Size of a file, if it has ever been known. The file need not be there.
func (s *Store) Size(k Key) (int64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.sizes[k]
	return n, ok
}

// SetSize remembers the size of a file for ever.
func (s *Store) SetSize(k Key, size int64) error {
	if n, ok := s.Size(k); ok && n == size {
		return nil
	}
	kind := byte(kindBlobSize)
	if k.LFS {
		kind = kindLFSSize
	}
	if _, err := s.records.append(record{kind: kind, id: k.ID, size: size}); err != nil {
		return diskError("write to cache", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sizes[k] = size
	return nil
}

// Sync forces the log to the disk.
func (s *Store) Sync() error {
	if err := s.records.sync(); err != nil {
		return diskError("write to cache", err)
	}
	return nil
}

// maxState bounds the state that is read back.
const maxState = 1 << 20

// LoadState returns what SaveState kept; ErrNotFound if there is nothing.
func (s *Store) LoadState() ([]byte, error) {
	fi, err := os.Stat(s.path("state.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, diskError("read cache state", err)
	}
	if fi.Size() > maxState {
		return nil, ErrNotFound
	}
	b, err := os.ReadFile(s.path("state.json"))
	if err != nil {
		return nil, diskError("read cache state", err)
	}
	return b, nil
}

// SaveState keeps b, whole or not at all.
func (s *Store) SaveState(b []byte) error {
	f, err := os.CreateTemp(s.path("tmp"), "state")
	if err != nil {
		return diskError("write cache state", err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), s.path("state.json"))
	}
	if err != nil {
		os.Remove(f.Name())
		return diskError("write cache state", err)
	}
	return nil
}

func diskError(op string, err error) error {
	if isFull(err) {
		return fmt.Errorf("%s: %w: %w", op, providers.ErrFull, err)
	}
	return fmt.Errorf("%s: %w", op, err)
}

// LFSKey is the key of a file of Git LFS.
func LFSKey(sum [sha256.Size]byte) Key {
	id, err := object.IDFromBytes(sum[:])
	if err != nil {
		panic(err) // a sha256 has 32 bytes
	}
	return Key{LFS: true, ID: id}
}
