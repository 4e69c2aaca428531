package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/found"
	"github.com/moorage/moorage/daemon/internal/mounts"
	"github.com/moorage/moorage/daemon/internal/problem"
	"github.com/moorage/moorage/daemon/internal/secrets"
)

// Prospects knows what addresses name before there are drives of them. Errors are
// explained by package problem.
type Prospects interface {
	// Describe tells what an address is if its fields are set to with, and does no I/O.
	// What can be told of one that names no drive comes with the error.
	Describe(url string, with map[string]string) (api.Description, error)
	// Look signs in and lists the root until it has at least most names or all, and
	// leaves nothing behind but what it put into r's folders. It returns when ctx is
	// done, unless the operating system hangs.
	Look(ctx context.Context, r mounts.Request, most int) (api.Tried, error)
}

// Bounds of what is done for somebody who looks for a drive to add.
const (
	TriedNames = 50   // are told of a root
	triedMost  = 2000 // are counted
	tryTime    = 20 * time.Second
	foundTime  = 2 * time.Second
	manyTries  = 4
	manyFound  = 100
	graceTime  = time.Second // for what was told to end
)

// Describe implements control.Prospects, as the methods below.
func (s *Service) Describe(_ context.Context, a api.Describe) (api.Description, error) {
	d, err := s.o.Prospects.Describe(a.URL, a.With)
	if d.URL != "" && err == nil {
		d.Name, d.Dir, d.Letters = s.m.Suggest(d.Name)
	}
	if err != nil {
		d.Problem = &problem.Of(err, d.URL).Problem
	}
	return d, nil
}

// Try opens what an address names, lists it, and closes it.
func (s *Service) Try(ctx context.Context, t api.Try) (api.Tried, error) {
	loc, err := s.o.Opener.Parse(t.URL)
	if err != nil {
		return api.Tried{}, problem.Of(err, loc.URL)
	}
	if t.Secret == "" {
		t.Secret = loc.Secret
	}
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	out, err := away(ctx, s.tries, func(ctx context.Context) (api.Tried, error) {
		return s.lookAt(ctx, loc.URL, triedMost, func(context.Context) (string, error) {
			if t.Secret == "" {
				return "", secrets.ErrNotFound
			}
			return t.Secret, nil
		})
	})
	if err != nil {
		e := *problem.Of(err, loc.URL)
		if e.Problem.Code == api.CodeAuth { // there is no drive yet that stays unmounted
			e.Problem.Means, e.Problem.Do = "", "Give a password or token, or sign in with the remote's own tool (git credential, ssh-agent), then try again."
		}
		return api.Tried{}, &e
	}
	return out, nil
}

// lookAt looks at what a URL names with folders that are gone afterwards. They are where
// caches are: what is fetched meanwhile may be too much for a /tmp in memory.
func (s *Service) lookAt(ctx context.Context, url string, most int, secret func(context.Context) (string, error)) (api.Tried, error) {
	err := os.MkdirAll(s.o.Places.Cache, 0o700)
	tmp := ""
	if err == nil {
		tmp, err = os.MkdirTemp(s.o.Places.Cache, tryPrefix)
	}
	if err != nil {
		return api.Tried{}, fmt.Errorf("look at %s: %w", url, err)
	}
	defer os.RemoveAll(tmp)
	return s.o.Prospects.Look(ctx, mounts.Request{URL: url, StateDir: filepath.Join(tmp, "state"), CacheDir: filepath.Join(tmp, "cache"), ReadOnly: true,
		UID: mounts.OwnUID(), GID: mounts.OwnGID(), Private: true, Logger: s.o.Logger, Secret: secret}, most)
}

// tryPrefix begins the names of folders that nobody needs after a look.
const tryPrefix = "try-"

// forgetTries removes what a service that was killed has left of them.
func forgetTries(o Options) {
	all, err := os.ReadDir(o.Places.Cache)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	for _, e := range all {
		if strings.HasPrefix(e.Name(), tryPrefix) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(o.Places.Cache, e.Name())))
		}
	}
	if err != nil {
		o.Logger.Warn("folders of an earlier run are left", "err", err)
	}
}

// Found tells what on this computer may become a drive and is none.
func (s *Service) Found(ctx context.Context) []api.Found {
	out := []api.Found{}
	home, err := os.UserHomeDir()
	if err != nil {
		s.o.Logger.Warn("nothing is looked for that may become a drive", "err", err)
		return out
	}
	known := map[string]bool{}
	var dirs []string
	drives, err := s.m.List()
	if err != nil {
		s.o.Logger.Warn("it is not known what is a drive already", "err", err)
		return out
	}
	for _, d := range drives {
		known[d.URL] = true
		dirs = append(dirs, d.Dir)
	}
	ctx, cancel := context.WithTimeout(ctx, foundTime)
	defer cancel()
	all, err := away(ctx, s.looks, func(ctx context.Context) ([]api.Found, error) {
		return found.Look(ctx, found.Options{Home: home, Env: os.Getenv, Skip: dirs, Logger: s.o.Logger}), nil
	})
	if err != nil {
		s.o.Logger.Warn("looking for what may become a drive takes too long", "err", err)
	}
	for _, f := range all {
		whole := f.URL
		if f.Gap > 0 {
			whole = f.URL[:f.Gap] + "x" + f.URL[f.Gap:]
		}
		if _, err := s.o.Opener.Parse(whole); err == nil && !known[f.URL] && len(out) < manyFound {
			out = append(out, f)
		}
	}
	return out
}

// away runs f, which may hang in the operating system, with a token of slots. An f that
// hangs is left alone; it keeps its token until it comes back, so that no more of them
// can hang than there are tokens.
func away[T any](ctx context.Context, slots chan struct{}, f func(ctx context.Context) (T, error)) (out T, err error) {
	select {
	case slots <- struct{}{}:
	case <-ctx.Done():
		return out, ctx.Err()
	}
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		defer func() { <-slots }()
		v, err := f(ctx)
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.v, r.err
	case <-ctx.Done():
	}
	grace := time.NewTimer(graceTime)
	defer grace.Stop()
	select {
	case r := <-done:
		return r.v, r.err
	case <-grace.C:
		return out, ctx.Err()
	}
}
