package helper

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/mounter/helper/protocol"
	"github.com/moorage/moorage/mounter/internal/linuxnfs"
)

// Bounds of what one user can have.
const (
	maxDrives = 64 // listeners
	maxCalls  = 8  // at once, with what hangs of earlier ones
)

// The bounds of the verbs.
const (
	lookTimeout    = 10 * time.Second // for a folder, which may be on a file system that hangs
	mountTimeout   = 30 * time.Second
	unmountTimeout = 30 * time.Second // written data goes to the server first
)

// Caller is who asks.
type Caller struct {
	UID         uint32
	Groups      []uint32
	Name        string // unique name on the bus
	Interactive bool   // she may be asked for a password
}

// Authority decides; polkit is one.
type Authority interface {
	// Allow returns nil if c may mount, and a Denied if she may not.
	Allow(ctx context.Context, c Caller) error
}

// System is what the verbs do. Its methods may be called concurrently, but not for
// the same user and drive.
type System interface {
	// Listen opens a socket that listens on 127.0.0.1 in the namespace of uid: EADDRINUSE
	// if port is not 0 and taken.
	Listen(uid uint32, port uint16) (fd int, got uint16, err error)
	// Release gives the namespace of uid up, which has no socket and no mount.
	Release(uid uint32)
	// Open opens a folder to mount on with c's rights: a BadDir if she may not mount there.
	Open(c Caller, dir string) (*Place, error)
	// Reopen opens the place of a mount that was made at r and is at dir now.
	Reopen(c Caller, r Record, dir string) (*Place, error)
	// Mount mounts by m on p, in the namespace of uid or in this process's.
	Mount(private bool, p *Place, m Record, root []byte, readOnly bool) error
	// Unmount is umount2(2) with flags of what is mounted at p, a place of c's.
	Unmount(c Caller, p *Place, flags int) error
	// Table is the table of mounts.
	Table() ([]linuxnfs.Entry, error)
}

// Options are the parts of a Helper. All are needed.
type Options struct {
	System    System
	Authority Authority
	Records   *Records
	Logger    *slog.Logger
}

// Helper does what users ask. Its methods may be called concurrently.
type Helper struct {
	o Options

	mu      sync.Mutex
	drives  map[key]*drive
	callers map[uint32]int // calls at work, by user
}

type key struct {
	uid   uint32
	drive string
}

// drive is a drive of a user that has a listener or a mount. Who has taken it may read
// it; changes are made under Helper.mu.
type drive struct {
	fd      int    // of the listener; -1: the helper was restarted and has none yet
	port    uint16 //
	owner   string // whose connection asked for it last
	orphan  bool   // that connection has ended
	mounted *Record
	busy    bool // somebody has taken it
}

// New makes a helper that knows what an earlier one mounted.
func New(o Options) (*Helper, error) {
	h := &Helper{o: o, drives: make(map[key]*drive), callers: make(map[uint32]int)}
	table, err := o.System.Table()
	if err != nil {
		return nil, err
	}
	all, err := o.Records.Load()
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		if _, there := find(table, r); !there {
			o.Records.Remove(r)
			continue
		}
		h.drives[key{r.UID, r.Drive}] = &drive{fd: -1, port: r.Port, mounted: &r}
	}
	return h, nil
}

// enter begins a call of c; the caller calls leave at its end.
func (h *Helper) enter(c Caller) (leave func(), err error) {
	if c.UID == 0 {
		return nil, &protocol.Error{Kind: protocol.Denied, What: "Root mounts without the helper."}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.callers[c.UID] >= maxCalls {
		return nil, &protocol.Error{Kind: protocol.Busy, What: "Too many mounts are under way at once."}
	}
	return h.begin(c.UID), nil
}

// begin counts something that is done for a user until end is called. The caller
// holds mu.
func (h *Helper) begin(uid uint32) (end func()) {
	h.callers[uid]++
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.callers[uid]--; h.callers[uid] == 0 {
			delete(h.callers, uid)
		}
	}
}

// counts makes within count for a user what hangs in the kernel: there is a bound of
// that as well.
func (h *Helper) counts(uid uint32) counter {
	return func() func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.begin(uid)
	}
}

// Listen returns a copy of the listener of a drive, which the caller closes. For one
// that is mounted or waits for its mount, polkit was asked before.
func (h *Helper) Listen(ctx context.Context, c Caller, id string, port uint16) (fd int, got uint16, err error) {
	leave, err := h.enter(c)
	if err != nil {
		return -1, 0, err
	}
	defer leave()
	if !validDrive(id) {
		return -1, 0, badRequest("drive")
	}
	d, done, err := h.take(key{c.UID, id}, func(n int) error {
		if n >= maxDrives {
			return &protocol.Error{Kind: protocol.Busy, What: fmt.Sprintf("There are %d drives already.", n)}
		}
		return nil
	})
	if err != nil {
		return -1, 0, err
	}
	defer done()
	h.change(func() { d.owner, d.orphan = c.Name, false })
	if d.mounted != nil { // it may have been taken away by somebody else
		table, err := h.o.System.Table()
		if err != nil {
			return -1, 0, failed("read the table of mounts", err)
		}
		if _, there := find(table, *d.mounted); !there {
			h.unmounted(d)
		}
	}
	if d.fd < 0 {
		if d.mounted == nil {
			if err := h.o.Authority.Allow(ctx, c); err != nil {
				return -1, 0, err
			}
		} else {
			port = d.mounted.Port
		}
		l, got, err := h.o.System.Listen(c.UID, port)
		if errors.Is(err, unix.EADDRINUSE) && d.mounted == nil {
			l, got, err = h.o.System.Listen(c.UID, 0)
		}
		if err != nil {
			return -1, 0, failed("listen", err)
		}
		h.change(func() { d.fd, d.port = l, got })
		h.o.Logger.Info("listening", "uid", c.UID, "drive", id, "port", d.port)
	}
	fd, err = unix.FcntlInt(uintptr(d.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1, 0, failed("copy the listener", err)
	}
	return fd, d.port, nil
}

// Mount mounts a drive that has a listener, after polkit was asked.
func (h *Helper) Mount(ctx context.Context, c Caller, s protocol.Spec) error {
	leave, err := h.enter(c)
	if err != nil {
		return err
	}
	defer leave()
	if err := validSpec(s); err != nil {
		return err
	}
	d, done, err := h.take(key{c.UID, s.Drive}, func(int) error {
		return &protocol.Error{Kind: protocol.BadRequest, What: "The drive has no listener."}
	})
	if err != nil {
		return err
	}
	defer done()
	switch {
	case d.mounted != nil:
		return &protocol.Error{Kind: protocol.BadDir, What: "The drive is mounted already."}
	case d.fd < 0:
		return &protocol.Error{Kind: protocol.BadRequest, What: "The drive has no listener."}
	}
	if err := h.o.Authority.Allow(ctx, c); err != nil {
		return err
	}
	r, err := mount(h.o, h.counts(c.UID), c, s, d.port, true)
	if err != nil {
		return err
	}
	h.change(func() { d.mounted = &r })
	h.o.Logger.Info("mounted", "uid", c.UID, "drive", s.Drive, "dir", s.Dir)
	return nil
}

// mount mounts s on a folder of c's, and notes it.
func mount(o Options, n counter, c Caller, s protocol.Spec, port uint16, private bool) (Record, error) {
	p, err := within(lookTimeout, n, func() (*Place, error) { return o.System.Open(c, s.Dir) }, func(p *Place) { p.Close() })
	if err != nil {
		return Record{}, err
	}
	r := Record{UID: c.UID, Drive: s.Drive, Port: port, Source: "127.0.0.1:" + s.Export, Parent: p.ParentID, Name: p.Name}
	// Whoever finds the mount after a crash must know it, so this comes first.
	if err := o.Records.Save(r); err != nil {
		p.Close()
		return Record{}, failed("note the mount", err)
	}
	_, err = within(mountTimeout, n, func() (struct{}, error) {
		err := o.System.Mount(private, p, r, s.Root, s.ReadOnly)
		if err != nil {
			p.Close()
		}
		return struct{}{}, err
	}, func(struct{}) { // it came back when nobody waited any more
		if err := o.System.Unmount(c, p, unix.MNT_FORCE|unix.MNT_DETACH); err != nil {
			o.Logger.Error("a late mount stays", "uid", c.UID, "dir", s.Dir, "err", err)
		}
		p.Close()
	})
	if err != nil {
		o.Records.Remove(r)
		o.Logger.Warn("mounting failed", "uid", c.UID, "drive", s.Drive, "dir", s.Dir, "err", err)
		return Record{}, mountError(err)
	}
	p.Close()
	return r, nil
}

// Unmount takes the caller's mount at dir away. With force it goes from under whoever
// uses it.
func (h *Helper) Unmount(_ context.Context, c Caller, dir string, force bool) error {
	leave, err := h.enter(c)
	if err != nil {
		return err
	}
	defer leave()
	table, err := h.o.System.Table()
	if err != nil {
		return failed("read the table of mounts", err)
	}
	k, ok := h.mountedAt(table, c.UID, dir)
	if !ok {
		return notMounted()
	}
	d, done, err := h.take(k, func(int) error { return notMounted() })
	if err != nil {
		return err
	}
	defer done()
	if d.mounted == nil {
		return notMounted()
	}
	if err := unmount(h.o, h.counts(c.UID), c, *d.mounted, table, force); err != nil {
		return err
	}
	h.unmounted(d)
	h.change(d.close)
	h.o.Logger.Info("unmounted", "uid", c.UID, "drive", k.drive, "dir", dir, "force", force)
	return nil
}

// unmount takes the mount of r away, which is in table.
func unmount(o Options, n counter, c Caller, r Record, table []linuxnfs.Entry, force bool) error {
	e, there := find(table, r)
	if !there {
		return notMounted()
	}
	for _, over := range table {
		if over.Parent == e.ID && over.Point == e.Point {
			return &protocol.Error{Kind: protocol.Busy, What: "Something else is mounted over this drive."}
		}
	}
	p, err := within(lookTimeout, n, func() (*Place, error) { return o.System.Reopen(c, r, e.Point) }, func(p *Place) { p.Close() })
	if err != nil {
		return err
	}
	flags := 0
	if force {
		// One call: MNT_FORCE alone is refused while files are open, and MNT_DETACH
		// alone leaves writers behind that no signal ends.
		flags = unix.MNT_FORCE | unix.MNT_DETACH
	}
	_, err = within(unmountTimeout, n, func() (struct{}, error) {
		defer p.Close()
		return struct{}{}, o.System.Unmount(c, p, flags)
	}, func(struct{}) {})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EBUSY):
		return &protocol.Error{Kind: protocol.Busy, What: "Files of this drive are open.", Err: err}
	case errors.Is(err, unix.EINVAL):
		return notMounted()
	}
	return failed("unmount", err)
}

// List gives the caller's mounts.
func (h *Helper) List(_ context.Context, c Caller) ([]protocol.Mounted, error) {
	leave, err := h.enter(c)
	if err != nil {
		return nil, err
	}
	defer leave()
	table, err := h.o.System.Table()
	if err != nil {
		return nil, failed("read the table of mounts", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	out := []protocol.Mounted{}
	for k, d := range h.drives {
		if k.uid != c.UID || d.mounted == nil {
			continue
		}
		if e, there := find(table, *d.mounted); there {
			out = append(out, protocol.Mounted{Drive: k.drive, Dir: e.Point, Port: d.port})
		}
	}
	return out, nil
}

// Gone is told that the connection name is no more: drives that waited for their
// mount there are given up.
func (h *Helper) Gone(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for k, d := range h.drives {
		if d.owner != name {
			continue
		}
		d.orphan = true
		if !d.busy {
			h.settle(k, d)
		}
	}
}

// take returns a drive that nobody else works on until done is called. If there is
// none, fresh, told how many the user has, decides whether one is made.
func (h *Helper) take(k key, fresh func(n int) error) (d *drive, done func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if d = h.drives[k]; d == nil {
		n := 0
		for o := range h.drives {
			if o.uid == k.uid {
				n++
			}
		}
		if err := fresh(n); err != nil {
			return nil, nil, err
		}
		d = &drive{fd: -1}
		h.drives[k] = d
	}
	if d.busy {
		return nil, nil, &protocol.Error{Kind: protocol.Busy, What: "The drive is being mounted or unmounted already."}
	}
	d.busy = true
	return d, func() { h.done(k, d) }, nil
}

// done ends what take began.
func (h *Helper) done(k key, d *drive) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d.busy = false
	h.settle(k, d)
}

// settle gives up what nobody needs of a drive: a listener that waits for a mount by
// a connection that has ended, a drive that has nothing, and with a user's last one
// her namespace. The caller holds mu.
func (h *Helper) settle(k key, d *drive) {
	if d.orphan && d.mounted == nil {
		d.close()
	}
	if d.fd >= 0 || d.mounted != nil {
		return
	}
	delete(h.drives, k)
	for o := range h.drives {
		if o.uid == k.uid {
			return
		}
	}
	h.o.System.Release(k.uid) // a few system calls, and no other may get in between
}

func (h *Helper) change(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

func (h *Helper) unmounted(d *drive) {
	h.o.Records.Remove(*d.mounted)
	h.change(func() { d.mounted = nil })
}

func (d *drive) close() {
	if d.fd >= 0 {
		unix.Close(d.fd)
		d.fd = -1
	}
}

// mountedAt finds the drive of uid that is mounted at dir.
func (h *Helper) mountedAt(table []linuxnfs.Entry, uid uint32, dir string) (key, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for k, d := range h.drives {
		if k.uid != uid || d.mounted == nil {
			continue
		}
		if e, there := find(table, *d.mounted); there && e.Point == dir {
			return k, true
		}
	}
	return key{}, false
}

// find looks for the mount of r. Its source has a random token.
func find(table []linuxnfs.Entry, r Record) (linuxnfs.Entry, bool) {
	for _, e := range table {
		if e.IsNFS() && e.Source == r.Source {
			return e, true
		}
	}
	return linuxnfs.Entry{}, false
}

// counter counts something that begins, until it calls end.
type counter func() (end func())

// within runs f, which may hang in the kernel, for d. If f succeeds later, late takes
// its result back.
func within[T any](d time.Duration, n counter, f func() (T, error), late func(T)) (T, error) {
	type result struct {
		v   T
		err error
	}
	c := make(chan result)
	gone := make(chan struct{})
	end := n()
	go func() {
		defer end()
		v, err := f()
		select {
		case c <- result{v, err}:
		case <-gone:
			if err == nil {
				late(v)
			}
		}
	}()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case r := <-c:
		return r.v, r.err
	case <-t.C:
		close(gone)
		var zero T
		return zero, &protocol.Error{Kind: protocol.Timeout, What: fmt.Sprintf("The system did not do it within %s.", d)}
	}
}

func validDrive(id string) bool {
	b, err := hex.DecodeString(id)
	return err == nil && len(b) == 8 && hex.EncodeToString(b) == id
}

// validSpec checks all but the folder.
func validSpec(s protocol.Spec) error {
	token, name, ok := strings.Cut(strings.TrimPrefix(s.Export, "/"), "/")
	b, err := hex.DecodeString(token)
	switch {
	case !validDrive(s.Drive):
		return badRequest("drive")
	case !ok || err != nil || len(b) != 16 || "/"+hex.EncodeToString(b)+"/"+name != s.Export || !validName(name):
		return badRequest("export")
	case len(s.Root) == 0 || len(s.Root) > linuxnfs.MaxRoot:
		return badRequest("root")
	case !filepath.IsAbs(s.Dir) || filepath.Clean(s.Dir) != s.Dir || s.Dir == "/" || len(s.Dir) >= unix.PathMax || strings.ContainsRune(s.Dir, 0):
		return &protocol.Error{Kind: protocol.BadDir, What: "The folder is not given by a whole path."}
	}
	return nil
}

func validName(s string) bool {
	return s != "" && len(s) <= 255 && utf8.ValidString(s) &&
		!strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '/' })
}

func badRequest(field string) error {
	return &protocol.Error{Kind: protocol.BadRequest, What: fmt.Sprintf("The field %s of the request is malformed.", field)}
}

func notMounted() error {
	return &protocol.Error{Kind: protocol.NotMounted, What: "There is no drive of yours here."}
}

func failed(what string, err error) error {
	var e *protocol.Error
	if errors.As(err, &e) {
		return e
	}
	return &protocol.Error{Kind: protocol.Failed, What: "The mount helper could not " + what + ".", Err: err}
}

// mountError says what mount(2) meant.
func mountError(err error) error {
	switch {
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.EPROTONOSUPPORT):
		return &protocol.Error{Kind: protocol.Unsupported, What: "This kernel has no NFS client for version 3.", Err: err}
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.ENOENT):
		return &protocol.Error{Kind: protocol.BadDir, What: "The folder is in use as a mount point, or gone.", Err: err}
	}
	return failed("mount the drive", err)
}
