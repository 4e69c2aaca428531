package store

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/moorage/moorage/providers/git/internal/object"
	"github.com/moorage/moorage/providers/git/internal/pack"
)

const (
	// durableSize is where forcing a file to the disk becomes cheaper than
	// hashing it at its first use.
	durableSize = 1 << 20
	// inMemory is how much of a new file is held back, so that most are one write.
	inMemory = 64 << 10
	// grace protects what has just been used from eviction.
	grace = 10 * time.Second
	// touchEvery is how often the use of a file is noted on disk.
	touchEvery = time.Hour
)

// file is what is known of a file on disk.
type file struct {
	size     int64
	used     time.Time
	touched  time.Time // when used was last written to the disk
	verified bool      // is what its name says
	open     int
}

// Blob is an open file of the store. It is safe for concurrent use.
type Blob struct {
	store *Store
	file  *file // counts this one as open, also after the store has forgotten it
	size  int64
	f     *os.File
	once  sync.Once
}

// ReadAt reads at any offset.
func (b *Blob) ReadAt(p []byte, off int64) (int, error) { return b.f.ReadAt(p, off) }

// Size in bytes.
func (b *Blob) Size() int64 { return b.size }

// Type is that of a blob.
func (b *Blob) Type() object.Type { return object.TypeBlob }

// Close may be called more than once.
func (b *Blob) Close() error {
	var err error
	b.once.Do(func() {
		err = b.f.Close()
		b.store.mu.Lock()
		defer b.store.mu.Unlock()
		b.file.open--
	})
	return err
}

func (s *Store) filePath(k Key) string {
	name := k.ID.String()
	kind := "blobs"
	if k.LFS {
		kind = "lfs"
	}
	return s.path(kind, name[:2], name[2:])
}

// HasFile tells whether the file is there, without a look into it.
func (s *Store) HasFile(k Key) bool {
	s.mu.Lock()
	_, ok := s.files[k]
	scanned := s.scanned
	s.mu.Unlock()
	if ok || scanned {
		return ok
	}
	fi, err := os.Stat(s.filePath(k))
	return err == nil && fi.Mode().IsRegular()
}

// OpenFile opens a file, or gives ErrNotFound. One that is not what its name
// says is removed, and not found.
func (s *Store) OpenFile(k Key) (*Blob, error) {
	path := s.filePath(k)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		s.forget(k)
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, diskError("open cached file", err)
	}
	fi, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, diskError("open cached file", err)
	}
	s.mu.Lock()
	fl := s.files[k]
	verified := fl != nil && fl.verified
	want, known := s.sizes[k]
	s.mu.Unlock()
	if !verified {
		if err := verify(k, f, fi.Size(), want, known); err != nil {
			f.Close()
			s.log.Warn("damaged file removed from the cache", "object", k.ID, "err", err)
			s.forget(k)
			os.Remove(path)
			return nil, ErrNotFound
		}
	}
	if !known {
		if err := s.SetSize(k, fi.Size()); err != nil {
			f.Close()
			return nil, err
		}
	}
	now := s.clock()
	s.mu.Lock()
	fl = s.files[k]
	if fl == nil {
		fl = &file{size: fi.Size(), touched: fi.ModTime()}
		s.files[k] = fl
		s.total += fl.size
	}
	fl.verified = true
	fl.used = now
	fl.open++
	touch := now.Sub(fl.touched) > touchEvery
	if touch {
		fl.touched = now
	}
	s.mu.Unlock()
	if touch {
		os.Chtimes(path, now, now)
	}
	return &Blob{store: s, file: fl, size: fi.Size(), f: f}, nil
}

// verify finds out whether f is the file that k names.
func verify(k Key, f *os.File, size, want int64, known bool) error {
	if known && size != want {
		return fmt.Errorf("%d bytes instead of %d", size, want)
	}
	if known && size >= durableSize {
		return nil // its size was noted after it was safe on the disk
	}
	h := hasher(k, size)
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, size)); err != nil {
		return err
	}
	if object.SumID(h) != k.ID {
		return errors.New("hash differs")
	}
	return nil
}

func hasher(k Key, size int64) hash.Hash {
	if k.LFS {
		return sha256.New()
	}
	return object.NewHash(k.ID.Format(), object.TypeBlob, size)
}

func (s *Store) forget(k Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fl := s.files[k]; fl != nil {
		s.total -= fl.size
		delete(s.files, k)
	}
}

// writer is a file on its way into the store.
type writer struct {
	store *Store
	lfs   bool
	size  int64
	mem   []byte
	f     *os.File
	n     int64
}

// NewBlob begins a blob of that many bytes.
func (s *Store) NewBlob(size int64) (pack.BlobWriter, error) {
	return &writer{store: s, size: size}, nil
}

// NewLFS begins a file of Git LFS. The caller checks its sum before Commit.
func (s *Store) NewLFS(size int64) (pack.BlobWriter, error) {
	return &writer{store: s, size: size, lfs: true}, nil
}

func (w *writer) Write(p []byte) (int, error) {
	w.n += int64(len(p))
	if w.f == nil && len(w.mem)+len(p) <= inMemory {
		w.mem = append(w.mem, p...)
		return len(p), nil
	}
	if err := w.spill(); err != nil {
		return 0, err
	}
	n, err := w.f.Write(p)
	if err != nil {
		return n, diskError("write to cache", err)
	}
	return n, nil
}

func (w *writer) spill() error {
	if w.f != nil {
		return nil
	}
	f, err := os.CreateTemp(w.store.path("tmp"), "file")
	if err != nil {
		return diskError("write to cache", err)
	}
	w.f = f
	if _, err := f.Write(w.mem); err != nil {
		return diskError("write to cache", err)
	}
	w.mem = nil
	return nil
}

func (w *writer) Abort() {
	if w.f != nil {
		w.f.Close()
		os.Remove(w.f.Name())
		w.f = nil
	}
}

func (w *writer) Commit(id object.ID) error {
	defer w.Abort()
	s, k := w.store, Key{w.lfs, id}
	if w.n != w.size {
		return fmt.Errorf("write to cache: %d bytes instead of %d", w.n, w.size)
	}
	if s.HasFile(k) {
		return s.SetSize(k, w.size)
	}
	if err := w.spill(); err != nil {
		return err
	}
	if w.size >= durableSize {
		if err := w.f.Sync(); err != nil {
			return diskError("write to cache", err)
		}
	}
	err := w.f.Close()
	path := s.filePath(k)
	if err == nil {
		err = os.Rename(w.f.Name(), path)
		if errors.Is(err, fs.ErrNotExist) {
			name := id.String()
			if err = os.MkdirAll(path[:len(path)-len(name)+2], 0o700); err == nil {
				err = os.Rename(w.f.Name(), path)
			}
		}
	}
	if err != nil {
		os.Remove(w.f.Name())
		w.f = nil
		return diskError("write to cache", err)
	}
	w.f = nil
	now := s.clock()
	s.mu.Lock()
	if s.files[k] == nil {
		s.files[k] = &file{size: w.size, used: now, touched: now, verified: true}
		s.total += w.size
	}
	s.mu.Unlock()
	if err := s.SetSize(k, w.size); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arrivedLocked(k)
	return nil
}

// scanFiles finds out what is there, at start.
func (s *Store) scanFiles() {
	for _, kind := range []string{"blobs", "lfs"} {
		dirs, err := os.ReadDir(s.path(kind))
		if err != nil {
			continue
		}
		for _, d := range dirs {
			entries, err := os.ReadDir(s.path(kind, d.Name()))
			if err != nil {
				continue
			}
			for _, e := range entries {
				id, err := object.ParseID(d.Name() + e.Name())
				fi, ierr := e.Info()
				if err != nil || ierr != nil || !fi.Mode().IsRegular() {
					continue
				}
				k := Key{kind == "lfs", id}
				s.mu.Lock()
				if s.files[k] == nil {
					s.files[k] = &file{size: fi.Size(), used: fi.ModTime(), touched: fi.ModTime()}
					s.total += fi.Size()
				}
				closed := s.closed
				s.mu.Unlock()
				if closed {
					return
				}
			}
		}
	}
	s.mu.Lock()
	s.scanned = true
	s.mu.Unlock()
	s.Evict()
}

// Receive holds eviction back until done is called: a pack needs the bases that
// came before.
func (s *Store) Receive() (done func()) {
	s.mu.Lock()
	s.receiving++
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		s.receiving--
		s.mu.Unlock()
		s.Evict()
	}
}

// Used is the number of bytes in files.
func (s *Store) Used() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// SetLimit changes Options.Limit, and removes what is too much.
func (s *Store) SetLimit(bytes int64) {
	s.mu.Lock()
	s.limit = bytes
	s.mu.Unlock()
	s.Evict()
}

// Evict removes the files that were not used for the longest time, if there is
// more than the limit, until a tenth of it is free.
func (s *Store) Evict() {
	now := s.clock()
	s.mu.Lock()
	if s.limit <= 0 || s.total <= s.limit || s.receiving > 0 || !s.scanned {
		s.mu.Unlock()
		return
	}
	type candidate struct {
		key  Key
		used time.Time
		size int64
	}
	var all []candidate
	for k, f := range s.files {
		if f.open == 0 && now.Sub(f.used) > grace {
			all = append(all, candidate{k, f.used, f.size})
		}
	}
	excess := s.total - (s.limit - s.limit/10)
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(a.used.Compare(b.used), cmp.Compare(hex.EncodeToString(a.key.ID.Bytes()), hex.EncodeToString(b.key.ID.Bytes())))
	})
	var gone []Key
	for _, c := range all {
		if excess <= 0 {
			break
		}
		excess -= c.size
		s.total -= c.size
		delete(s.files, c.key)
		gone = append(gone, c.key)
	}
	s.mu.Unlock()
	for _, k := range gone {
		// One that is opened just now keeps its bytes: the name goes, not the file.
		if err := os.Remove(s.filePath(k)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("cannot remove a cached file", "err", err)
		}
	}
	s.log.Debug("cache trimmed", "files", len(gone))
}

// Base opens an object of any type, as the base of a delta.
func (s *Store) Base(id object.ID) (pack.Base, error) {
	t, content, err := s.Get(id)
	if err == nil {
		return &memBase{t, content}, nil
	}
	if !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	return s.OpenFile(Key{ID: id})
}

type memBase struct {
	t object.Type
	b []byte
}

func (m *memBase) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(m.b)) {
		return 0, io.EOF
	}
	n := copy(p, m.b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
func (m *memBase) Size() int64       { return int64(len(m.b)) }
func (m *memBase) Type() object.Type { return m.t }
func (m *memBase) Close() error      { return nil }

type spool struct{ *os.File }

// Spool makes a temporary file that goes away when it is closed.
func (s *Store) Spool() (pack.Spool, error) {
	f, err := os.CreateTemp(s.path("tmp"), "deltas")
	if err != nil {
		return nil, diskError("write to cache", err)
	}
	return spool{f}, nil
}

func (s spool) Close() error {
	return errors.Join(s.File.Close(), os.Remove(s.Name()))
}

var (
	_ pack.Sink  = (*Store)(nil)
	_ pack.Base  = (*Blob)(nil)
	_ pack.Spool = spool{}
)
