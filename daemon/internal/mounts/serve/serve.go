// Package serve runs one drive in the foreground, for any NFS client of this
// computer, without the service and without a mount.
package serve

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/lockfile"
	"github.com/moorage/moorage/daemon/internal/mounts"
	"github.com/moorage/moorage/daemon/internal/problem"
	"github.com/moorage/moorage/daemon/internal/secrets"
	"github.com/moorage/moorage/daemon/internal/state"
	"github.com/moorage/moorage/nfs"
)

// Options say what to serve and where.
type Options struct {
	URL      string
	Listen   string // loopback address; "": 127.0.0.1:0
	Export   string // export path; "": from the URL
	ReadOnly bool
	Cache    string // folder for cache and journal; "": a temporary one
	Portmap  string // loopback address of a portmapper, with Listen's host; "": none

	Opener mounts.Opener
	Login  string // the drive's password or token; "": the one in URL, or what Secret tells
	// Secret reads the secret of the drive at url; secrets.ErrNotFound if
	// there is none.
	Secret func(ctx context.Context, url string) (string, error)
	Stdout io.Writer // gets one Ready as a line of JSON
	Trace  io.Writer // gets a line for each call; nil: none
	Stats  io.Writer // gets a table of all calls at the end; nil: none
	Logger *slog.Logger
}

// Ready is what is written when clients can come.
type Ready struct {
	Address string `json:"address"`           // "127.0.0.1:2049"
	Export  string `json:"export"`            // "/name"
	Mount   string `json:"mount"`             // the command to type, with DIR for the place
	Portmap string `json:"portmap,omitempty"` // "127.0.0.1:111"
}

const (
	openTimeout = time.Minute
	stopTimeout = 15 * time.Second
)

// Run serves until ctx is done, which is no error, and ends when what was changed
// is safe on this computer. Without Options.Cache what is not on the remote then
// gets a while to be published; what is left stays where it is, and the error tells. Errors are *api.Error.
func Run(ctx context.Context, o Options) (err error) {
	loc, err := o.Opener.Parse(o.URL)
	if err != nil {
		return problem.Of(err, "the drive")
	}
	if o.Export == "" {
		o.Export = "/" + loc.Name
	}
	if o.Export != path.Clean(o.Export) || !path.IsAbs(o.Export) || o.Export == "/" {
		return usage(fmt.Sprintf("%q is no export path.", o.Export), "Give a slash and a name, such as /"+loc.Name+".")
	}
	l, err := listen(ctx, o.Listen)
	if err != nil {
		return err
	}
	closeListener := true
	defer func() {
		if closeListener {
			l.Close()
		}
	}()
	ready := Ready{Export: o.Export}
	var pm *portmapper
	if o.Portmap != "" {
		if pm, err = listenPortmap(ctx, o.Portmap, l.Addr(), o.Logger); err != nil {
			return err
		}
		defer pm.stop()
		ready.Portmap = pm.tcp.Addr().String()
	}
	temporary := false // the cache is removed at the end
	if o.Cache == "" {
		if o.Cache, err = os.MkdirTemp("", "moorage-serve-*"); err != nil {
			return problem.Of(err, loc.URL)
		}
		temporary = true
		defer func() {
			if temporary {
				os.RemoveAll(o.Cache)
			}
		}()
	}
	d, release, err := continued(o.Cache, loc)
	if err != nil {
		return problem.Of(err, loc.URL)
	}
	defer release()

	src, err := open(ctx, o, loc, d.ID)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return problem.Of(err, loc.URL)
	}
	defer func() {
		keep, ferr := o.finish(src, d.ID, loc.URL, ready.Address, temporary)
		temporary = temporary && !keep
		if err == nil {
			err = ferr
		}
	}()
	readOnly := o.ReadOnly || src.ReadOnly
	closeListener = false
	seen, tell := o.observer()
	defer tell()
	srv, err := mounts.Start(l, nfs.Export{Path: o.Export, FS: src.FS, Key: d.Key, FSID: d.FSID, ReadOnly: readOnly}, o.Logger, seen)
	if errors.Is(err, nfs.ErrExport) {
		return usage(fmt.Sprintf("%q is no export path.", o.Export), "Give a slash and a name, such as /"+loc.Name+".")
	}
	if err != nil {
		return problem.Of(err, loc.URL)
	}
	ready.Address, ready.Mount = srv.Addr().String(), mountCommand(srv.Addr(), o.Export, readOnly)
	if pm != nil {
		err = pm.start(srv.Addr())
	}
	if err == nil {
		err = json.NewEncoder(o.Stdout).Encode(ready)
	}
	if err == nil {
		err = wait(ctx, o.Logger, src, srv)
	}
	sctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if serr := srv.Stop(sctx); err == nil && serr != nil {
		err = fmt.Errorf("stop the server: %w", serr)
	}
	if err != nil {
		return problem.Of(err, loc.URL)
	}
	return nil
}

// parkedLogged is how many changes are looked at for what cannot be published.
const parkedLogged = 100

// wait returns nil when ctx is done, and an error if the server ends before.
func wait(ctx context.Context, log *slog.Logger, src *mounts.Source, srv *mounts.Server) error {
	var was mounts.Health // what was logged
	if src.Health != nil {
		was = src.Health()
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-srv.Done():
			return errors.New("the server ended by itself")
		case <-src.Changes:
			h := src.Health()
			switch {
			case h.Online && (!was.Online || h.Revision != was.Revision):
				log.Info("the remote is online", "revision", h.Revision)
			case !h.Online && was.Online:
				log.Warn("the remote is offline", "err", h.Err, "unpublished", h.Pending.Files)
			case h.Pending.Parked > was.Pending.Parked:
				for _, u := range src.Ledger(parkedLogged) {
					if u.State == api.UploadParked {
						log.Warn("a change cannot be published", "path", u.Path, "err", u.Err)
					}
				}
			}
			was = h
		}
	}
}

func usage(what, do string) error {
	return problem.New(api.ExitUsage, api.CodeBadRequest, what, "", do)
}

// listen listens on addr, which only this computer can reach.
func listen(ctx context.Context, addr string) (net.Listener, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	host, port, err := loopback(addr)
	if err != nil {
		return nil, err
	}
	l, err := mounts.Listen(ctx, net.JoinHostPort(host, port))
	if err != nil {
		return nil, listenError(err, addr, help{
			taken:      "End it, or choose another port; 127.0.0.1:0 takes a free one.",
			permission: "Choose a port from 1024 on; 127.0.0.1:0 takes a free one.",
			other:      "Give 127.0.0.1:PORT, or leave it out.",
		})
	}
	return l, nil
}

// loopback takes apart an address that only this computer can reach.
func loopback(addr string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(addr)
	if host == "localhost" {
		host = "127.0.0.1"
	}
	ip, ierr := netip.ParseAddr(host)
	if err != nil || ierr != nil || !ip.IsLoopback() {
		return "", "", usage(fmt.Sprintf("%q is no address of this computer alone.", addr),
			"NFS has no passwords, so only loopback is served: give 127.0.0.1:PORT, or leave it out.")
	}
	return host, port, nil
}

// help is what to do about an address that cannot be had.
type help struct{ taken, permission, other string }

// listenError explains why listening on addr failed.
func listenError(err error, addr string, do help) error {
	switch {
	case errors.Is(err, errTaken):
		return problem.New(api.ExitFailed, api.CodePortTaken, fmt.Sprintf("Another program listens on %s.", addr), "", do.taken)
	case errors.Is(err, errForbidden):
		return problem.New(api.ExitFailed, api.CodePermission, fmt.Sprintf("The system does not let you listen on %s.", addr), "", do.permission)
	}
	return usage(fmt.Sprintf("Listening on %s failed: %v.", addr, err), do.other)
}

// continued finds or makes the identity of the drive in folder cache, so that
// handles of an earlier run there go on, and keeps a second run away from it.
func continued(cache string, loc mounts.Location) (d state.Drive, release func(), err error) {
	cache, err = filepath.Abs(cache)
	if err != nil {
		return d, nil, fmt.Errorf("find the cache folder: %w", err)
	}
	store, err := state.Open(cache)
	if err != nil {
		return d, nil, err
	}
	sum := sha256.Sum256([]byte(loc.URL))
	id := hex.EncodeToString(sum[:8])
	if err := os.MkdirAll(store.Dir(id), 0o700); err != nil {
		return d, nil, fmt.Errorf("make the cache folder: %w", err)
	}
	lock, err := lockfile.Acquire(filepath.Join(store.Dir(id), "serve.lock"))
	var held *lockfile.HeldError
	if errors.As(err, &held) {
		return d, nil, problem.New(api.ExitFailed, api.CodeRunning,
			fmt.Sprintf("Another moorage serve (pid %d) works on this drive in %s.", held.PID, cache), "", "End it, or give another --cache.")
	}
	if err != nil {
		return d, nil, err
	}
	release = func() { lock.Release() }
	d, err = store.Load(id)
	if errors.Is(err, fs.ErrNotExist) {
		if d, err = state.New(rand.Reader); err == nil {
			d.ID, d.Name, d.URL = id, loc.Name, loc.URL
			err = store.Save(d)
		}
	}
	if err != nil {
		release()
		return d, nil, err
	}
	return d, release, nil
}

// stateDir is where the drive keeps its state in the cache folder.
func stateDir(cache, id string) string { return filepath.Join(cache, id) }

// open opens the drive and makes sure that it can be listed.
func open(ctx context.Context, o Options, loc mounts.Location, id string) (*mounts.Source, error) {
	octx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	cache, err := filepath.Abs(o.Cache)
	if err != nil {
		return nil, fmt.Errorf("find the cache folder: %w", err)
	}
	dir := stateDir(cache, id)
	src, err := o.Opener.Open(octx, mounts.Request{
		URL: loc.URL, StateDir: dir, CacheDir: filepath.Join(dir, "cache"), ReadOnly: o.ReadOnly,
		UID: mounts.OwnUID(), GID: mounts.OwnGID(), Logger: o.Logger,
		Secret: func(ctx context.Context) (string, error) {
			if s := cmp.Or(o.Login, loc.Secret); s != "" {
				return s, nil
			}
			if o.Secret == nil {
				return "", secrets.ErrNotFound
			}
			return o.Secret(ctx, loc.URL)
		},
	})
	if err != nil {
		return nil, err
	}
	if err := src.List(ctx, mounts.OwnUID(), mounts.OwnGID()); err != nil {
		if src.Close != nil {
			_ = src.Close() // err is what matters
		}
		return nil, err
	}
	return src, nil
}
