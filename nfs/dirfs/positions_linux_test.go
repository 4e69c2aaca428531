package dirfs

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/nfs"
)

// ordered gives a folder on a file system that is listed in the host's order.
func ordered(t *testing.T) (string, *FS) {
	t.Helper()
	dir := t.TempDir()
	f := open(t, dir, Options{})
	if !inHostOrder(f.rootDesc) {
		t.Skip("the folder for temporary files is not on ext4 or xfs")
	}
	return dir, f
}

// page lists up to n entries of the root behind cookie.
func page(t *testing.T, f *FS, cookie uint64, n int) (got []nfs.DirEntry, eof bool) {
	t.Helper()
	eof, err := f.ReadDir(t.Context(), me(), f.Root(), cookie, false, func(e nfs.DirEntry) bool {
		if len(got) == n {
			return false
		}
		if e.Cookie <= cookie || e.Cookie < firstPosition || e.Cookie > math.MaxInt64 {
			t.Fatalf("%s: cookie %d after %d", e.Name, e.Cookie, cookie)
		}
		cookie = e.Cookie
		got = append(got, e)
		return true
	})
	if err != nil {
		t.Fatalf("list behind %d: %v", cookie, err)
	}
	return got, eof
}

// walk lists the root by pages of n and calls between after each.
func walk(t *testing.T, f *FS, n int, between func(last []nfs.DirEntry)) (all []nfs.DirEntry) {
	t.Helper()
	for cookie := uint64(0); ; {
		got, eof := page(t, f, cookie, n)
		all = append(all, got...)
		if eof {
			return all
		}
		if len(got) == 0 {
			t.Fatal("an empty page that is not the last")
		}
		cookie = got[len(got)-1].Cookie
		if between != nil {
			between(got)
		}
	}
}

// TestSmallDirectoriesInOrder: in a small directory of ext4 any entry may come
// first, also before "." and "..".
func TestSmallDirectoriesInOrder(t *testing.T) {
	dir, f := ordered(t)
	for k := range 100 {
		n := k % 5
		sub := filepath.Join(dir, fmt.Sprint("d", k))
		if err := os.Mkdir(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			writeFile(t, filepath.Join(sub, fmt.Sprintf("n%d-%d", k, i)), "")
		}
		if got := names(t, f, lookup(t, f, f.Root(), fmt.Sprint("d", k)).ID); len(got) != n {
			t.Errorf("%d entries of %d: %v", len(got), n, got)
		}
		if !inHostOrder(f.rootDesc) {
			t.Fatalf("the host's order was given up at directory %d", k)
		}
	}
}

func fill(t *testing.T, dir string, n int) {
	t.Helper()
	for i := range n {
		writeFile(t, filepath.Join(dir, fmt.Sprintf("name-%d", i)), "")
	}
}

// TestWalkThroughChanges: every entry that is there during the whole walk is
// listed once, whatever comes and goes at, before and behind the place.
func TestWalkThroughChanges(t *testing.T) {
	dir, f := ordered(t)
	const entries = 3000
	fill(t, dir, entries)
	rnd := rand.New(rand.NewPCG(1, 2))
	touched := map[string]bool{}
	made := 0
	remove := func(name string) {
		if err := os.Remove(filepath.Join(dir, name)); err == nil {
			touched[name] = true
		}
	}
	var seen []string
	all := walk(t, f, 37, func(last []nfs.DirEntry) {
		for i := range last {
			seen = append(seen, last[i].Name)
		}
		remove(last[len(last)-1].Name)                    // at the cookie
		remove(seen[rnd.IntN(len(seen))])                 // before it
		remove(fmt.Sprintf("name-%d", rnd.IntN(entries))) // anywhere
		for range 3 {
			name := fmt.Sprintf("made-%d", made)
			made++
			touched[name] = true
			writeFile(t, filepath.Join(dir, name), "")
		}
	})
	count := map[string]int{}
	for i := range all {
		count[all[i].Name]++
	}
	for i := range entries {
		if name := fmt.Sprintf("name-%d", i); !touched[name] && count[name] != 1 {
			t.Errorf("%s is listed %d times", name, count[name])
		}
	}
	for name, n := range count {
		if n > 1 {
			t.Errorf("%s is listed %d times", name, n)
		}
	}
	if !inHostOrder(f.rootDesc) {
		t.Error("the host's order was given up")
	}
}

// TestCookiesOfHostOrder: cookies mean the same to who has no listing, also
// when their entries are gone, and no cookie makes a listing fail or run on.
func TestCookiesOfHostOrder(t *testing.T) {
	dir, f := ordered(t)
	fill(t, dir, 1500)
	all := walk(t, f, 100, nil)
	if len(all) != 1500 {
		t.Fatalf("%d entries", len(all))
	}
	same := func(a, b nfs.DirEntry) bool { return a.Name == b.Name && a.Cookie == b.Cookie && a.ID == b.ID }
	if again := walk(t, open(t, dir, Options{}), 1<<20, nil); !slices.EqualFunc(all, again, same) {
		t.Error("another process lists other cookies")
	}
	// Each fifth one goes: the entries behind its cookie are the same.
	for i := 2; i < len(all); i += 5 {
		if err := os.Remove(filepath.Join(dir, all[i].Name)); err != nil {
			t.Fatal(err)
		}
	}
	for i := 2; i < len(all)-1; i += 155 {
		got, _ := page(t, open(t, dir, Options{}), all[i].Cookie, 1)
		if len(got) != 1 || !same(got[0], all[i+1]) {
			t.Errorf("behind entry %d, which is gone: %+v, want %+v", i, got, all[i+1])
		}
	}
	last := all[len(all)-1].Cookie
	for _, c := range []uint64{0, 1, 2, 3, all[0].Cookie - 1, last - 1, last, last + 1, 1 << 32, 1<<62 + 12345, math.MaxInt64 - 1,
		math.MaxInt64, 1 << 63, math.MaxUint64 - 1, math.MaxUint64} {
		want := 0
		for i, e := range all {
			if e.Cookie > c && (i%5 != 2) {
				want++
			}
		}
		if got, eof := page(t, open(t, dir, Options{}), c, 1<<20); len(got) != want || !eof {
			t.Errorf("behind %d: %d entries, want %d, end %v", c, len(got), want, eof)
		}
	}
}

// TestBehind compares with a look at the whole directory, small (where "." and
// ".." are anywhere) and large.
func TestBehind(t *testing.T) {
	for _, n := range []int{0, 1, 5, 1000} {
		dir, f := ordered(t)
		fill(t, dir, n)
		all := walk(t, f, 1<<20, nil)
		fd, err := unix.Open(dir, unix.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		rnd := rand.New(rand.NewPCG(3, 4))
		check := func(c uint64) {
			i, _ := slices.BinarySearchFunc(all, c, func(e nfs.DirEntry, c uint64) int {
				if e.Cookie <= c {
					return -1
				}
				return 1
			})
			pos, name, err := behind(fd, c)
			if err != nil || i == len(all) && name != "" || i < len(all) && (name != all[i].Name || uint64(pos) != all[i].Cookie) {
				t.Errorf("%d entries: behind %d: %d %q, %v", n, c, pos, name, err)
			}
		}
		for i := range min(n, 100) {
			e := all[i*n/min(n, 100)]
			check(e.Cookie)
			check(e.Cookie - 1)
			check(e.Cookie + 1)
		}
		for range 100 {
			check(rnd.Uint64())
			check(rnd.Uint64() >> 1)
		}
	}
}

func TestFarthest(t *testing.T) {
	for _, from := range []int64{3, 4, 1 << 31, math.MaxInt64 - 100} {
		for _, d := range []int64{0, 1, 2, 3, 7, 8, 63, 98, 1 << 33, 1<<62 + 5} {
			want := from + d
			if want < from || want == math.MaxInt64 {
				continue
			}
			calls := 0
			got := farthest(from, func(p int64) bool {
				calls++
				if p < from {
					t.Fatalf("from %d: asked for %d", from, p)
				}
				return p <= want
			})
			if got != want || calls > 130 {
				t.Errorf("from %d: %d after %d calls, want %d", from, got, calls, want)
			}
		}
	}
}

// TestIdentifyName: a name is told apart without opening it just as with.
func TestIdentifyName(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, Options{})
	path := func(name string) string { return filepath.Join(dir, name) }
	writeFile(t, path("file"), "x")
	for name, err := range map[string]error{
		"dir": os.Mkdir(path("dir"), 0o700), "link": os.Symlink("nowhere", path("link")), "long": os.Symlink(strings.Repeat("x", 4000), path("long")),
		"fifo": unix.Mkfifo(path("fifo"), 0o600), "socket": unix.Mknod(path("socket"), unix.S_IFSOCK|0o600, 0),
		"hard": os.Link(path("file"), path("hard")), strings.Repeat("n", 255): os.Mkdir(path(strings.Repeat("n", 255)), 0),
	} {
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if os.Geteuid() == 0 {
		if err := unix.Mknod(path("char"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))); err != nil {
			t.Logf("no device: %v", err)
		}
	}
	list, err := os.ReadDir(dir)
	if err != nil || len(list) < 8 {
		t.Fatalf("%d entries, %v", len(list), err)
	}
	for _, e := range list {
		fast, ok, err := f.identifyName(f.rootDesc, e.Name())
		d, slow, serr := f.child(f.Root(), f.rootDesc, e.Name())
		if err != nil || serr != nil {
			t.Fatalf("%s: %v, %v", e.Name(), err, serr)
		}
		unix.Close(d.fd)
		if f.rootDesc.vol.handles && !ok {
			t.Errorf("%s is not told without opening it", e.Name())
		}
		if ok && fast != slow {
			t.Errorf("%s: %+v without opening it, %+v with", e.Name(), fast, slow)
		}
	}
	if _, ok, err := f.identifyName(f.rootDesc, "none"); !ok || err != unix.ENOENT {
		t.Errorf("a name that is not there: %v, %v", ok, err)
	}
}

// TestLookupAttr: the folder's attributes come with the entry's, and with the
// answer that there is none.
func TestLookupAttr(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "a"), "x")
	f := open(t, dir, Options{})
	root, err := f.GetAttr(t.Context(), me(), f.Root())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{"a": nil, "none": nfs.ErrNoEnt, ".": nil, "..": nil, strings.Repeat("x", 256): nfs.ErrNameTooLong} {
		a, da, err := f.LookupAttr(t.Context(), me(), f.Root(), name)
		wantErr(t, name, err, want)
		root.Atime = da.Atime
		if da != root || err == nil && a.ID == 0 {
			t.Errorf("%s: %+v in %+v, want %+v", name, a, da, root)
		}
	}
}
