package disktest_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/moorage/moorage/daemon/internal/drive/disk"
	"github.com/moorage/moorage/daemon/internal/drive/disk/disktest"
)

func rng(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 99)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, d disk.FS, name string) disk.File {
	t.Helper()
	f, err := d.Open(name, true)
	must(t, err)
	return f
}

func write(t testing.TB, f disk.File, off int64, p []byte) {
	t.Helper()
	_, err := f.WriteAt(p, off)
	must(t, err)
}

// pages are n pages of b.
func pages(n int, b byte) []byte { return bytes.Repeat([]byte{b}, n*disktest.PageSize) }

// read is all of a file, nil if it is not there.
func read(t testing.TB, d disk.FS, name string) []byte {
	t.Helper()
	f, err := d.Open(name, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	must(t, err)
	defer f.Close()
	i, err := f.Stat()
	must(t, err)
	p := make([]byte, i.Size)
	if len(p) > 0 {
		_, err = f.ReadAt(p, 0)
		must(t, err)
	}
	return p
}

// Synced bytes are there after every crash; of others each page is old, new or
// torn, and all of that happens.
func TestCrashPages(t *testing.T) {
	var old, fresh, torn, mixed, long, short int
	for seed := range uint64(300) {
		d := disktest.New(seed)
		f := open(t, d, "f")
		write(t, f, 0, pages(8, 1))
		must(t, f.Sync())
		must(t, d.SyncDir("."))
		write(t, f, 2*disktest.PageSize, pages(8, 2)) // two of them behind the end
		got := read(t, d.Crash(rng(seed)), "f")
		if !bytes.HasPrefix(got, pages(2, 1)) {
			t.Fatalf("seed %d: synced bytes are gone", seed)
		}
		switch len(got) {
		case 8 * disktest.PageSize:
			short++
		case 10 * disktest.PageSize:
			long++
		default:
			t.Fatalf("seed %d: %d bytes", seed, len(got))
		}
		kinds := map[string]bool{}
		for i := 2; i < 8; i++ {
			page := got[i*disktest.PageSize:][:disktest.PageSize]
			switch ones := bytes.Count(page, []byte{1}); {
			case ones == len(page):
				old++
				kinds["old"] = true
			case ones == 0 && bytes.Equal(page, pages(1, 2)):
				fresh++
				kinds["new"] = true
			case ones%512 == 0 && bytes.Count(page, []byte{2}) == len(page)-ones:
				torn++
			default:
				t.Fatalf("seed %d: page %d is %v…", seed, i, page[:8])
			}
		}
		if len(kinds) == 2 {
			mixed++
		}
	}
	if min(old, fresh, torn, mixed, long, short) < 20 {
		t.Errorf("of 300 crashes: %d pages old, %d new, %d torn, %d mixed, %d long and %d short files", old, fresh, torn, mixed, long, short)
	}
}

// What is between two writes of a page may be on stable storage too.
func TestCrashBetweenWrites(t *testing.T) {
	seen := map[byte]int{}
	for seed := range uint64(400) {
		d := disktest.New(seed)
		f := open(t, d, "f")
		must(t, f.Truncate(disktest.PageSize))
		must(t, f.Sync())
		must(t, d.SyncDir("."))
		for b := range byte(3) {
			write(t, f, 0, pages(1, b+1))
		}
		seen[read(t, d.Crash(rng(seed)), "f")[0]]++
	}
	for b := range byte(4) {
		if seen[b] < 5 {
			t.Errorf("after 400 crashes first bytes are %v", seen)
			break
		}
	}
}

func TestCrashNames(t *testing.T) {
	// Each line is done on a disk that has old and gone, synced. lost and kept
	// are what has to be seen at times, never what must not be seen.
	type world struct{ old, gone, new string }
	look := func(t *testing.T, d *disktest.Disk) world {
		return world{string(read(t, d, "old")), string(read(t, d, "gone")), string(read(t, d, "new"))}
	}
	for name, one := range map[string]struct {
		do  func(t *testing.T, d *disktest.Disk)
		may []world // all of these happen, and nothing else
	}{
		"nothing": {func(*testing.T, *disktest.Disk) {}, []world{{"o", "g", ""}}},
		"rename": {func(t *testing.T, d *disktest.Disk) {
			must(t, d.Rename("old", "new"))
		}, []world{{"o", "g", ""}, {"", "g", "o"}}},
		"rename over": {func(t *testing.T, d *disktest.Disk) {
			must(t, d.Rename("old", "gone"))
		}, []world{{"o", "g", ""}, {"", "o", ""}}},
		"rename, synced": {func(t *testing.T, d *disktest.Disk) {
			must(t, d.Rename("old", "new"))
			must(t, d.SyncDir("."))
		}, []world{{"", "g", "o"}}},
		"remove": {func(t *testing.T, d *disktest.Disk) {
			must(t, d.Remove("gone"))
		}, []world{{"o", "g", ""}, {"o", "", ""}}},
		"remove, synced": {func(t *testing.T, d *disktest.Disk) {
			must(t, d.Remove("gone"))
			must(t, d.SyncDir("."))
		}, []world{{"o", "", ""}}},
		"create, file synced": {func(t *testing.T, d *disktest.Disk) {
			f := open(t, d, "new")
			write(t, f, 0, []byte("n"))
			must(t, f.Sync())
		}, []world{{"o", "g", ""}, {"o", "g", "n"}}},
		"create, all synced": {func(t *testing.T, d *disktest.Disk) {
			f := open(t, d, "new")
			write(t, f, 0, []byte("n"))
			must(t, f.Sync())
			must(t, d.SyncDir("."))
		}, []world{{"o", "g", "n"}}},
		"two changes": {func(t *testing.T, d *disktest.Disk) {
			must(t, d.Remove("gone"))
			must(t, d.Rename("old", "new"))
		}, []world{{"o", "g", ""}, {"o", "", ""}, {"", "g", "o"}, {"", "", "o"}}},
	} {
		t.Run(name, func(t *testing.T) {
			seen := map[world]int{}
			for seed := range uint64(300) {
				d := disktest.New(seed)
				for _, name := range []string{"old", "gone"} {
					f := open(t, d, name)
					write(t, f, 0, []byte(name[:1]))
					must(t, f.Sync())
				}
				must(t, d.SyncDir("."))
				one.do(t, d)
				seen[look(t, d.Crash(rng(seed)))]++
			}
			for w := range seen {
				if !slices.Contains(one.may, w) {
					t.Errorf("a crash left %+v", w)
				}
			}
			for _, w := range one.may {
				if seen[w] < 5 {
					t.Errorf("300 crashes left %+v %d times: %v", w, seen[w], seen)
				}
			}
		})
	}
}

// A file is durable by the names of all folders above it only.
func TestCrashFolders(t *testing.T) {
	for _, one := range []struct {
		sync []string
		safe bool
	}{
		{[]string{"a/b"}, false},
		{[]string{"a/b", "a"}, false},
		{[]string{"a", "."}, false},
		{[]string{"a/b", "a", "."}, true},
	} {
		lost := 0
		for seed := range uint64(100) {
			d := disktest.New(seed)
			f := open(t, d, "a/b/f")
			write(t, f, 0, []byte("x"))
			must(t, f.Sync())
			for _, dir := range one.sync {
				must(t, d.SyncDir(dir))
			}
			if string(read(t, d.Crash(rng(seed)), "a/b/f")) != "x" {
				lost++
			}
		}
		if one.safe != (lost == 0) {
			t.Errorf("with %q synced, %d of 100 files got lost", one.sync, lost)
		}
	}
}

func TestKill(t *testing.T) {
	var lost int
	for seed := range uint64(50) {
		d := disktest.New(seed)
		f := open(t, d, "f")
		write(t, f, 0, pages(3, 7))
		e := d.Kill()
		if got := read(t, e, "f"); !bytes.Equal(got, pages(3, 7)) {
			t.Fatal("a killed process took with it what it had written")
		}
		free, _, err := e.Free()
		must(t, err)
		if want := int64(1<<40 - 3*disktest.PageSize); free != want {
			t.Errorf("free are %d bytes, not %d", free, want)
		}
		if got := read(t, e.Crash(rng(seed)), "f"); !bytes.Equal(got, pages(3, 7)) {
			lost++
		}
	}
	if lost < 10 {
		t.Errorf("without a sync, %d of 50 files got lost when the power went later", lost)
	}
}

func TestDeadDisk(t *testing.T) {
	for name, cut := range map[string]func(*disktest.Disk){
		"crash": func(d *disktest.Disk) { d.Crash(nil) },
		"kill":  func(d *disktest.Disk) { d.Kill() },
	} {
		d := disktest.New(1)
		f := open(t, d, "f")
		write(t, f, 0, pages(1, 1))
		if d.Dead() {
			t.Fatal("dead at first")
		}
		ops := d.Ops()
		cut(d)
		_, openErr := d.Open("f", false)
		_, createErr := d.Open("g", true)
		_, listErr := d.List(".")
		_, _, freeErr := d.Free()
		_, readErr := f.ReadAt(make([]byte, 1), 0)
		_, writeErr := f.WriteAt(make([]byte, 1), 0)
		_, statErr := f.Stat()
		for i, err := range []error{
			openErr, createErr, listErr, freeErr, readErr, writeErr, statErr,
			d.Remove("f"), d.Rename("f", "g"), d.SyncDir("."),
			f.Truncate(0), f.Sync(), f.(disk.Puncher).PunchHole(0, 1), f.Close(),
		} {
			if !errors.Is(err, disktest.ErrPower) {
				t.Errorf("%s, call %d: %v", name, i, err)
			}
		}
		if !d.Dead() || d.Ops() != ops {
			t.Errorf("%s: dead is %v, %d operations were %d", name, d.Dead(), d.Ops(), ops)
		}
	}
}

// One moment can be looked at many times.
func TestCrashAgain(t *testing.T) {
	d := disktest.New(1)
	f := open(t, d, "f")
	must(t, d.SyncDir("."))
	write(t, f, 0, pages(4, 3))
	seen := map[int]bool{}
	for seed := range uint64(40) {
		seen[len(read(t, d.Crash(rng(seed)), "f"))] = true
	}
	if !seen[0] || !seen[4*disktest.PageSize] {
		t.Errorf("sizes after 40 crashes at one moment: %v", seen)
	}
	a, b := d.Crash(rng(1)), d.Crash(rng(1))
	if !bytes.Equal(read(t, a, "f"), read(t, b, "f")) {
		t.Error("the same random numbers leave two disks")
	}
}

// A test can cut the power at every operation in turn.
func TestCrashAt(t *testing.T) {
	run := func(d *disktest.Disk) error {
		f, err := d.Open("dir/f", true)
		if err != nil {
			return err
		}
		_, err = f.WriteAt(pages(2, 5), 0)
		return errors.Join(err, f.Truncate(100), f.Sync(), d.Rename("dir/f", "g"), d.SyncDir("."), d.SyncDir("dir"))
	}
	d := disktest.New(1)
	must(t, run(d))
	all := d.Ops()
	if all != 7 {
		t.Errorf("%d operations", all)
	}
	for n := range all {
		d := disktest.New(1)
		var after *disktest.Disk
		d.CrashAt(n+1, func() { after = d.Crash(rng(n)) })
		if err := run(d); !errors.Is(err, disktest.ErrPower) {
			t.Errorf("cut at %d: %v", n+1, err)
		}
		if after == nil || after.Ops() != n+1 {
			t.Errorf("cut at %d: the next disk goes on at %d", n+1, after.Ops())
		}
		if got := read(t, after, "g"); n < 5 && got != nil && len(got) != 0 && len(got) != 100 && len(got) != 2*disktest.PageSize {
			t.Errorf("cut at %d: %d bytes", n+1, len(got))
		}
	}
}

// Others wait while a hook decides, so that the cut is at one operation.
func TestCrashAtStopsAll(t *testing.T) {
	for seed := range uint64(20) {
		d := disktest.New(seed)
		f := open(t, d, "f")
		must(t, d.SyncDir("."))
		var after *disktest.Disk
		d.CrashAt(d.Ops()+50, func() { after = d.Kill() })
		var wg sync.WaitGroup
		done := make([]int, 4)
		for g := range done {
			wg.Go(func() {
				for {
					if _, err := f.WriteAt([]byte{byte(done[g] + 1)}, int64(g)); err != nil {
						return
					}
					done[g]++
				}
			})
		}
		wg.Wait()
		got := read(t, after, "f")
		total := 0
		for g := range done {
			if g < len(got) && int(got[g]) != done[g] || g >= len(got) && done[g] > 0 {
				t.Errorf("%d writes of goroutine %d were done, the disk has %v", done[g], g, got)
			}
			total += done[g]
		}
		if total != 49 {
			t.Errorf("%d writes were done", total)
		}
	}
}

func TestFullDisk(t *testing.T) {
	d := disktest.New(1)
	f := open(t, d, "f")
	d.SetFree(3 * disktest.PageSize)
	n, err := f.WriteAt(pages(5, 1), 100)
	if !errors.Is(err, syscall.ENOSPC) || n != 3*disktest.PageSize-100 {
		t.Errorf("wrote %d, %v", n, err)
	}
	write(t, f, 0, pages(3, 2)) // what is there can be replaced
	if free, total, err := d.Free(); free != 0 || total != 3*disktest.PageSize || err != nil {
		t.Errorf("%d free of %d, %v", free, total, err)
	}
	must(t, f.(disk.Puncher).PunchHole(disktest.PageSize, disktest.PageSize))
	if free, _, _ := d.Free(); free != disktest.PageSize {
		t.Errorf("%d free with a hole", free)
	}
	must(t, d.Remove("f"))
	if free, _, _ := d.Free(); free != disktest.PageSize {
		t.Errorf("%d free while a removed file is open", free)
	}
	must(t, f.Close())
	if free, _, _ := d.Free(); free != 3*disktest.PageSize {
		t.Errorf("%d free in the end", free)
	}
}

func TestFail(t *testing.T) {
	d := disktest.New(1)
	f := open(t, d, "f")
	var asked []string
	d.Fail(func(op, name string) error {
		asked = append(asked, op+" "+name)
		if op == "write" {
			return syscall.EIO
		}
		return nil
	})
	_, err := f.WriteAt([]byte("x"), 0)
	var where *fs.PathError
	if !errors.Is(err, syscall.EIO) || !errors.As(err, &where) || where.Path != "f" {
		t.Errorf("write: %v", err)
	}
	must(t, f.Truncate(10))
	must(t, d.Rename("f", "g"))
	if _, err := d.List("."); err != nil {
		t.Error(err)
	}
	if want := []string{"write f", "truncate f", "rename f", "list ."}; !slices.Equal(asked, want) {
		t.Errorf("asked were %q, not %q", asked, want)
	}
	d.Fail(nil)
	write(t, f, 0, []byte("x"))
}

// As Linux does it: a failed fsync is told once, and its pages count as written.
func TestFailedSync(t *testing.T) {
	for seed := range uint64(50) {
		d := disktest.New(seed)
		f := open(t, d, "f")
		must(t, f.Truncate(2*disktest.PageSize))
		must(t, f.Sync())
		must(t, d.SyncDir("."))
		write(t, f, 0, pages(1, 1))
		d.Fail(func(op, _ string) error {
			if op == "sync" {
				return syscall.EIO
			}
			return nil
		})
		if err := f.Sync(); !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
		d.Fail(nil)
		write(t, f, disktest.PageSize, pages(1, 2))
		must(t, f.Sync())
		if got := read(t, d, "f"); got[0] != 1 {
			t.Error("the pages are gone at once")
		}
		if got := read(t, d.Crash(rng(seed)), "f"); got[0] != 0 || got[disktest.PageSize] != 2 {
			t.Errorf("seed %d: after a crash %d, %d", seed, got[0], got[disktest.PageSize])
		}
	}
}

// The same steps with the same seed leave the same disk.
func TestRepeatable(t *testing.T) {
	run := func() string {
		d := disktest.New(5)
		r := rng(8)
		for range 300 {
			name := fmt.Sprint("d", r.IntN(2), "/f", r.IntN(6))
			switch r.IntN(6) {
			case 0:
				d.Remove(name)
			case 1:
				d.Rename(name, fmt.Sprint("d", r.IntN(2), "/f", r.IntN(6)))
			case 2:
				d.SyncDir(fmt.Sprint("d", r.IntN(2)))
			default:
				f := open(t, d, name)
				write(t, f, r.Int64N(30000), pages(1+r.IntN(3), byte(r.IntN(256))))
				if r.IntN(3) == 0 {
					must(t, f.Truncate(r.Int64N(30000)))
				}
				if r.IntN(4) == 0 {
					must(t, f.Sync())
				}
				must(t, f.Close())
			}
		}
		d = d.Crash(nil)
		all := ""
		for _, dir := range []string{"d0", "d1"} {
			l, err := d.List(dir)
			must(t, err)
			for _, i := range l {
				all += fmt.Sprintf("%+v %x\n", i, read(t, d, dir+"/"+i.Name))
			}
		}
		return all
	}
	if a, b := run(), run(); a != b || a == "" {
		t.Error("two runs of the same differ")
	}
}
