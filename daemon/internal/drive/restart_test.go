package drive

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers/local"
	"github.com/moorage/moorage/providers/mem"
	"github.com/moorage/moorage/providers/providertest"
)

// ids walks the whole drive.
func ids(t *testing.T, d *Drive) map[string]nfs.ID {
	t.Helper()
	out := map[string]nfs.ID{"": d.Root()}
	var walkDir func(p string, id nfs.ID)
	walkDir = func(p string, id nfs.ID) {
		var dirs []nfs.DirEntry
		_, err := d.ReadDir(t.Context(), owner, id, 0, true, func(e nfs.DirEntry) bool {
			out[path.Join(p, e.Name)] = e.ID
			if e.Attr.Type == nfs.TypeDirectory {
				dirs = append(dirs, e)
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range dirs {
			walkDir(path.Join(p, e.Name), e.ID)
		}
	}
	walkDir("", d.Root())
	return out
}

func TestRestartKeepsIDs(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	tree(t, b.mem)
	b.open()
	before := ids(t, b.d)
	times := b.find("hello.txt")
	b.reopen()
	// Handles work before anything is looked up.
	if a := b.getattr(before["a/b/c/d/e/f/deep"]); a.Size != 4 {
		t.Errorf("attributes by an id from before the restart: %+v", a)
	}
	b.holds(before["a/b/c/d/e/f/deep"], "deep")
	after := ids(t, b.d)
	if fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("ids before and after the restart differ:\n%v\n%v", before, after)
	}
	if a := b.find("hello.txt"); a != times {
		t.Errorf("attributes after the restart: %+v, want %+v", a, times)
	}
}

// A listing still counts after a restart, where only time can tell.
func TestListingsCountAfterARestart(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	for i := range 20 {
		b.put(fmt.Sprintf("d%02d/e/f", i), "x")
	}
	b.o.Provider = plain{b.faults}
	b.o.TTL = time.Minute
	b.open()
	before := ids(t, b.d)
	b.clock.advance(50 * time.Second)
	b.reopen()
	lists, stats := b.faults.Calls(providertest.OpList), b.faults.Calls(providertest.OpStat)
	if after := ids(t, b.d); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("ids before and after the restart differ:\n%v\n%v", before, after)
	}
	for p, id := range before {
		if a := b.find(p); a.ID != id {
			t.Errorf("%s is id %d, was %d", p, a.ID, id)
		}
	}
	lists, stats = b.faults.Calls(providertest.OpList)-lists, b.faults.Calls(providertest.OpStat)-stats
	if lists+stats != 0 {
		t.Errorf("after the restart the remote was asked for %d listings and %d objects", lists, stats)
	}
	for name, ahead := range map[string]time.Duration{"when it is old": time.Minute, "when the clock was set back": -time.Hour} {
		b.clock.advance(ahead)
		b.reopen()
		lists = b.faults.Calls(providertest.OpList)
		b.getattr(before["d03/e"])
		if b.faults.Calls(providertest.OpList) == lists {
			t.Errorf("%s a listing still counts", name)
		}
	}
}

// childEnv tells a copy of this test what to serve.
const childEnv = "DRIVE_TEST_CHILD"

// TestChild is the process that TestKill kills.
func TestChild(t *testing.T) {
	dirs := strings.Split(os.Getenv(childEnv), "|")
	if len(dirs) != 2 {
		t.Skip("runs as a child of TestKill only")
	}
	r, err := local.Open(dirs[0])
	if err != nil {
		t.Fatal(err)
	}
	d, err := Open(t.Context(), Options{Provider: r, StateDir: dirs[1]})
	if err != nil {
		t.Fatal(err)
	}
	for {
		var sub []nfs.ID
		_, err := d.ReadDir(t.Context(), owner, d.Root(), 0, true, func(e nfs.DirEntry) bool {
			fmt.Printf("id %s %d\n", e.Name, e.ID)
			sub = append(sub, e.ID)
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range sub {
			if a, err := d.Lookup(t.Context(), owner, id, "f"); err == nil {
				fmt.Printf("id %d/f %d\n", id, a.ID)
			} else {
				t.Fatal(err)
			}
		}
		fmt.Println("round")
		d.stamps = newStamps(1 << 10) // all is old
	}
}

// An id that left the process is there after kill -9.
func TestKill(t *testing.T) {
	remote, state := t.TempDir(), t.TempDir()
	for i := range 50 {
		dir := path.Join(remote, fmt.Sprintf("d%02d", i))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path.Join(dir, "f"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]string{}
	for round := range 4 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$", "-test.v")
		cmd.Env = append(os.Environ(), childEnv+"="+remote+"|"+state)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := 0
		for s := bufio.NewScanner(out); s.Scan(); {
			f := strings.Fields(s.Text())
			if len(f) == 3 && f[0] == "id" {
				if old, ok := seen[f[1]]; ok && old != f[2] {
					t.Errorf("round %d: %s was id %s and is %s", round, f[1], old, f[2])
				}
				seen[f[1]] = f[2]
			}
			// Killed a little later each time: while ids are being given out at first.
			if lines++; lines == 60+20*round {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the child ended by itself")
		}
	}
	if len(seen) < 60 {
		t.Fatalf("only %d ids were seen", len(seen))
	}
	r, err := local.Open(remote)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	d, err := Open(t.Context(), Options{Provider: r, StateDir: state})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for name, s := range seen {
		id, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.GetAttr(t.Context(), owner, nfs.ID(id)); err != nil {
			t.Errorf("%s, id %d: %v", name, id, err)
		}
	}
}
