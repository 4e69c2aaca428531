//go:build linux || darwin

package dirfs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/nfs"
)

const (
	// searchPasses is after how many whole passes without a sight an object is
	// gone, though each could have missed it: it is moved, again and again, from
	// a directory that the pass has yet to read to one that it has read.
	searchPasses = 8
	// maxQuests bounds the objects that are searched at one time.
	maxQuests = 4096
	// scanDepth is how many directories a pass holds open, one in the other.
	scanDepth = 64
)

// searcher finds objects that something beside us renamed. One pass over the
// folder at a time serves all who search.
type searcher struct {
	fs   *FS
	done sync.WaitGroup

	mu      sync.Mutex
	quests  map[nfs.ID]*quest
	inos    map[uint64]int // how many quests know their inode number; 0: do not know it
	running bool
	useless bool // the process may not open handles
}

// quest is the search for one object.
type quest struct {
	id     nfs.ID
	ino    uint64 // 0: not known
	begun  bool   // was there when the pass began
	passes int
	done   chan struct{}
	err    error // when done: nil, or nfs.ErrStale
}

// find brings the record of id's place up to date, or fails with nfs.ErrStale
// if the object is gone, or with ctx's error. The search goes on after that,
// so that who asks again gets an answer in the end.
func (s *searcher) find(ctx context.Context, id nfs.ID) error {
	if s.fs.index.isGone(id) {
		return nfs.ErrStale
	}
	p, ok, err := s.fs.index.get(id)
	if err != nil {
		return err
	}
	if ok {
		if s.gone(p.handle) {
			s.fs.index.drop(id)
			return fmt.Errorf("inode is gone: %w", nfs.ErrStale)
		}
		if found := s.among(ctx, id, &p); found {
			return nil
		}
	}
	s.mu.Lock()
	q := s.quests[id]
	if q == nil {
		if len(s.quests) >= maxQuests {
			s.mu.Unlock()
			return nfs.ErrJukebox
		}
		if s.quests == nil {
			s.quests, s.inos = make(map[nfs.ID]*quest), make(map[uint64]int)
		}
		q = &quest{id: id, ino: p.ino, done: make(chan struct{})}
		s.quests[id] = q
		s.inos[q.ino]++
	}
	if !s.running {
		s.running = true
		s.done.Go(s.run)
	}
	s.mu.Unlock()
	select {
	case <-q.done:
		return q.err
	case <-ctx.Done():
		return fmt.Errorf("search by inode: %w", ctx.Err())
	}
}

// gone asks the kernel whether the inode of a handle exists. Only a no is
// certain: the inode may be outside the folder now.
func (s *searcher) gone(handle string) bool {
	s.mu.Lock()
	useless := s.useless
	s.mu.Unlock()
	if handle == "" || useless {
		return false
	}
	fd, err := openHandle(s.fs.rootDesc.fd, handle)
	switch {
	case err == unix.ESTALE:
		return true
	case err == unix.EPERM || err == unix.ENOSYS || err == unix.EOPNOTSUPP:
		s.mu.Lock()
		s.useless = true
		s.mu.Unlock()
		return false
	case err != nil:
		return false
	}
	st, err := statFD(fd, false)
	unix.Close(fd)
	return err == nil && st.attr.Nlink == 0
}

// among looks for id in the directory where it was last.
func (s *searcher) among(ctx context.Context, id nfs.ID, p *place) (found bool) {
	d, err := s.fs.reach(ctx, p.parent)
	if err != nil {
		return false
	}
	defer s.fs.fds.release(d)
	if !d.dir || !d.vol.entered {
		return false
	}
	_ = s.fs.eachEntry(d, func(name string, ino uint64, _ nfs.FileType) bool {
		if ino != 0 && ino != p.ino {
			return true
		}
		c, o, err := s.fs.child(p.parent, d, name)
		if err == nil {
			unix.Close(c.fd)
			s.fs.note(p.parent, name, &o)
			found = o.attr.ID == id
		}
		return !found && ctx.Err() == nil
	})
	return found
}

// eachEntry reads the directory d from its begin. The inode numbers are 0 where
// they may differ from what the entries' attributes say.
func (f *FS) eachEntry(d *desc, add func(name string, ino uint64, typ nfs.FileType) bool) error {
	fd, err := f.reopen(d, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return readDirFD(fd, func(name string, ino uint64, typ nfs.FileType) bool {
		if !d.vol.handles {
			ino = 0
		}
		return add(name, ino, typ)
	})
}

func (s *searcher) wait() {
	s.done.Wait()
}

// run makes passes until nobody searches.
func (s *searcher) run() {
	for {
		s.mu.Lock()
		if len(s.quests) == 0 {
			s.running = false
			s.mu.Unlock()
			return
		}
		for _, q := range s.quests {
			q.begun = true
		}
		s.mu.Unlock()
		p := pass{s: s, begin: time.Now(), seen: map[nfs.ID]bool{s.fs.root: true}, deep: []nfs.ID{s.fs.root}}
		err := p.run()
		s.mu.Lock()
		for _, q := range s.quests {
			if err != nil {
				s.finish(q, err)
			} else if q.begun {
				if q.passes++; !p.disturbed || q.passes == searchPasses {
					s.finish(q, fmt.Errorf("not in the folder: %w", nfs.ErrStale))
				}
			}
		}
		s.mu.Unlock()
	}
}

// finish needs mu.
func (s *searcher) finish(q *quest, err error) {
	delete(s.quests, q.id)
	if s.inos[q.ino]--; s.inos[q.ino] == 0 {
		delete(s.inos, q.ino)
	}
	if errors.Is(err, nfs.ErrStale) {
		s.fs.index.drop(q.id)
	}
	q.err = err
	close(q.done)
}

// wants reports whether a search is for an inode with this number.
func (s *searcher) wants(ino uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inos[ino] > 0 || s.inos[0] > 0
}

func (s *searcher) met(id nfs.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := s.quests[id]; q != nil {
		s.finish(q, nil)
	}
}

// pass reads the whole folder once.
type pass struct {
	s     *searcher
	begin time.Time
	seen  map[nfs.ID]bool // the directories
	deep  []nfs.ID        // those that are still to be read
	// disturbed says that an object may have been moved out of sight meanwhile:
	// what it left was read later than it left, and shows that it changed.
	disturbed bool
}

func (p *pass) run() error {
	f := p.s.fs
	for len(p.deep) > 0 {
		id := p.deep[len(p.deep)-1]
		p.deep = p.deep[:len(p.deep)-1]
		d, err := f.reach(context.Background(), id)
		if err != nil {
			p.disturbed = p.disturbed || err == errMoved || err == errAgain
			continue // else it cannot be entered, and nothing in it reached
		}
		err = p.scan(d, id, scanDepth)
		f.fds.release(d)
		if err != nil {
			return err
		}
		f.index.flush()
	}
	return nil
}

// scan looks at what is in directory d and below it. Directories that are too
// far below are left in deep.
func (p *pass) scan(d *desc, id nfs.ID, depth int) error {
	s, f := p.s, p.s.fs
	select {
	case <-f.stop:
		return nfs.ErrJukebox
	default:
	}
	var below []string
	// A directory that cannot be read holds nothing that can be reached.
	_ = f.eachEntry(d, func(name string, ino uint64, typ nfs.FileType) bool {
		if typ == nfs.TypeDirectory {
			below = append(below, name)
			return true
		}
		if typ != 0 && ino != 0 && !s.wants(ino) {
			return true
		}
		c, o, err := f.child(id, d, name)
		if err != nil {
			p.disturbed = p.disturbed || err == unix.ENOENT
			return true
		}
		unix.Close(c.fd)
		if o.attr.Type == nfs.TypeDirectory {
			below = append(below, name)
			return true
		}
		f.note(id, name, &o)
		s.met(o.attr.ID)
		return true
	})
	st, err := statFD(d.fd, d.vol.remote)
	if err != nil || d.vol.remote || st.attr.Ctime.After(p.begin.Add(-2*d.vol.accuracy)) {
		p.disturbed = true
	}
	for _, name := range below {
		c, o, err := f.child(id, d, name)
		if err != nil {
			p.disturbed = p.disturbed || err == unix.ENOENT
			continue
		}
		f.note(id, name, &o)
		s.met(o.attr.ID)
		if o.attr.Type == nfs.TypeDirectory && c.vol.entered && !p.seen[o.attr.ID] {
			p.seen[o.attr.ID] = true
			if depth == 0 {
				p.deep = append(p.deep, o.attr.ID)
			} else {
				err = p.scan(c, o.attr.ID, depth-1)
			}
		}
		unix.Close(c.fd)
		if err != nil {
			return err
		}
	}
	return nil
}
