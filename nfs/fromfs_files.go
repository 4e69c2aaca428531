package nfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"
)

const (
	maxOpenFiles = 64
	fileIdle     = 5 * time.Second // how long an unused file stays open
	skipStep     = 1 << 20         // bytes that are skipped between looks at the context
)

// ioFiles keeps files open between reads.
type ioFiles struct {
	open func(path string) (fs.File, error)

	mu     sync.Mutex
	byID   map[ID]*ioFile
	timer  *time.Timer // nil: nothing to sweep
	closed bool
}

// ioFile is a file in use or kept. Files that can only be read in order have
// two streams at most, because clients read ahead a little out of order.
type ioFile struct {
	set  *ioFiles
	path string
	info fs.FileInfo // as Stat said it when the file was opened
	at   io.ReaderAt // nil: file has to be read in turn

	turn    chan struct{} // has a value while somebody uses the streams
	seek    io.Seeker     // of streams[0]; nil: none
	streams []*ioStream   // the last used is last

	// Guarded by set.mu.
	users int
	used  time.Time
	kept  bool // in set.byID
}

type ioStream struct {
	file fs.File
	pos  int64
}

// acquire opens the file of id, or takes the one that is kept if it still is
// the same by info, what Stat says of path now. The caller releases it.
func (s *ioFiles) acquire(id ID, path string, info fs.FileInfo) (*ioFile, error) {
	if f := s.use(id); f != nil {
		if f.same(info) {
			return f, nil
		}
		s.release(f)
	}
	file, err := s.open(path)
	if err != nil {
		return nil, err
	}
	if now, err := file.Stat(); err != nil || changed(now, info) {
		file.Close()
		if err != nil {
			return nil, err
		}
		// Another file has taken the path since Stat; the next try sees it.
		return nil, ErrJukebox
	}
	f := &ioFile{set: s, path: path, info: info, turn: make(chan struct{}, 1), streams: []*ioStream{{file: file}}, users: 1}
	f.at, _ = file.(io.ReaderAt)
	f.seek, _ = file.(io.Seeker)
	closeAll(s.keep(id, f))
	return f, nil
}

// use returns the file of id that is kept, if any, for release.
func (s *ioFiles) use(id ID) *ioFile {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.byID[id]
	if f != nil {
		f.users++
	}
	return f
}

// changed reports whether a file of package os is another one than info says.
func changed(now, info fs.FileInfo) bool { return os.SameFile(info, info) && !os.SameFile(now, info) }

// same reports whether f is still the file that info is about. What is not of
// package os has no identity, and may be a copy that was made at Open.
func (f *ioFile) same(info fs.FileInfo) bool {
	if os.SameFile(info, info) {
		return os.SameFile(f.info, info)
	}
	return f.info.Size() == info.Size() && f.info.ModTime().Equal(info.ModTime())
}

// keep remembers f, and returns the files to be closed for it.
func (s *ioFiles) keep(id ID, f *ioFile) (victims []*ioFile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	if old := s.byID[id]; old != nil {
		victims = s.forget(id, old, victims)
	}
	if len(s.byID) >= maxOpenFiles {
		var oldest *ioFile
		var oldestID ID
		for id, g := range s.byID {
			if g.users == 0 && (oldest == nil || g.used.Before(oldest.used)) {
				oldest, oldestID = g, id
			}
		}
		if oldest == nil {
			return victims // all are in use: f is closed after its use
		}
		victims = s.forget(oldestID, oldest, victims)
	}
	if s.byID == nil {
		s.byID = make(map[ID]*ioFile)
	}
	s.byID[id], f.kept = f, true
	if s.timer == nil {
		s.timer = time.AfterFunc(fileIdle, s.sweep)
	}
	return victims
}

// forget takes f out of the set, and appends it to victims if nobody uses it.
// It needs s.mu.
func (s *ioFiles) forget(id ID, f *ioFile, victims []*ioFile) []*ioFile {
	delete(s.byID, id)
	f.kept = false
	if f.users == 0 {
		victims = append(victims, f)
	}
	return victims
}

func (s *ioFiles) release(f *ioFile) {
	s.mu.Lock()
	f.users--
	f.used = time.Now()
	last := f.users == 0 && !f.kept
	s.mu.Unlock()
	if last {
		f.close()
	}
}

// sweep closes what was not used for a while.
func (s *ioFiles) sweep() {
	var victims []*ioFile
	s.mu.Lock()
	for id, f := range s.byID {
		if f.users == 0 && time.Since(f.used) >= fileIdle {
			victims = s.forget(id, f, victims)
		}
	}
	s.timer = nil
	if len(s.byID) > 0 {
		s.timer = time.AfterFunc(fileIdle, s.sweep)
	}
	s.mu.Unlock()
	closeAll(victims)
}

// close closes all files; those in use are closed when they are released.
func (s *ioFiles) close() error {
	var victims []*ioFile
	s.mu.Lock()
	s.closed = true
	for id, f := range s.byID {
		victims = s.forget(id, f, victims)
	}
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	s.mu.Unlock()
	return closeAll(victims)
}

func closeAll(files []*ioFile) error {
	var errs []error
	for _, f := range files {
		errs = append(errs, f.close())
	}
	return errors.Join(errs...)
}

func (f *ioFile) close() error {
	var errs []error
	for _, st := range f.streams {
		errs = append(errs, st.file.Close())
	}
	f.streams = nil
	return errors.Join(errs...)
}

// read fills p from off; n is smaller only at the end of the file. size is
// where the end is expected.
func (f *ioFile) read(ctx context.Context, p []byte, off, size int64) (n int, err error) {
	if f.at != nil {
		n, err = f.at.ReadAt(p, off)
		return n, unlessEOF(err)
	}
	select {
	case f.turn <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	defer func() { <-f.turn }()
	st, err := f.stream(off)
	if err != nil {
		return 0, err
	}
	if n, err = st.read(ctx, p, off, size); err != nil && ctx.Err() == nil {
		f.drop(st)
	}
	return n, err
}

func unlessEOF(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil
	}
	return err
}

// stream returns one that stands at off or before it. It needs the turn.
func (f *ioFile) stream(off int64) (*ioStream, error) {
	if f.seek != nil && len(f.streams) > 0 {
		st := f.streams[0]
		if st.pos != off {
			if _, err := f.seek.Seek(off, io.SeekStart); err != nil {
				return nil, fmt.Errorf("seek: %w", err)
			}
			st.pos = off
		}
		return st, nil
	}
	best := -1
	for i, st := range f.streams {
		if st.pos <= off && (best < 0 || st.pos > f.streams[best].pos) {
			best = i
		}
	}
	if best < 0 {
		file, err := f.set.open(f.path)
		if err != nil {
			return nil, err
		}
		if len(f.streams) == 2 {
			f.drop(f.streams[0])
		}
		f.seek, _ = file.(io.Seeker)
		f.streams = append(f.streams, &ioStream{file: file})
		best = len(f.streams) - 1
	}
	st := f.streams[best]
	f.streams = append(append(f.streams[:best:best], f.streams[best+1:]...), st)
	return st, nil
}

// drop closes a stream, which is only read from: what Close says is no news.
func (f *ioFile) drop(st *ioStream) {
	st.file.Close()
	for i := range f.streams {
		if f.streams[i] == st {
			f.streams = append(f.streams[:i:i], f.streams[i+1:]...)
			return
		}
	}
}

func (st *ioStream) read(ctx context.Context, p []byte, off, size int64) (int, error) {
	for st.pos < off {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n, err := io.CopyN(io.Discard, st.file, min(off-st.pos, skipStep))
		if st.pos += n; err != nil {
			return 0, unlessEOF(err)
		}
	}
	n, err := io.ReadFull(st.file, p)
	if st.pos += int64(n); err != nil {
		return n, unlessEOF(err)
	}
	if st.pos == size {
		// Archives tell a damaged file at its end.
		var more [1]byte
		k, err := st.file.Read(more[:])
		st.pos += int64(k)
		return n, unlessEOF(err)
	}
	return n, nil
}
