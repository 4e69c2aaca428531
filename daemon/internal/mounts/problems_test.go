package mounts_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/mounts"
	"github.com/moorage/moorage/daemon/internal/secrets"
	"github.com/moorage/moorage/mounter"
	"github.com/moorage/moorage/providers"
)

// problem makes sure that err is of that code and exit status, and speaks to a
// person.
func problem(t *testing.T, err error, code string, exit int) {
	t.Helper()
	var e *api.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an *api.Error of code %s", err, code)
	}
	if e.Problem.Code != code || e.Exit != exit {
		t.Errorf("got code %s, exit %d, want %s, %d: %v", e.Problem.Code, e.Exit, code, exit, err)
	}
	for _, s := range []string{e.Problem.What, e.Problem.Means, e.Problem.Do} {
		if s != "" && (!strings.HasSuffix(s, ".") || strings.HasSuffix(s, "..") || strings.Contains(s, "\n") || strings.ToUpper(s[:1]) != s[:1] && !strings.Contains(strings.Fields(s)[0], ":")) {
			t.Errorf("not a sentence: %q", s)
		}
	}
	if e.Problem.What == "" {
		t.Error("it does not say what happened")
	}
	if e.Problem.Do == "" && code != api.CodeBadURL {
		t.Errorf("it does not say what to do: %v", err)
	}
}

func TestBadPlaces(t *testing.T) {
	w := newWorld(t)
	w.start()
	at := func(s string) string { return filepath.Join(w.dir, "places", s) }
	for _, d := range []string{"full", "mounted"} {
		if err := os.MkdirAll(at(d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"file", "full/x"} {
		if err := os.WriteFile(at(f), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(at("full"), at("link")); err != nil {
		t.Fatal(err)
	}
	if err := w.mounter.Put(mounter.Mount{Source: "nas:/x", Dir: at("mounted")}); err != nil {
		t.Fatal(err)
	}
	for place, want := range map[string]string{
		"missing": api.CodeDirMissing, "missing/deep": api.CodeDirMissing, "file": api.CodeDirNotDir, "full": api.CodeDirNotEmpty,
		"link": api.CodeBadDir, "mounted": api.CodeDirMounted, "file/x": api.CodeDirNotDir,
	} {
		t.Run(place, func(t *testing.T) {
			w.add(api.AddDrive{URL: "fake:x", Name: "x", Dir: at(place)})
			_, err := w.m.Mount(t.Context(), "x", true)
			problem(t, err, want, api.ExitFailed)
			if err := w.m.Remove(t.Context(), "x", false); err != nil {
				t.Error(err)
			}
			if w.opener.opens != 0 {
				t.Error("the drive was opened")
			}
		})
	}
	_, err := w.m.Add(t.Context(), api.AddDrive{URL: "fake:x", Dir: "relative/dir"})
	problem(t, err, api.CodeBadDir, api.ExitUsage)
	if err := w.mounter.Take(at("mounted")); err != nil {
		t.Fatal(err)
	}
	w.leave()
	w.nothingLeft()
}

func TestBadNames(t *testing.T) {
	w := newWorld(t)
	w.start()
	for _, n := range []string{".", "..", ".hidden", "-x", "a/b", `a\b`, "a\x00b", "a\nb", "nul", "COM1.txt", "x ", "x.", "\xff", strings.Repeat("x", 65), "a:b", "$(x)", "'"} {
		_, err := w.m.Add(t.Context(), api.AddDrive{URL: "fake:x", Name: n})
		problem(t, err, api.CodeBadName, api.ExitUsage)
	}
	for _, n := range []string{"x", "My drive", "été", "a.b-c_d+e@f (2)", "комната", "console", strings.Repeat("x", 64)} {
		if d := w.add(api.AddDrive{URL: "fake:x", Name: n}); d.Name != n {
			t.Errorf("%q became %q", n, d.Name)
		}
	}
	_, err := w.m.Add(t.Context(), api.AddDrive{URL: "fake:x", Name: "x"})
	problem(t, err, api.CodeExists, api.ExitFailed)
	_, err = w.m.Add(t.Context(), api.AddDrive{URL: "what is this"})
	problem(t, err, api.CodeBadURL, api.ExitUsage)
	_, err = w.m.Mount(t.Context(), "none", true)
	problem(t, err, api.CodeNoDrive, api.ExitNotFound)
}

// Whatever stops a mount, there is one sentence and nothing is left.
func TestFailedMountsLeaveNothing(t *testing.T) {
	sys := func(kind error) error {
		return &mounter.Error{Op: "mount", Dir: "/d", Kind: kind, What: "It failed.", Do: "Do this."}
	}
	for name, tt := range map[string]struct {
		open, mount error
		code        string
		exit        int
		state       api.State
	}{
		"offline":      {open: fmt.Errorf("dial: %w: refused", providers.ErrOffline), code: api.CodeOffline, exit: 1, state: api.Failed},
		"auth":         {open: providers.ErrAuth, code: api.CodeAuth, exit: 1, state: api.NeedsYou},
		"host key":     {open: providers.ErrHostKey, code: api.CodeHostKey, exit: 1, state: api.NeedsYou},
		"no remote":    {open: providers.ErrNoRemote, code: api.CodeNoRemote, exit: 3, state: api.Failed},
		"no revision":  {open: providers.ErrNoRevision, code: api.CodeNoRevision, exit: 3, state: api.Failed},
		"rate limited": {open: &providers.RateLimitedError{}, code: api.CodeOffline, exit: 1, state: api.Failed},
		"garbage":      {open: providers.ErrProtocol, code: api.CodeOffline, exit: 1, state: api.Failed},
		"locked":       {open: secrets.ErrLocked, code: api.CodeLocked, exit: 1, state: api.NeedsYou},
		"disk full":    {open: &fs.PathError{Op: "write", Path: "/x", Err: syscall.ENOSPC}, code: api.CodeDiskFull, exit: 1, state: api.Failed},
		"unknown":      {open: errors.New("strange thing"), code: api.CodeInternal, exit: 1, state: api.Failed},
		"too slow":     {open: context.DeadlineExceeded, code: api.CodeTimeout, exit: 1, state: api.Failed},
		"no client":    {mount: sys(mounter.ErrUnsupported), code: api.CodeNoClient, exit: 4, state: api.Failed},
		"no rights":    {mount: sys(mounter.ErrPermission), code: api.CodeRights, exit: 4, state: api.Failed},
		"time-out":     {mount: sys(mounter.ErrTimeout), code: api.CodeTimeout, exit: 1, state: api.Failed},
		"refused":      {mount: sys(mounter.ErrRefused), code: api.CodeMount, exit: 1, state: api.Failed},
		"not empty":    {mount: &mounter.Error{Op: "mount", Dir: "/d", Kind: mounter.ErrDir, What: "It is not empty.", Err: syscall.ENOTEMPTY}, code: api.CodeDirNotEmpty, exit: 1, state: api.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.opener.fail = func(mounts.Request) error { return tt.open }
			w.mounter.OnMount = func(ctx context.Context, s mounter.Spec) error {
				if tt.mount != nil {
					return tt.mount
				}
				return mnt(ctx, s)
			}
			w.start()
			w.add(api.AddDrive{URL: "fake:kept", Remember: true})
			w.add(api.AddDrive{URL: "fake:gone", Secret: "s"})
			for _, n := range []string{"kept", "gone"} {
				_, err := w.m.Mount(t.Context(), n, true)
				problem(t, err, tt.code, tt.exit)
			}
			d, err := w.m.Get("kept")
			if err != nil || d.State != tt.state || d.Problem == nil || d.Problem.Code != tt.code || d.Address != "" {
				t.Errorf("the remembered drive: %+v, %v", d, err)
			}
			if st := w.stateOf("kept"); st.Mount != nil {
				t.Errorf("its state tells of a mount: %+v", st)
			}
			// It is there for another attempt, and gone when it is not wanted any more.
			if _, err := w.m.Unmount(t.Context(), "gone", api.UnmountDrive{Wait: true}); err != nil {
				t.Error(err)
			}
			w.untilGone("gone")
			if _, err := os.Stat(filepath.Join(w.dir, "Moorage")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("mount folders are left: %v", err)
			}
			if err := w.m.Remove(t.Context(), "kept", false); err != nil {
				t.Fatal(err)
			}
			w.nothingLeft()
		})
	}
}

// What the system said in its own words is shown only where nobody knows better.
func TestMountProblemsAreShort(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.add(api.AddDrive{URL: "fake:a", Remember: true})
	dir := filepath.Join(w.dir, "Moorage", "a")
	for _, tt := range []struct {
		err  mounter.Error
		want api.Problem
	}{
		{mounter.Error{Op: "mount", Kind: mounter.ErrUnsupported, What: "This kernel has no NFS client.", Do: "Load it.", Err: syscall.ENODEV},
			api.Problem{Code: api.CodeNoClient, What: "This kernel has no NFS client.", Means: "The drive a cannot be mounted at " + dir + ".", Do: "Load it."}},
		{mounter.Error{Op: "mount", Kind: mounter.ErrRefused, What: "The system could not mount.", Do: "Try again.", Err: errors.New("mount.nfs: an odd\nthing.")},
			api.Problem{Code: api.CodeMount, What: "The system could not mount: mount.nfs: an odd thing.", Means: "The drive a cannot be mounted at " + dir + ".", Do: "Try again."}},
	} {
		w.mounter.OnMount = func(context.Context, mounter.Spec) error { return &tt.err }
		_, err := w.m.Mount(t.Context(), "a", true)
		var e *api.Error
		if !errors.As(err, &e) || e.Problem != tt.want {
			t.Errorf("got %+v, want %+v", err, tt.want)
		}
	}
}

func TestRule14SecretsAreNeverInFiles(t *testing.T) {
	w := newWorld(t)
	w.start()
	const canary = "hunter2-canary"
	w.add(api.AddDrive{URL: "fake:a?secret=" + canary, Remember: true})
	w.add(api.AddDrive{URL: "fake:b", Secret: canary, Auto: true})
	w.add(api.AddDrive{URL: "fake:c"})
	if err := w.m.SetSecret(t.Context(), "c", canary); err != nil {
		t.Fatal(err)
	}
	w.mount("a")
	if w.secrets.len() != 3 {
		t.Errorf("%d secrets in the keyring", w.secrets.len())
	}
	err := filepath.WalkDir(w.dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(p)
		if strings.Contains(string(b), canary) {
			t.Errorf("%s holds the secret", p)
		}
		if st, err := e.Info(); err == nil && strings.HasPrefix(p, filepath.Join(w.dir, "state")) && st.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", p, st.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestNoKeyring(t *testing.T) {
	for want, err := range map[string]error{"none": secrets.ErrNoProvider, "locked": secrets.ErrLocked} {
		t.Run(want, func(t *testing.T) {
			w := newWorld(t)
			w.secrets.err = err
			w.start()
			_, err := w.m.Add(t.Context(), api.AddDrive{URL: "fake:x", Secret: "s", Remember: true})
			code, exit := api.CodeLocked, api.ExitFailed
			if want == "none" {
				code, exit = api.CodeKeyring, api.ExitMissing
			}
			problem(t, err, code, exit)
			if b, err := os.ReadFile(w.config); err == nil {
				t.Errorf("a config file was written:\n%s", b)
			}
			w.nothingLeft()
			w.add(api.AddDrive{URL: "fake:x", Remember: true}) // one without secret needs no keyring
			w.mount("x")
		})
	}
}

func TestDamagedConfig(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.add(api.AddDrive{URL: "fake:x", Remember: true})
	w.add(api.AddDrive{URL: "fake:y", Remember: true})
	w.mount("x")
	w.leave()
	good, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	bad := string(good) + "\nthis is no TOML\n"
	if err := os.WriteFile(w.config, []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	w.start()
	d := w.until("x", in(api.Mounted)) // what is mounted stays usable
	if !d.Remembered {
		t.Errorf("%+v", d)
	}
	_, err = w.m.List()
	problem(t, err, api.CodeConfig, api.ExitFailed)
	if !strings.Contains(err.Error(), "line "+fmt.Sprint(strings.Count(bad, "\n"))) {
		t.Errorf("the line is not named: %v", err)
	}
	_, err = w.m.Add(t.Context(), api.AddDrive{URL: "fake:z"})
	problem(t, err, api.CodeConfig, api.ExitFailed)
	_, err = w.m.Mount(t.Context(), "y", true)
	problem(t, err, api.CodeConfig, api.ExitFailed)
	problem(t, w.m.Remove(t.Context(), "y", false), api.CodeConfig, api.ExitFailed)
	if b, err := os.ReadFile(w.config); err != nil || string(b) != bad {
		t.Errorf("the file was changed:\n%s%v", b, err)
	}
	if err := os.WriteFile(w.config, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := w.m.List(); err != nil || len(l) != 2 || l[0].State != api.Mounted {
		t.Errorf("after it was mended: %+v, %v", l, err)
	}
	w.mount("y")
}

// A drive whose entry cannot be used does not keep the others away.
func TestEntriesByHand(t *testing.T) {
	w := newWorld(t)
	const text = "[[drive]]\nname = \"good\"\nurl = \"fake:x\"\ndir = \"%s\"\nauto = true\n\n[[drive]]\nname = \"bad\"\nurl = \"nonsense hunter2\"\nauto = true\n\n" +
		"[[drive]]\nname = \"a/b\"\nurl = \"fake:y\"\nauto = true\n"
	place := filepath.Join(w.dir, "place")
	if err := os.Mkdir(place, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.config, []byte(fmt.Sprintf(text, place)), 0o600); err != nil {
		t.Fatal(err)
	}
	w.start()
	if d := w.until("good", in(api.Mounted)); d.Dir != place {
		t.Errorf("%+v", d)
	}
	if d := w.until("bad", in(api.Failed)); d.Problem.Code != api.CodeBadURL || strings.Contains(fmt.Sprint(d), "hunter2") {
		t.Errorf("%+v", d)
	}
	if d := w.until("a/b", in(api.Failed)); d.Problem.Code != api.CodeBadName {
		t.Errorf("%+v", d)
	}
	if _, err := w.m.Mount(t.Context(), "a/b", true); code(err) != api.CodeBadName {
		t.Errorf("mounting it: %v", err)
	}
	if err := w.m.Remove(t.Context(), "bad", false); err != nil {
		t.Errorf("removing it: %v", err)
	}
}
