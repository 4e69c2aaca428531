package drive

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"sync"

	"github.com/moorage/moorage/daemon/internal/drive/blocks"
	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/daemon/internal/drive/reader"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
)

// versionKey names one version of a file.
type versionKey struct {
	id      uint64
	version string
}

// keyOf names the version that a node shows, with the size that it has there: see
// sameContent. Where the remote has no versions, size and time tell them apart.
func keyOf(n *nodes.Node) versionKey {
	if n.Version != "" {
		return versionKey{n.ID, fmt.Sprintf("v%d:%s", n.Size, n.Version)}
	}
	return versionKey{n.ID, fmt.Sprintf("t%d:%d", n.Size, n.RemoteTime.UnixNano())}
}

// blockKey is a version as the cache knows it. Ids mean something only together
// with the nodes that gave them out, and those may be lost while the cache stays.
func (d *Drive) blockKey(k versionKey) blocks.Key {
	return blocks.Key{Object: k.id, Version: d.identity + k.version}
}

// version is one version of a file that several reads share. What is in the
// cache is read without the remote, which is asked for the version only when
// something has to be fetched.
type version struct {
	d      *Drive
	n      nodes.Node // as the remote has it
	key    versionKey
	serial uint64
	store  *blocks.File
	refs   int // under versions.mu; the list itself holds one

	mu     sync.Mutex
	closed bool
	at     string             // where o was opened
	o      providers.Object   // nil: it was not needed yet
	former []providers.Object // opened where it is no more, and perhaps in use
	file   *reader.File       // nil: not needed yet, or o is on this computer
}

// version gives the version that n shows; release it.
func (d *Drive) version(n nodes.Node) (*version, error) {
	key := keyOf(&n)
	if v := d.versions.acquire(key); v != nil {
		return v, nil
	}
	store, err := d.cache.File(d.blockKey(key), max(n.Size, 0))
	if errors.Is(err, blocks.ErrClosed) {
		return nil, errClosing
	}
	if err != nil {
		return nil, err
	}
	v, first := d.versions.add(&version{d: d, n: n, key: key, store: store})
	if first && n.Size >= 0 {
		d.cache.Prune(d.blockKey(key))
	}
	return v, nil
}

// errClosing means that the drive does not answer any more; the next one may.
var errClosing = fmt.Errorf("%w: the drive is closing", nfs.ErrJukebox)

// read fills b with the bytes at off, which the version has.
func (v *version) read(ctx context.Context, b []byte, off int64) error {
	file, o, err := v.source(ctx, off, int64(len(b)))
	if err != nil {
		return err
	}
	var n int
	if file == nil {
		n, err = o.ReadAt(b, off)
	} else {
		n, err = file.ReadAt(ctx, b, off)
	}
	switch {
	case n == len(b):
		return nil
	case err == nil || err == io.EOF:
		err = io.ErrUnexpectedEOF
	case errors.Is(err, reader.ErrClosed) && file != nil:
		return errClosing
	case errors.Is(err, reader.ErrInactive):
		err = fmt.Errorf("%w: %w", providers.ErrOffline, err)
		v.d.health.silent(err)
	case errors.Is(err, reader.ErrLength):
		err = fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, err)
	}
	return fmt.Errorf("read %q: %w", v.n.Name, err)
}

// source tells through what bytes are to be read: an object that lies on this
// computer, or else what fetches and keeps them.
func (v *version) source(ctx context.Context, off, n int64) (*reader.File, io.ReaderAt, error) {
	v.mu.Lock()
	file, o := v.file, v.o
	v.mu.Unlock()
	if file != nil {
		return file, nil, nil
	}
	if o == nil && !v.has(off, n) {
		var err error
		if o, err = v.object(ctx); err != nil {
			return nil, nil, err
		}
	}
	if r, ok := o.(io.ReaderAt); ok {
		return nil, r, nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.file == nil {
		v.file = v.d.reader.File(v.store, v.n.Size, v.fetch)
	}
	return v.file, nil, nil
}

// passed notes that bytes were read out of the cache past the version.
func (v *version) passed(off, n int64) {
	v.mu.Lock()
	file := v.file
	v.mu.Unlock()
	if file != nil {
		file.Passed(off, n)
	}
}

// has reports whether all of these bytes are in the cache.
func (v *version) has(off, n int64) bool {
	end := off + n
	for _, r := range v.store.Have(off, n) {
		if r.Off > off {
			return false
		}
		off = r.Off + r.N
	}
	return off >= end
}

// object opens the version at the remote, if that was not done.
func (v *version) object(ctx context.Context) (providers.Object, error) {
	v.mu.Lock()
	o := v.o
	v.mu.Unlock()
	if o != nil {
		return o, nil
	}
	name := flightKey("open", v.n.ID) + "#" + strconv.FormatUint(v.serial, 10)
	return do(ctx, v.d.flights, name, v.d.o.OpenTimeout, func(ctx context.Context) (providers.Object, error) {
		p, err := v.d.path(v.n.ID)
		if err != nil {
			return nil, err
		}
		o, err := v.open(ctx, p)
		if here, werr := v.d.way(v.n.ID, false); errors.Is(err, fs.ErrNotExist) && werr == nil && here != p {
			// A directory above it is being moved.
			p = here
			o, err = v.open(ctx, p)
		}
		if err != nil {
			return nil, err
		}
		return o, v.take(p, o)
	})
}

// open opens the version at a path, without asking the remote if that can be.
func (v *version) open(ctx context.Context, p string) (providers.Object, error) {
	n := &v.n
	var o providers.Object
	err := providers.ErrUnsupported
	if eo, ok := v.d.p.(providers.EntryOpener); ok && n.Version != "" && n.Size >= 0 {
		o, err = eo.OpenEntry(ctx, p, entryOf(n))
	}
	if errors.Is(err, providers.ErrUnsupported) {
		err = v.d.health.call(ctx, false, func(ctx context.Context) (err error) {
			o, err = v.d.p.Open(ctx, p, providers.Version(n.Version))
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", path.Base(p), err)
	}
	e := o.Entry()
	if n.Size < 0 || e.Size == n.Size && (n.Version != "" || e.ModTime.Equal(n.RemoteTime)) {
		return o, nil
	}
	err = fmt.Errorf("%q has %d bytes of %v, not %d of %v: %w", n.Name, e.Size, e.ModTime, n.Size, n.RemoteTime, providers.ErrChanged)
	return nil, errors.Join(err, o.Close())
}

// take makes o, which was opened at p, what the version is fetched from.
func (v *version) take(p string, o providers.Object) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return errors.Join(errClosing, o.Close())
	}
	if v.o != nil {
		v.former = append(v.former, v.o)
	}
	v.at, v.o = p, o
	return nil
}

// fetch asks the remote for a part of the version.
func (v *version) fetch(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	o, err := v.object(ctx)
	if err != nil {
		return nil, err
	}
	get := func(ctx context.Context) (io.ReadCloser, error) { return o.ReadRange(ctx, off, n) }
	body, err := v.d.health.fetch(ctx, n, get)
	if !errors.Is(err, fs.ErrNotExist) {
		return body, err
	}
	other, oerr := v.elsewhere(ctx, o)
	if oerr != nil || other == nil {
		return nil, err
	}
	o = other
	return v.d.health.fetch(ctx, n, get)
}

// maxFormer is how often a version is looked for where it was moved to.
const maxFormer = 16

// elsewhere opens the version where it is by now, if that is not where gone was
// opened; nil if there is no such place.
func (v *version) elsewhere(ctx context.Context, gone providers.Object) (providers.Object, error) {
	v.mu.Lock()
	at, o, former := v.at, v.o, len(v.former)
	v.mu.Unlock()
	if o != gone { // somebody was here before
		return o, nil
	}
	if former == maxFormer {
		return nil, nil
	}
	p, err := v.d.path(v.n.ID)
	if err == nil && p == at {
		p, err = v.d.way(v.n.ID, false) // a directory above it may be being moved
	}
	if err != nil || p == at {
		return nil, err
	}
	if o, err = v.open(ctx, p); err != nil {
		return nil, err
	}
	return o, v.take(p, o)
}

func (v *version) close() error {
	v.mu.Lock()
	v.closed = true
	file, open := v.file, v.former
	if v.o != nil {
		open = append(open, v.o)
	}
	v.mu.Unlock()
	if file != nil {
		file.Close() // nobody fetches after that
	}
	v.store.Close()
	var err error
	for _, o := range open {
		err = errors.Join(err, o.Close())
	}
	return err
}

// busy reports whether something is being fetched.
func (v *version) busy() bool {
	v.mu.Lock()
	file := v.file
	v.mu.Unlock()
	return file != nil && file.Stats().InFlight > 0
}

// versions are the versions read last.
type versions struct {
	limit int

	mu     sync.Mutex
	closed bool
	serial uint64
	m      map[versionKey]*list.Element // of *version
	order  list.List
	err    error // the first of closing
}

func newVersions(limit int) *versions {
	return &versions{limit: limit, m: map[versionKey]*list.Element{}}
}

// acquire finds a version and holds it until release.
func (s *versions) acquire(key versionKey) *version {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.m[key]
	if !ok {
		return nil
	}
	s.order.MoveToFront(e)
	v := e.Value.(*version)
	v.refs++
	return v
}

// release lets go of a version.
func (s *versions) release(v *version) {
	s.mu.Lock()
	v.refs--
	last := v.refs == 0
	s.mu.Unlock()
	if !last {
		return
	}
	if err := v.close(); err != nil {
		s.mu.Lock()
		if s.err == nil {
			s.err = err
		}
		s.mu.Unlock()
	}
}

// drop makes sure that nobody finds v any more.
func (s *versions) drop(v *version) {
	s.mu.Lock()
	e, ok := s.m[v.key]
	ok = ok && e.Value.(*version) == v
	if ok {
		s.unlink(e)
	}
	s.mu.Unlock()
	if ok {
		s.release(v)
	}
}

// add puts v there and holds it, or the one that is there already: then it is
// not the first.
func (s *versions) add(v *version) (_ *version, first bool) {
	v.refs = 1
	drop := []*version{v}
	s.mu.Lock()
	e, ok := s.m[v.key]
	switch {
	case ok:
		v = e.Value.(*version)
		v.refs++
	case s.closed:
		v.refs++ // it goes with its user
	default:
		first = true
		s.serial++
		v.serial = s.serial
		v.refs++
		s.m[v.key] = s.order.PushFront(v)
		drop = s.excess()
	}
	s.mu.Unlock()
	for _, o := range drop {
		s.release(o)
	}
	return v, first
}

// excess unlinks what is too much. Who was told to come again for what is being
// fetched shall find it, so that it goes last. Called with mu held.
func (s *versions) excess() (drop []*version) {
	for e := s.order.Back(); e != s.order.Front() && s.order.Len() > s.limit; {
		v, next := e.Value.(*version), e.Prev()
		if s.order.Len() > 8*s.limit || !v.busy() {
			drop = append(drop, s.unlink(e))
		}
		e = next
	}
	return drop
}

// unlink takes an element off the list; its reference goes to the caller.
// Called with mu held.
func (s *versions) unlink(e *list.Element) *version {
	v := e.Value.(*version)
	s.order.Remove(e)
	delete(s.m, v.key)
	return v
}

// close closes all versions; none is held.
func (s *versions) close() error {
	s.mu.Lock()
	s.closed = true
	var drop []*version
	for s.order.Len() > 0 {
		drop = append(drop, s.unlink(s.order.Back()))
	}
	s.mu.Unlock()
	for _, v := range drop {
		s.release(v)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}
