package dirfs

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
)

func listNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("name-%d", i)
	}
	return names
}

func reader(names []string) func(func(string)) error {
	return func(add func(string)) error {
		for _, n := range names {
			add(n)
		}
		return nil
	}
}

// TestWindows walks a directory that is larger than what is held of it.
func TestWindows(t *testing.T) {
	for _, n := range []int{0, 1, 99, 100, 101, 200, 201, 1000} {
		names := listNames(n)
		var got []string
		reads := 0
		for cookie := uint64(0); ; {
			l, err := newListing(new([keySize]byte), cookie, 100, reader(names))
			if err != nil {
				t.Fatal(err)
			}
			reads++
			entries, ok := l.from(cookie)
			if !ok || len(entries) > 100 {
				t.Fatalf("%d entries, %v", len(entries), ok)
			}
			for _, e := range entries {
				if e.cookie <= cookie || e.cookie < 3 || e.cookie > 1<<63 {
					t.Fatalf("cookie %d after %d", e.cookie, cookie)
				}
				cookie = e.cookie
				got = append(got, e.name)
			}
			if l.whole() {
				break
			}
			cookie = max(cookie, l.upTo)
		}
		slices.Sort(got)
		slices.Sort(names)
		if !slices.Equal(got, names) {
			t.Errorf("%d names: listed %d", n, len(got))
		}
		if reads > n/100+1 {
			t.Errorf("%d names: read %d times", n, reads)
		}
	}
}

func TestListingServes(t *testing.T) {
	at, s := time.Unix(100, 0), stamp{1, 1}
	small, err := newListing(new([keySize]byte), 0, listingWindow, reader(listNames(10)))
	if err != nil {
		t.Fatal(err)
	}
	large, err := newListing(new([keySize]byte), 0, listingWindow, reader(listNames(listingExact+1)))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []*listing{small, large} {
		l.stamp, l.made, l.settled = s, at, true
	}
	changed := stamp{2, 2}
	for _, c := range []struct {
		what   string
		l      *listing
		cookie uint64
		now    stamp
		at     time.Time
		want   bool
	}{
		{"unchanged", small, 0, s, at, true},
		{"changed", small, 5, changed, at, false},
		{"large, at the begin of a walk", large, 0, changed, at, false},
		{"large, in a walk", large, 5, changed, at, true},
		{"large, long ago", large, 5, changed, at.Add(time.Minute), false},
		{"large, unchanged", large, 5, s, at.Add(time.Minute), true},
	} {
		if got := c.l.serves(c.cookie, c.now, c.at); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		}
	}
	small.settled = false
	if small.serves(5, s, at) {
		t.Error("a listing that was made within a tick of the last change is served")
	}
}

func TestListingBudget(t *testing.T) {
	s := newListings()
	for i := range 100 {
		s.put(1000, &listing{entries: make([]entry, listingWindow)})
		s.put(nfs.ID(1+i), &listing{entries: make([]entry, listingWindow/4)})
	}
	total := 0
	for _, el := range s.byDir {
		total += len(el.Value.(*dirListing).l.entries)
	}
	if total > listingBudget || s.get(1000) == nil || s.get(nfs.ID(1+99)) == nil || s.get(nfs.ID(1+0)) != nil {
		t.Errorf("%d entries in %d listings", total, len(s.byDir))
	}
}

func BenchmarkListing(b *testing.B) {
	names := listNames(1 << 20)
	for b.Loop() {
		if _, err := newListing(new([keySize]byte), 0, listingWindow, reader(names)); err != nil {
			b.Fatal(err)
		}
	}
}
