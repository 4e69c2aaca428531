package nfs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moorage/moorage/nfs/internal/handle"
	"github.com/moorage/moorage/nfs/internal/wire"
)

var (
	// ErrExport means that an Export is not usable; the text says why.
	ErrExport = errors.New("nfs: bad export")
	// ErrNotExported means that there is no export of this path.
	ErrNotExported = errors.New("nfs: no such export")
	// ErrBusy means that calls into a file system have not come back yet.
	ErrBusy = errors.New("nfs: calls still run")
)

// Export is a file system and the rules under which a [Server] shows it.
type Export struct {
	// Path is what clients ask for, "/name" or "/token/name". They can mount a
	// folder below it too. Its last element is the volume's name on macOS.
	Path string
	FS   FileSystem
	// Key is 32 secret bytes that seal the handles. With the same Key and FSID
	// after a restart, the handles that clients hold stay valid.
	Key []byte
	// FSID is the file system's number in attributes. Its low 56 bits are part
	// of every handle and must differ between the exports of a server.
	FSID uint64
	// ReadOnly answers ErrROFS to everything that changes something.
	ReadOnly bool
	// Squash decides whom a caller counts as; nil takes identities as they
	// come. An error is answered as its status, ErrAccess if it has none of its
	// own, and ACCESS grants nothing; the attributes of the root alone are shown
	// to everybody. It must not keep or change the groups.
	Squash func(Caller) (Caller, error)
	// AllowMount may refuse a MNT call with an error; nil allows all. It guards
	// the path only: who has a handle needs no MNT. Exports that have it are not
	// listed by EXPORT and DUMP, because their path may be the secret.
	AllowMount func(ctx context.Context, from net.Addr) error
}

// export is an Export at work.
type export struct {
	Export
	seal  *handle.Sealer
	props Properties
	// The optional interfaces; nil if the file system lacks them, and those
	// that change something also if the export is read-only.
	setter  AttrSetter
	writer  Writer
	creator Creator
	linkRd  LinkReader
	linkMk  Symlinker
	nodes   NodeMaker
	remover Remover
	renamer Renamer
	linker  Linker
	access  AccessChecker
	keeper  ReplyKeeper
	losses  LossTeller
	// What saves asking for attributes beside the answer.
	lookupAttr AttrLookuper
	readAttr   AttrReader
	readFile   FileReader

	writable bool
	verifier atomic.Uint64 // without what losses adds, see writeVerifier
	rand     io.Reader

	calls atomic.Int64  // those in the file system; goneCalls more once the export is gone
	idle  chan struct{} // closed when the export is gone and no call is left
	last  sync.Once
}

// goneCalls is more than the number of calls that can be.
const goneCalls = 1 << 40

func newExport(e Export, now time.Time, rand io.Reader) (*export, error) {
	switch {
	case e.FS == nil:
		return nil, fmt.Errorf("%w: no file system", ErrExport)
	case e.Path != cleanPath(e.Path) || len(e.Path) > wire.MaxPath || strings.ContainsRune(e.Path, 0):
		return nil, fmt.Errorf("%w: path %q is not like /name", ErrExport, e.Path)
	}
	seal, err := handle.NewSealer(e.Key, e.FSID)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrExport, err)
	}
	x := &export{Export: e, seal: seal, rand: rand, idle: make(chan struct{})}
	x.Key = nil
	x.linkRd, _ = e.FS.(LinkReader)
	x.access, _ = e.FS.(AccessChecker)
	x.keeper, _ = e.FS.(ReplyKeeper)
	x.losses, _ = e.FS.(LossTeller)
	x.lookupAttr, _ = e.FS.(AttrLookuper)
	x.readAttr, _ = e.FS.(AttrReader)
	x.readFile, _ = e.FS.(FileReader)
	x.props = properties(e.FS)
	if !e.ReadOnly {
		x.setter, _ = e.FS.(AttrSetter)
		x.writer, _ = e.FS.(Writer)
		x.creator, _ = e.FS.(Creator)
		x.linkMk, _ = e.FS.(Symlinker)
		x.nodes, _ = e.FS.(NodeMaker)
		x.remover, _ = e.FS.(Remover)
		x.renamer, _ = e.FS.(Renamer)
		x.linker, _ = e.FS.(Linker)
	}
	x.writable = x.setter != nil || x.writer != nil || x.creator != nil || x.linkMk != nil ||
		x.nodes != nil || x.remover != nil || x.renamer != nil || x.linker != nil
	// Time alone repeats after a clock is set back, and a source of
	// randomness may be a test's; together they differ at every start.
	v, err := x.random()
	if err != nil {
		return nil, err
	}
	x.verifier.Store(v ^ uint64(now.UnixNano()))
	return x, nil
}

func (x *export) random() (uint64, error) {
	var b [8]byte
	if _, err := io.ReadFull(x.rand, b[:]); err != nil {
		return 0, fmt.Errorf("nfs: make write verifier: %w", err)
	}
	return binary.BigEndian.Uint64(b[:]), nil
}

// writeVerifier is what clients compare to find out whether unstable data may be
// lost.
func (x *export) writeVerifier() uint64 {
	v := x.verifier.Load()
	if x.losses != nil {
		v += x.losses.Losses()
	}
	return v
}

// rotate changes the write verifier, so that clients send again what they have
// not committed.
func (x *export) rotate() {
	v, err := x.random()
	if err != nil {
		v = 0
	}
	for {
		old := x.verifier.Load()
		next := v
		if next == old || next == 0 {
			next = old + 1
		}
		if x.verifier.CompareAndSwap(old, next) {
			return
		}
	}
}

// enter counts a call into the file system; false if the export was removed.
func (x *export) enter() bool {
	if x.calls.Add(1) < goneCalls {
		return true
	}
	x.leave()
	return false
}

func (x *export) leave() {
	if x.calls.Add(-1) == goneCalls {
		x.last.Do(func() { close(x.idle) })
	}
}

// remove lets no further call in.
func (x *export) remove() {
	x.calls.Add(goneCalls + 1)
	x.leave()
}

// cleanPath puts an export path into one form: a leading slash, no empty or "."
// elements, none at the end.
func cleanPath(p string) string {
	var b strings.Builder
	for _, e := range strings.Split(p, "/") {
		if e != "" && e != "." {
			b.WriteByte('/')
			b.WriteString(e)
		}
	}
	if b.Len() == 0 {
		return "/"
	}
	return b.String()
}

// maxRemoved bounds the memory of exports that are gone, by which their
// handles are told from forged ones.
const maxRemoved = 256

// exportTable finds exports by path and by the tag in a handle.
type exportTable struct {
	mu      sync.RWMutex
	paths   map[string]*export
	tags    sync.Map        // uint64 -> *export: every call looks here
	removed []removedExport // oldest first
}

func (t *exportTable) byTag(tag uint64) *export {
	x, _ := t.tags.Load(tag)
	e, _ := x.(*export)
	return e
}

type removedExport struct {
	tag  uint64
	seal *handle.Sealer
}

func (t *exportTable) init() {
	t.paths = make(map[string]*export)
}

// Export shows a file system from now on. It fails with ErrExport if its path
// or FSID is taken or something is missing. The caller closes the file system,
// after Unexport or Shutdown.
func (s *Server) Export(e Export) error {
	x, err := newExport(e, s.clock(), s.rand)
	if err != nil {
		return err
	}
	t := &s.table
	tag := handle.Tag(e.FSID)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.paths[e.Path] != nil {
		return fmt.Errorf("%w: path %q is taken", ErrExport, e.Path)
	}
	if other := t.byTag(tag); other != nil {
		return fmt.Errorf("%w: FSID %#x is taken by %q", ErrExport, e.FSID, other.Path)
	}
	t.paths[e.Path] = x
	t.tags.Store(tag, x)
	return nil
}

// Unexport stops showing the file system of path and waits until no call is
// left in it. Its handles are stale from then on. It fails with ErrNotExported,
// or with ErrBusy if calls did not return in the time they have.
func (s *Server) Unexport(path string) error {
	t := &s.table
	t.mu.Lock()
	x := t.paths[path]
	if x == nil {
		t.mu.Unlock()
		return fmt.Errorf("%w: %q", ErrNotExported, path)
	}
	tag := handle.Tag(x.FSID)
	delete(t.paths, path)
	t.tags.Delete(tag)
	if len(t.removed) == maxRemoved {
		t.removed = slices.Delete(t.removed, 0, 1)
	}
	t.removed = append(t.removed, removedExport{tag, x.seal})
	t.mu.Unlock()
	s.mounts.removePath(path)

	x.remove()
	select {
	case <-x.idle:
		return nil
	case <-time.After(s.limits.Call + 2*time.Second):
		return fmt.Errorf("unexport %q: %w", path, ErrBusy)
	}
}

// RootHandle is the handle of the root of the export of path, for mounting
// without MNT.
func (s *Server) RootHandle(path string) ([]byte, error) {
	t := &s.table
	t.mu.RLock()
	x := t.paths[path]
	t.mu.RUnlock()
	if x == nil {
		return nil, fmt.Errorf("%w: %q", ErrNotExported, path)
	}
	return x.seal.Append(nil, uint64(x.FS.Root())), nil
}

// open finds the export and the object of a handle and counts the call in: the
// caller calls leave. The status is OK, ErrBadHandle, or ErrStale if the export
// was removed.
func (t *exportTable) open(h []byte, work *handle.Scratch) (*export, ID, Status) {
	tag, err := handle.PeekTag(h)
	if err != nil {
		return nil, 0, ErrBadHandle
	}
	x := t.byTag(tag)
	if x == nil {
		return nil, 0, t.openRemoved(tag, h)
	}
	id, err := x.seal.Open(h, work)
	if err != nil || id == 0 {
		// The number may have been given to another export meanwhile.
		return nil, 0, t.openRemoved(tag, h)
	}
	if !x.enter() {
		return nil, 0, ErrStale
	}
	return x, ID(id), OK
}

func (t *exportTable) openRemoved(tag uint64, h []byte) Status {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, r := range t.removed {
		if r.tag == tag {
			if _, err := r.seal.Open(h, new(handle.Scratch)); err == nil {
				return ErrStale
			}
		}
	}
	return ErrBadHandle
}

// find returns the export that path lies in, counted in, and the elements of
// path below it.
func (t *exportTable) find(path string) (*export, []string, bool) {
	clean := cleanPath(path)
	t.mu.RLock()
	defer t.mu.RUnlock()
	for p := clean; ; p = p[:max(1, strings.LastIndexByte(p, '/'))] {
		if x := t.paths[p]; x != nil && x.enter() {
			below := strings.FieldsFunc(clean[len(p):], func(r rune) bool { return r == '/' })
			return x, below, true
		}
		if p == "/" {
			return nil, nil, false
		}
	}
}

// listed are the paths that everybody may know, sorted.
func (t *exportTable) listed() []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var paths []string
	for p, x := range t.paths {
		if x.AllowMount == nil {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	return paths
}

// properties are the constants of fs, with the defaults where it names none.
func properties(fs FileSystem) Properties {
	if d, ok := fs.(Describer); ok {
		return d.Properties()
	}
	_, link := fs.(Linker)
	_, symlink := fs.(LinkReader)
	return Properties{
		MaxFileSize: maxOffset, TimeDelta: time.Nanosecond, LinkMax: 32000, NameMax: maxName,
		CasePreserving: true, ChownRestricted: true, HardLinks: link, Symlinks: symlink,
	}
}
