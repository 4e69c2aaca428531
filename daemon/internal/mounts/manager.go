package mounts

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/config"
	"github.com/moorage/moorage/daemon/internal/events"
	"github.com/moorage/moorage/daemon/internal/state"
	"github.com/moorage/moorage/mounter"
)

// Mounter is what the manager needs of the system's NFS client; *mounter.Mounter is one.
type Mounter interface {
	Mount(ctx context.Context, s mounter.Spec) error
	Unmount(ctx context.Context, dir string, force bool) error
	List(ctx context.Context) ([]mounter.Mount, error)
}

var _ Mounter = (*mounter.Mounter)(nil)

// Holder is a Mounter that opens listeners, where only the system's NFS client can
// connect to them; *helperclient.Mounter is one. A listener of a mounted drive
// outlives the service: who asks again for the drive gets the same.
type Holder interface {
	// Listen fails with mounter.ErrNoHelper where the drive has to listen by itself.
	// port is a wish.
	Listen(ctx context.Context, drive string, port uint16) (net.Listener, error)
}

// Secrets is the keyring; *secrets.Keyring is one.
type Secrets interface {
	Get(ctx context.Context, id string) (string, error)
	Set(ctx context.Context, id, secret string) error
	Delete(ctx context.Context, id string) error
}

// Options are the parts that a Manager works with. All but those marked are needed.
type Options struct {
	Opener    Opener
	Mounter   Mounter
	Secrets   Secrets
	Config    *config.File
	State     *state.Store
	CacheDir  string                // holds one folder for each drive, unless the settings name another one
	MountsDir string                // where drives go that were given no place, likewise
	Configure func(config.Settings) // is told of the settings when they were read or changed; nil: nobody
	Events    *events.Hub
	Logger    *slog.Logger
	Clock     func() time.Time
	Rand      io.Reader

	Keep      Keeper                                          // nil: ports of drives without the helper are free while no service runs
	CheckPeer func(net.Conn) error                            // nil: as the system allows
	Watch     func(ctx context.Context, changed func()) error // calls changed when the mount table may have changed; nil: the system's
	// Network calls changed when this computer's addresses have changed, until ctx is
	// done; nil: the system's.
	Network func(ctx context.Context, changed func()) error
	// Look looks at the folder of a mount, from a process that can be killed, and comes
	// back when ctx is done. See the errors Err…; nil: nobody looks.
	Look      func(ctx context.Context, dir string) error
	LookEvery time.Duration // 0: a minute
	Retry     time.Duration // first pause before trying again; 0: 2 s
	Measure   time.Duration // how often what a mounted drive keeps is looked at; 0: 10 s
}

// Manager keeps all drives. Its methods may be called concurrently.
type Manager struct {
	o      Options
	ctx    context.Context // of everything that runs; ends in Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // of watch and all drives

	setup atomic.Pointer[setup]

	pausing sync.Mutex // before those of drives
	paused  bool

	edits sync.Mutex // one change of the list of drives at a time; before mu

	mu       sync.Mutex
	drives   map[string]*drive
	bad      *api.Error // why the config cannot be used; nil if it can
	stopping bool
}

// New makes a manager without drives; Start loads them.
func New(o Options) *Manager {
	if o.CheckPeer == nil {
		o.CheckPeer = checkPeer
	}
	if o.Watch == nil {
		o.Watch = watchTable
	}
	if o.Network == nil {
		o.Network = watchNetwork
	}
	if o.LookEvery == 0 {
		o.LookEvery = time.Minute
	}
	if o.Retry == 0 {
		o.Retry = 2 * time.Second
	}
	if o.Measure == 0 {
		o.Measure = 10 * time.Second
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &Manager{o: o, ctx: ctx, cancel: cancel, drives: make(map[string]*drive)}
	m.setup.Store(&setup{cacheDir: o.CacheDir, cacheLimit: DefaultCacheLimit, mountsDir: o.MountsDir})
	return m
}

// find returns the drive of that name.
func (m *Manager) find(name string) (*drive, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if d := m.drives[name]; d != nil {
		return d, nil
	}
	if m.bad != nil { // it may be one of those that cannot be read
		return nil, m.bad
	}
	return nil, noDrive(name)
}

func (m *Manager) all() []*drive {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]*drive, 0, len(m.drives))
	for _, d := range m.drives {
		out = append(out, d)
	}
	return out
}

// List describes all drives by name. While the config file is damaged it fails,
// and looks each time whether somebody has mended it.
func (m *Manager) List() ([]api.Drive, error) {
	if err := m.usable(); err != nil {
		return nil, err
	}
	out := make([]api.Drive, 0, 8)
	for _, d := range m.all() {
		out = append(out, d.now())
	}
	slices.SortFunc(out, func(a, b api.Drive) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Get describes one drive.
func (m *Manager) Get(name string) (api.Drive, error) {
	d, err := m.find(name)
	if err != nil {
		return api.Drive{}, err
	}
	return d.detail(), nil
}

// Problem is why the list of drives cannot be used; nil if it can.
func (m *Manager) Problem() *api.Problem {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.bad == nil {
		return nil
	}
	return &m.bad.Problem
}

// Volatile names a drive that is open and whose content would end with this process;
// "" if there is none.
func (m *Manager) Volatile() (name string) {
	for _, d := range m.all() {
		d.use(func(s *Source) {
			if s.Volatile {
				name = d.name()
			}
		})
	}
	return name
}

// Mount mounts a drive. With wait it returns when that is done, failed, or ctx
// is done; without, the drive also keeps trying while its remote is away.
func (m *Manager) Mount(ctx context.Context, name string, wait bool) (api.Drive, error) {
	d, err := m.find(name)
	if err != nil {
		return api.Drive{}, err
	}
	if m.isStopping() {
		return api.Drive{}, errStopping()
	}
	o := op{kind: opMount, retry: !wait}
	if wait {
		o.done = make(chan *api.Error, 1)
	}
	d.connecting()
	d.put(o)
	return d.await(ctx, o.done)
}

// Unmount unmounts a drive. A drive that is not remembered is gone then.
func (m *Manager) Unmount(ctx context.Context, name string, u api.UnmountDrive) (api.Drive, error) {
	d, err := m.find(name)
	if err != nil {
		return api.Drive{}, err
	}
	o := op{kind: opUnmount, force: u.Force}
	if u.Wait {
		o.done = make(chan *api.Error, 1)
	}
	d.put(o)
	return d.await(ctx, o.done)
}

func (m *Manager) isStopping() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stopping
}

// UnmountAll unmounts all drives, and makes sure that none is mounted again.
// If some cannot be, their errors are joined and drives can be mounted as before.
func (m *Manager) UnmountAll(ctx context.Context, force bool) error {
	m.mu.Lock()
	m.stopping = true
	m.mu.Unlock()
	var errs []error
	waits := make(map[*drive]chan *api.Error)
	for _, d := range m.all() {
		c := make(chan *api.Error, 1)
		d.put(op{kind: opUnmount, force: force, done: c})
		waits[d] = c
	}
	for d, c := range waits {
		if _, err := d.await(ctx, c); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		m.mu.Lock()
		m.stopping = false
		m.mu.Unlock()
	}
	return errors.Join(errs...)
}

// Close stops to serve all drives and ends everything that the manager started.
// Mounts that are there stay for the next manager.
func (m *Manager) Close(ctx context.Context) error {
	m.mu.Lock()
	m.stopping = true
	m.mu.Unlock()
	for _, d := range m.all() {
		d.put(op{kind: opLeave})
	}
	m.cancel()
	done := make(chan struct{})
	go func() { m.wg.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run starts d's goroutine.
func (m *Manager) run(d *drive) {
	m.wg.Add(1)
	go func() {
		defer m.wg.Done()
		d.run(m.ctx)
	}()
}

// watch tells the drives when the mount table has changed, until ctx is done.
func (m *Manager) watch() {
	defer m.wg.Done()
	err := m.o.Watch(m.ctx, func() {
		table, err := m.o.Mounter.List(m.ctx)
		if err != nil {
			m.o.Logger.Warn("the mount table cannot be read", "err", err)
			return
		}
		for _, d := range m.all() {
			d.put(op{kind: opTable, table: table})
		}
	})
	if err != nil && m.ctx.Err() == nil {
		m.o.Logger.Error("the mount table is not watched any more", "err", err)
	}
}

// watchNetwork tells the drives when this computer's addresses have changed.
func (m *Manager) watchNetwork() {
	defer m.wg.Done()
	err := m.o.Network(m.ctx, func() {
		m.o.Logger.Info("this computer's network addresses have changed")
		for _, d := range m.all() {
			d.use(func(s *Source) {
				if s.NetworkChanged != nil {
					s.NetworkChanged()
				}
			})
		}
	})
	if err != nil && m.ctx.Err() == nil {
		m.o.Logger.Warn("changes of the network are not noticed", "err", err)
	}
}

// unlist takes d out of the list of drives.
func (m *Manager) unlist(d *drive) {
	m.mu.Lock()
	name := d.name()
	delete(m.drives, name)
	m.mu.Unlock()
	m.o.Events.Remove(name)
}

// erase removes what is kept for a drive that is gone.
func (m *Manager) erase(st state.Drive) {
	if st.Secret {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := m.o.Secrets.Delete(ctx, st.ID); err != nil {
			m.o.Logger.Warn("the drive's secret could not be removed", "id", st.ID, "err", err)
		}
	}
	if err := m.o.State.Remove(st.ID); err != nil {
		m.o.Logger.Warn("the drive's state could not be removed", "id", st.ID, "err", err)
	}
	dir := filepath.Join(m.cacheBase(st), st.ID)
	if err := errors.Join(os.RemoveAll(dir), os.RemoveAll(dir+".gone")); err != nil {
		m.o.Logger.Warn("the drive's cache could not be removed", "id", st.ID, "err", err)
	}
}
