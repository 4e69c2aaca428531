//go:build linux || darwin

package dirfs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
)

// reopen closes f and opens the folder again, as after a restart.
func (f *FS) again(t *testing.T, dir string, o Options) *FS {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	g, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	return g
}

func first(t *testing.T, dir string, o Options) *FS {
	t.Helper()
	f, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestIDsOutliveRestart(t *testing.T) {
	dir, o := t.TempDir(), Options{StateDir: t.TempDir()}
	f := first(t, dir, o)
	rootID := f.Root()
	d, _, err := f.Mkdir(t.Context(), me(), rootID, "d", nfs.SetAttr{})
	if err != nil {
		t.Fatal(err)
	}
	a := create(t, f, d.ID, "a", "in d")
	s, _, err := f.Symlink(t.Context(), me(), d.ID, "s", "a", nfs.SetAttr{})
	if err != nil {
		t.Fatal(err)
	}
	g := f.again(t, dir, o)
	if g.Root() != rootID {
		t.Errorf("root was %d, is %d", rootID, g.Root())
	}
	if got := read(t, g, a.ID); got != "in d" {
		t.Errorf("read %q", got)
	}
	if target, err := g.Readlink(t.Context(), me(), s.ID); err != nil || target != "a" {
		t.Errorf("readlink %q, %v", target, err)
	}
	if got := lookup(t, g, rootID, "d/a"); got.ID != a.ID {
		t.Errorf("id was %d, is %d", a.ID, got.ID)
	}
	if got := lookup(t, g, d.ID, ".."); got.ID != rootID {
		t.Errorf("parent of d is %d", got.ID)
	}
}

func TestRenamedBesideUsWhileClosed(t *testing.T) {
	for _, c := range []struct{ name, from, to string }{
		{"sibling", "d/a", "d/b"},
		{"other directory", "d/a", "e/x/b"},
		{"parent", "d", "f"},
		{"grandparent moved", "d", "e/x/d"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, o := t.TempDir(), Options{StateDir: t.TempDir()}
			for _, d := range []string{"d", "e/x"} {
				if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			writeFile(t, filepath.Join(dir, "d/a"), "found")
			f := first(t, dir, o)
			a := lookup(t, f, f.Root(), "d/a")
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(dir, c.from), filepath.Join(dir, c.to)); err != nil {
				t.Fatal(err)
			}
			g := open(t, dir, o)
			if got := read(t, g, a.ID); got != "found" {
				t.Errorf("read %q", got)
			}
		})
	}
}

func TestDeletedWhileClosedIsStale(t *testing.T) {
	dir, o := t.TempDir(), Options{StateDir: t.TempDir()}
	writeFile(t, filepath.Join(dir, "a"), "x")
	f := first(t, dir, o)
	a := lookup(t, f, f.Root(), "a")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	// Where the host uses the inode number again, it must not be taken for a.
	for i := range 50 {
		writeFile(t, filepath.Join(dir, "new"+strconv.Itoa(i)), "other")
	}
	g := open(t, dir, o)
	_, err := g.GetAttr(t.Context(), me(), a.ID)
	wantErr(t, "attributes of a deleted file", err, nfs.ErrStale)
	for i := range 50 {
		if b := lookup(t, g, g.Root(), "new"+strconv.Itoa(i)); b.ID == a.ID {
			t.Errorf("new%d has the id of a deleted file", i)
		}
	}
}

func TestReusedInodeHasNewID(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, Options{MaxOpen: 16})
	name := filepath.Join(dir, "f")
	ids, inos := map[nfs.ID]bool{}, map[uint64]int{}
	for range 200 {
		writeFile(t, name, "")
		ids[lookup(t, f, f.Root(), "f").ID] = true
		st, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		inos[inoOf(st)]++
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		f.fds.shrink() // what is open keeps its number from being used again
		f.fds.sweep()
		f.fds.close()
	}
	if len(ids) != 200 {
		t.Errorf("200 files one after the other have %d ids (%d inode numbers)", len(ids), len(inos))
	}
	t.Logf("200 files had %d inode numbers", len(inos))
}

func TestTornLog(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	f := first(t, dir, Options{StateDir: state})
	var ids []nfs.ID
	for i := range 20 {
		ids = append(ids, create(t, f, f.Root(), "f"+strconv.Itoa(i), strconv.Itoa(i)).ID)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(state, logName)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	flipped := append([]byte(nil), whole...)
	flipped[len(flipped)/2] ^= 0x40
	for what, log := range map[string][]byte{
		"cut in a record": whole[:len(whole)-7], "cut in the header": whole[:11], "empty": nil,
		"zeros at the end": append(whole[:len(whole)-7:len(whole)-7], make([]byte, 4096)...), "a bit flipped": flipped,
		"another version": append([]byte(logMagic+"\x02\x00\x00\x00"), whole[12:]...),
	} {
		if err := os.WriteFile(name, log, 0o600); err != nil {
			t.Fatal(err)
		}
		g := first(t, dir, Options{StateDir: state})
		for i, id := range ids {
			if got := read(t, g, id); got != strconv.Itoa(i) {
				t.Errorf("%s: file %d reads %q", what, i, got)
			}
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestKilled serves from a process that is killed, and goes on with its ids.
func TestKilled(t *testing.T) {
	const env = "DIRFS_TEST_VICTIM"
	if arg := os.Getenv(env); arg != "" {
		dir, state, _ := strings.Cut(arg, "\n")
		f := first(t, dir, Options{StateDir: state})
		for i := 0; ; i++ {
			a := create(t, f, f.Root(), fmt.Sprintf("f%04d", i), strconv.Itoa(i))
			if _, err := f.Commit(t.Context(), me(), a.ID, 0, 0); err != nil {
				t.Fatal(err)
			}
			fmt.Printf("%d %d\n", i, a.ID)
		}
	}
	dir, state := t.TempDir(), t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestKilled$")
	cmd.Env = append(os.Environ(), env+"="+dir+"\n"+state)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ids := map[string]nfs.ID{}
	for in := bufio.NewScanner(out); in.Scan(); {
		var i int
		var id nfs.ID
		if _, err := fmt.Sscan(in.Text(), &i, &id); err != nil {
			t.Fatalf("%q: %v", in.Text(), err)
		}
		ids[strconv.Itoa(i)] = id
		if len(ids) == 50 {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait()
	if len(ids) < 50 {
		t.Fatalf("the victim made %d files only", len(ids))
	}
	f := open(t, dir, Options{StateDir: state})
	for want, id := range ids {
		if got := read(t, f, id); got != want {
			t.Errorf("file %s reads %q", want, got)
		}
	}
	if n := len(f.index.slots); n < len(ids) {
		t.Errorf("%d places of %d were kept", n, len(ids))
	}
}

func TestStateDirIsTaken(t *testing.T) {
	o := Options{StateDir: filepath.Join(t.TempDir(), "made")}
	open(t, t.TempDir(), o)
	if _, err := Open(t.TempDir(), o); !errors.Is(err, ErrInUse) {
		t.Errorf("second use of a state folder: %v", err)
	}
}

// TestSearchKeepsDeadline: who searches gets an answer in time, and the search
// goes on.
func TestSearchKeepsDeadline(t *testing.T) {
	dir, o := t.TempDir(), Options{StateDir: t.TempDir()}
	writeFile(t, filepath.Join(dir, "a"), "found")
	f := first(t, dir, o)
	a := lookup(t, f, f.Root(), "a")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "x/y/z"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "x/y/z/b")); err != nil {
		t.Fatal(err)
	}
	g := open(t, dir, o)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := g.GetAttr(ctx, me(), a.ID)
	wantErr(t, "no time to search", err, nfs.ErrJukebox)
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := g.GetAttr(ctx, me(), a.ID); err != nil {
		t.Error(err)
	}
}
