package drive

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/local"
	"github.com/moorage/moorage/providers/mem"
	"github.com/moorage/moorage/providers/providertest"
)

// Each test of a change runs over a remote that is probed and has versions of
// trees, and over one that only time can make us ask again.
func bothWays(t *testing.T, run func(b *bench, renew func())) {
	t.Run("probed", func(t *testing.T) {
		b := newBench(t, mem.New(mem.Options{}))
		b.o.Patience = time.Minute // what is older is no answer here, however busy this computer is
		run(b, b.probe)
	})
	t.Run("by age", func(t *testing.T) {
		b := newBench(t, mem.New(mem.Options{}))
		b.o.Patience = time.Minute // what is older is no answer here, however busy this computer is
		b.o.Provider = plain{b.faults}
		run(b, func() { b.clock.advance(b.o.TTL + 31*time.Second) })
	})
}

func TestChangedFile(t *testing.T) {
	bothWays(t, func(b *bench, renew func()) {
		b.put("d/f", "before")
		b.open()
		was := b.find("d/f")
		b.holds(was.ID, "before")
		b.put("d/f", "after it") // at the same time, as the clock stands still
		renew()
		now := b.getattr(was.ID)
		if now.Size != 8 || !now.Mtime.After(was.Mtime) || !now.Ctime.After(was.Ctime) {
			b.Errorf("after the change: size %d, mtime %v → %v, ctime %v → %v", now.Size, was.Mtime, now.Mtime, was.Ctime, now.Ctime)
		}
		b.holds(was.ID, "after it")
		if a := b.find("d/f"); a.ID != was.ID {
			b.Errorf("the file was id %d and is %d", was.ID, a.ID)
		}
	})
}

// standIns shows other sizes than the remote has, at the same versions: a file that
// stands for another one, as with Git LFS, when it begins or ceases to.
type standIns struct {
	*providertest.Faults
	size atomic.Int64 // -1: as it is
}

func (s *standIns) Stat(ctx context.Context, p string) (providers.Entry, error) {
	e, err := s.Faults.Stat(ctx, p)
	return s.entry(e), err
}

func (s *standIns) ReadDir(ctx context.Context, p, cursor string) (providers.Page, error) {
	page, err := s.Faults.ReadDir(ctx, p, cursor)
	for i, e := range page.Entries {
		page.Entries[i] = s.entry(e)
	}
	return page, err
}

func (s *standIns) Open(ctx context.Context, p string, v providers.Version) (providers.Object, error) {
	o, err := s.Faults.Open(ctx, p, v)
	if err != nil {
		return nil, err
	}
	return standIn{o, s.entry(o.Entry())}, nil
}

func (s *standIns) entry(e providers.Entry) providers.Entry {
	if n := s.size.Load(); n >= 0 && e.Mode.IsRegular() {
		e.Size = n
	}
	return e
}

type standIn struct {
	providers.Object
	e providers.Entry
}

func (s standIn) Entry() providers.Entry { return s.e }

// A file whose size changes at the same version is read with its new size, also
// if it is open here since before.
func TestOtherSizeAtTheSameVersion(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	s := &standIns{Faults: b.faults}
	s.size.Store(4)
	b.o.Provider = s
	b.put("d/f", "whole file")
	b.open()
	was := b.find("d/f")
	b.holds(was.ID, "whol")
	s.size.Store(-1)
	b.put("d/g", "") // something else moves the folder
	b.probe()
	now := b.find("d/f")
	b.holds(was.ID, "whole file")
	if now = b.getattr(was.ID); now.Size != 10 || !now.Mtime.After(was.Mtime) {
		b.Errorf("size %d at %v, then %d at %v", was.Size, was.Mtime, now.Size, now.Mtime)
	}
}

func TestRemovedFile(t *testing.T) {
	bothWays(t, func(b *bench, renew func()) {
		b.put("d/f", "x")
		b.put("d/g", "y")
		b.open()
		d, f := b.find("d"), b.find("d/f")
		b.list(d.ID, "f", "g")
		before := b.getattr(d.ID)
		b.remove("d/f")
		renew()
		_, err := b.d.GetAttr(b.Context(), owner, f.ID)
		b.wantStatus("attributes of what is gone", err, nfs.ErrStale)
		_, err = b.read(f.ID)
		b.wantStatus("reading what is gone", err, nfs.ErrStale)
		_, err = b.lookup("d/f")
		b.wantStatus("looking up what is gone", err, nfs.ErrNoEnt)
		if after := b.getattr(d.ID); !after.Mtime.After(before.Mtime) {
			b.Errorf("the directory's mtime stays %v", after.Mtime)
		}
		b.list(d.ID, "g")
		b.put("d/f", "new")
		renew()
		if again := b.find("d/f"); again.ID == f.ID {
			b.Error("the id of a file that is gone was given out again")
		}
	})
}

func TestNewNameShowsInTheDirectorysTime(t *testing.T) {
	bothWays(t, func(b *bench, renew func()) {
		b.put("d/f", "x")
		b.open()
		before := b.find("d")
		if _, err := b.lookup("d/new"); nfs.StatusOf(err) != nfs.ErrNoEnt {
			b.Fatal(err)
		}
		before = b.getattr(before.ID)
		b.put("d/new", "y")
		renew()
		if after := b.getattr(before.ID); !after.Mtime.After(before.Mtime) {
			b.Error("a client that knows the name as absent is not told to look again")
		}
		b.find("d/new")
	})
}

func TestRemovedDirectory(t *testing.T) {
	bothWays(t, func(b *bench, renew func()) {
		b.put("d/e/f", "x")
		b.open()
		f, e := b.find("d/e/f"), b.find("d/e")
		b.remove("d/e/f")
		for _, dir := range []string{"d/e", "d"} {
			if err := b.mem.Rmdir(b.Context(), dir); err != nil {
				b.Fatal(err)
			}
		}
		renew()
		b.list(b.d.Root())
		for _, id := range []nfs.ID{f.ID, e.ID} {
			_, err := b.d.GetAttr(b.Context(), owner, id)
			b.wantStatus("attributes of what is gone", err, nfs.ErrStale)
		}
	})
}

func TestTypeChange(t *testing.T) {
	bothWays(t, func(b *bench, renew func()) {
		b.put("x", "a file")
		b.open()
		was := b.find("x")
		b.remove("x")
		b.put("x/y", "in a folder")
		renew()
		now := b.find("x")
		if now.ID == was.ID || now.Type != nfs.TypeDirectory {
			b.Errorf("x was %+v and is %+v", was, now)
		}
		_, err := b.d.GetAttr(b.Context(), owner, was.ID)
		b.wantStatus("attributes of the file that was", err, nfs.ErrStale)
		b.holds(b.find("x/y").ID, "in a folder")
	})
}

// Only what changed is asked for again.
func TestUnchangedFoldersStay(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	for i := range 10 {
		b.put(fmt.Sprintf("d%d/e/f", i), "x")
	}
	b.open()
	walkAll := func() {
		for i := range 10 {
			b.find(fmt.Sprintf("d%d/e/f", i))
		}
	}
	walkAll()
	lists := b.faults.Calls(providertest.OpList)
	walkAll()
	if n := b.faults.Calls(providertest.OpList) - lists; n != 0 {
		t.Errorf("a second walk listed %d times", n)
	}
	b.put("d3/e/f", "changed")
	b.probe()
	walkAll()
	if n := b.faults.Calls(providertest.OpList) - lists; n != 3 {
		t.Errorf("after one change %d directories were listed, want the root, d3 and d3/e", n)
	}
	lists = b.faults.Calls(providertest.OpList)
	b.reopen()
	walkAll()
	if n := b.faults.Calls(providertest.OpList) - lists; n != 0 {
		t.Errorf("after a restart the walk listed %d times", n)
	}
}

// The drive finds out by itself, by probing.
func TestProbing(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	b.o.ProbeInterval = 5 * time.Millisecond
	b.put("f", "before")
	b.open()
	f := b.find("f")
	b.put("f", "after")
	b.await("the change to be seen", func() bool {
		a, err := b.d.GetAttr(t.Context(), owner, f.ID)
		return err == nil && a.Size == 5
	})
	b.holds(f.ID, "after")
	if v, err := b.mem.Probe(t.Context()); err != nil || b.d.Status().Revision != string(v) {
		t.Errorf("the status shows revision %q, want %q, %v", b.d.Status().Revision, v, err)
	}
}

// A reader in the midst of a file goes on with its version where the remote
// has it still; the next reader gets the new one.
func TestReaderKeepsItsVersion(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{KeepVersions: true}))
	old, replaced := strings.Repeat("old!", 1<<18), strings.Repeat("new", 1<<18)
	b.put("f", old)
	b.open()
	f := b.find("f")
	p := make([]byte, 1000)
	if _, _, err := b.d.Read(t.Context(), owner, f.ID, p, 0); err != nil {
		t.Fatal(err)
	}
	b.put("f", replaced)
	b.probe()
	if a := b.getattr(f.ID); a.Size != uint64(len(old)) || !a.Mtime.Equal(f.Mtime) {
		t.Errorf("under a reader the size became %d and the mtime %v", a.Size, a.Mtime)
	}
	b.holds(f.ID, old)
	if a := b.getattr(f.ID); a.Size != uint64(len(replaced)) || a.Mtime.Equal(f.Mtime) {
		t.Errorf("after the reader the size is %d, want %d", a.Size, len(replaced))
	}
	b.holds(f.ID, replaced)
}

// If the remote has the old version no more, reads turn to the new one, with a
// new mtime, and never mix.
func TestVersionGoneInTheMidst(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	old, replaced := strings.Repeat("old!", 1<<20), strings.Repeat("new", 1<<20)
	b.put("f", old)
	b.o.OpenFiles = 1
	b.open()
	f := b.find("f")
	p := make([]byte, 1000)
	if _, _, err := b.d.Read(t.Context(), owner, f.ID, p, 0); err != nil {
		t.Fatal(err)
	}
	b.put("f", replaced)
	b.put("g", "other")
	b.probe()
	b.holds(b.find("g").ID, "other") // takes the only place for open files
	if _, _, err := b.d.Read(t.Context(), owner, f.ID, p, 2<<20); err != nil || strings.Trim(string(p), "new") != "" {
		t.Errorf("the read gives %.20q, %v", p, err)
	}
	if a := b.getattr(f.ID); a.Size != uint64(len(replaced)) || a.Mtime.Equal(f.Mtime) {
		t.Errorf("the size is %d and the mtime %v, as before: %v", a.Size, a.Mtime, a.Mtime.Equal(f.Mtime))
	}
	b.holds(f.ID, replaced)
}

// The same if the drive does not know of the change when it reads.
func TestVersionGoneUnnoticed(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	b.o.OpenFiles = 1
	old, replaced := strings.Repeat("old!", 1<<20), strings.Repeat("new", 1<<20)
	b.put("f", old)
	b.put("g", "other")
	b.open()
	f := b.find("f")
	p := make([]byte, 1000)
	if _, _, err := b.d.Read(t.Context(), owner, f.ID, p, 0); err != nil {
		t.Fatal(err)
	}
	b.holds(b.find("g").ID, "other")
	b.put("f", replaced)
	if _, _, err := b.d.Read(t.Context(), owner, f.ID, p, 2<<20); err != nil || strings.Trim(string(p), "new") != "" {
		t.Errorf("the read gives %.20q, %v", p, err)
	}
	if a := b.getattr(f.ID); a.Size != uint64(len(replaced)) || !a.Mtime.After(f.Mtime) {
		t.Errorf("the size is %d and the mtime %v", a.Size, a.Mtime)
	}
}

// A file of a folder that is overwritten in its place is one version or the
// other, and the drive notices at once.
func TestOverwrittenInPlace(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	write := func(data string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(strings.Repeat("old!", 1<<18))
	r, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b := newBench(t, mem.New(mem.Options{}))
	b.o.Provider = r
	b.open()
	f := b.find("f")
	p := make([]byte, 1000)
	if _, _, err := b.d.Read(t.Context(), owner, f.ID, p, 0); err != nil || strings.Trim(string(p), "old!") != "" {
		t.Fatal(err)
	}
	write(strings.Repeat("new", 1<<18))
	if _, _, err := b.d.Read(t.Context(), owner, f.ID, p, 4096); err != nil || strings.Trim(string(p), "new") != "" {
		t.Errorf("the read gives %.20q, %v", p, err)
	}
	if a := b.getattr(f.ID); a.Size != 3<<18 || a.Mtime.Equal(f.Mtime) {
		t.Errorf("the size is %d and the mtime as before: %v", a.Size, a.Mtime.Equal(f.Mtime))
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	b.clock.advance(time.Hour)
	_, err = b.d.GetAttr(t.Context(), owner, f.ID)
	b.wantStatus("attributes of a file that was removed", err, nfs.ErrStale)
}

// In a repository every revision has a time; files that it does not change
// keep theirs, as in a checkout, and so do folders with the same names.
func TestTimesOfARepository(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	b.put("d/same", "x")
	b.put("d/changed", "before")
	revision := b.clock.Now()
	b.faults.EditListing(func(_ string, es []providers.Entry) []providers.Entry {
		for i := range es {
			es[i].ModTime = revision
		}
		return es
	})
	b.open()
	d, same, changed := b.find("d"), b.find("d/same"), b.find("d/changed")
	b.list(d.ID, "changed", "same")
	if a := b.getattr(d.ID); !a.Mtime.Equal(revision) {
		t.Errorf("a folder shows %v, want the revision's %v", a.Mtime, revision)
	}
	revision = revision.Add(time.Hour)
	b.put("d/changed", "after")
	b.probe()
	if a := b.getattr(same.ID); a != same {
		t.Errorf("a file that did not change: %+v, was %+v", a, same)
	}
	if a := b.getattr(changed.ID); !a.Mtime.Equal(revision) {
		t.Errorf("a file that changed shows %v, want %v", a.Mtime, revision)
	}
	if a := b.getattr(d.ID); !a.Mtime.Equal(d.Mtime) {
		t.Errorf("a folder with the same names shows %v, was %v", a.Mtime, d.Mtime)
	}
	b.put("d/new", "y")
	revision = revision.Add(time.Hour)
	b.probe()
	if a := b.getattr(d.ID); !a.Mtime.Equal(revision) {
		t.Errorf("a folder with a new name shows %v, want %v", a.Mtime, revision)
	}
}

// A listing keeps its place while names come and go.
func TestListingWhileItChanges(t *testing.T) {
	bothWays(t, func(b *bench, renew func()) {
		for i := range 50 {
			b.put(fmt.Sprintf("d/f%02d", i), "x")
		}
		b.open()
		dir := b.find("d").ID
		seen := map[string]int{}
		cookie := uint64(0)
		for round := 0; ; round++ {
			n := 0
			eof, err := b.d.ReadDir(b.Context(), owner, dir, cookie, true, func(e nfs.DirEntry) bool {
				if n == 7 {
					return false
				}
				n++
				seen[e.Name]++
				cookie = e.Cookie
				if e.Attr.ID != e.ID {
					b.Errorf("%s comes without attributes", e.Name)
				}
				return true
			})
			if err != nil {
				b.Fatal(err)
			}
			if eof {
				break
			}
			if round == 2 {
				b.remove("d/f00")
				b.remove("d/f40")
				b.put("d/a-new", "y")
				renew()
				if _, err := b.names(dir); err != nil {
					b.Fatal(err)
				}
			}
		}
		for i := range 50 {
			name := fmt.Sprintf("f%02d", i)
			if want := 1; seen[name] != want && name != "f40" {
				b.Errorf("%s was listed %d times", name, seen[name])
			}
		}
		if seen["f40"] != 0 || seen["a-new"] != 1 {
			b.Errorf("listed: f40, which was gone, %d times, a-new %d times", seen["f40"], seen["a-new"])
		}
	})
}

func TestRule10HostileNames(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	b.put("good", "x")
	hostile := []string{"", ".", "..", "a/b", "../../etc/passwd", "nul\x00", "/", "\xff\xfe", strings.Repeat("n", 256), "good"}
	b.faults.EditListing(func(_ string, es []providers.Entry) []providers.Entry {
		for _, name := range hostile {
			es = append(es, providers.Entry{Name: name, Size: 1, Version: "v"})
		}
		return append(es, providers.Entry{Name: "device", Mode: 0o666 | 1<<26})
	})
	b.open()
	b.list(b.d.Root(), "good")
	if n := b.d.Status().Hidden; n != int64(len(hostile))+1 {
		t.Errorf("the status tells of %d hidden names, want %d", n, len(hostile)+1)
	}
	for _, name := range hostile[3:9] {
		if _, err := b.d.Lookup(t.Context(), owner, b.d.Root(), name); nfs.StatusOf(err) != nfs.ErrNoEnt {
			t.Errorf("look up %q: %v", name, err)
		}
	}
	b.holds(b.find("good").ID, "x")
	b.reopen()
	if n := b.d.Status().Hidden; n != int64(len(hostile))+1 {
		t.Errorf("after a restart the status tells of %d hidden names", n)
	}
	b.faults.EditListing(nil)
	b.put("other", "y")
	b.probe()
	b.list(b.d.Root(), "good", "other")
	if n := b.d.Status().Hidden; n != 0 {
		t.Errorf("the status still tells of %d hidden names", n)
	}
}

func TestStatFS(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{Quota: 1000}))
	b.put("f", strings.Repeat("x", 100))
	b.o.Provider = b.mem
	b.open()
	st, err := b.d.StatFS(context.Background(), owner, b.d.Root())
	if err != nil || st.TotalBytes != 1000 || st.FreeBytes != 900 {
		t.Errorf("statfs: %+v, %v", st, err)
	}
}

func TestHiddenNamesGoWithTheirFolder(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	b.mkdir("d")
	b.faults.EditListing(func(dir string, es []providers.Entry) []providers.Entry {
		if dir == "d" {
			es = append(es, providers.Entry{Name: "a/b"}, providers.Entry{Name: ".."})
		}
		return es
	})
	b.open()
	b.list(b.find("d").ID)
	if n := b.d.Status().Hidden; n != 2 {
		t.Errorf("the status tells of %d hidden names, want 2", n)
	}
	if err := b.mem.Rmdir(t.Context(), "d"); err != nil {
		t.Fatal(err)
	}
	b.probe()
	b.list(b.d.Root())
	if n := b.d.Status().Hidden; n != 0 {
		t.Errorf("the status tells of %d hidden names of a folder that is gone", n)
	}
}
