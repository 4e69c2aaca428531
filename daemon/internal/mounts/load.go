package mounts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/config"
	"github.com/moorage/moorage/daemon/internal/problem"
	"github.com/moorage/moorage/daemon/internal/state"
	"github.com/moorage/moorage/mounter"
)

// Start loads the drives, takes up the mounts that an earlier service left,
// mounts those that are to be mounted at start, and takes away mounts of ours
// that nobody can serve. It returns when the ports of all mounts are in hand;
// the rest goes on. A damaged config file is no error: see Problem.
func (m *Manager) Start(ctx context.Context) error {
	table, err := m.o.Mounter.List(ctx)
	tableKnown := err == nil
	if err != nil {
		m.o.Logger.Error("the mount table cannot be read", "err", err)
	}
	states, err := m.loadStates()
	if err != nil {
		return err
	}
	m.edits.Lock()
	defer m.edits.Unlock()
	entries := m.loadConfig()
	var loaded []*drive
	for _, e := range entries {
		st, ok := states[e.ID]
		delete(states, e.ID)
		if d := m.remembered(e, st, ok, table); d != nil {
			loaded = append(loaded, d)
		}
	}
	for _, st := range states {
		if d := m.leftover(st, tableKnown, table); d != nil {
			loaded = append(loaded, d)
		}
	}
	for _, d := range loaded {
		m.begin(d, tableKnown, table)
	}
	m.removeStale(table)
	m.wg.Add(2)
	go m.watch()
	go m.watchNetwork()
	return nil
}

// loadStates reads the state of all drives. A damaged file is set aside.
func (m *Manager) loadStates() (map[string]state.Drive, error) {
	ids, err := m.o.State.IDs()
	if err != nil {
		return nil, err
	}
	all := make(map[string]state.Drive)
	for _, id := range ids {
		st, err := m.o.State.Load(id)
		switch {
		case err == nil:
			all[id] = st
		case errors.Is(err, fs.ErrNotExist): // removed halfway
			if err := m.o.State.Remove(id); err != nil {
				m.o.Logger.Warn("the rest of a drive's state could not be removed", "id", id, "err", err)
			}
		default:
			kept, kerr := m.o.State.SetAside(id)
			m.o.Logger.Error("the state of a drive is damaged; it gets a new one", "id", id, "err", err, "kept", kept, "keep", kerr)
		}
	}
	return all, nil
}

// loadConfig reads the config file, and remembers if it cannot be used.
func (m *Manager) loadConfig() []config.Drive {
	entries, warnings, err := m.o.Config.Load()
	for _, w := range warnings {
		m.o.Logger.Warn(w)
	}
	if s, serr := m.o.Config.Settings(); err == nil && serr == nil {
		m.configure(s)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bad = nil
	if err != nil {
		m.bad = problem.Of(err, m.o.Config.Path())
		m.o.Logger.Error("the config file cannot be used", "err", err)
	}
	return entries
}

// usable returns why the config file cannot be used, after it has looked again
// in case that somebody has mended it.
func (m *Manager) usable() error {
	if m.Problem() == nil {
		return nil
	}
	m.edits.Lock()
	defer m.edits.Unlock()
	m.mu.Lock()
	bad := m.bad
	m.mu.Unlock()
	if bad == nil {
		return nil
	}
	entries := m.loadConfig()
	m.mu.Lock()
	bad = m.bad
	m.mu.Unlock()
	if bad != nil {
		return bad
	}
	known := make(map[string]bool)
	for _, d := range m.all() {
		known[d.id] = true
	}
	for _, e := range entries {
		if known[e.ID] {
			continue
		}
		st, err := m.o.State.Load(e.ID)
		if d := m.remembered(e, st, err == nil, nil); d != nil {
			m.begin(d, true, nil)
		}
	}
	return nil
}

// remembered makes the drive of a config entry, with what is known of it. A
// drive that cannot be used is shown with its problem.
func (m *Manager) remembered(e config.Drive, st state.Drive, known bool, table []mounter.Mount) *drive {
	loc, perr := m.o.Opener.Parse(e.URL)
	moved := false // a secret of this URL is in the keyring now
	if perr == nil && loc.Secret != "" {
		perr = m.moveSecret(&e, loc)
		moved = perr == nil
	}
	url := loc.URL // "" if it cannot be read: it is not shown, since it may hold a password
	var barred *api.Error
	if known && perr == nil && st.URL != url && m.sameRemote(st.URL, loc) {
		m.o.Logger.Info("the drive shows another revision", "id", e.ID)
		st.URL, st.Back = url, nil
	}
	if known && perr == nil && st.URL != url {
		if k := m.keptOf(st); k.any() {
			barred = otherURL(k, st, e)
			perr, url = barred, st.URL // whatever is saved of it stays that of the old one
		}
	}
	if known && perr == nil && st.URL != url {
		m.o.Logger.Info("the drive's URL was edited; it starts afresh", "id", e.ID)
		if st.Mount != nil {
			m.dropMount(st, table)
		}
		st.Secret = st.Secret && !moved // one that is of the old URL must not be sent to the new one
		m.erase(st)
		known = false
	}
	if !known {
		fresh, err := state.New(m.o.Rand)
		if err != nil {
			m.o.Logger.Error("a drive cannot be loaded", "id", e.ID, "err", err)
			return nil
		}
		fresh.ID = e.ID
		st = fresh
	}
	before := st
	st.Name, st.URL, st.Dir, st.ReadOnly, st.Remembered = e.Name, url, home(e.Dir), e.ReadOnly, true
	st.Secret = st.Secret || moved
	d := m.newDrive(st, loc, e.Auto)
	d.barred = barred
	if perr == nil {
		perr = checkName(e.Name)
	}
	if perr == nil && (!known || !reflect.DeepEqual(before, st)) {
		perr = m.o.State.Save(st)
	}
	if perr != nil {
		d.auto = false
		d.view.State = api.Failed
		d.view.Problem = &problem.Of(perr, url).Problem
	}
	return d
}

// sameRemote tells whether url shows a revision of the remote at loc.
func (m *Manager) sameRemote(url string, loc Location) bool {
	was, err := m.o.Opener.Parse(url)
	return err == nil && loc.Remote != "" && was.Remote == loc.Remote
}

// moveSecret puts a password that somebody wrote into the config file into the
// keyring, and the URL without it into the file.
func (m *Manager) moveSecret(e *config.Drive, loc Location) error {
	ctx, cancel := context.WithTimeout(m.ctx, 10*time.Second)
	defer cancel()
	e.URL = loc.URL
	if err := m.o.Secrets.Set(ctx, e.ID, loc.Secret); err != nil {
		return err
	}
	return m.o.Config.Put(*e)
}

// home replaces a leading ~, which people write into config files.
func home(dir string) string {
	rest, ok := strings.CutPrefix(dir, "~")
	h, err := os.UserHomeDir()
	if !ok || err != nil || rest != "" && !os.IsPathSeparator(rest[0]) {
		return dir
	}
	return filepath.Join(h, rest)
}

// leftover makes a drive of state that is not in the config, if its mount is
// still there, and removes the state otherwise, unless it may still be wanted.
func (m *Manager) leftover(st state.Drive, tableKnown bool, table []mounter.Mount) *drive {
	configOK := m.Problem() == nil
	mounted := st.Mount != nil && (!tableKnown || inTable(table, *st.Mount, st.Port))
	switch {
	case mounted:
		loc, err := m.o.Opener.Parse(st.URL)
		if err != nil {
			m.o.Logger.Error("the drive of a mount cannot be opened", "id", st.ID, "err", err)
			m.dropMount(st, table)
			return nil
		}
		st.Remembered = st.Remembered && !configOK
		return m.newDrive(st, loc, false)
	case st.Remembered:
		return nil // its entry may come back; what is pending must not be lost
	}
	if k := m.keptOf(st); k.any() {
		loc, err := m.o.Opener.Parse(st.URL)
		if err != nil {
			m.o.Logger.Error("a drive that keeps changes cannot be opened", "id", st.ID, "err", err)
			return nil
		}
		st.Remembered = st.Remembered && !configOK
		return m.newDrive(st, loc, false)
	}
	if st.Mount != nil {
		m.removePlace(place{dir: st.Mount.Dir, made: st.Mount.Made})
	}
	m.erase(st)
	return nil
}

// keptOf is what the drive of st, which is not open, keeps for its remote.
func (m *Manager) keptOf(st state.Drive) kept {
	if st.Mount == nil && st.Unpublished == 0 {
		return kept{}
	}
	return m.look(st.ID)
}

// otherURL explains why a drive whose URL was edited cannot be used.
func otherURL(k kept, st state.Drive, e config.Drive) *api.Error {
	return problem.New(api.ExitFailed, api.CodeUnpublished,
		fmt.Sprintf("The address of %q was edited, and %s made under the old one, %s, %s not published.", e.Name, k.changes(), st.URL, isAre(k)),
		"The drive is not used meanwhile, so that they do not get lost or to another place.",
		fmt.Sprintf("Put the old address back, restart the service, mount the drive and publish them: moorage sync %s --wait. Or give them up: moorage remove %s --force.", e.Name, e.Name))
}

// dropMount takes a mount away that cannot be served.
func (m *Manager) dropMount(st state.Drive, table []mounter.Mount) {
	if inTable(table, *st.Mount, st.Port) {
		if err := m.o.Mounter.Unmount(m.ctx, st.Mount.Dir, true); err != nil && !errors.Is(err, mounter.ErrNotMounted) {
			m.o.Logger.Error("a mount that nobody serves stays", "dir", st.Mount.Dir, "err", err)
			return
		}
	}
	m.removePlace(place{dir: st.Mount.Dir, made: st.Mount.Made})
}

// begin puts d into the list and to work.
func (m *Manager) begin(d *drive, tableKnown bool, table []mounter.Mount) {
	m.mu.Lock()
	d.st.Name = unique(d.st.Name, func(n string) bool { return m.drives[n] != nil })
	m.drives[d.st.Name] = d
	m.mu.Unlock()
	st := d.settings()
	mounted := st.Mount != nil && (!tableKnown || inTable(table, *st.Mount, st.Port))
	if !mounted && (st.Mount != nil || st.Unpublished > 0) {
		d.look()
	}
	if !mounted && st.Mount != nil {
		d.unmounted(*st.Mount)
	}
	m.run(d)
	d.show(func(*api.Drive) {})
	switch {
	case mounted:
		d.connecting()
		d.put(op{kind: opLook})
		o := op{kind: opAdopt}
		if !st.Mount.Held { // nobody else can take one that is held
			var err error
			if o.l, err = d.own(m.ctx, st.Port); err != nil {
				d.log.Error("the port of a mount cannot be listened on", "port", st.Port, "err", err)
			}
		}
		d.put(o)
	case d.auto:
		d.connecting()
		d.put(op{kind: opMount, retry: true})
	}
}

var ourExport = regexp.MustCompile(`^/[0-9a-f]{32}/[^/]+$`)

// removeStale takes away mounts in our place that look like ours, belong to no
// drive, and whose server is gone. Touching them would hang.
func (m *Manager) removeStale(table []mounter.Mount) {
	if m.o.MountsDir == "" {
		return
	}
	known := make(map[string]bool)
	for _, d := range m.all() {
		if mnt := d.settings().Mount; mnt != nil {
			known[mnt.Dir] = true
		}
	}
	for _, t := range table {
		host, _, _ := strings.Cut(t.Source, ":")
		if known[t.Dir] || host != "127.0.0.1" || t.Port == 0 || !ourExport.MatchString(t.Export) ||
			filepath.Dir(t.Dir) != resolve(m.o.MountsDir) && filepath.Dir(t.Dir) != resolve(m.setup.Load().mountsDir) {
			continue
		}
		c, err := net.DialTimeout("tcp", loopback(t.Port), time.Second)
		if err == nil {
			c.Close() // of another service, perhaps
			continue
		}
		m.o.Logger.Info("removing a mount whose drive is gone", "dir", t.Dir)
		m.wg.Add(1)
		go func() {
			defer m.wg.Done()
			if err := m.o.Mounter.Unmount(m.ctx, t.Dir, true); err != nil {
				m.o.Logger.Error("a mount whose drive is gone stays", "dir", t.Dir, "err", err)
				return
			}
			_ = os.Remove(t.Dir) // stays if somebody put something into it
		}()
	}
}

func inTable(table []mounter.Mount, mnt state.Mount, port uint16) bool {
	for _, t := range table {
		if t.Dir == mnt.Dir && t.Export == mnt.Export && (t.Port == 0 || t.Port == port) {
			return true
		}
	}
	return false
}

// adoptTime is how long a mount may wait for its remote when it is taken up.
const adoptTime = time.Minute

// holdTime is how long it may wait for the mount helper.
const holdTime = 20 * time.Second

// adopt takes up the mount that an earlier service made. l holds its port since
// the start, so that the system's calls wait in its queue; nil if it is another
// program's now, or if the mount helper holds it.
func (d *drive) adopt(ctx context.Context, l net.Listener) {
	st := d.settings()
	if st.Mount.Held {
		if l = d.holdAgain(ctx, st); l == nil {
			return
		}
	}
	if l == nil {
		err := d.discard(context.WithoutCancel(ctx))
		d.rest(api.Failed, errPortTaken(st.Port, err == nil))
		return
	}
	mnt := *st.Mount
	src, err := d.reopen(ctx, mnt.Dir)
	var srv *Server
	var g *gate
	if err == nil {
		if srv, g, err = d.serve(l, src, mnt); err != nil {
			d.closeSource(src)
		}
	}
	switch {
	case err != nil && ctx.Err() != nil:
		l.Close() // what called it off decides about the mount
		return
	case err != nil:
		d.log.Error("the mount cannot be taken up", "err", err)
		_ = d.discard(context.WithoutCancel(ctx)) // shown by the table if it fails
		l.Close()
		e := problem.Of(err, st.URL)
		switch {
		case d.waitsFor(err):
			d.waitForSecret(e)
		case problem.NeedsPerson(e):
			d.rest(api.NeedsYou, e)
		default:
			d.rest(api.Failed, e)
		}
		return
	}
	d.live = &live{src: src, srv: srv, gate: g, mount: mnt}
	d.offer(src)
	d.m.catchUp(d)
	d.log.Info("took up the mount of an earlier service", "dir", mnt.Dir)
	if src.Volatile {
		d.show(func(v *api.Drive) { v.Problem = lost() })
	}
	d.refresh()
	if table, err := d.m.o.Mounter.List(ctx); err == nil {
		d.table(ctx, table)
	}
}

// holdAgain gets the listener of a mount that is there from the mount helper, which
// may be starting itself. If that fails, the mount is taken away, since whoever
// touches it hangs.
func (d *drive) holdAgain(ctx context.Context, st state.Drive) net.Listener {
	deadline := time.NewTimer(holdTime)
	defer deadline.Stop()
	for {
		l, err := d.m.hold(ctx, d.id, st.Port)
		if err == nil {
			got := portOf(l)
			if got == st.Port {
				return l
			}
			l.Close()
			err = fmt.Errorf("the mount helper gave port %d for %d", got, st.Port)
		}
		d.log.Warn("the listener of a mount is not to be had", "err", err)
		again := time.NewTimer(d.m.o.Retry)
		select {
		case <-again.C:
			continue
		case <-deadline.C:
		case <-ctx.Done(): // what called it off decides about the mount
			again.Stop()
			return nil
		}
		again.Stop()
		_ = d.discard(context.WithoutCancel(ctx)) // shown by the table if it fails
		d.rest(api.Failed, mountProblem(err, st.Name, st.Mount.Dir))
		return nil
	}
}

// reopen opens the drive of a mount that is there, and tries again while its
// remote is away, or its secret cannot be reached, for adoptTime at most.
func (d *drive) reopen(ctx context.Context, dir string) (*Source, error) {
	deadline := time.NewTimer(adoptTime)
	defer deadline.Stop()
	for wait := d.m.o.Retry; ; wait *= 2 {
		src, err := d.open(ctx, dir)
		if err == nil || !problem.Transient(err) && !d.waitsFor(err) {
			return src, err
		}
		d.log.Warn("a mounted drive cannot be opened again yet", "err", err)
		again := time.NewTimer(wait)
		select {
		case <-again.C:
			continue
		case <-deadline.C:
		case <-ctx.Done():
		}
		again.Stop()
		return nil, err
	}
}

func lost() *api.Problem {
	return &api.Problem{Code: api.CodeLost, What: "The service was ended while this drive was mounted.",
		Means: "What was in it is lost: a mem: drive lives as long as the service.", Do: "Use a folder for what must stay."}
}

// in tells whether mnt is in the table as d's own.
func (d *drive) in(table []mounter.Mount, mnt state.Mount) bool {
	return inTable(table, mnt, d.settings().Port)
}
