package nfs_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/nfstest"
)

// manyNames are n entries with names of every length.
func manyNames(n int) []nfs.DirEntry {
	entries := make([]nfs.DirEntry, n)
	for i := range entries {
		name := fmt.Sprintf("%d-", i)
		name += strings.Repeat("x", i*7%250)
		entries[i] = nfs.DirEntry{Name: name, ID: nfs.ID(1000 + i), Cookie: uint64(1<<40 + 3*i)}
	}
	return entries
}

// resultSize is the size of READDIR3resok or READDIRPLUS3resok as RFC 1813
// counts it: all of it, without the status.
func resultSize(r nfstest.ReaddirResult) int { return len(r.Append(nil)) - 4 }

// dirSize is the part of it that dircount counts.
func dirSize(r nfstest.ReaddirResult) int {
	plain := r
	plain.Plus = false
	return resultSize(plain) - (4 + 84 + 8 + 4 + 4)
}

type page func(cookie uint64, size uint32) nfstest.ReaddirResult

// walk lists the root page by page and returns all entries.
func walk(t *testing.T, next page, size uint32) []nfstest.DirEntry {
	t.Helper()
	var all []nfstest.DirEntry
	var cookie uint64
	for range 100_000 {
		r := next(cookie, size)
		want(t, "page", r.Status, nfs.OK)
		if t.Failed() {
			t.FailNow()
		}
		if n := resultSize(r); n > int(size) {
			t.Fatalf("%d bytes, %d allowed", n, size)
		}
		if r.Verf != [8]byte{} {
			t.Errorf("cookie verifier %x", r.Verf)
		}
		all = append(all, r.Entries...)
		if r.EOF {
			return all
		}
		if len(r.Entries) == 0 {
			t.Fatal("an empty page that is not the last")
		}
		cookie = r.Entries[len(r.Entries)-1].Cookie
	}
	t.Fatal("no end")
	return nil
}

func (e *env) pages() map[string]page {
	return map[string]page{
		"READDIR": func(cookie uint64, size uint32) nfstest.ReaddirResult {
			return must(e.c.Readdir(e.ctx, e.root, cookie, [8]byte{9}, size))(e.t)
		},
		"READDIRPLUS": func(cookie uint64, size uint32) nfstest.ReaddirResult {
			return must(e.c.Readdirplus(e.ctx, e.root, cookie, [8]byte{7}, size, size))(e.t)
		},
	}
}

// TestListings: whatever the page size, every name comes once, in order, with
// one cookie, "." and ".." first, and no page is larger than asked for, or
// smaller by an entry than it could be.
func TestListings(t *testing.T) {
	e := start(t, nil)
	e.fs.entries = manyNames(300)
	for name, next := range e.pages() {
		for _, size := range []uint32{552, 556, 1000, 4095, 4096, 8192, 64 << 10, 1 << 20, 1<<32 - 1} {
			got := walk(t, next, size)
			if len(got) != 302 || string(got[0].Name) != "." || string(got[1].Name) != ".." || got[0].Cookie != 1 || got[1].Cookie != 2 {
				t.Fatalf("%s, pages of %d: %d entries", name, size, len(got))
			}
			for i, want := range e.fs.entries {
				g := got[i+2]
				if string(g.Name) != want.Name || g.FileID != uint64(want.ID) || g.Cookie != want.Cookie {
					t.Fatalf("%s, pages of %d: entry %d is %+v, want %+v", name, size, i, g, want)
				}
			}
		}
	}
}

// TestPageSizes finds for each size the most that fits.
func TestPageSizes(t *testing.T) {
	e := start(t, nil)
	full := map[string][]nfstest.DirEntry{}
	for name, next := range e.pages() {
		full[name] = next(0, 4096).Entries
		for size := uint32(0); size < 900; size++ {
			r := next(0, size)
			fits := 0
			all := r
			all.Plus, all.Status, all.EOF = name == "READDIRPLUS", 0, false
			all.Attr.Has = true
			for fits < len(full[name]) {
				all.Entries = full[name][:fits+1]
				if resultSize(all) > int(size) {
					break
				}
				fits++
			}
			if fits == 0 {
				want(t, fmt.Sprintf("%s of %d bytes", name, size), r.Status, nfs.ErrTooSmall)
			} else if r.Status != 0 || len(r.Entries) != fits || r.EOF != (fits == len(full[name])) {
				t.Errorf("%s of %d bytes: %v, %d entries, eof %v; %d fit", name, size, nfs.Status(r.Status), len(r.Entries), r.EOF, fits)
			}
			if t.Failed() {
				return
			}
		}
	}
	// dircount bounds names, ids and cookies; maxcount all.
	for dircount := uint32(0); dircount < 200; dircount++ {
		r := must(e.c.Readdirplus(e.ctx, e.root, 0, [8]byte{}, dircount, 4096))(t)
		if dircount < 28 {
			want(t, "READDIRPLUS", r.Status, nfs.ErrTooSmall)
		} else if r.Status != 0 || dirSize(r) > int(dircount) || !r.EOF && dirSize(r)+32 <= int(dircount) {
			t.Errorf("dircount %d: %v, %d bytes", dircount, nfs.Status(r.Status), dirSize(r))
		}
	}
	// At the end of a directory nothing has to fit.
	if r := must(e.c.Readdir(e.ctx, e.root, 5, [8]byte{}, 104))(t); r.Status != 0 || !r.EOF || len(r.Entries) != 0 {
		t.Errorf("behind the last: %+v", r)
	}
}

// TestCookies: any cookie is taken, from either procedure in the other, with
// any verifier; never BAD_COOKIE.
func TestCookies(t *testing.T) {
	e := start(t, nil)
	for name, next := range e.pages() {
		for cookie, want := range map[uint64]string{
			0: ". .. file dir link", 1: ".. file dir link", 2: "file dir link", 3: "dir link", 4: "link", 5: "", 6: "", 1 << 63: "", 1<<64 - 1: "",
		} {
			r := next(cookie, 4096)
			var names []string
			for _, e := range r.Entries {
				names = append(names, string(e.Name))
			}
			if got := strings.Join(names, " "); r.Status != 0 || !r.EOF || got != want {
				t.Errorf("%s from %d: %q, want %q", name, cookie, got, want)
			}
		}
	}
}

// TestPlusHasAll: every entry of READDIRPLUS has attributes and a handle that
// leads to the object, also when the listing did not bring them along.
func TestPlusHasAll(t *testing.T) {
	for _, noAttr := range []bool{false, true} {
		e := start(t, nil)
		e.fs.noAttr = noAttr
		r := must(e.c.Readdirplus(e.ctx, e.handle("dir"), 0, [8]byte{}, 4096, 4096))(t)
		ids := map[string]nfs.ID{".": dirID, "..": rootID, "file": fileID, "dir": dirID, "link": linkID}
		if len(r.Entries) != len(ids) {
			t.Fatalf("%d entries", len(r.Entries))
		}
		for _, en := range r.Entries {
			id := ids[string(en.Name)]
			a := must(e.c.Getattr(e.ctx, en.Handle.Handle))(t)
			if !en.Attr.Has || !en.Handle.Has || en.FileID != uint64(id) || en.Attr.Attr.FileID != uint64(id) || a.Attr != en.Attr.Attr {
				t.Errorf("%s: %+v, GETATTR %+v", en.Name, en, a)
			}
		}
	}
}

// vanishing gives no attributes for one object.
type vanishing struct{ *fakeFS }

func (v vanishing) GetAttr(ctx context.Context, c *nfs.Caller, id nfs.ID) (nfs.Attr, error) {
	if id == dirID || id == linkID {
		return nfs.Attr{}, nfs.ErrStale
	}
	return v.fakeFS.GetAttr(ctx, c, id)
}

// TestPlusOfVanished: an entry that goes while the page is made stays without
// attributes, and the page is whole.
func TestPlusOfVanished(t *testing.T) {
	e := start(t, vanishing{&fakeFS{noAttr: true}})
	r := must(e.c.Readdirplus(e.ctx, e.root, 2, [8]byte{}, 4096, 4096))(t)
	var got []string
	for _, en := range r.Entries {
		got = append(got, fmt.Sprintf("%s %v %v", en.Name, en.Attr.Has, en.Handle.Has))
	}
	if want := []string{"file true true", "dir false true", "link false true"}; !slices.Equal(got, want) || !r.EOF {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestRule10HostileListings: what a file system must not list does not get through.
func TestRule10HostileListings(t *testing.T) {
	e := start(t, nil)
	e.fs.entries = []nfs.DirEntry{
		{Name: "", ID: 2, Cookie: 3}, {Name: "a/b", ID: 2, Cookie: 4}, {Name: "..", ID: 2, Cookie: 5}, {Name: ".", ID: 2, Cookie: 6},
		{Name: "a\x00", ID: 2, Cookie: 7}, {Name: strings.Repeat("x", 256), ID: 2, Cookie: 8}, {Name: "good", ID: 2, Cookie: 9},
	}
	for name, next := range e.pages() {
		if got := walk(t, next, 4096); len(got) != 3 || string(got[2].Name) != "good" {
			t.Errorf("%s: %v", name, got)
		}
	}
	for _, bad := range []nfs.DirEntry{{Name: "a", ID: 2, Cookie: 2}, {Name: "a", ID: 0, Cookie: 9}} {
		e.fs.entries = []nfs.DirEntry{bad}
		for name, next := range e.pages() {
			want(t, name, next(0, 4096).Status, nfs.ErrIO)
		}
	}
}

func TestReaddirOfFile(t *testing.T) {
	e := start(t, nil)
	file := e.handle("file")
	want(t, "READDIR", must(e.c.Readdir(e.ctx, file, 0, [8]byte{}, 4096))(t).Status, nfs.ErrNotDir)
	want(t, "READDIRPLUS", must(e.c.Readdirplus(e.ctx, file, 0, [8]byte{}, 4096, 4096))(t).Status, nfs.ErrNotDir)
	// Listing needs no search permission, ".." neither.
	e.fs.fail("Lookup", nfs.ErrAccess)
	r := must(e.c.Readdir(e.ctx, e.root, 0, [8]byte{}, 4096))(t)
	if r.Status != 0 || len(r.Entries) != 5 || r.Entries[1].FileID != uint64(rootID) {
		t.Errorf("%+v", r)
	}
}
