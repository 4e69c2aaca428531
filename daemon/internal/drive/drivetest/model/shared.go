package model

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moorage/moorage/nfs"
)

// shared is the folder that the clients and somebody else change. What is in it
// cannot be foretold; but no cell may be lost that was acknowledged, or written
// by somebody else, unless who took it away could know of it.
type shared struct {
	w    *world
	rng  *rand.Rand // somebody else's
	turn chan struct{}

	mu     sync.Mutex
	next   uint64
	group  map[uint64]uint64         // cells of somebody else: which content they are of
	state  map[uint64]string         // cells of the clients: "" if they may be gone, else where they were put
	placed map[nfs.ID]map[int]uint64 // cells by file and place
	ops    []sharedOp
}

// sharedOp is a call of a client that may take something away.
type sharedOp struct {
	paths []string
	moves bool // what is at the first path goes to the second
	end   uint64
}

const othersBit = 1 << 62

var (
	sharedDirs  = []string{"shared", "shared/a", "shared/b"}
	sharedNames = []string{"f", "g.txt", "h"}
)

func newShared(w *world) *shared {
	s := &shared{
		w: w, rng: rand.New(rand.NewPCG(w.seed, 5)), turn: make(chan struct{}, 1), group: map[uint64]uint64{}, state: map[uint64]string{},
		placed: map[nfs.ID]map[int]uint64{},
	}
	for _, d := range sharedDirs {
		w.remote.Mkdir(d)
		for _, n := range sharedNames {
			if s.rng.IntN(2) == 0 {
				w.remote.Edit(d+"/"+n, s.othersContent(s.rng))
			}
		}
	}
	return s
}

// othersContent is new content by somebody else.
func (s *shared) othersContent(rng *rand.Rand) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	group := s.next
	var ids []uint64
	for range 1 + rng.IntN(8) {
		s.next++
		id := s.next | othersBit
		s.group[id] = group
		ids = append(ids, id)
	}
	return cells(ids)
}

func (s *shared) path(rng *rand.Rand) (dir, name string) {
	return sharedDirs[rng.IntN(len(sharedDirs))], sharedNames[rng.IntN(len(sharedNames))]
}

// others is what somebody else does.
func (s *shared) others(n int) {
	w := s.w
	for range n {
		time.Sleep(time.Duration(s.rng.Int64N(int64(10 * time.Second))))
		if w.isFailed() {
			return
		}
		dir, name := s.path(s.rng)
		p := dir + "/" + name
		switch k := s.rng.IntN(20); {
		case k < 9:
			w.remote.Edit(p, s.othersContent(s.rng))
		case k < 12:
			w.remote.Delete(p)
		case k < 14:
			to, toName := s.path(s.rng)
			w.remote.Move(p, to+"/"+toName)
		case k < 15:
			if w.remote.Delete(p) == nil {
				w.remote.Mkdir(p)
			}
		case k < 16:
			w.remote.Mkdir(dir)
		case k < 17:
			if t, err := w.remote.Tree(dir); err == nil && dir != "shared" {
				for q := range t {
					w.remote.Delete(dir + "/" + strings.TrimSuffix(q, "/"))
				}
				w.remote.Delete(dir)
			}
		default:
			w.log("else: the line is broken")
			w.remote.Away(true)
			time.Sleep(time.Duration(s.rng.Int64N(int64(40 * time.Second))))
			w.log("else: the line is mended")
			w.remote.Away(false)
		}
	}
}

var sharedMay = []nfs.Status{nfs.ErrNoEnt, nfs.ErrStale, nfs.ErrExist, nfs.ErrIsDir, nfs.ErrNotDir, nfs.ErrNotEmpty, nfs.ErrInval}

// op is something that a client does in the folder.
func (s *shared) op(c *client) {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	if s.w.isDead() {
		return
	}
	dir, name := s.path(c.rng)
	var d, f nfs.Attr
	call := func(what string, fn func(ctx context.Context) error) bool {
		r, _ := s.w.call(c.who, what, fn, sharedMay...)
		return r == done
	}
	if !call("find "+dir, func(ctx context.Context) (err error) {
		d, err = s.w.find(ctx, s.w.d, dir)
		return err
	}) {
		if dir != "shared" && c.rng.IntN(3) == 0 {
			parent, err := s.w.find(context.Background(), s.w.d, "shared")
			if err != nil {
				return
			}
			call("mkdir "+dir, func(ctx context.Context) error {
				_, _, err := s.w.d.Mkdir(ctx, owner, parent.ID, strings.TrimPrefix(dir, "shared/"), nfs.SetAttr{})
				return err
			})
		}
		return
	}
	p := dir + "/" + name
	there := call("find "+p, func(ctx context.Context) (err error) {
		f, err = s.w.d.Lookup(ctx, owner, d.ID, name)
		return err
	})
	if there && f.Type == nfs.TypeDirectory {
		if c.rng.IntN(2) == 0 {
			defer s.destroys(p)()
			call("rmdir "+p, func(ctx context.Context) error {
				_, err := s.w.d.Rmdir(ctx, owner, d.ID, name)
				return err
			})
		}
		return
	}
	switch k := c.rng.IntN(20); {
	case k < 6 || !there: // write it anew
		end := s.destroys(p)
		defer end()
		was := f.ID
		if !call("create "+p, func(ctx context.Context) (err error) {
			f, _, err = s.w.d.Create(ctx, owner, d.ID, name, nfs.CreateHow{Set: nfs.SetAttr{Valid: nfs.SetSize}})
			return err
		}) {
			s.gone(was) // it may have been cut off
			return
		}
		s.gone(f.ID)
		s.fill(c, f.ID, p, 0)
	case k < 11: // change it in part
		size := int(f.Size / cellSize)
		defer s.destroys(p)()
		s.fill(c, f.ID, p, c.rng.IntN(size+1))
	case k < 14: // replace it
		t := fmt.Sprintf("%s-save%d", name, s.count())
		var a nfs.Attr
		if !call("create "+dir+"/"+t, func(ctx context.Context) (err error) {
			a, _, err = s.w.d.Create(ctx, owner, d.ID, t, nfs.CreateHow{})
			return err
		}) || !s.fill(c, a.ID, dir+"/"+t, 0) {
			return
		}
		end := s.moves(dir+"/"+t, p)
		call(fmt.Sprintf("rename %s/%s to %s", dir, t, p), func(ctx context.Context) error {
			_, _, err := s.w.d.Rename(ctx, owner, d.ID, t, d.ID, name)
			return err
		})
		end()
		s.gone(f.ID)
	case k < 16:
		end := s.destroys(p)
		call("remove "+p, func(ctx context.Context) error {
			_, err := s.w.d.Remove(ctx, owner, d.ID, name)
			return err
		})
		end()
		s.gone(f.ID)
	case k < 18:
		to, toName := s.path(c.rng)
		q := to + "/" + toName
		var td, tf nfs.Attr
		if q == p || !call("find "+to, func(ctx context.Context) (err error) {
			td, err = s.w.find(ctx, s.w.d, to)
			return err
		}) {
			return
		}
		over := call("find "+q, func(ctx context.Context) (err error) {
			tf, err = s.w.d.Lookup(ctx, owner, td.ID, toName)
			return err
		})
		end := s.moves(p, q)
		call("rename "+p+" to "+q, func(ctx context.Context) error {
			_, _, err := s.w.d.Rename(ctx, owner, d.ID, name, td.ID, toName)
			return err
		})
		end()
		if over {
			s.gone(tf.ID)
		}
	default:
		var b []byte
		r, _ := s.w.call(c.who, "read "+p, func(ctx context.Context) (err error) {
			b, err = readAll(ctx, s.w.d, f.ID)
			return err
		}, append(slices.Clone(sharedMay), nfs.ErrIO)...) // somebody else replaced what was not changed here
		if r == done {
			s.check("read of "+p, b)
		}
	}
}

func (s *shared) count() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	return s.next
}

// destroys notes that a client is about to take something away, and what it
// gives, that it has.
func (s *shared) destroys(paths ...string) func() {
	return func() {
		at := s.w.remote.Next()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ops = append(s.ops, sharedOp{paths: paths, end: at})
	}
}

// moves is destroys for a rename.
func (s *shared) moves(from, to string) func() {
	end := s.destroys(from, to)
	return func() {
		end()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ops[len(s.ops)-1].moves = true
	}
}

// mayGo reports whether a client did something, after the drive was told of a
// version, that may have taken it away from a path, or from one to which what was
// there was renamed.
func (s *shared) mayGo(p string, told uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := map[string]bool{p: true}
	for _, o := range s.ops {
		for _, q := range o.paths {
			if o.end >= told && (at[q] || strings.HasPrefix(p, q+"/")) {
				return true
			}
		}
		if o.moves && at[o.paths[0]] {
			at[o.paths[1]] = true
		}
	}
	return false
}

// gone notes that the cells that clients put into a file need not be there any
// more.
func (s *shared) gone(id nfs.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.placed[id] {
		s.state[c] = ""
	}
	delete(s.placed, id)
}

// fill writes a few cells to a file, from one on.
func (s *shared) fill(c *client, id nfs.ID, p string, from int) bool {
	s.mu.Lock()
	var ids []uint64
	for i := range 1 + c.rng.IntN(5) {
		s.next++
		ids = append(ids, s.next)
		s.state[s.next] = ""
		if s.placed[id] == nil {
			s.placed[id] = map[int]uint64{}
		}
		if old := s.placed[id][from+i]; old != 0 {
			s.state[old] = ""
		}
		delete(s.placed[id], from+i)
	}
	s.mu.Unlock()
	how := nfs.FileSync
	if c.rng.IntN(2) == 0 {
		how = nfs.Unstable
	}
	r, _ := s.w.call(c.who, fmt.Sprintf("write %s cells %d+%d %v", p, from, len(ids), ids), func(ctx context.Context) error {
		_, _, err := s.w.d.Write(ctx, owner, id, cells(ids), uint64(from*cellSize), how)
		return err
	}, sharedMay...)
	if r == done && how == nfs.Unstable {
		r, _ = s.w.call(c.who, "commit "+p, func(ctx context.Context) error {
			_, err := s.w.d.Commit(ctx, owner, id, 0, 0)
			return err
		}, sharedMay...)
	}
	if r != done {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, c := range ids {
		s.state[c] = p
		s.placed[id][from+i] = c
	}
	return true
}

// check looks whether a content is one that can be.
func (s *shared) check(what string, b []byte) {
	ids, err := parse(b)
	if err != nil {
		s.w.fail("%s: %v", what, err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	group := uint64(0)
	for _, id := range ids {
		g := s.group[id]
		if g != 0 && group != 0 && g != group {
			defer s.w.fail("%s: a mix of two versions of somebody else's: %v", what, ids)
		}
		if g != 0 {
			group = g
		}
	}
}
