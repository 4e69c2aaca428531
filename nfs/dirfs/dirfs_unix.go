//go:build linux || darwin

package dirfs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/nfs"
)

// FS is a folder as an nfs.FileSystem. Its methods may be called concurrently.
type FS struct {
	log      *slog.Logger
	now      func() time.Time
	readOnly bool
	root     nfs.ID
	rootDesc *desc
	host     nfs.Caller // who this process is to the host
	accuracy time.Duration
	lock     *os.File // nil without a StateDir

	volumes  volumes
	index    *index
	replies  *replyLog
	fds      *fdCache
	listings *listings
	watches  watches
	locks    keyedMutex
	walks    keyedMutex // of directories, for the position of their descriptors
	syncs    syncs
	search   searcher
	close    func() error
	unborn   unborn
	virgins  virgins

	stop    chan struct{}
	stopped sync.WaitGroup
}

var _ interface {
	nfs.FileSystem
	nfs.AttrSetter
	nfs.Writer
	nfs.Creator
	nfs.Symlinker
	nfs.NodeMaker
	nfs.Remover
	nfs.Renamer
	nfs.Linker
	nfs.AccessChecker
	nfs.AttrLookuper
	nfs.AttrReader
	nfs.FileReader
	nfs.ReplyKeeper
	nfs.Describer
} = (*FS)(nil)

// Open makes the folder dir a file system. The caller closes it. dir itself may
// be a symbolic link, which is followed now and never again: the folder stays
// the same one if it is renamed.
func Open(dir string, o Options) (*FS, error) {
	o.setDefaults()
	f := &FS{
		log: o.Logger, now: o.Clock, readOnly: o.ReadOnly,
		fds: newFDCache(o.MaxOpen, o.Clock), listings: newListings(), stop: make(chan struct{}),
	}
	f.host = nfs.Caller{UID: uint32(unix.Geteuid()), GID: uint32(unix.Getegid())}
	groups, err := unix.Getgroups()
	if err != nil {
		return nil, fmt.Errorf("open folder: own groups: %w", err)
	}
	for _, g := range groups {
		f.host.Groups = append(f.host.Groups, uint32(g))
	}
	if o.StateDir != "" {
		if f.lock, err = lockState(o.StateDir); err != nil {
			return nil, fmt.Errorf("open folder: %w", err)
		}
	}
	if f.index, err = openIndex(o.StateDir, o.Logger); err != nil {
		f.unlock()
		return nil, fmt.Errorf("open folder: %w", err)
	}
	f.replies, err = openReplies(o.StateDir, o.Logger)
	if err == nil {
		err = f.openRoot(dir)
	}
	if err != nil {
		f.index.close()
		_ = f.replies.close() // err is what matters
		f.unlock()
		return nil, fmt.Errorf("open folder: %w", err)
	}
	f.search.fs, f.close = f, sync.OnceValue(f.shut)
	f.stopped.Go(f.sweep)
	return f, nil
}

func (f *FS) openRoot(dir string) error {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	d := &desc{fd: fd, can: canRead, dir: true, refs: 1}
	o, err := f.examine(d, true)
	if err == nil {
		err = checkSelfPath(d)
	}
	if err != nil {
		unix.Close(fd)
		return &os.PathError{Op: "examine", Path: dir, Err: err}
	}
	f.root, f.rootDesc, f.accuracy = o.attr.ID, d, d.vol.accuracy
	return nil
}

// lockState makes dir if needed and takes it for this process.
func lockState(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	l, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(l); err != nil {
		l.Close()
		return nil, fmt.Errorf("%w: %s: %w", ErrInUse, dir, err)
	}
	return l, nil
}

func (f *FS) unlock() {
	if f.lock != nil {
		f.lock.Close()
	}
}

// Close gives all descriptors back. No call may be running or follow, but
// another Close, which does nothing.
func (f *FS) Close() error { return f.close() }

func (f *FS) shut() error {
	close(f.stop)
	f.stopped.Wait()
	f.search.wait()
	f.fds.close()
	f.watches.close()
	unix.Close(f.rootDesc.fd)
	err := errors.Join(f.index.close(), f.replies.close())
	f.unlock()
	return err
}

func (f *FS) sweep() {
	t := time.NewTicker(10 * time.Second)
	defer t.Stop()
	for {
		select {
		case <-f.stop:
			return
		case <-t.C:
			f.fds.sweep()
		}
	}
}

// object is what examine finds out.
type object struct {
	hostStat
	check  uint32
	handle string
}

// examine identifies the object behind d, which was opened by its name.
func (f *FS) examine(d *desc, root bool) (o object, err error) {
	if o.hostStat, err = statFD(d.fd, false); err != nil {
		return o, err
	}
	if d.vol, err = f.volumes.of(d.fd, &o.hostStat, root); err != nil {
		return o, err
	}
	if d.vol.remote && d.vol.entered {
		if o.hostStat, err = statFD(d.fd, true); err != nil {
			return o, err
		}
	}
	d.dir = o.attr.Type == nfs.TypeDirectory
	k := identity{volume: d.vol.id, ino: o.ino, birth: o.birth, gen: o.gen, typ: o.attr.Type}
	if d.vol.handles {
		if o.handle, k.gen, err = inodeHandle(d.fd); err != nil {
			return o, err // without it the id would be another one
		}
		if !root && d.vol != f.rootDesc.vol {
			o.handle = "" // it could only be opened with a descriptor of its volume
		}
	}
	if d.vol.byName {
		k.ino = 0
	}
	o.attr.ID, o.check = f.index.idOf(&k)
	f.dress(d, &o.attr)
	return o, nil
}

// examineIn is examine for an object that was opened as name in dir.
func (f *FS) examineIn(dir nfs.ID, name string, d *desc) (object, error) {
	o, err := f.examine(d, false)
	if err == nil && d.vol.byName {
		ino := mix(uint64(dir), cookieOf(&[keySize]byte{}, name))
		k := identity{volume: d.vol.id, ino: ino, birth: o.birth, typ: o.attr.Type}
		o.attr.ID, o.check = f.index.idOf(&k)
	}
	return o, err
}

// dress hides what lies on a volume that is not entered.
func (f *FS) dress(d *desc, a *nfs.Attr) {
	if !d.vol.entered {
		a.Mode = 0
	}
}

// attr asks the host for the attributes of id, which d stands for.
func (f *FS) attr(id nfs.ID, d *desc) (nfs.Attr, error) {
	s, err := statFD(d.fd, d.vol.remote && d.vol.entered)
	if err != nil {
		return nfs.Attr{}, fmt.Errorf("get attributes: %w", err)
	}
	s.attr.ID = id
	f.dress(d, &s.attr)
	return s.attr, nil
}

// child opens the object called name in dir, for its sake only. The caller
// gives the descriptor to the cache or closes it.
func (f *FS) child(dir nfs.ID, dd *desc, name string) (*desc, object, error) {
	f.unborn.wait(dir, name)
	return f.childNow(dir, dd, name)
}

func (f *FS) childNow(dir nfs.ID, dd *desc, name string) (*desc, object, error) {
	fd, err := f.openat(dd.fd, name, nameFlags)
	if err != nil {
		return nil, object{}, err
	}
	d := &desc{fd: fd}
	o, err := f.examineIn(dir, name, d)
	if err != nil {
		unix.Close(fd)
		return nil, o, err
	}
	return d, o, nil
}

// openat is openat with a second chance when there are no descriptors left.
func (f *FS) openat(dirfd int, name string, flags int) (int, error) {
	for {
		fd, err := openat(dirfd, name, flags)
		if (err == unix.EMFILE || err == unix.ENFILE) && f.fds.shrink() {
			continue
		}
		return fd, err
	}
}

// note records where an object was seen.
func (f *FS) note(dir nfs.ID, name string, o *object) {
	if o.attr.ID != f.root {
		f.index.put(o.attr.ID, place{parent: dir, name: name, ino: o.ino, check: o.check, handle: o.handle})
	}
}

// errMoved means that an object is not where it was seen last, errAgain that a
// directory above it was not, but is found now.
var (
	errMoved = errors.New("object is not at its last place")
	errAgain = errors.New("directory above the object has moved")
)

// maxDepth bounds a chain of parents, which records from before a rename
// beside us could make endless.
const maxDepth = 1 << 14

// get gives a descriptor that stands for id; the caller releases it. It fails
// with nfs.ErrStale only if the object is gone.
func (f *FS) get(ctx context.Context, id nfs.ID) (*desc, error) {
	for range 16 {
		d, err := f.reach(ctx, id)
		if err == errAgain {
			continue
		}
		if err != errMoved {
			return d, err
		}
		if err := f.search.find(ctx, id); err != nil {
			return nil, err
		}
	}
	return nil, nfs.ErrJukebox
}

// reach opens id from the nearest directory that is open, along the places
// where it and its parents were seen last.
func (f *FS) reach(ctx context.Context, id nfs.ID) (*desc, error) {
	type step struct {
		id nfs.ID
		place
	}
	var steps []step
	cur, curDesc := id, (*desc)(nil)
	for {
		if cur == f.root {
			curDesc = f.pinRoot()
			break
		}
		d, inside := f.fds.pin(cur)
		if d != nil && inside {
			curDesc = d
			break
		}
		if d != nil {
			f.fds.release(d)
		}
		if len(steps) >= maxDepth {
			return nil, errMoved
		}
		p, ok, err := f.index.get(cur)
		if err != nil {
			return nil, err
		}
		if !ok {
			// Then nothing below it can be reached this way.
			return nil, errMoved
		}
		steps = append(steps, step{cur, p})
		cur = p.parent
	}
	for i := len(steps) - 1; i >= 0; i-- {
		if err := ctx.Err(); err != nil {
			f.fds.release(curDesc)
			return nil, err
		}
		s := &steps[i]
		d, o, err := f.child(cur, curDesc, s.name)
		f.fds.release(curDesc)
		switch {
		case err == unix.ENOENT || err == unix.ENOTDIR || err == nil && o.attr.ID != s.id:
			if err == nil {
				unix.Close(d.fd)
			}
			if s.id == id {
				f.fds.lostName(id)
				return nil, errMoved
			}
			// A directory above was moved. It has to be found, or the object
			// may have left it before.
			f.fds.lostName(s.id)
			if err := f.search.find(ctx, s.id); err != nil && !errors.Is(err, nfs.ErrStale) {
				return nil, err
			} else if err != nil {
				return nil, errMoved
			}
			return nil, errAgain
		case err != nil:
			return nil, fmt.Errorf("open by last name: %w", err)
		}
		curDesc = f.fds.add(s.id, d, false)
		cur = s.id
	}
	return curDesc, nil
}

func (f *FS) pinRoot() *desc {
	f.fds.again(f.rootDesc)
	return f.rootDesc
}

// dir gives directory id and its attributes; the caller releases it.
func (f *FS) dir(ctx context.Context, id nfs.ID) (*desc, nfs.Attr, error) {
	d, err := f.get(ctx, id)
	if err != nil {
		return nil, nfs.Attr{}, err
	}
	a, err := f.attr(id, d)
	switch {
	case err != nil:
	case a.Type != nfs.TypeDirectory:
		err = nfs.ErrNotDir
	case !d.vol.entered:
		err = nfs.ErrAccess
	case a.Nlink == 0 && id != f.root:
		// Removed beside us a moment ago.
		f.fds.lostName(id)
		err = nfs.ErrStale
	default:
		return d, a, nil
	}
	f.fds.release(d)
	return nil, nfs.Attr{}, err
}

// object gives id and its attributes for a call that works with it; the caller
// releases it.
func (f *FS) object(ctx context.Context, id nfs.ID) (*desc, nfs.Attr, error) {
	d, err := f.get(ctx, id)
	if err != nil {
		return nil, nfs.Attr{}, err
	}
	a, err := f.attr(id, d)
	if err == nil && !d.vol.entered {
		err = nfs.ErrAccess
	}
	if err != nil {
		f.fds.release(d)
		return nil, nfs.Attr{}, err
	}
	return d, a, nil
}

// open gives a descriptor of id that can do what is needed, as far as the host
// lets this process, from one that stands for id. The caller releases both.
func (f *FS) open(id nfs.ID, d *desc, need uint8) (*desc, error) {
	if d.can&need == need {
		f.fds.again(d)
		return d, nil
	}
	want := []uint8{need}
	switch {
	case d.dir:
		want = []uint8{canRead}
	case need&canWrite != 0 || d.can != 0:
		want = []uint8{canRead | canWrite, need}
	}
	var err error
	for _, can := range want {
		fd, rerr := f.reopen(d, openFlags[can])
		if err = rerr; err != nil {
			continue
		}
		nd := &desc{fd: fd, can: can, vol: d.vol, dir: d.dir}
		if id == f.root {
			nd.refs, nd.closed = 1, true
			return nd, nil
		}
		return f.fds.better(id, nd), nil
	}
	return nil, err
}

var openFlags = [...]int{canRead: unix.O_RDONLY, canWrite: unix.O_WRONLY, canRead | canWrite: unix.O_RDWR}

// openData is open for the data of a regular file. The owner may always have
// it; but a process that is the owner and not the superuser may find that the
// mode keeps it out, where POSIX would let a descriptor from before that mode
// go on. Then the mode steps aside for a moment, and a process that is killed in
// that moment leaves the owner with more than the mode said. locked: the caller has id's
// lock.
func (f *FS) openData(id nfs.ID, d *desc, need uint8, locked bool) (*desc, error) {
	nd, err := f.open(id, d, need)
	if err != unix.EACCES {
		return nd, err
	}
	if !locked {
		unlock := f.locks.lock(id)
		defer unlock()
	}
	s, serr := statFD(d.fd, false)
	if serr != nil || s.attr.Type != nfs.TypeRegular || s.attr.UID != f.host.UID || s.attr.Mode&0o600 == 0o600 {
		return nil, err
	}
	if cerr := chmodFD(d, s.attr.Mode|0o600); cerr != nil {
		return nil, err
	}
	nd, err = f.open(id, d, need)
	if cerr := chmodFD(d, s.attr.Mode); cerr != nil {
		f.log.Error("mode of a file could not be put back", "id", id, "mode", s.attr.Mode, "error", cerr)
	}
	return nd, err
}

func (f *FS) reopen(d *desc, flags int) (int, error) {
	for {
		var fd int
		err := ignoringEINTR(func() (err error) {
			fd, err = reopen(d, flags)
			return err
		})
		if (err == unix.EMFILE || err == unix.ENFILE) && f.fds.shrink() {
			continue
		}
		return fd, err
	}
}
