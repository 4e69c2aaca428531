package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive"
	"github.com/moorage/moorage/daemon/internal/drive/drivetest/rough"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/mem"
)

// How large what is tried is. MOORAGE_TEST_LONG=1 makes it as large as it is in the
// list of faults.
const (
	manyNames  = 30_000
	manyQueued = 1_600
	allNames   = 1_000_000
	allQueued  = 200_000
	hugeFile   = 5 << 40
	deepFolder = 500
)

func scaled(n, all int) int {
	if os.Getenv("MOORAGE_TEST_LONG") == "1" {
		return all
	}
	return n
}

// vast is a remote whose folder "big" has many names.
type vast struct {
	*mem.Remote
	n int
	e providers.Entry // of each file
}

func (v vast) Info() providers.Info {
	i := v.Remote.Info()
	i.TreeVersion = false
	return i
}

func (vast) Probe(context.Context) (providers.Version, error) { return "", providers.ErrUnsupported }

func (v vast) entry(i int) providers.Entry {
	e := v.e
	e.Name, e.Version = vastName(i), providers.Version(strconv.Itoa(i))
	return e
}

func vastName(i int) string { return fmt.Sprintf("f%07d", i) }

func (v vast) Stat(ctx context.Context, p string) (providers.Entry, error) {
	if i, err := strconv.Atoi(strings.TrimPrefix(p, "big/f")); err == nil && i < v.n {
		return v.entry(i), nil
	}
	return v.Remote.Stat(ctx, p)
}

func (v vast) ReadDir(ctx context.Context, p, cursor string) (providers.Page, error) {
	if p != "big" {
		return v.Remote.ReadDir(ctx, p, cursor)
	}
	from, _ := strconv.Atoi(cursor) // "": from the start
	var page providers.Page
	for i := from; i < min(from+1000, v.n); i++ {
		page.Entries = append(page.Entries, v.entry(i))
	}
	if from += 1000; from < v.n {
		page.Next = strconv.Itoa(from)
	}
	return page, nil
}

// TestManyNamesWhileChanging lists a huge folder that comes from the remote while
// files are made, given other names and removed in it.
func TestManyNamesWhileChanging(t *testing.T) {
	t.Parallel()
	n := scaled(manyNames, allNames)
	m := mem.New(mem.Options{})
	if _, err := m.Mkdir(t.Context(), "big"); err != nil {
		t.Fatal(err)
	}
	v := vast{m, n, providers.Entry{Mode: 0o644, Size: 1, ModTime: time.Unix(1e9, 0)}}
	d, err := drive.Open(t.Context(), drive.Options{Provider: v, StateDir: t.TempDir(), UID: owner.UID, GID: owner.GID, Quiet: time.Hour, TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, d: d, known: map[string]bool{}}
	defer w.close()
	ctx := t.Context()
	dir := w.attr("big").ID
	seen := make([]uint8, n)
	made, renamed := map[string]int{}, 0
	var gone []int
	rng := rand.New(rand.NewPCG(1, 2))
	for cookie, eof, pages := uint64(0), false, 0; !eof; pages++ {
		var at uint64
		var got []string
		err := patient(func(ctx context.Context) (err error) {
			at, got = cookie, nil
			eof, err = d.ReadDir(ctx, owner, dir, cookie, false, func(e nfs.DirEntry) bool {
				if len(got) == 1000 {
					return false
				}
				got, at = append(got, e.Name), e.Cookie
				return true
			})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		cookie = at
		for _, name := range got {
			if i, err := strconv.Atoi(strings.TrimPrefix(name, "f")); err == nil && i < n {
				seen[i]++
			} else {
				made[name]++
			}
		}
		if pages%10 == 0 {
			name := fmt.Sprintf("made%d", pages)
			if _, _, err := d.Create(ctx, owner, dir, name, nfs.CreateHow{}); err != nil {
				t.Fatal(err)
			}
			i := rng.IntN(n)
			switch _, err := d.Remove(ctx, owner, dir, vastName(i)); {
			case err == nil:
				gone = append(gone, i)
			case nfs.StatusOf(err) != nfs.ErrNoEnt:
				t.Fatal(err)
			}
			j := rng.IntN(n)
			switch _, _, err := d.Rename(ctx, owner, dir, vastName(j), dir, fmt.Sprintf("renamed%d", pages)); {
			case err == nil:
				gone = append(gone, j)
				renamed++
			case nfs.StatusOf(err) != nfs.ErrNoEnt:
				t.Fatal(err)
			}
		}
	}
	went := map[int]bool{}
	for _, i := range gone {
		went[i] = true
	}
	for i, times := range seen {
		if times > 1 || times == 0 && !went[i] {
			t.Fatalf("%s was listed %d times", vastName(i), times)
		}
	}
	for name, times := range made {
		if times > 1 {
			t.Errorf("%s was listed %d times", name, times)
		}
	}
	for _, i := range gone[:min(len(gone), 50)] {
		if _, err := d.Lookup(ctx, owner, dir, vastName(i)); nfs.StatusOf(err) != nfs.ErrNoEnt {
			t.Errorf("%s, which is gone: %v", vastName(i), err)
		}
	}
}

// TestHugeSparseFile reads and writes at random in a file of 5 TB, through a power
// failure.
func TestHugeSparseFile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, rough.Options{})
		w.open()
		w.verify()
		w.create("huge")
		w.remote.Away(true)
		w.mustAway()
		id := w.attr("huge").ID
		rng := rand.New(rand.NewPCG(1, 2))
		written := map[int64]string{}
		write := func(how nfs.Stable) {
			off := rng.Int64N(hugeFile>>16) << 16
			data := noise(uint64(len(written)), 1+rng.IntN(8000))
			if old := written[off]; len(old) > len(data) {
				data += old[len(data):]
			}
			w.must(patient(func(ctx context.Context) error {
				_, _, err := w.d.Write(ctx, owner, id, []byte(data), uint64(off), how)
				return err
			}))
			written[off] = data
		}
		for range 200 {
			write(nfs.Unstable)
		}
		w.must(patient(func(ctx context.Context) error {
			_, _, err := w.d.Write(ctx, owner, id, []byte("end"), hugeFile-3, nfs.FileSync)
			return err
		}))
		for range 20 {
			write(nfs.FileSync)
		}
		w.power = true
		w.kill()
		w.close()
		w.disk, w.cache = w.next, w.cached
		w.open()
		if a := w.attr("huge"); a.Size != hugeFile || a.ID != id {
			t.Errorf("after the power failure the file is %+v", a)
		}
		for off, data := range written {
			b := make([]byte, len(data)+10)
			var n int
			w.must(patient(func(ctx context.Context) (err error) {
				n, _, err = w.d.Read(ctx, owner, id, b, uint64(off))
				return err
			}))
			if n != len(b) || string(b[:len(data)]) != data || strings.Trim(string(b[len(data):]), "\x00") != "" {
				t.Fatalf("%d bytes at %d are not what was written", len(data), off)
			}
		}
		if used := w.d.Status().Saved; used > 64<<20 {
			t.Errorf("it takes %d bytes of the disk", used)
		}
	})
}

// mustAway waits until the remote counts as away.
func (w *world) mustAway() {
	w.t.Helper()
	w.until("the remote to count as away", func() bool { return !w.d.Status().Online })
}

// TestDeepFolder has folders within folders, as deep as paths can be, each of which
// is made here, and gives the uppermost one another name.
func TestDeepFolder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, rough.Options{})
		w.open()
		ctx := t.Context()
		dir := w.d.Root()
		for i := range deepFolder {
			a, _, err := w.d.Mkdir(ctx, owner, dir, fmt.Sprint("d", i%10), nfs.SetAttr{})
			if err != nil {
				t.Fatalf("folder %d: %v", i, err)
			}
			dir = a.ID
		}
		f, _, err := w.d.Create(ctx, owner, dir, "f", nfs.CreateHow{})
		if err != nil {
			t.Fatal(err)
		}
		w.know(tree{"f": before})
		w.torn = true
		w.must(w.writeAt(ctx, f.ID, before, 0))
		w.must(w.settle())
		deep := func(first string) string {
			p := first
			for i := 1; i < deepFolder; i++ {
				p = path.Join(p, fmt.Sprint("d", i%10))
			}
			return path.Join(p, "f")
		}
		if got := w.remoteTree()[deep("d0")]; got != before {
			t.Errorf("the remote has %q in it", got)
		}
		if _, _, err := w.d.Rename(ctx, owner, w.d.Root(), "d0", w.d.Root(), "top"); err != nil {
			t.Fatal(err)
		}
		w.reopen()
		w.must(w.settle())
		if got := w.remoteTree()[deep("top")]; got != before {
			t.Errorf("after it has another name the remote has %q in it", got)
		}
		if got, err := w.read(ctx, f.ID); err != nil || got != before {
			t.Errorf("the file reads %q, %v", got, err)
		}
		w.holds(deep("top"), before)
	})
}

// TestManyQueued makes more files than can be published while the remote is away.
// What waits takes little memory, is there after a restart, and does not keep
// anybody from working.
func TestManyQueued(t *testing.T) {
	n := scaled(manyQueued, allQueued)
	m := mem.New(mem.Options{})
	away := &absent{Remote: m}
	o := drive.Options{Provider: away, StateDir: t.TempDir(), UID: owner.UID, GID: owner.GID, Quiet: time.Millisecond, RetryMin: time.Millisecond, RetryMax: 10 * time.Millisecond}
	d, err := drive.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, d: d, known: map[string]bool{}}
	defer func() { w.close() }()
	w.list("")
	away.set(true)
	ctx := t.Context()
	heap := func() int64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return int64(s.HeapAlloc)
	}
	began := heap()
	const parallel, perFolder = 16, 100
	var wg sync.WaitGroup
	for k := range parallel {
		wg.Go(func() {
			var dir nfs.ID
			for i := range n / parallel {
				if i%perFolder == 0 {
					a, _, err := d.Mkdir(ctx, owner, d.Root(), fmt.Sprintf("d%d-%d", k, i), nfs.SetAttr{})
					if err != nil {
						t.Error(err)
						return
					}
					dir = a.ID
				}
				if _, _, err := d.Create(ctx, owner, dir, fmt.Sprint("f", i), nfs.CreateHow{}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if s := w.d.Status(); s.Pending < n/parallel*parallel {
		t.Errorf("%d of %d changes wait", s.Pending, n)
	}
	if grew := heap() - began; grew > int64(n)*3<<10+64<<20 {
		t.Errorf("for %d changes the heap grew by %d MiB", n, grew>>20)
	}
	if got := len(w.d.Ledger(100)); got != 100 {
		t.Errorf("the ledger has %d of the first 100", got)
	}
	w.close()
	if w.d, err = drive.Open(ctx, o); err != nil {
		t.Fatal(err)
	}
	d = w.d
	if s := d.Status(); s.Pending < n/parallel*parallel {
		t.Errorf("after a restart %d of %d changes wait", s.Pending, n)
	}
	away.set(false)
	name := fmt.Sprint("f", perFolder/2)
	for !t.Failed() { // until one of the last ones has come
		if e, err := m.Stat(ctx, path.Join("d0-0", name)); err == nil {
			if e.Mode.IsDir() {
				t.Errorf("the remote has %+v", e)
			}
			break
		}
		if _, err := d.GetAttr(ctx, owner, d.Root()); err != nil { // nobody who works has to wait for it
			t.Error(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// absent is a remote that can be away.
type absent struct {
	*mem.Remote
	mu   sync.Mutex
	away bool
}

func (a *absent) set(away bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.away = away
}

func (a *absent) is() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.away {
		return providers.ErrOffline
	}
	return nil
}

func (a *absent) Stat(ctx context.Context, p string) (providers.Entry, error) {
	if err := a.is(); err != nil {
		return providers.Entry{}, err
	}
	return a.Remote.Stat(ctx, p)
}

func (a *absent) Put(ctx context.Context, p string, src providers.Source, o providers.PutOptions) (providers.Entry, error) {
	if err := a.is(); err != nil {
		return providers.Entry{}, err
	}
	return a.Remote.Put(ctx, p, src, o)
}

func (a *absent) Mkdir(ctx context.Context, p string) (providers.Entry, error) {
	if err := a.is(); err != nil {
		return providers.Entry{}, err
	}
	return a.Remote.Mkdir(ctx, p)
}

func (a *absent) Probe(ctx context.Context) (providers.Version, error) {
	if err := a.is(); err != nil {
		return "", err
	}
	return a.Remote.Probe(ctx)
}
