package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/drivetest/link"
)

// near is a link for tests that count: so short that they take a moment.
var near = link.Options{RTT: 4 * time.Millisecond, Rate: 2e9}

// slowest is how long a test waits for anything.
const slowest = 2 * time.Minute

// fresh is how long what was listed counts: longer than any test.
const fresh = time.Hour

// A file that is read from its beginning is fetched once; when it is read again,
// also after a restart, and when its folder is listed again, the remote is not
// asked.
func TestReadIsFetchedOnce(t *testing.T) {
	f := newStore(t, near)
	const size = 24 << 20
	f.give(t, "folder/file", size)
	for i := range 20 {
		f.give(t, fmt.Sprintf("folder/%d/small", i), 100)
	}
	ctx, state, requests := within(t, slowest), t.TempDir(), newCounter(t)
	m := f.mount(t, options{state: state, over: requests, ttl: fresh})
	find := func() {
		t.Helper()
		if n, err := m.find(ctx, m.root); err != nil || n != 42 {
			t.Fatalf("found %d names: %v", n, err)
		}
	}
	read := func() {
		t.Helper()
		dir, err := m.lookup(ctx, m.root, "folder")
		if err != nil {
			t.Fatal(err)
		}
		r, err := m.open(ctx, dir.Handle, "file")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.stream(ctx, r, size, 128<<10, 16); err != nil {
			t.Fatal(err)
		}
	}
	find()
	read()
	if fetched := m.drive.Status().Fetched; fetched > size*105/100 {
		t.Errorf("%d bytes were fetched for %d", fetched, size)
	}
	f.settle() // a walk may be ahead
	first := requests.take()
	t.Logf("requests: %v", first)
	again := func(when string) {
		t.Helper()
		find()
		read()
		if n := requests.take(); total(n) != 0 {
			t.Errorf("%s the remote was asked: %v", when, n)
		}
	}
	again("the second time")
	if err := m.end(); err != nil {
		t.Fatal(err)
	}
	m = f.mount(t, options{state: state, over: requests, ttl: fresh})
	again("after a restart")
}

// Reads at random places fetch little more than they want.
func TestRandomReadsFetchLittle(t *testing.T) {
	f := newStore(t, near)
	const size = 256 << 20
	f.give(t, "file", size)
	for _, readers := range []int{1, 16} {
		m := f.mount(t, options{state: t.TempDir()})
		ctx := within(t, slowest)
		r, err := m.open(ctx, m.root, "file")
		if err != nil {
			t.Fatal(err)
		}
		s, err := f.scatter(ctx, r, size, readers, 500*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d readers: %v", readers, s)
		if each := m.drive.Status().Fetched / int64(s.reads); each > 256<<10 {
			t.Errorf("%d readers: %d bytes were fetched for each read of 4096", readers, each)
		}
		if err := m.end(); err != nil {
			t.Fatal(err)
		}
	}
}

// A folder is listed with as many requests as it has pages.
func TestListingAsksForEachPageOnce(t *testing.T) {
	const names = 5_500
	c, f := newCatalog(t, "many", names, near)
	ctx, state, requests := within(t, slowest), t.TempDir(), newCounter(t)
	m := f.mount(t, options{state: state, over: requests, ttl: fresh})
	list := func() {
		t.Helper()
		top, err := m.list(ctx, m.root)
		if err != nil || len(top) != 1 {
			t.Fatalf("%d entries of the root: %v", len(top), err)
		}
		all, err := m.list(ctx, top[0].handle)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, e := range all {
			seen[e.name] = true
		}
		if len(all) != names || len(seen) != names {
			t.Fatalf("%d entries with %d names; the store has %d", len(all), len(seen), names)
		}
	}
	list()
	pages := (names + sdkNames - 1) / sdkNames
	if c.asked() != pages {
		t.Errorf("%d pages were asked for; there are %d", c.asked(), pages)
	}
	if n := requests.take(); total(n) != pages+1 { // the root is a page, too
		t.Errorf("%d requests for %d pages: %v", total(n), pages+1, n)
	}
	list()
	if err := m.end(); err != nil {
		t.Fatal(err)
	}
	m = f.mount(t, options{state: state, over: requests, ttl: fresh})
	list()
	if n := requests.take(); total(n) != 0 {
		t.Errorf("the folder was listed again: %v", n)
	}
}

// A file that was written is uploaded once, and once only.
func TestUploadsAreSentOnce(t *testing.T) {
	f := newStore(t, near)
	ctx, requests := within(t, slowest), newCounter(t)
	m := f.mount(t, options{state: t.TempDir(), over: requests, quiet: time.Hour})
	const size, small = 20 << 20, 50
	b := data(3, 1<<20)
	if err := m.create(ctx, m.root, "large", size, 4, func(off, n int64) []byte { return b[:n] }); err != nil {
		t.Fatal(err)
	}
	for i := range small {
		if err := m.create(ctx, m.root, fmt.Sprintf("small %d", i), 4096, 1, func(off, n int64) []byte { return b[:n] }); err != nil {
			t.Fatal(err)
		}
	}
	requests.take()
	up := f.link.Stats().Up
	if err := m.drive.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	n := requests.take()
	t.Logf("requests: %v", n)
	sent, want := f.link.Stats().Up-up, int64(size+small*4096)
	if sent < want || sent > want*105/100 {
		t.Errorf("%d bytes were sent for %d", sent, want)
	}
	parts := int((size + sdkPart - 1) / sdkPart)
	// What tells whether the store keeps to conditions takes a few once.
	if got := n["PUT uploadId"]; got < parts || got > parts+2 {
		t.Errorf("%d parts were sent; there are %d", got, parts)
	}
	if got := n["PUT"]; got < small || got > small+8 {
		t.Errorf("%d files were sent; there are %d", got, small)
	}
	// Beside each there is a look whether a folder or a link has its name.
	if got := n["GET list-type"] + n["HEAD"]; got > small+1+8 {
		t.Errorf("%d looks for %d files", got, small+1)
	}
	if err := m.end(); err != nil {
		t.Fatal(err)
	}
}
