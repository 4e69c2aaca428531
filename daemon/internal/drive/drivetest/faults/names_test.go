package faults

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/moorage/moorage/daemon/internal/drive"
	"github.com/moorage/moorage/daemon/internal/drive/drivetest/rough"
	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/s3"
	"github.com/moorage/moorage/providers/s3/s3test"
)

// oddNames are names that some system or remote has trouble with, by what they are.
func oddNames() map[string][]string {
	return map[string][]string{
		"NFC and NFD twins":   {"\u00fc.txt", "u\u0308.txt"},
		"case twins":          {"Readme", "README", "readme"},
		"trailing dot":        {"end.", "end"},
		"trailing space":      {"end ", "end"},
		"CON":                 {"CON", "con.txt", "NUL", "COM1"},
		"colon":               {"a:b", ":", "c:\\d"},
		"255 bytes":           {strings.Repeat("n", 255), strings.Repeat("\u00fc", 127)},
		"what shells dislike": {"-rf", "*", "?", "\"", "a\tb", "%2e", "<|>"},
	}
}

// TestNames has odd names on the remote, and makes them here: all are shown and
// read, and get there.
func TestNames(t *testing.T) {
	t.Parallel()
	for what, names := range oddNames() {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, rough.Options{})
				has := tree{"there/": "", "here/": "", "moved/": ""}
				for i, n := range names {
					has["there/"+n] = fmt.Sprint("number ", i)
				}
				w.has(has)
				w.open()
				w.verify()
				for i, n := range names {
					w.save("here/"+n, fmt.Sprint("mine ", i))
					w.write("there/"+n, "other", 0)
					w.rename("here/"+n, "moved/"+n)
					w.save("here/"+n, fmt.Sprint("again ", i))
				}
				w.ends()
				w.reopen()
				w.verify()
			})
		})
	}
}

// TestNamesOfAStore is TestNames over a real S3 server.
func TestNamesOfAStore(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t)
	files := tree{"there/": ""}
	for what, names := range oddNames() {
		if what == "255 bytes" || what == "what shells dislike" {
			continue // the server keeps them in files of this computer
		}
		for i, n := range names {
			files["there/"+n] = fmt.Sprint("number ", i)
		}
	}
	atShop(t, newShop(t, srv), files, s3.Options{}, func(w *world, _ *line) {
		w.know(files)
		w.verify()
		w.mkdir("here")
		for p, content := range files {
			if p != "there/" {
				w.save("here/"+path.Base(p), content)
			}
		}
		w.ends()
	})
}

// TestFileAndFolderOfOneName has a store with a file "a" and files below "a/": only
// one of them can be shown, and neither is lost by what is done here.
func TestFileAndFolderOfOneName(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t)
	s := newShop(t, srv)
	atShop(t, s, tree{"a/": "", "a/b": before}, s3.Options{}, func(w *world, l *line) {
		// This server cannot have both, so that its answers are changed.
		l.set(besides("a"))
		w.know(tree{"a/b": before})
		w.verify()
		w.save("a/c", "text")
		w.write("a/b", "other", 0)
		w.ends()
	})
}

// picky is a remote that refuses some names, and maybe takes names that differ in
// case for one.
type picky struct {
	*rough.Session
	refuses  func(name string) error
	caseless bool
}

func (p picky) Info() providers.Info {
	i := p.Session.Info()
	i.CaseInsensitive = p.caseless
	return i
}

// real is the name that the remote has for a path.
func (p picky) real(ctx context.Context, at string) string {
	if !p.caseless || at == "" {
		return at
	}
	dir := p.real(ctx, strings.TrimSuffix(strings.TrimSuffix(at, path.Base(at)), "/"))
	for cursor := ""; ; {
		page, err := p.Session.ReadDir(ctx, dir, cursor)
		if err != nil {
			return path.Join(dir, path.Base(at))
		}
		for _, e := range page.Entries {
			if strings.EqualFold(e.Name, path.Base(at)) {
				return path.Join(dir, e.Name)
			}
		}
		if cursor = page.Next; cursor == "" {
			return path.Join(dir, path.Base(at))
		}
	}
}

func (p picky) check(at string) error {
	if p.refuses == nil {
		return nil
	}
	if err := p.refuses(path.Base(at)); err != nil {
		return fmt.Errorf("%q: %w", at, err)
	}
	return nil
}

func (p picky) Stat(ctx context.Context, at string) (providers.Entry, error) {
	return p.Session.Stat(ctx, p.real(ctx, at))
}

func (p picky) Open(ctx context.Context, at string, v providers.Version) (providers.Object, error) {
	return p.Session.Open(ctx, p.real(ctx, at), v)
}

func (p picky) Put(ctx context.Context, at string, src providers.Source, o providers.PutOptions) (providers.Entry, error) {
	if err := p.check(at); err != nil {
		return providers.Entry{}, err
	}
	return p.Session.Put(ctx, p.real(ctx, at), src, o)
}

func (p picky) Mkdir(ctx context.Context, at string) (providers.Entry, error) {
	if err := p.check(at); err != nil {
		return providers.Entry{}, err
	}
	return p.Session.Mkdir(ctx, p.real(ctx, at))
}

func (p picky) Remove(ctx context.Context, at string, c providers.Cond) error {
	return p.Session.Remove(ctx, p.real(ctx, at), c)
}

func (p picky) Move(ctx context.Context, from, to string, c providers.Cond) (providers.Entry, error) {
	if err := p.check(to); err != nil {
		return providers.Entry{}, err
	}
	from = p.real(ctx, from)
	if !strings.EqualFold(from, to) {
		to = p.real(ctx, to)
	}
	return p.Session.Move(ctx, from, to, c)
}

// TestRefusedNames has a remote refuse a name: that one file waits, with the reason,
// stays usable here, and is published when it has another name. The others do not
// wait.
func TestRefusedNames(t *testing.T) {
	t.Parallel()
	for what, err := range map[string]error{"invalid": fs.ErrInvalid, "unsupported": providers.ErrUnsupported, "permission": providers.ErrPermission} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, rough.Options{})
				w.provide = func(s *rough.Session) providers.Provider {
					return picky{Session: s, refuses: func(name string) error {
						if strings.ContainsAny(name, ":") || strings.HasSuffix(name, ".") || name == "CON" {
							return err
						}
						return nil
					}}
				}
				w.has(tree{"f": before})
				w.open()
				w.verify()
				w.save("CON", "one")
				w.mkdir("end.")
				w.save("end./in", "two")
				w.rename("f", "a:b")
				w.save("fine", "three")
				w.until("the others to be published", func() bool {
					return w.remoteTree()["fine"] == "three" && w.d.Status().Parked == 3
				})
				for _, e := range w.d.Ledger(10) {
					if e.State == drive.Parked && !errors.Is(e.Err, err) {
						t.Errorf("%s is parked for %v", e.Path, e.Err)
					}
				}
				if got := w.remoteTree(); got["f"] != before {
					t.Errorf("what cannot have its new name has lost its old one: %q", got)
				}
				w.reopen()
				w.verify()
				w.rename("CON", "con")
				w.rename("end.", "end")
				w.rename("a:b", "ab")
				w.ends()
			})
		})
	}
}

// TestCaselessRemote makes names here that differ in case only, on a remote for which
// they are one: neither takes the other's content.
func TestCaselessRemote(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, rough.Options{})
		w.provide = func(s *rough.Session) providers.Provider { return picky{Session: s, caseless: true} }
		w.has(tree{"readme": before})
		w.open()
		w.verify()
		w.save("README", "mine")
		if err := w.settle(); err != nil {
			t.Error(err)
		}
		got := w.remoteTree()
		copies := 0
		for p, content := range got {
			if strings.HasPrefix(p, "README (conflict host ") && content == "mine" {
				copies++
			}
		}
		if got["readme"] != before || copies != 1 || len(got) != 2 {
			t.Errorf("the remote has %q", got)
		}
		w.acked = got
		w.verify()

		w.rename("readme", "Readme") // the same file
		w.ends()
	})
}
