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
	KeepVersions bool                               // replaced versions can be read
	FailBefore   float64                            // that a call fails and nothing was done
	FailAfter    float64                            // that a call fails although it was done
	Latency      time.Duration                      // the longest that a call takes
	Log          func(format string, args ...any)   // of calls; nil: none
	Put          func(path string, content []byte)  // is told of what a process stores; nil: nobody
	Before       func(path string, dice *rand.Rand) // may have somebody else change something right before a process does; nil: nobody does
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
	seed  uint64

	mu       sync.Mutex
	calls    map[string]uint64 // how often each was made
	seq      uint64
	calm     bool
	away     bool
	told     map[providers.Version]uint64
	foreign  map[providers.Version]bool
	content  map[providers.Version][]byte
	removals []Removal
	replaced [][]byte                   // by somebody else
	moved    [][]byte                   // likewise
	stored   map[string]map[string]bool // by processes: contents, and the paths that they put them to
}

// New makes an empty remote.
func New(seed uint64, o Options) *Remote {
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	if o.Put == nil {
		o.Put = func(string, []byte) {}
	}
	if o.Before == nil {
		o.Before = func(string, *rand.Rand) {}
	}
	return &Remote{
		o: o, inner: mem.New(mem.Options{PageSize: 5, KeepVersions: o.KeepVersions}), seed: seed, calls: map[string]uint64{}, stored: map[string]map[string]bool{},
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

// Kept reports whether a process stored a content at another path than p.
func (r *Remote) Kept(content []byte, p string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.stored[string(content)]
	return len(at) > 1 || len(at) == 1 && !at[p]
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
