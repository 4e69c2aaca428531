// Package rough is a remote in memory that misbehaves, and that keeps a record
// of what was on it: calls are slow, or fail before they are done or after, and
// somebody else changes things in between. Tests of the drive engine ask it
// whether anything was overwritten that the engine had never been told of.
package rough

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"sync"
	"time"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/mem"
)

// Kind is what sort of remote it is.
type Kind int

// The kinds of remotes.
const (
	Full    Kind = iota // a repository: one revision, versions of trees, moves of all kinds
	Objects             // an object store: no revision, files are moved by copying, folders not at all
	Still               // nothing can be moved, and no links be made
	kinds
)

// Kinds is how many kinds there are.
const Kinds = int(kinds)

func (k Kind) String() string { return [...]string{"full", "objects", "still"}[k] }

// Options are how rough the remote is. The probabilities are between 0 and 1.
type Options struct {
	Kind         Kind
	KeepVersions bool                              // replaced versions can be read
	FailBefore   float64                           // that a call fails and nothing was done
	FailAfter    float64                           // that a call fails although it was done
	Latency      time.Duration                     // the longest that a call takes
	Log          func(format string, args ...any)  // of calls; nil: none
	Put          func(path string, content []byte) // is told of what a process stores; nil: nobody
}

// Removal is a version that a process replaced or took away.
type Removal struct {
	Path    string
	Version providers.Version
	Foreign bool   // somebody else had put it there
	Content []byte // what went
	Instead []byte // what came in its place; nil: nothing
	Told    uint64 // when a process was told of the version; 0: never
	At      uint64
	By      string // the call
}

// Remote is the remote. All methods may be called concurrently.
type Remote struct {
	o     Options
	inner *mem.Remote

	mu       sync.Mutex
	rng      *rand.Rand
	seq      uint64
	calm     bool
	away     bool
	told     map[providers.Version]uint64
	foreign  map[providers.Version]bool
	content  map[providers.Version][]byte
	removals []Removal
	replaced [][]byte // by somebody else
	moved    [][]byte // likewise
}

// New makes an empty remote.
func New(seed uint64, o Options) *Remote {
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	if o.Put == nil {
		o.Put = func(string, []byte) {}
	}
	return &Remote{
		o: o, inner: mem.New(mem.Options{PageSize: 5, KeepVersions: o.KeepVersions}), rng: rand.New(rand.NewPCG(seed, 7)),
		told: map[providers.Version]uint64{}, foreign: map[providers.Version]bool{}, content: map[providers.Version][]byte{},
	}
}

// Next is the next moment of a count that this package's moments are of.
func (r *Remote) Next() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seq++
	return r.seq
}

// Away makes the remote unreachable, or reachable again.
func (r *Remote) Away(away bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away = away
}

// IsAway tells what Away was last told.
func (r *Remote) IsAway() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.away
}

// Calm ends all misbehaviour, or begins it again.
func (r *Remote) Calm(calm bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calm, r.away = calm, false
}

// Removals are the versions that processes took away, in order.
func (r *Remote) Removals() []Removal {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Removal(nil), r.removals...)
}

// Replaced are the contents that somebody else replaced or took away.
func (r *Remote) Replaced() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([][]byte(nil), r.replaced...)
}

// Moved are the contents that somebody else gave other names.
func (r *Remote) Moved() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([][]byte(nil), r.moved...)
}

// Inner is the remote as it is.
func (r *Remote) Inner() *mem.Remote { return r.inner }

// Edit has somebody else store a file, over whatever file is there.
func (r *Remote) Edit(p string, content []byte) error { return r.EditAt(p, content, time.Time{}) }

// EditAt is Edit with a modification time.
func (r *Remote) EditAt(p string, content []byte, at time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	ctx := context.Background()
	was, werr := r.inner.Stat(ctx, p)
	e, err := r.inner.Put(ctx, p, bytes.NewReader(content), providers.PutOptions{ModTime: at})
	if err != nil {
		return err
	}
	if werr == nil {
		r.replaced = append(r.replaced, r.content[was.Version])
	}
	r.foreign[e.Version] = true
	r.content[e.Version] = content
	r.o.Log("else: put %s %s", p, e.Version)
	return nil
}

// Delete has somebody else take a file or an empty folder away.
func (r *Remote) Delete(p string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	ctx := context.Background()
	was, err := r.inner.Stat(ctx, p)
	if err != nil {
		return err
	}
	if was.Mode.IsDir() {
		err = r.inner.Rmdir(ctx, p)
	} else if err = r.inner.Remove(ctx, p, providers.Cond{}); err == nil {
		r.replaced = append(r.replaced, r.content[was.Version])
	}
	r.o.Log("else: remove %s %s: %v", p, was.Version, err)
	return err
}

// Mkdir has somebody else make a folder.
func (r *Remote) Mkdir(p string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, err := r.inner.Mkdir(context.Background(), p)
	r.o.Log("else: mkdir %s: %v", p, err)
	return err
}

// Move has somebody else move a file to where nothing is.
func (r *Remote) Move(from, to string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, err := r.inner.Move(context.Background(), from, to, providers.Cond{IfAbsent: true})
	if err == nil {
		r.moved = append(r.moved, r.content[e.Version])
	}
	r.o.Log("else: move %s to %s: %v", from, to, err)
	return err
}

// tell notes that a process was told of an entry. Called with mu held.
func (r *Remote) tell(e providers.Entry) providers.Entry {
	if !e.Mode.IsDir() && r.told[e.Version] == 0 {
		r.seq++
		r.told[e.Version] = r.seq
	}
	return r.shown(e)
}

// shown is an entry as this kind of remote tells it: an object store's versions
// are sums of the contents, and its folders have none.
func (r *Remote) shown(e providers.Entry) providers.Entry {
	switch {
	case e.Mode.IsDir() && r.o.Kind != Full:
		e.Version = ""
	case r.o.Kind == Objects:
		e.Version = etag(r.content[e.Version])
		e.ID = ""
	}
	return e
}

func etag(b []byte) providers.Version {
	h := sha256.Sum256(b)
	return providers.Version(hex.EncodeToString(h[:6]))
}

// cond is a condition as the remote within takes it. Called with mu held.
func (r *Remote) cond(p string, c providers.Cond) providers.Cond {
	if r.o.Kind == Objects && c.IfVersion != "" {
		e, err := r.inner.Stat(context.Background(), p)
		if err == nil && etag(r.content[e.Version]) == c.IfVersion {
			c.IfVersion = e.Version
		}
	}
	return c
}

// lose notes that a process took away what is at p. Called with mu held, before
// that is done; the result notes that it was.
func (r *Remote) lose(by, p string, instead []byte) func() {
	was, err := r.inner.Stat(context.Background(), p)
	if err != nil || was.Mode.IsDir() {
		return func() {}
	}
	return func() {
		r.seq++
		r.removals = append(r.removals, Removal{
			Path: p, Version: was.Version, Foreign: r.foreign[was.Version], Content: r.content[was.Version],
			Instead: instead, Told: r.told[was.Version], At: r.seq, By: by,
		})
	}
}

// Session is the connection of one process. It is a provider with all powers.
type Session struct {
	r    *Remote
	dead bool // under r.mu
}

var (
	_ providers.Provider  = (*Session)(nil)
	_ providers.Writer    = (*Session)(nil)
	_ providers.Mover     = (*Session)(nil)
	_ providers.Symlinker = (*Session)(nil)
	_ providers.Prober    = (*Session)(nil)
)

// Connect gives a new process its connection.
func (r *Remote) Connect() *Session { return &Session{r: r} }

// Cut ends the process that has the connection: no call of it is done any more.
func (s *Session) Cut() {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.dead = true
}

var errLine = fmt.Errorf("%w: the line is broken", providers.ErrOffline)

// call does one call: fn runs with mu held.
func (s *Session) call(ctx context.Context, what string, fn func() error) error {
	r := s.r
	r.mu.Lock()
	before, after := r.rng.Float64() < r.o.FailBefore, r.rng.Float64() < r.o.FailAfter
	go1, go2 := r.pause(), r.pause()
	if r.calm {
		before, after, go1, go2 = false, false, 0, 0
	}
	r.mu.Unlock()
	if err := sleep(ctx, go1); err != nil {
		return err
	}
	r.mu.Lock()
	var err error
	switch {
	case s.dead, r.away, before:
		err = errLine
		r.o.Log("remote: %s: not reached", what)
	default:
		err = fn()
		if after && err == nil {
			err = errLine
			r.o.Log("remote: %s: done, and the line broke", what)
		} else {
			r.o.Log("remote: %s: %v", what, err)
		}
	}
	r.mu.Unlock()
	if serr := sleep(ctx, go2); serr != nil {
		return serr
	}
	return err
}

func (r *Remote) pause() time.Duration {
	if r.o.Latency <= 0 || r.rng.IntN(3) == 0 {
		return 0
	}
	return time.Duration(r.rng.Int64N(int64(r.o.Latency)))
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Info tells what the kind of remote is.
func (s *Session) Info() providers.Info {
	i := s.r.inner.Info()
	if s.r.o.Kind != Full {
		i.TreeVersion = false
	}
	i.MaxParallel = 8
	return i
}

// Stat passes on.
func (s *Session) Stat(ctx context.Context, p string) (e providers.Entry, err error) {
	err = s.call(ctx, "stat "+p, func() error {
		if e, err = s.r.inner.Stat(ctx, p); err == nil {
			e = s.r.tell(e)
		}
		return err
	})
	return e, err
}

// ReadDir passes on.
func (s *Session) ReadDir(ctx context.Context, p, cursor string) (page providers.Page, err error) {
	err = s.call(ctx, "list "+p, func() error {
		if page, err = s.r.inner.ReadDir(ctx, p, cursor); err == nil {
			for i, e := range page.Entries {
				page.Entries[i] = s.r.tell(e)
			}
		}
		return err
	})
	return page, err
}

// Open passes on.
func (s *Session) Open(ctx context.Context, p string, v providers.Version) (o providers.Object, err error) {
	err = s.call(ctx, "open "+p+" "+string(v), func() error {
		o, err = s.r.inner.Open(ctx, p, s.r.cond(p, providers.Cond{IfVersion: v}).IfVersion)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &object{o, s, p}, nil
}

type object struct {
	providers.Object
	s *Session
	p string
}

func (o *object) Entry() providers.Entry {
	o.s.r.mu.Lock()
	defer o.s.r.mu.Unlock()
	return o.s.r.shown(o.Object.Entry())
}

func (o *object) ReadRange(ctx context.Context, off, n int64) (rc io.ReadCloser, err error) {
	err = o.s.call(ctx, fmt.Sprintf("read %s %d+%d", o.p, off, n), func() error {
		rc, err = o.Object.ReadRange(ctx, off, n)
		return err
	})
	return rc, err
}

// Probe passes on where there is one revision.
func (s *Session) Probe(ctx context.Context) (v providers.Version, err error) {
	if s.r.o.Kind != Full {
		return "", providers.ErrUnsupported
	}
	err = s.call(ctx, "probe", func() error {
		v, err = s.r.inner.Probe(ctx)
		return err
	})
	return v, err
}

// Put passes on.
func (s *Session) Put(ctx context.Context, p string, src providers.Source, o providers.PutOptions) (e providers.Entry, err error) {
	data := make([]byte, src.Size())
	if n, err := src.ReadAt(data, 0); n < len(data) {
		return e, fmt.Errorf("put %q: %w", p, err)
	}
	err = s.call(ctx, fmt.Sprintf("put %s %d bytes if %q absent %v", p, len(data), o.IfVersion, o.IfAbsent), func() error {
		e, err = s.put(ctx, "put", p, data, o)
		return err
	})
	return e, err
}

// put stores a file. Called with mu held.
func (s *Session) put(ctx context.Context, by, p string, data []byte, o providers.PutOptions) (providers.Entry, error) {
	o.Cond = s.r.cond(p, o.Cond)
	note := s.r.lose(by, p, data)
	e, err := s.r.inner.Put(ctx, p, bytes.NewReader(data), o)
	if err == nil {
		note()
		s.r.content[e.Version] = data
		e = s.r.tell(e)
		s.r.o.Put(p, data)
		s.r.o.Log("remote: %s is %s now", p, e.Version)
	}
	return e, err
}

// Remove passes on.
func (s *Session) Remove(ctx context.Context, p string, c providers.Cond) error {
	return s.call(ctx, fmt.Sprintf("remove %s if %q", p, c.IfVersion), func() error { return s.remove(ctx, p, c) })
}

func (s *Session) remove(ctx context.Context, p string, c providers.Cond) error {
	note := s.r.lose("remove", p, nil)
	err := s.r.inner.Remove(ctx, p, s.r.cond(p, c))
	if err == nil {
		note()
	}
	return err
}

// Mkdir passes on.
func (s *Session) Mkdir(ctx context.Context, p string) (e providers.Entry, err error) {
	err = s.call(ctx, "mkdir "+p, func() error {
		if e, err = s.r.inner.Mkdir(ctx, p); err == nil {
			e = s.r.tell(e)
		}
		return err
	})
	return e, err
}

// Rmdir passes on.
func (s *Session) Rmdir(ctx context.Context, p string) error {
	return s.call(ctx, "rmdir "+p, func() error { return s.r.inner.Rmdir(ctx, p) })
}

// Move passes on where that can be. An object store copies, and takes away
// then.
func (s *Session) Move(ctx context.Context, from, to string, c providers.Cond) (e providers.Entry, err error) {
	if s.r.o.Kind == Still {
		return e, providers.ErrUnsupported
	}
	what := fmt.Sprintf("move %s to %s if %q absent %v", from, to, c.IfVersion, c.IfAbsent)
	if s.r.o.Kind == Full {
		err = s.call(ctx, what, func() error {
			was, _ := s.r.inner.Stat(ctx, from)
			note := s.r.lose("move", to, s.r.content[was.Version])
			if e, err = s.r.inner.Move(ctx, from, to, c); err == nil {
				note()
				e = s.r.tell(e)
			}
			return err
		})
		return e, err
	}
	var was providers.Entry
	err = s.call(ctx, what+", copy", func() error {
		if was, err = s.r.inner.Stat(ctx, from); err != nil {
			return err
		}
		if was.Mode.IsDir() {
			return providers.ErrUnsupported
		}
		if was.Mode.IsRegular() {
			e, err = s.put(ctx, "move", to, s.r.content[was.Version], providers.PutOptions{Cond: c, ModTime: was.ModTime})
			return err
		}
		if e, err = s.r.inner.Symlink(ctx, to, string(s.r.content[was.Version])); err == nil {
			s.r.content[e.Version] = s.r.content[was.Version]
			e = s.r.tell(e)
		}
		return err
	})
	if err != nil {
		return e, err
	}
	err = s.call(ctx, what+", remove", func() error { // it is elsewhere: nothing is lost
		return s.r.inner.Remove(ctx, from, s.r.cond(from, providers.Cond{IfVersion: s.r.shown(was).Version}))
	})
	if errors.Is(err, providers.ErrNotExist) {
		err = nil
	}
	return e, err
}

// Symlink passes on where there are links.
func (s *Session) Symlink(ctx context.Context, p, target string) (e providers.Entry, err error) {
	if s.r.o.Kind == Still {
		return e, providers.ErrUnsupported
	}
	err = s.call(ctx, "symlink "+p, func() error {
		if e, err = s.r.inner.Symlink(ctx, p, target); err == nil {
			s.r.content[e.Version] = []byte(target)
			e = s.r.tell(e)
		}
		return err
	})
	return e, err
}

// Close ends the connection.
func (s *Session) Close() error { return nil }

// Tree is everything on the remote below a folder: contents by path. A folder's
// path ends in a slash and a link's content begins with "-> ".
func (r *Remote) Tree(dir string) (map[string]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]string{}
	return out, r.tree(dir, "", out)
}

func (r *Remote) tree(dir, rel string, out map[string]string) error {
	ctx := context.Background()
	for cursor := ""; ; {
		page, err := r.inner.ReadDir(ctx, dir, cursor)
		if err != nil {
			return err
		}
		for _, e := range page.Entries {
			at := path.Join(rel, e.Name)
			switch {
			case e.Mode.IsDir():
				out[at+"/"] = ""
				if err := r.tree(path.Join(dir, e.Name), at, out); err != nil {
					return err
				}
			case e.Mode.IsRegular():
				out[at] = string(r.content[e.Version])
			default:
				out[at] = "-> " + string(r.content[e.Version])
			}
		}
		if cursor = page.Next; cursor == "" {
			return nil
		}
	}
}
