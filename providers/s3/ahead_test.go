package s3_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/s3"
)

// waitFor is how long a test waits for what must happen.
const waitFor = 30 * time.Second

// heldBody is a body whose reader may wait.
type heldBody struct {
	io.Reader
	io.Closer
}

// holdAfter gives what a body has up to mark, and the rest when more is closed.
func holdAfter(t *testing.T, res *http.Response, mark string, more <-chan struct{}) *http.Response {
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	i := bytes.Index(b, []byte(mark))
	if i < 0 {
		t.Errorf("%q is not in %s", mark, b)
		return res
	}
	i += len(mark)
	res.Body = heldBody{io.MultiReader(bytes.NewReader(b[:i]), readFunc(func([]byte) (int, error) {
		select {
		case <-more:
		case <-time.After(waitFor):
			t.Error("the rest of the page was waited for before the next page was asked for")
		}
		return 0, io.EOF
	}), bytes.NewReader(b[i:])), res.Body}
	return res
}

type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// A page is asked for when the page in front of it has begun to come, once, and a
// folder takes as many requests as it has pages.
func TestListingAsksAhead(t *testing.T) {
	b := newBucket(t)
	var want []string
	for i := range 25 {
		name := fmt.Sprintf("name-%02d", i)
		b.put("folder/"+name, name, nil)
		want = append(want, name)
	}
	w := newWire()
	r := b.open(w, 10)
	second := make(chan struct{})
	lists := 0
	w.play(func(q *http.Request, next http.RoundTripper) (*http.Response, error) {
		w.mu.Lock()
		lists++
		n := lists
		w.mu.Unlock()
		if n == 2 {
			close(second)
		}
		res, err := next.RoundTrip(q)
		if n == 1 && err == nil {
			res = holdAfter(t, res, "</NextContinuationToken>", second)
		}
		return res, err
	})
	if got := names(t, r, "folder"); !slices.Equal(got, want) {
		t.Errorf("listed %q", got)
	}
	if n := w.take(); n["List"] != 3 || len(n) != 1 {
		t.Errorf("requests: %v", n)
	}
}

// A listing that nobody goes on with leaves nothing to one that begins later.
func TestListingAnewIsNew(t *testing.T) {
	b := newBucket(t)
	for i := range 20 {
		b.put(fmt.Sprintf("name-%02d", i), "", nil)
	}
	w := newWire()
	r := b.open(w, 10)
	answered := make(chan struct{}, 10)
	w.play(func(q *http.Request, next http.RoundTripper) (*http.Response, error) {
		defer func() { answered <- struct{}{} }()
		return next.RoundTrip(q)
	})
	must[providers.Page](t)(r.ReadDir(t.Context(), "", ""))
	for range 2 { // also the page ahead
		select {
		case <-answered:
		case <-time.After(waitFor):
			t.Fatal("the second page was not asked for")
		}
	}
	b.put("name-99", "", nil)
	if got := names(t, r, ""); len(got) != 21 || got[20] != "name-99" {
		t.Errorf("listed %q", got)
	}
}

// An entry that ends a page is not asked about: the next page tells.
func TestLastOfAPageIsHeld(t *testing.T) {
	keys := []string{"a", "a-b", "a/c", "b", "b.x", "c", "d", "d/e"}
	for size := 1; size <= len(keys); size++ {
		r, w := fake(t, fakeURL, listStore(keys...))
		s3.SetPageSize(r, size)
		if got := names(t, r, ""); !slices.Equal(got, []string{"a-b", "a/", "b", "b.x", "c", "d/"}) {
			t.Errorf("in pages of %d: %q", size, got)
		}
		if n, most := w.take(), len(keys)+1; n["List"] > most || len(n) != 1 {
			t.Errorf("in pages of %d: %v", size, n)
		}
	}
}
