package mounts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/config"
	"github.com/moorage/moorage/daemon/internal/problem"
	"github.com/moorage/moorage/daemon/internal/state"
)

// DefaultCacheLimit is how many bytes of files a drive keeps on this computer, unless
// the settings say otherwise. What was not read for the longest time goes first.
const DefaultCacheLimit = 10 << 30

// setup is what the settings come to.
type setup struct {
	cacheDir   string
	cacheLimit int64
	mountsDir  string
	settings   config.Settings
}

// configure takes up settings, which were checked.
func (m *Manager) configure(s config.Settings) {
	u := &setup{cacheDir: m.o.CacheDir, cacheLimit: DefaultCacheLimit, mountsDir: m.o.MountsDir, settings: s}
	if s.CacheDir != "" {
		u.cacheDir = filepath.Clean(home(s.CacheDir))
	}
	if s.CacheLimit != 0 {
		u.cacheLimit = s.CacheLimit
	}
	if s.MountDir != "" && u.mountsDir != "" {
		u.mountsDir = filepath.Clean(home(s.MountDir))
	}
	old := m.setup.Swap(u)
	if m.o.Configure != nil {
		m.o.Configure(s)
	}
	for _, d := range m.all() {
		if u.cacheLimit != old.cacheLimit {
			d.use(func(s *Source) {
				if s.SetCacheLimit != nil {
					s.SetCacheLimit(u.cacheLimit)
				}
			})
		}
		d.show(func(*api.Drive) {}) // it may have another place now
	}
}

// Settings tells how the service is set up.
func (m *Manager) Settings() (api.Settings, error) {
	if err := m.usable(); err != nil {
		return api.Settings{}, err
	}
	return m.settings(), nil
}

func (m *Manager) settings() api.Settings {
	u := m.setup.Load()
	s := api.Settings{
		CacheDir: u.cacheDir, CacheDefault: m.o.CacheDir, CacheLimit: u.cacheLimit,
		UploadLimit: u.settings.UploadLimit, DownloadLimit: u.settings.DownloadLimit, Proxy: u.settings.Proxy,
		MountDir: u.mountsDir, MountDefault: m.o.MountsDir,
	}
	if s.Proxy == "" {
		s.Proxy = api.ProxySystem
	}
	for _, d := range m.all() {
		open := d.use(func(src *Source) { s.CacheUsed += src.health().CacheUsed })
		if st := d.settings(); open && m.cacheBase(st) != u.cacheDir {
			s.CacheLater = append(s.CacheLater, st.Name)
		}
	}
	slices.Sort(s.CacheLater)
	return s
}

// EditSettings changes the settings, in the config file first.
func (m *Manager) EditSettings(ctx context.Context, e api.EditSettings) (api.Settings, error) {
	if err := m.usable(); err != nil {
		return api.Settings{}, err
	}
	if e.MountDir != nil && *e.MountDir != "" {
		if m.o.MountsDir == "" {
			return api.Settings{}, problem.New(api.ExitUsage, api.CodeUnsupported, "Drives get letters on this computer, and no folder.", "", "Give a drive a folder of its own instead.")
		}
		if err := m.checkDir(ctx, *e.MountDir, func(dir string) error { return os.MkdirAll(dir, 0o700) }); err != nil {
			return api.Settings{}, err
		}
	}
	if e.CacheDir != nil && *e.CacheDir != "" && filepath.Clean(home(*e.CacheDir)) != m.setup.Load().cacheDir {
		if err := m.checkDir(ctx, *e.CacheDir, prepareCache); err != nil {
			return api.Settings{}, err
		}
	}
	m.edits.Lock()
	defer m.edits.Unlock()
	s, err := m.o.Config.SetSettings(func(s *config.Settings) {
		set(&s.CacheDir, e.CacheDir)
		set(&s.CacheLimit, e.CacheLimit)
		set(&s.UploadLimit, e.UploadLimit)
		set(&s.DownloadLimit, e.DownloadLimit)
		set(&s.Proxy, e.Proxy)
		set(&s.MountDir, e.MountDir)
	})
	var invalid *config.InvalidError
	switch {
	case errors.As(err, &invalid):
		return api.Settings{}, problem.New(api.ExitUsage, api.CodeBadSetting, fmt.Sprintf("The setting %s cannot be: %s.", invalid.Key, invalid.Why), "Nothing was changed.", "")
	case err != nil:
		return api.Settings{}, problem.Of(err, m.o.Config.Path())
	}
	m.configure(s)
	return m.settings(), nil
}

// checkDir makes sure that a folder can be used, and has prepare make it.
func (m *Manager) checkDir(ctx context.Context, dir string, prepare func(dir string) error) error {
	dir = filepath.Clean(home(dir))
	if !filepath.IsAbs(dir) {
		return problem.New(api.ExitUsage, api.CodeBadDir, fmt.Sprintf("%q is not an absolute path.", dir), "", "Give the whole path of a folder.")
	}
	var mounted []string
	for _, d := range m.all() {
		if mnt := d.settings().Mount; mnt != nil {
			mounted = append(mounted, mnt.Dir)
		}
	}
	_, err := within(ctx, func() (struct{}, error) {
		for _, mnt := range mounted { // a drive that keeps its files on itself would wait for itself
			if inside(dir, mnt) || inside(resolve(dir), mnt) {
				return struct{}{}, problem.New(api.ExitFailed, api.CodeDirMounted, fmt.Sprintf("%s is on a drive.", dir), "", "Choose a folder of this computer.")
			}
		}
		err := prepare(dir)
		if _, ok := errors.AsType[*api.Error](err); !ok {
			err = badDir(dir, err)
		}
		return struct{}{}, err
	}, func(struct{}) {})
	return err
}

// inside reports whether a path is dir or below it.
func inside(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// cacheName is the name of a folder that is a drive's cache, or was.
var cacheName = regexp.MustCompile(`^[0-9a-f]{16}(\.gone)?$`)

// prepareCache makes a folder for caches, or sees that one which is there holds
// nothing else, and that files can be stored there.
func prepareCache(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		if !cacheName.MatchString(e.Name()) {
			return problem.New(api.ExitFailed, api.CodeDirNotEmpty, fmt.Sprintf("The folder %s is not empty.", dir),
				"What drives keep on this computer needs a folder of its own.", "Choose an empty folder, or a new one.")
		}
	}
	f, err := os.CreateTemp(dir, "moorage")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// cacheBase is the folder in which a drive had its cache when it was last open.
func (m *Manager) cacheBase(st state.Drive) string {
	if st.Cache == "" {
		return m.o.CacheDir
	}
	return st.Cache
}

// cacheDir is where the cache of d is from now on, which is about to be opened. What it
// had at another place is taken away: it can be fetched again.
func (d *drive) cacheDir(ctx context.Context) (string, error) {
	st, base := d.settings(), d.m.setup.Load().cacheDir
	kept := ""
	if base != d.m.o.CacheDir {
		kept = base
		// Only who chose the place makes it: where a disk is not attached, another one
		// would fill up.
		_, err := within(ctx, func() (fs.FileInfo, error) { return os.Stat(base) }, func(fs.FileInfo) {})
		if err != nil {
			return "", problem.New(api.ExitFailed, api.CodeDirMissing, fmt.Sprintf("The folder %s, where drives keep what they have fetched, cannot be used: %v.", base, err), "",
				"Attach the disk that it is on, or choose another place in the settings.")
		}
	}
	if old := d.m.cacheBase(st); old != base {
		d.m.dropCache(ctx, old, d.id)
		if err := d.save(func(s *state.Drive) { s.Cache = kept }); err != nil {
			return "", err
		}
	}
	return filepath.Join(base, d.id), nil
}

// dropCache takes the cache of drive id away that is in base. It returns when another
// one can be made there.
func (m *Manager) dropCache(ctx context.Context, base, id string) {
	dir := filepath.Join(base, id)
	gone := dir + ".gone"
	_, err := within(ctx, func() (struct{}, error) { return struct{}{}, os.Rename(dir, gone) }, func(struct{}) {})
	if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		err = nil // one of the two is there, maybe of an earlier time
	}
	if err != nil {
		m.o.Logger.Warn("what a drive has fetched to its old place stays there", "folder", dir, "err", err)
		return
	}
	m.wg.Add(1)
	go func() {
		defer m.wg.Done()
		if err := os.RemoveAll(gone); err != nil {
			m.o.Logger.Warn("what a drive has fetched to its old place stays there", "folder", gone, "err", err)
		}
	}()
}
