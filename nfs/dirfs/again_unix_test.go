//go:build linux || darwin

package dirfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/nfs"
)

// caller is me with a call that has a key.
func caller(key uint64) *nfs.Caller {
	c := me()
	c.Call = callKey(key)
	return c
}

// repeated is a call that must not be done twice.
type repeated struct {
	name string
	do   func(ctx context.Context, c *nfs.Caller, f *FS) (nfs.Attr, error)
	// other is what a second such call with another key gets.
	other error
}

// repeatedCalls work in a folder that prepareRepeated made, one after the other.
func repeatedCalls(id func(name string) nfs.ID, ctimeOf func(name string) time.Time) []repeated {
	set := nfs.SetAttr{Valid: nfs.SetMode | nfs.SetMtime, Mode: 0o640, Mtime: time.Unix(1e9, 5000)}
	create := func(mode nfs.CreateMode) func(context.Context, *nfs.Caller, *FS) (nfs.Attr, error) {
		return func(ctx context.Context, c *nfs.Caller, f *FS) (nfs.Attr, error) {
			how := nfs.CreateHow{Mode: mode, Set: set}
			if mode == nfs.Exclusive {
				how = nfs.CreateHow{Mode: mode, Verifier: [8]byte{1, 2, 3, byte(c.Call[0])}}
			}
			how.Set.Size = 100
			if mode != nfs.Exclusive {
				how.Set.Valid |= nfs.SetSize
			}
			a, _, err := f.Create(ctx, c, f.Root(), fmt.Sprint("create", mode), how)
			return a, err
		}
	}
	rename := func(from, toDir, to string) func(context.Context, *nfs.Caller, *FS) (nfs.Attr, error) {
		return func(ctx context.Context, c *nfs.Caller, f *FS) (nfs.Attr, error) {
			dir := f.Root()
			if toDir != "" {
				dir = id(toDir)
			}
			_, _, err := f.Rename(ctx, c, f.Root(), from, dir, to)
			if err != nil {
				return nfs.Attr{}, err
			}
			return f.Lookup(ctx, c, dir, to)
		}
	}
	return []repeated{
		{"create unchecked", create(nfs.Unchecked), nil},
		{"create guarded", create(nfs.Guarded), nfs.ErrExist},
		{"create exclusive", create(nfs.Exclusive), nfs.ErrExist},
		{"mkdir", func(ctx context.Context, c *nfs.Caller, f *FS) (nfs.Attr, error) {
			a, _, err := f.Mkdir(ctx, c, f.Root(), "mkdir", set)
			return a, err
		}, nfs.ErrExist},
		{"symlink", func(ctx context.Context, c *nfs.Caller, f *FS) (nfs.Attr, error) {
			a, _, err := f.Symlink(ctx, c, f.Root(), "symlink", "target", nfs.SetAttr{})
			return a, err
		}, nfs.ErrExist},
		{"mknod", func(ctx context.Context, c *nfs.Caller, f *FS) (nfs.Attr, error) {
			a, _, err := f.Mknod(ctx, c, f.Root(), "fifo", nfs.TypeFIFO, set, 0, 0)
			return a, err
		}, nfs.ErrExist},
		{"link", func(ctx context.Context, c *nfs.Caller, f *FS) (nfs.Attr, error) {
			a, _, err := f.Link(ctx, c, id("linked"), f.Root(), "link")
			return a, err
		}, nfs.ErrExist},
		{"remove", func(ctx context.Context, c *nfs.Caller, f *FS) (nfs.Attr, error) {
			_, err := f.Remove(ctx, c, f.Root(), "remove")
			return nfs.Attr{}, err
		}, nfs.ErrNoEnt},
		{"rmdir", func(ctx context.Context, c *nfs.Caller, f *FS) (nfs.Attr, error) {
			_, err := f.Rmdir(ctx, c, f.Root(), "rmdir")
			return nfs.Attr{}, err
		}, nfs.ErrNoEnt},
		{"rename", rename("from1", "", "to1"), nfs.ErrNoEnt},
		{"rename to another folder", rename("from2", "sub", "to2"), nfs.ErrNoEnt},
		{"rename over a file", rename("from3", "sub", "over"), nfs.ErrNoEnt},
		{"rename of a folder", rename("fromdir", "sub", "todir"), nfs.ErrNoEnt},
		{"set attributes with a guard", func(ctx context.Context, c *nfs.Caller, f *FS) (nfs.Attr, error) {
			was := ctimeOf("guarded")
			_, err := f.SetAttr(ctx, c, id("guarded"), nfs.SetAttr{Valid: nfs.SetMode, Mode: 0o604}, &was)
			if err != nil {
				return nfs.Attr{}, err
			}
			return f.GetAttr(ctx, c, id("guarded"))
		}, nfs.ErrNotSync},
	}
}

// prepareRepeated opens a folder with what repeatedCalls need.
func prepareRepeated(t *testing.T) (dir string, o Options, f *FS, calls []repeated) {
	t.Helper()
	dir, o = t.TempDir(), Options{StateDir: t.TempDir()}
	for _, name := range []string{"sub", "rmdir", "fromdir"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"linked", "remove", "from1", "from2", "from3", "sub/over", "guarded"} {
		writeFile(t, filepath.Join(dir, name), name)
	}
	f = first(t, dir, o)
	known := map[string]nfs.Attr{}
	for _, name := range []string{"sub", "linked", "guarded"} {
		known[name] = lookup(t, f, f.Root(), name)
	}
	time.Sleep(hostTick) // so that a change moves ctime
	return dir, o, f, repeatedCalls(
		func(name string) nfs.ID { return known[name].ID },
		func(name string) time.Time { return known[name].Ctime },
	)
}

// tree tells all that is in dir and must not change when nothing is done.
func tree(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.Walk(dir, func(path string, fi os.FileInfo, err error) error {
		if err == nil && path != dir {
			all = append(all, fmt.Sprint(path, " ", fi.Mode(), " ", inoOf(fi)))
			if !fi.IsDir() {
				all = append(all, fmt.Sprint(fi.Size(), " ", fi.ModTime()))
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestRepeatedAfterProcessEnds: the process ends after a change and before its
// reply; the client repeats the call, and it is as if it were made once.
func TestRepeatedAfterProcessEnds(t *testing.T) {
	dir, o, f, calls := prepareRepeated(t)
	was := make([]nfs.Attr, len(calls))
	for i, c := range calls {
		var err error
		if was[i], err = c.do(t.Context(), caller(uint64(i)), f); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
	}
	before := tree(t, dir)
	for round := range 2 {
		f = f.again(t, dir, o)
		for i, c := range calls {
			if _, ok := f.KeptReply(callKey(uint64(i))); ok {
				t.Errorf("%s: there is a reply", c.name)
			}
			a, err := c.do(t.Context(), caller(uint64(i)), f)
			if err != nil || a.ID != was[i].ID || a.Type != was[i].Type || a.Mode != was[i].Mode || a.UID != was[i].UID || a.GID != was[i].GID || a.Nlink != was[i].Nlink || a.Size != was[i].Size {
				t.Errorf("%s, repeated in process %d: %+v, %v, want %+v", c.name, round+2, a, err, was[i])
			}
		}
		if after := tree(t, dir); !slices.Equal(before, after) {
			t.Errorf("the folder was\n%q, is\n%q", before, after)
		}
	}
	for i, c := range calls {
		_, err := c.do(t.Context(), caller(uint64(1000+i)), f)
		wantErr(t, c.name+" as another call", err, c.other)
		_, err = c.do(t.Context(), me(), f)
		wantErr(t, c.name+" without a key", err, c.other)
	}
}

// TestRepliesOutliveProcess: a reply that was kept is there in the next process.
func TestRepliesOutliveProcess(t *testing.T) {
	dir, o, f, calls := prepareRepeated(t)
	for i, c := range calls {
		if _, err := c.do(t.Context(), caller(uint64(i)), f); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		f.KeepReply(callKey(uint64(i)), []byte(c.name))
	}
	f = f.again(t, dir, o)
	for i, c := range calls {
		if r, ok := f.KeptReply(callKey(uint64(i))); !ok || string(r) != c.name {
			t.Errorf("%s: reply %q, %v", c.name, r, ok)
		}
	}
	if _, ok := f.KeptReply(callKey(1000)); ok {
		t.Error("a reply to a call that never was")
	}
}

// TestHalfMade: the process ended in the midst of a call, which the next one
// finishes, if the object is not older than the call.
func TestHalfMade(t *testing.T) {
	dir, o := t.TempDir(), Options{StateDir: t.TempDir()}
	set := nfs.SetAttr{Valid: nfs.SetMode | nfs.SetMtime | nfs.SetSize, Mode: 0o464, Mtime: time.Unix(1e9, 7000), Size: 1234}
	c := me()
	if c.UID == 0 {
		c = &nfs.Caller{UID: 4321, GID: 4322}
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	call := func(key uint64) *nfs.Caller { k := *c; k.Call = callKey(key); return &k }
	f := first(t, dir, o)
	now := time.Now()
	for i := range uint64(8) {
		begun := now
		if i >= 4 {
			begun = now.Add(time.Hour)
		}
		f.replies.begin(callKey(i), 0, begun)
	}
	path := func(format string, i int) string { return filepath.Join(dir, fmt.Sprintf(format, i)) }
	for _, i := range []int{0, 4} {
		err := errors.Join(
			os.WriteFile(path("file%d", i), nil, 0), os.WriteFile(path("exclusive%d", i), nil, 0),
			os.Mkdir(path("dir%d", i), 0o700), os.Symlink("to", path("link%d", i)),
		)
		if err != nil {
			t.Fatal(err)
		}
	}
	f = f.again(t, dir, o)
	for _, i := range []int{0, 4} {
		key := uint64(i)
		file, _, err1 := f.Create(t.Context(), call(key), f.Root(), fmt.Sprint("file", i), nfs.CreateHow{Mode: nfs.Guarded, Set: set})
		excl, _, err2 := f.Create(t.Context(), call(key+1), f.Root(), fmt.Sprint("exclusive", i), nfs.CreateHow{Mode: nfs.Exclusive, Verifier: [8]byte{9}})
		sub := set
		sub.Valid &^= nfs.SetSize
		d, _, err3 := f.Mkdir(t.Context(), call(key+2), f.Root(), fmt.Sprint("dir", i), sub)
		s, _, err4 := f.Symlink(t.Context(), call(key+3), f.Root(), fmt.Sprint("link", i), "to", nfs.SetAttr{})
		if i == 4 && hostTellsBirth(t, f) {
			for _, err := range []error{err1, err2, err3, err4} {
				wantErr(t, "what is older than the call", err, nfs.ErrExist)
			}
			continue
		}
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			t.Fatal(err)
		}
		at, mt := verifierTimes([8]byte{9})
		if file.Mode != 0o464 || file.Size != 1234 || !file.Mtime.Equal(set.Mtime) || excl.Mode != 0o600 || !excl.Atime.Equal(at) || !excl.Mtime.Equal(mt) ||
			d.Mode != 0o464 || !d.Mtime.Equal(set.Mtime) || s.Type != nfs.TypeSymlink {
			t.Errorf("%+v\n%+v\n%+v\n%+v", file, excl, d, s)
		}
		for _, a := range []nfs.Attr{file, excl, d, s} {
			if a.UID != c.UID || a.GID != c.GID {
				t.Errorf("%+v belongs to %d:%d", a, a.UID, a.GID)
			}
		}
	}
}

func hostTellsBirth(t *testing.T, f *FS) bool {
	t.Helper()
	s, err := statFD(f.rootDesc.fd, false)
	if err != nil {
		t.Fatal(err)
	}
	return s.birth != 0
}

// TestNewObjectUnderTheName: a call whose change was made is not made again on
// what has the name since.
func TestNewObjectUnderTheName(t *testing.T) {
	dir, o := t.TempDir(), Options{StateDir: t.TempDir()}
	for _, name := range []string{"a", "b"} {
		writeFile(t, filepath.Join(dir, name), "first")
	}
	f := first(t, dir, o)
	if _, err := f.Remove(t.Context(), caller(1), f.Root(), "a"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Rename(t.Context(), caller(2), f.Root(), "b", f.Root(), "c"); err != nil {
		t.Fatal(err)
	}
	f.fds.close()
	for _, name := range []string{"a", "b"} {
		writeFile(t, filepath.Join(dir, name), "second")
	}
	f = f.again(t, dir, o)
	if _, err := f.Remove(t.Context(), caller(1), f.Root(), "a"); err != nil {
		t.Error(err)
	}
	if _, _, err := f.Rename(t.Context(), caller(2), f.Root(), "b", f.Root(), "c"); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{"a": "second", "b": "second", "c": "first"} {
		if got := read(t, f, lookup(t, f, f.Root(), name).ID); got != want {
			t.Errorf("%s reads %q, want %q", name, got, want)
		}
	}
}

// TestBegunOnly: the process ended before the change, which is made then.
func TestBegunOnly(t *testing.T) {
	dir, o, f, calls := prepareRepeated(t)
	victims := map[string]nfs.ID{}
	for call, name := range map[string]string{"remove": "remove", "rmdir": "rmdir", "rename": "from1", "link": "linked"} {
		victims[call] = lookup(t, f, f.Root(), name).ID
	}
	for i, c := range calls {
		f.replies.begin(callKey(uint64(i)), victims[c.name], time.Now())
	}
	f = f.again(t, dir, o)
	for i, c := range calls {
		if _, ok := victims[c.name]; !ok && i >= 6 {
			continue
		}
		if _, err := c.do(t.Context(), caller(uint64(i)), f); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		f.KeepReply(callKey(uint64(i)), []byte(c.name))
	}
	for gone, here := range map[string]string{"remove": "create0", "rmdir": "mkdir", "from1": "to1", "none": "link"} {
		if _, err := os.Lstat(filepath.Join(dir, gone)); !os.IsNotExist(err) {
			t.Errorf("%s: %v", gone, err)
		}
		if _, err := os.Lstat(filepath.Join(dir, here)); err != nil {
			t.Error(err)
		}
	}
	f = f.again(t, dir, o)
	if r, ok := f.KeptReply(callKey(0)); !ok || string(r) != calls[0].name {
		t.Errorf("reply %q, %v", r, ok)
	}
}

// TestNotToBeSeenIsNotDone: that a name cannot be looked at does not mean that
// the call had been made.
func TestNotToBeSeenIsNotDone(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("the superuser sees everything; TestAsOrdinaryUser runs this as somebody else")
	}
	dir, o := t.TempDir(), Options{StateDir: t.TempDir()}
	sub := filepath.Join(dir, "sub")
	if err := os.Mkdir(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(sub, "a"), "x")
	f := first(t, dir, o)
	d := lookup(t, f, f.Root(), "sub")
	a := lookup(t, f, d.ID, "a")
	f.replies.begin(callKey(1), a.ID, time.Now())
	if err := os.Chmod(sub, 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(sub, 0o700)
	f = f.again(t, dir, o)
	super := &nfs.Caller{Call: callKey(1)}
	_, err := f.Remove(t.Context(), super, d.ID, "a")
	wantErr(t, "remove", err, unix.EACCES)
	_, _, err = f.Rename(t.Context(), super, d.ID, "a", f.Root(), "b")
	wantErr(t, "rename", err, unix.EACCES)
}
