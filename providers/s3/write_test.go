package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/s3"
)

const mib = 1 << 20

// data is n bytes that differ from those of another seed.
func data(seed uint64, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), 1}).Read(b) // never fails
	return b
}

// smallParts makes uploads of more than 1 MiB go in parts of 5 MiB, the least
// that a store takes.
func smallParts(r *s3.Remote) *s3.Remote {
	s3.SetSizes(r, mib, 5*mib, 12*mib, 5*mib)
	return r
}

// Of many who write at once, each under the same condition, one wins, and its
// bytes are what is there.
func TestOneWriterWins(t *testing.T) {
	b := newBucket(t)
	for _, tt := range []struct {
		name string
		size int
	}{{"small", 1000}, {"parts", 6 * mib}} {
		t.Run(tt.name, func(t *testing.T) {
			var cond providers.Cond
			for round, lost := range []error{providers.ErrExist, providers.ErrChanged} {
				cond.IfAbsent = round == 0
				const writers = 4
				var wg sync.WaitGroup
				var entries [writers]providers.Entry
				var errs [writers]error
				for i := range writers {
					r := smallParts(b.open(nil, 0))
					wg.Go(func() {
						src := bytes.NewReader(data(uint64(round*writers+i), tt.size))
						entries[i], errs[i] = r.Put(t.Context(), tt.name, src, providers.PutOptions{Cond: cond, ModTime: time.Unix(1e9, 0)})
					})
				}
				wg.Wait()
				winner := -1
				for i, err := range errs {
					switch {
					case err == nil && winner >= 0:
						t.Fatalf("writers %d and %d both won", winner, i)
					case err == nil:
						winner = i
					case !errors.Is(err, lost):
						t.Errorf("writer %d: %v, want %v", i, err, lost)
					}
				}
				if winner < 0 {
					t.Fatal("nobody won")
				}
				r := b.open(nil, 0)
				if got := content(t, r, tt.name); got != string(data(uint64(round*writers+winner), tt.size)) {
					t.Errorf("the bytes are not those of the writer who won")
				}
				cond = providers.Cond{IfVersion: entries[winner].Version}
			}
		})
	}
	for _, k := range b.keys() {
		if strings.Contains(k, "probe") {
			t.Errorf("%q was left", k)
		}
	}
	uploads := must[*awss3.ListMultipartUploadsOutput](t)(b.ListMultipartUploads(t.Context(), &awss3.ListMultipartUploadsInput{Bucket: &b.name}))
	if len(uploads.Uploads) != 0 {
		t.Errorf("%d uploads were left", len(uploads.Uploads))
	}
}

// Of a store that ignores conditions, Moorage finds that out, and looks itself.
func TestStoreWithoutConditions(t *testing.T) {
	b := newBucket(t)
	w := newWire()
	w.play(func(q *http.Request, next http.RoundTripper) (*http.Response, error) {
		if q.Method == http.MethodGet || q.Method == http.MethodHead || q.Header.Get("If-Match")+q.Header.Get("If-None-Match") == "" {
			return next.RoundTrip(q)
		}
		if describe(q) != "Probe" {
			t.Errorf("%s %s has a condition that the store ignores", q.Method, q.URL.Path)
		}
		return b.ignoring(q)
	})
	r := smallParts(b.open(w, 0))
	ctx := t.Context()
	for name, size := range map[string]int{"small": 10, "large": 6 * mib} {
		put := func(c providers.Cond, seed uint64) (providers.Entry, error) {
			return r.Put(ctx, name, bytes.NewReader(data(seed, size)), providers.PutOptions{Cond: c, ModTime: time.Unix(1, 0)})
		}
		one := must[providers.Entry](t)(put(providers.Cond{IfAbsent: true}, 1))
		_, err := put(providers.Cond{IfAbsent: true}, 2)
		wantErr(t, "put of what exists", err, providers.ErrExist)
		two := must[providers.Entry](t)(put(providers.Cond{IfVersion: one.Version}, 3))
		_, err = put(providers.Cond{IfVersion: one.Version}, 4)
		wantErr(t, "put over a version not seen", err, providers.ErrChanged)
		_, err = r.Move(ctx, name, name+"2", providers.Cond{IfVersion: "x"})
		wantErr(t, "move over what is not there", err, providers.ErrChanged)
		b.put(name+"3", "there", nil)
		_, err = r.Move(ctx, name, name+"3", providers.Cond{IfAbsent: true})
		wantErr(t, "move over what is there", err, providers.ErrExist)
		wantErr(t, "remove of a version not seen", r.Remove(ctx, name, providers.Cond{IfVersion: one.Version}), providers.ErrChanged)
		if got := content(t, r, name); got != string(data(3, size)) {
			t.Errorf("%s holds something else", name)
		}
		if err := r.Remove(ctx, name, providers.Cond{IfVersion: two.Version}); err != nil {
			t.Error(err)
		}
	}
	b.wantKeys("small3", "large3")
}

// ignoring does what q asks as if it had no condition, or says that it cannot.
func (b *bucket) ignoring(q *http.Request) (*http.Response, error) {
	key := strings.TrimPrefix(q.URL.Path, "/"+b.name+"/")
	switch {
	case q.Method == http.MethodPut && q.Header.Get("X-Amz-Copy-Source") == "":
		b.put(key, "y", nil)
		return answer(q, 200, map[string]string{"ETag": `"v"`}, ""), nil
	case q.Method == http.MethodDelete:
		_, err := b.DeleteObject(q.Context(), &awss3.DeleteObjectInput{Bucket: &b.name, Key: &key})
		return answer(q, 204, nil, ""), err
	}
	return answer(q, 501, nil, s3Error("NotImplemented", "A header you provided implies functionality that is not implemented")), nil
}

// An answer that got lost on its way does not make a conflict with oneself.
func TestLostAnswers(t *testing.T) {
	b := newBucket(t)
	w := newWire()
	r := smallParts(b.open(w, 0))
	ctx := t.Context()
	o := func(c providers.Cond) providers.PutOptions {
		return providers.PutOptions{Cond: c, ModTime: time.Unix(1e9, 5), Mode: 0o600}
	}
	must[providers.Entry](t)(r.Put(ctx, "warm", bytes.NewReader(data(0, 2*mib)), o(providers.Cond{IfAbsent: true})))
	lose := func(op string) {
		w.play(func(q *http.Request, next http.RoundTripper) (*http.Response, error) {
			res, err := next.RoundTrip(q)
			if err != nil || describe(q) != op {
				return res, err
			}
			w.play(nil)
			res.Body.Close()
			return nil, errors.New("connection reset by peer")
		})
	}
	for i, tt := range []struct {
		op   string
		size int
	}{{"Put", 1000}, {"Complete", 6 * mib}, {"Part", 2 * mib}, {"Create", 2 * mib}} {
		name := fmt.Sprintf("f%d", i)
		lose(tt.op)
		e, err := r.Put(ctx, name, bytes.NewReader(data(1, tt.size)), o(providers.Cond{IfAbsent: true}))
		if err != nil {
			t.Errorf("a lost answer to %s: %v", tt.op, err)
			continue
		}
		lose(tt.op)
		e, err = r.Put(ctx, name, bytes.NewReader(data(2, tt.size)), o(providers.Cond{IfVersion: e.Version}))
		if err != nil {
			t.Errorf("a lost answer to %s over a version: %v", tt.op, err)
		}
		if st, err := r.Stat(ctx, name); err != nil || st != e {
			t.Errorf("put gave %+v, then there is %+v, %v", e, st, err)
		}
		if got := content(t, r, name); got != string(data(2, tt.size)) {
			t.Errorf("%s holds something else", name)
		}
	}
}

// brokenSource fails behind its first bytes.
type brokenSource struct {
	*bytes.Reader
	good int64
}

var errBroken = errors.New("moved")

func (b brokenSource) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > b.good {
		return 0, errBroken
	}
	return b.Reader.ReadAt(p, off)
}

// A source that cannot be read says so, and nothing is stored.
func TestBrokenSource(t *testing.T) {
	b := newBucket(t)
	r := smallParts(b.open(nil, 0))
	for name, size := range map[string]int{"small": 1000, "large": 11 * mib} {
		_, err := r.Put(t.Context(), name, brokenSource{bytes.NewReader(data(1, size)), int64(size - 1)}, providers.PutOptions{})
		wantErr(t, name, err, errBroken)
		if errors.Is(err, providers.ErrOffline) {
			t.Errorf("%s: the source's failure is the store's: %v", name, err)
		}
	}
	b.wantKeys()
	_, err := r.Put(t.Context(), "huge", &hugeSource{}, providers.PutOptions{})
	wantErr(t, "more than a store takes", err, providers.ErrTooLarge)
}

type hugeSource struct{ bytes.Reader }

func (*hugeSource) Size() int64 { return 60 << 40 }

// An upload goes on where it was when its process ended.
func TestUploadGoesOn(t *testing.T) {
	b := newBucket(t)
	const size = 27 * mib // 6 parts
	content1 := data(1, size)
	opts := providers.PutOptions{Cond: providers.Cond{IfAbsent: true}, ModTime: time.Unix(1e9, 0), Mode: 0o640}
	var state []byte
	save := func(s []byte) error { state = bytes.Clone(s); return nil }

	// The first process ends when some parts have arrived.
	w := newWire()
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	sent := 0
	w.play(func(q *http.Request, next http.RoundTripper) (*http.Response, error) {
		if describe(q) != "Part" {
			return next.RoundTrip(q)
		}
		mu.Lock()
		defer mu.Unlock()
		if sent == 2 {
			cancel()
			return nil, context.Canceled
		}
		res, err := next.RoundTrip(q)
		sent++
		return res, err
	})
	first := smallParts(b.open(w, 0))
	_, err := first.Upload(ctx, "f", bytes.NewReader(content1), opts, nil, save)
	wantErr(t, "an upload that was called off", err, context.Canceled)
	if len(state) == 0 {
		t.Fatal("no state was saved")
	}
	first.Close()
	b.wantKeys() // nothing to be seen yet

	// The next one sends the rest only.
	w = newWire()
	next := smallParts(b.open(w, 0))
	e, err := next.Upload(t.Context(), "f", bytes.NewReader(content1), opts, state, save)
	if err != nil {
		t.Fatal(err)
	}
	if n := w.take(); n["Part"] != 6-2 || n["Create"] != 0 {
		t.Errorf("going on asked %v", n)
	}
	if got := content(t, next, "f"); got != string(content1) {
		t.Error("the file holds something else")
	}
	if st, err := next.Stat(t.Context(), "f"); err != nil || st != e || st.Mode != 0o640 {
		t.Errorf("upload gave %+v, stat %+v, %v", e, st, err)
	}

	// One that ended after the last request finds its work done.
	again, err := next.Upload(t.Context(), "f", bytes.NewReader(content1), opts, state, save)
	if err != nil || again != e {
		t.Errorf("what was complete already: %+v, %v", again, err)
	}
	if n := w.take(); n["Part"] != 0 || n["Create"] != 0 {
		t.Errorf("what was complete asked %v", n)
	}
}

// A state that is of no use starts anew, and leaves nothing behind.
func TestUploadStartsAnew(t *testing.T) {
	b := newBucket(t)
	w := newWire()
	r := smallParts(b.open(w, 0))
	const size = 11 * mib // 3 parts
	content1, content2 := data(1, size), data(2, size)
	opts := providers.PutOptions{ModTime: time.Unix(1e9, 0)}
	var early []byte // before any part was there
	stop := errors.New("stop")
	_, err := r.Upload(t.Context(), "f", bytes.NewReader(content1), opts, nil, func(s []byte) error {
		if early == nil {
			early = bytes.Clone(s)
			return nil
		}
		return stop
	})
	wantErr(t, "a state that cannot be saved", err, stop)
	w.take()

	// Parts that the state does not know are taken if they are right, and not
	// if the file has other bytes by now.
	e, err := r.Upload(t.Context(), "f", bytes.NewReader(content2), opts, early, func([]byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if n := w.take(); n["Part"] != 3 || n["Create"] != 0 {
		t.Errorf("other bytes asked %v", n)
	}
	if got := content(t, r, "f"); got != string(content2) {
		t.Error("the file holds something else")
	}

	for name, state := range map[string][]byte{
		"unknown": early, "malformed": []byte("nonsense"), "cut": early[:len(early)-1], "other": s3.State(3, 1, "", "", ""),
	} {
		w.take()
		opts := opts
		opts.IfVersion = e.Version
		if e, err = r.Upload(t.Context(), "f", bytes.NewReader(content1), opts, state, func([]byte) error { return nil }); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if n := w.take(); n["Part"]%3 != 0 || n["Part"] == 0 {
			t.Errorf("%s: asked %v", name, n)
		}
	}

	var state []byte
	_, err = r.Upload(t.Context(), "g", bytes.NewReader(content1), opts, nil, func(s []byte) error {
		if state != nil {
			return stop
		}
		state = bytes.Clone(s)
		return nil
	})
	wantErr(t, "a state that cannot be saved", err, stop)
	if _, err := r.Upload(t.Context(), "g", bytes.NewReader(content1[:10]), opts, state, nil); err != nil {
		t.Errorf("a file that is small by now: %v", err)
	}
	for range 2 {
		if err := r.AbandonUpload(t.Context(), state); err != nil {
			t.Error(err)
		}
	}
	if err := r.AbandonUpload(t.Context(), []byte("nonsense")); err != nil {
		t.Error(err)
	}
	uploads := must[*awss3.ListMultipartUploadsOutput](t)(b.ListMultipartUploads(t.Context(), &awss3.ListMultipartUploadsInput{Bucket: &b.name}))
	if len(uploads.Uploads) != 0 {
		t.Errorf("%d uploads were left", len(uploads.Uploads))
	}
}

// Moves keep what a file is, small or large, and obey the condition.
func TestMoves(t *testing.T) {
	b := newBucket(t)
	w := newWire()
	r := smallParts(b.open(w, 0))
	ctx := t.Context()
	for name, size := range map[string]int{"tiny file +": 1000, "empty": 0, "large": 13 * mib} {
		key, typ, cache := name, "text/x-own", "max-age=7"
		_, err := b.PutObject(ctx, &awss3.PutObjectInput{Bucket: &b.name, Key: &key, Body: bytes.NewReader(data(1, size)), ContentType: &typ, CacheControl: &cache,
			Metadata: map[string]string{"own": "mine"}})
		if err != nil {
			t.Fatal(err)
		}
		long := time.Now().Add(-24 * time.Hour) // ago
		if err := os.Chtimes(filepath.Join(b.srv.Dir, b.name, name), long, long); err != nil {
			t.Fatal(err)
		}
		before := must[providers.Entry](t)(r.Stat(ctx, name))
		to := "to " + name
		e := must[providers.Entry](t)(r.Move(ctx, name, to, providers.Cond{IfAbsent: true}))
		after := must[providers.Entry](t)(r.Stat(ctx, to))
		if e != after || !after.ModTime.Equal(before.ModTime) || after.ModTime.Sub(long).Abs() > time.Second || after.Size != before.Size {
			t.Errorf("%q was %+v, move gave %+v, then there is %+v", name, before, e, after)
		}
		head := must[*awss3.HeadObjectOutput](t)(b.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: &b.name, Key: &to}))
		if *head.ContentType != typ || *head.CacheControl != cache || head.Metadata["own"] != "mine" {
			t.Errorf("%q has type %q, cache %q, metadata %v", to, *head.ContentType, *head.CacheControl, head.Metadata)
		}
		if got := content(t, r, to); got != string(data(1, size)) {
			t.Errorf("%q holds something else", to)
		}
		_, err = r.Stat(ctx, name)
		wantErr(t, "what was moved", err, providers.ErrNotExist)

		// Someone else is there first, between the look and the change.
		b.put("busy", "mine", nil)
		w.play(func(q *http.Request, next http.RoundTripper) (*http.Response, error) {
			if op := describe(q); op == "Copy" || op == "Complete" {
				if op == "Complete" || size == 0 {
					b.put("race", "theirs", nil)
				}
			}
			return next.RoundTrip(q)
		})
		if size > 0 { // of an empty one this store knows no way
			_, err = r.Move(ctx, to, "race", providers.Cond{IfAbsent: true})
			wantErr(t, "a move to what came to be meanwhile", err, providers.ErrExist)
			if got := content(t, r, "race"); got != "theirs" {
				t.Errorf("a move took %d bytes' place", len(got))
			}
		}
		w.play(nil)
		for _, n := range []string{to, "busy"} {
			if err := r.Remove(ctx, n, providers.Cond{}); err != nil {
				t.Error(err)
			}
		}
	}
	_ = r.Remove(ctx, "race", providers.Cond{})
	b.wantKeys()
}

// A move that ended between its two steps is done by doing it again.
func TestMoveAgain(t *testing.T) {
	b := newBucket(t)
	w := newWire()
	r := b.open(w, 0)
	ctx := t.Context()
	for name, meta := range map[string]map[string]string{"timed": {"mtime": "5"}, "bare": nil} {
		b.put(name, "data", meta)
		w.play(func(q *http.Request, next http.RoundTripper) (*http.Response, error) {
			if describe(q) == "Delete" {
				return nil, errors.New("connection reset by peer")
			}
			return next.RoundTrip(q)
		})
		_, err := r.Move(ctx, name, "to", providers.Cond{IfAbsent: true})
		wantErr(t, "a move that broke off", err, providers.ErrOffline)
		if got := names(t, r, ""); len(got) != 2 {
			t.Fatalf("there is %q", got)
		}
		w.play(nil)
		if _, err := r.Move(ctx, name, "to", providers.Cond{IfAbsent: true}); err != nil {
			t.Errorf("%s again: %v", name, err)
		}
		b.wantKeys("to")
		if err := r.Remove(ctx, "to", providers.Cond{}); err != nil {
			t.Fatal(err)
		}
	}

	// Who changes the old file meanwhile keeps it.
	b.put("from", "old", nil)
	w.play(func(q *http.Request, next http.RoundTripper) (*http.Response, error) {
		if describe(q) == "Delete" && strings.HasSuffix(q.URL.Path, "/from") {
			b.put("from", "new", nil)
		}
		return next.RoundTrip(q)
	})
	if _, err := r.Move(ctx, "from", "to", providers.Cond{}); err != nil {
		t.Fatal(err)
	}
	if old, new := content(t, r, "to"), content(t, r, "from"); old != "old" || new != "new" {
		t.Errorf("to holds %q, from %q", old, new)
	}
	if got := names(t, r, ""); !slices.Equal(got, []string{"from", "to"}) {
		t.Errorf("there is %q", got)
	}
}

// What replaces nothing is stored while it is looked whether it may be, and taken
// back if it may not.
func TestPutLooksMeanwhile(t *testing.T) {
	b := newBucket(t)
	w := newWire()
	r := b.open(w, 0)
	put := func(path string) error {
		_, err := r.Put(t.Context(), path, bytes.NewReader([]byte("x")), providers.PutOptions{Cond: providers.Cond{IfAbsent: true}, ModTime: time.Unix(1e9, 0)})
		return err
	}
	if err := put("first"); err != nil { // also tries what the store keeps to
		t.Fatal(err)
	}
	w.take()
	stored := make(chan struct{})
	w.play(func(q *http.Request, next http.RoundTripper) (*http.Response, error) {
		if describe(q) == "Put" {
			close(stored)
		} else {
			select {
			case <-stored:
			case <-time.After(waitFor):
				t.Error("the file was not sent before it was known whether it may be")
			}
		}
		return next.RoundTrip(q)
	})
	if err := put("second"); err != nil {
		t.Fatal(err)
	}
	w.play(nil)
	if n := w.take(); n["Put"] != 1 || n["List"] != 1 || len(n) != 2 {
		t.Errorf("requests: %v", n)
	}
	b.put("third.s", "between a link and a folder of its name", nil)
	if err := put("third"); err != nil {
		t.Error(err)
	}
	b.put("fourth.s", "", nil)
	b.put("fourth.rclonelink", "target", nil)
	wantErr(t, "put over a link", put("fourth"), providers.ErrExist)
	b.put("fifth0", "behind all of its name", nil)
	if err := put("fifth"); err != nil {
		t.Error(err)
	}

	// Amazon's store has a file and a folder of one name, versitygw has not.
	var mu sync.Mutex
	there := map[string]bool{"folder/file": true}
	deleted := false
	fr, fw := fake(t, fakeURL, func(q *http.Request) (*http.Response, error) {
		mu.Lock()
		defer mu.Unlock()
		switch describe(q) {
		case "Probe":
			if q.Header.Get("If-None-Match") != "" || q.Header.Get("If-Match") != "" {
				return answer(q, 412, nil, s3Error("PreconditionFailed", "")), nil
			}
			return answer(q, 200, objectHeader, ""), nil
		case "List":
			keys := []string{}
			for k := range there {
				keys = append(keys, k)
			}
			return listStore(keys...)(q)
		case "Put":
			there["folder"] = true
			return answer(q, 200, objectHeader, ""), nil
		case "Delete":
			if q.Header.Get("If-Match") != `"v1"` {
				t.Error("it is removed whatever it is")
			}
			deleted = true
			delete(there, "folder")
			return answer(q, 204, nil, ""), nil
		}
		return answer(q, 404, nil, ""), nil
	})
	_, err := fr.Put(t.Context(), "folder", bytes.NewReader([]byte("x")), providers.PutOptions{Cond: providers.Cond{IfAbsent: true}, ModTime: time.Unix(1e9, 0)})
	if !errors.Is(err, providers.ErrIsDir) {
		t.Errorf("put over a folder: %v", err)
	}
	if !deleted || there["folder"] {
		t.Errorf("what was put over a folder stays: %v", fw.take())
	}
}
