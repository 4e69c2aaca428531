package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/drive"
	"github.com/moorage/moorage/daemon/internal/drive/reader"
	"github.com/moorage/moorage/daemon/internal/mounts"
	"github.com/moorage/moorage/daemon/internal/problem"
	"github.com/moorage/moorage/daemon/internal/secrets"
	"github.com/moorage/moorage/daemon/internal/unpublished"
	"github.com/moorage/moorage/nfs/dirfs"
	"github.com/moorage/moorage/nfs/memfs"
	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/git"
	"github.com/moorage/moorage/providers/s3"
)

// openFunc opens drives of one kind.
type openFunc func(ctx context.Context, u providers.URL, r mounts.Request) (*mounts.Source, error)

// connectFunc opens providers of one kind.
type connectFunc func(ctx context.Context, u providers.URL, r mounts.Request) (providers.Provider, error)

// lookFunc signs in to what u names and lists its root, with a Request whose folders are
// thrown away, until it has at least most names or all.
type lookFunc func(ctx context.Context, u providers.URL, r mounts.Request, most int) (api.Tried, error)

// kind is how drives of one kind are opened, how it is looked at what they are of, and
// what a person can say of them.
type kind struct {
	open openFunc
	look lookFunc
	form func(u providers.URL) providers.Form // nil: nothing

	history historyFunc // nil: there is none
}

// kinds opens drives by the kind of their URL. This file and no other names
// the file systems and providers that there are.
type kinds map[string]kind

var _ mounts.Opener = kinds(nil)

// onTheirWay is the memory for bytes on their way from remotes, half of
// memoryLimit.
const onTheirWay = memoryLimit / 2

// newOpener is called once: its drives share the memory for what is on its way, and
// the network.
func newOpener(network providers.Network) kinds {
	budget := reader.NewBudget(onTheirWay)
	return kinds{
		providers.KindMem:    {openMem, lookMem, nil, nil},
		providers.KindFolder: {openFolder, lookFolder, nil, nil},
		providers.KindGit:    {remote(openGit(network), budget), lookRemote(openGit(network)), git.Form, openGitHistory(network)},
		providers.KindS3:     {remote(openS3(network), budget), lookRemote(openS3(network)), s3.Form, nil},
	}
}

// Parse implements mounts.Opener.
func (k kinds) Parse(raw string) (mounts.Location, error) {
	u, secret, err := providers.ParseURL(raw)
	if err != nil {
		return mounts.Location{}, err
	}
	loc := mounts.Location{URL: u.String(), Kind: u.Kind, Name: u.DefaultName(), Secret: secret}
	k.revisionOf(u, &loc)
	if k[u.Kind].open == nil {
		return loc, &providers.ComingError{Kind: u.Kind}
	}
	return loc, nil
}

// Open implements mounts.Opener.
func (k kinds) Open(ctx context.Context, r mounts.Request) (*mounts.Source, error) {
	u, of, err := k.find(r.URL)
	if err != nil {
		return nil, err
	}
	return of.open(ctx, u, r)
}

func (k kinds) find(url string) (providers.URL, kind, error) {
	u, _, err := providers.ParseURL(url)
	if err != nil {
		return u, kind{}, err
	}
	of := k[u.Kind]
	if of.open == nil {
		return u, of, &providers.ComingError{Kind: u.Kind}
	}
	return u, of, nil
}

// Unpublished implements mounts.Opener.
func (k kinds) Unpublished(stateDir string, most int) (mounts.Unpublished, error) {
	l, err := unpublished.Read(engineDir(stateDir), most, slog.New(slog.DiscardHandler))
	u := mounts.Unpublished{Count: l.Count, Bytes: l.Bytes}
	for _, c := range l.Changes {
		u.Uploads = append(u.Uploads, mounts.Upload{Path: c.Path, State: api.UploadSaved, Removed: c.Removed, Since: c.Since, Total: c.Size})
	}
	return u, err
}

// engineDir is where the drive engine keeps its state in that of a drive.
func engineDir(stateDir string) string { return filepath.Join(stateDir, "nodes") }

func openMem(_ context.Context, _ providers.URL, r mounts.Request) (*mounts.Source, error) {
	mode := uint32(0o755)
	if r.Private {
		mode = 0o700
	}
	return &mounts.Source{FS: memfs.New(memfs.Options{UID: r.UID, GID: r.GID, Mode: mode}), Volatile: true}, nil
}

func openFolder(_ context.Context, u providers.URL, r mounts.Request) (*mounts.Source, error) {
	f, err := dirfs.Open(u.Path, dirfs.Options{StateDir: filepath.Join(r.StateDir, "folder"), ReadOnly: r.ReadOnly, Logger: r.Logger})
	if err == nil {
		return &mounts.Source{FS: f, Close: f.Close, ReadOnly: r.ReadOnly}, nil
	}
	return nil, folderProblem(u, err)
}

// folderProblem explains why a folder cannot be used.
func folderProblem(u providers.URL, err error) error {
	var pe *fs.PathError
	if !errors.As(err, &pe) || pe.Path != u.Path {
		return err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return problem.New(api.ExitFailed, api.CodeNoFolder, fmt.Sprintf("The folder %s does not exist.", u.Path), "", "Check the spelling.")
	case errors.Is(err, errNotDir):
		return problem.New(api.ExitFailed, api.CodeNoFolder, fmt.Sprintf("%s is not a folder.", u.Path), "", "Give the folder that it is in.")
	case errors.Is(err, fs.ErrPermission):
		return problem.New(api.ExitFailed, api.CodePermission, fmt.Sprintf("You may not read the folder %s.", u.Path), "", "Ask its owner, or choose another one.")
	}
	return fmt.Errorf("open folder: %w", err)
}

// cacheLimit is how many bytes of files a drive keeps on this computer.
func cacheLimit(r mounts.Request) int64 { return cmp.Or(r.CacheLimit, mounts.DefaultCacheLimit) }

// caching is a provider that keeps files on this computer.
type caching interface {
	// CacheUsed is how many bytes of them. It does no I/O.
	CacheUsed() int64
	SetCacheLimit(bytes int64)
}

var _ caching = (*git.Remote)(nil)

// remote opens drives of a kind that has a provider: the drive engine makes a
// file system of it.
func remote(open connectFunc, budget *reader.Budget) openFunc {
	return func(ctx context.Context, u providers.URL, r mounts.Request) (*mounts.Source, error) {
		p, err := open(ctx, u, r)
		if err != nil {
			return nil, err
		}
		d, err := drive.Open(ctx, drive.Options{Provider: p, StateDir: engineDir(r.StateDir),
			CacheDir: filepath.Join(r.CacheDir, "blocks"), CacheLimit: cacheLimit(r), Budget: budget,
			UID: r.UID, GID: r.GID, Logger: r.Logger, ReadOnly: r.ReadOnly, Paused: r.Paused, Host: hostName()})
		if err != nil {
			return nil, errors.Join(err, p.Close())
		}
		used, limit := func() int64 { return 0 }, d.SetCacheLimit
		if c, ok := p.(caching); ok {
			used = c.CacheUsed
			limit = func(bytes int64) {
				d.SetCacheLimit(bytes)
				c.SetCacheLimit(bytes)
			}
		}
		src := &mounts.Source{
			FS:       d,
			Close:    func() error { return errors.Join(d.Close(), p.Close()) },
			ReadOnly: !d.Status().Writable,
			Health: func() mounts.Health {
				s := d.Status()
				return mounts.Health{Online: s.Online, Err: s.Err, Disk: s.Disk, PinRoom: s.Pinned.NoRoom, Revision: s.Revision, CacheUsed: used() + s.CacheUsed, CacheLimit: s.CacheLimit,
					Pending: api.Pending{Files: s.Pending, Bytes: s.Saved, Parked: s.Parked}, Traffic: api.Traffic{Fetched: s.Fetched, Published: s.Published}}
			},
			Changes: d.Changes(), NetworkChanged: d.NetworkChanged,
			Pinner: pinner{d}, SetCacheLimit: limit,
		}
		if r, ok := p.(providers.Reviser); ok {
			rev, health := reviser{d, r}, src.Health
			src.Reviser = rev
			src.Health = func() mounts.Health {
				h, shown := health(), rev.Shown()
				h.Shown = &shown
				return h
			}
		}
		if !src.ReadOnly {
			src.Publish, src.Pause = d.Publish, d.Pause
			src.Sync = func(ctx context.Context) error {
				err := d.Sync(ctx)
				if errors.Is(err, drive.ErrPaused) {
					return fmt.Errorf("%w: %w", mounts.ErrPaused, err)
				}
				return err
			}
			src.Ledger = func(limit int) []mounts.Upload { return ledger(d, limit) }
		}
		return src, nil
	}
}

// pinner is what a drive keeps on this computer.
type pinner struct{ d *drive.Drive }

func (p pinner) Pin(ctx context.Context, path string) error { return p.d.Pin(ctx, path) }

func (p pinner) Unpin(ctx context.Context, path string) error {
	err := p.d.Unpin(ctx, path)
	var covered *drive.CoveredError
	switch {
	case errors.Is(err, drive.ErrNotPinned):
		return fmt.Errorf("%w: %w", mounts.ErrNotPinned, err)
	case errors.As(err, &covered):
		return &mounts.CoveredError{By: covered.By}
	}
	return err
}

// pinStates are the engine's words for how far a pin is.
var pinStates = map[drive.PinState]api.PinState{
	drive.PinFetching: api.PinFetching, drive.PinKept: api.PinKept, drive.PinOffline: api.PinOffline,
	drive.PinNoRoom: api.PinNoRoom, drive.PinFailed: api.PinFailed,
}

func (p pinner) Pins() []mounts.Pin {
	var l []mounts.Pin
	for _, e := range p.d.Pins() {
		l = append(l, mounts.Pin{Path: e.Path, Folder: e.Dir, State: pinStates[e.State], Here: e.Here, Total: e.Total, Files: e.Files, Since: e.Since, Err: e.Err})
	}
	return l
}

// states are the engine's words for what became of a change.
var states = map[drive.UploadState]api.UploadState{
	drive.Saved: api.UploadSaved, drive.Uploading: api.UploadRunning, drive.Uploaded: api.UploadDone,
	drive.Conflict: api.UploadConflict, drive.Parked: api.UploadParked,
}

func ledger(d *drive.Drive, limit int) []mounts.Upload {
	var l []mounts.Upload
	for _, e := range d.Ledger(limit) {
		l = append(l, mounts.Upload{Path: strings.TrimPrefix(e.Path, "/"), State: states[e.State], Removed: e.Removed, Err: e.Err,
			Since: e.Since, Done: e.Done, Total: e.Total})
	}
	return l
}

// hostName is this computer as the names of conflict copies tell it: short, and
// of letters that every remote takes; "" if it has no such name.
func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return plainHost(name)
}

func plainHost(name string) string {
	name, _, _ = strings.Cut(name, ".") // without its domain
	name = strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, strings.ToValidUTF8(name, "-"))
	if r := []rune(name); len(r) > maxHost {
		name = string(r[:maxHost])
	}
	return strings.Trim(name, "-_")
}

// maxHost is how many letters of its name do.
const maxHost = 32

func openGit(network providers.Network) connectFunc {
	return func(ctx context.Context, u providers.URL, r mounts.Request) (providers.Provider, error) {
		return git.Open(ctx, u, gitOptions(network, u, r))
	}
}

func openGitHistory(network providers.Network) historyFunc {
	return func(u providers.URL, r mounts.Request) (history, error) {
		return git.OpenHistory(u, gitOptions(network, u, r))
	}
}

func gitOptions(network providers.Network, u providers.URL, r mounts.Request) git.Options {
	return git.Options{
		CacheDir:   filepath.Join(r.CacheDir, "git"),
		CacheLimit: cacheLimit(r),
		Logger:     r.Logger,
		Network:    network,
		Credential: func(ctx context.Context, q git.CredentialRequest) (git.Credential, error) {
			// The repository may send us to another server for its large files.
			host, _, err := net.SplitHostPort(q.Host)
			if err != nil {
				host = q.Host // without port
			}
			if !strings.EqualFold(strings.Trim(host, "[]"), u.Host) || q.Protocol != u.Transport {
				return git.Credential{}, nil
			}
			s, err := r.Secret(ctx)
			if errors.Is(err, secrets.ErrNotFound) {
				return git.Credential{}, nil
			}
			if err != nil {
				return git.Credential{}, err
			}
			return git.Credential{Username: u.User, Password: s}, nil
		},
	}
}

func openS3(network providers.Network) connectFunc {
	return func(_ context.Context, u providers.URL, r mounts.Request) (providers.Provider, error) {
		return s3.Open(u, s3.Options{
			Logger:  r.Logger,
			Network: network,
			Credentials: func(ctx context.Context) (s3.Credentials, error) {
				secret, err := r.Secret(ctx)
				if errors.Is(err, secrets.ErrNotFound) {
					return s3.Credentials{}, nil
				}
				if err != nil {
					return s3.Credentials{}, err
				}
				return s3.ParseSecret(u.User, secret)
			},
		})
	}
}
