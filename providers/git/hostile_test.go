package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moorage/moorage/providers"
)

// tampered lets change pass over the answers to fetches. It gets the answer of
// the real server and writes what the client sees.
func tampered(change func(w http.ResponseWriter, r *http.Request, answer []byte)) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			for k, v := range rec.Header() {
				w.Header()[k] = v
			}
			w.WriteHeader(rec.Code)
			if bytes.Contains(body, []byte("command=fetch")) {
				r.Body = io.NopCloser(bytes.NewReader(body))
				change(w, r, rec.Body.Bytes())
				return
			}
			w.Write(rec.Body.Bytes())
		})
	}
}

func TestHostileAnswers(t *testing.T) {
	home(t)
	repo := newRepo(t)
	commit(t, repo, "main", "", commitTime, manyFiles()...)
	endless := func(frame string) func(http.ResponseWriter, *http.Request, []byte) {
		return func(w http.ResponseWriter, r *http.Request, _ []byte) {
			io.WriteString(w, "000dpackfile\n")
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat(frame, 1000)); err != nil {
					return
				}
			}
		}
	}
	for _, tc := range []struct {
		name   string
		want   error
		change func(w http.ResponseWriter, r *http.Request, answer []byte)
	}{
		{"nothing", providers.ErrOffline, func(http.ResponseWriter, *http.Request, []byte) {}},
		{"cut off at once", providers.ErrOffline, func(w http.ResponseWriter, _ *http.Request, a []byte) { w.Write(a[:40]) }},
		{"connection lost", providers.ErrOffline, func(w http.ResponseWriter, _ *http.Request, a []byte) {
			w.Write(a[:60])
			panic(http.ErrAbortHandler)
		}},
		{"silence", providers.ErrOffline, func(w http.ResponseWriter, r *http.Request, a []byte) {
			w.Write(a[:60])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}},
		{"garbage", providers.ErrProtocol, func(w http.ResponseWriter, _ *http.Request, a []byte) {
			w.Write(bytes.Repeat([]byte("garbage!"), 100))
		}},
		{"garbage in the pack", providers.ErrProtocol, func(w http.ResponseWriter, _ *http.Request, a []byte) {
			i := bytes.Index(a, []byte("PACK"))
			copy(a[i+12:], bytes.Repeat([]byte{0x9c}, 20))
			w.Write(a)
		}},
		{"giant frame", providers.ErrProtocol, func(w http.ResponseWriter, _ *http.Request, a []byte) { io.WriteString(w, "ffff") }},
		{"endless keep-alives", providers.ErrProtocol, endless("0005\x01")},
		{"endless progress", providers.ErrProtocol, endless("0009\x02more")},
		{"endless nothing", providers.ErrProtocol, func(w http.ResponseWriter, r *http.Request, _ []byte) {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat("0001", 1<<14)); err != nil {
					return
				}
			}
		}},
		{"another repository", providers.ErrProtocol, func(w http.ResponseWriter, _ *http.Request, _ []byte) {
			// A pack of no objects, with the right checksum.
			io.WriteString(w, "000dpackfile\n0025\x01PACK\x00\x00\x00\x02\x00\x00\x00\x00\x02\x9d\x08\x82\x3b\xd8\xa8\xea\xb5\x10\xad\x6a\xc7\x5c\x82\x3c\xfd\x3e\xd3\x1e0000")
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serveHTTP(t, repo, tampered(tc.change))
			o := testOptions(t)
			o.timeouts.Idle = time.Second
			start := time.Now()
			_, err := Open(t.Context(), s.remoteURL(t, ""), o)
			if !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
			if took := time.Since(start); took > 8*time.Second {
				t.Errorf("took %v", took)
			}
			if files, _ := filepath.Glob(filepath.Join(o.CacheDir, "tmp", "*")); len(files) > 0 {
				t.Errorf("left behind: %q", files)
			}
		})
	}
}

func TestRule10HostileNames(t *testing.T) {
	home(t)
	repo := newRepo(t)
	blob := runGitInput(t, repo, "x", "hash-object", "-w", "--stdin")
	raw := func(ids string) []byte {
		b := make([]byte, 20)
		fmt.Sscanf(ids, "%x", &b)
		return b
	}
	var tree bytes.Buffer
	names := []string{".", "..", ".git", ".GIT", ".git ", ".git.", "GIT~1", ".g\u200cit", ".git::$INDEX_ALLOCATION", "a\\b", "caf\xe9", "fine", "new\nline", ".gitignore"}
	for _, n := range names {
		fmt.Fprintf(&tree, "100644 %s\x00%s", n, raw(blob))
	}
	id := runGitInput(t, repo, tree.String(), "hash-object", "-w", "-t", "tree", "--literally", "--stdin")
	runGit(t, repo, "update-ref", "refs/heads/main", runGit(t, repo, "commit-tree", "-m", "m", id))
	r := open(t, serveHTTP(t, repo, nil).remoteURL(t, ""), testOptions(t))
	var got []string
	for _, e := range listAll(t, r, "") {
		got = append(got, e.Name)
	}
	if want := []string{".gitignore", "a\\b", "caf\xe9", "fine", "new\nline"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := mustRead(t, r, "caf\xe9"); got != "x" {
		t.Errorf("%q", got)
	}
	for _, n := range []string{".git", ".", "..", "../x", "/fine", "fine/", ""} {
		if _, err := r.Open(t.Context(), n, ""); err == nil {
			t.Errorf("%q can be opened", n)
		}
	}
}

func runGitInput(t testing.TB, dir, in string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader(in)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %q: %v", args, err)
	}
	return strings.TrimSpace(string(out))
}

func TestServerLostAFile(t *testing.T) {
	home(t)
	repo := newRepo(t)
	var files []file
	for i := range 20 {
		files = append(files, file{fmt.Sprintf("d/f%02d", i), "100644", fmt.Sprint("content ", i)})
	}
	commit(t, repo, "main", "", commitTime, files...)
	runGit(t, repo, "config", "core.bare", "true")
	pack, _ := filepath.Glob(filepath.Join(repo, "objects", "pack", "*.pack"))
	for _, p := range pack { // loose objects can be removed one by one
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, ext := range []string{".pack", ".idx", ".rev"} {
			os.Remove(strings.TrimSuffix(p, ".pack") + ext)
		}
		runGitInput(t, repo, string(b), "unpack-objects", "-q")
	}
	lost := runGit(t, repo, "rev-parse", "main:d/f07")
	if err := os.Remove(filepath.Join(repo, "objects", lost[:2], lost[2:])); err != nil {
		t.Fatal(err)
	}
	s := serveHTTP(t, repo, withoutCapability("object-info"))
	r := open(t, s.remoteURL(t, ""), testOptions(t))
	entries := listAll(t, r, "d")
	err := r.Sizes(t.Context(), "d", entries)
	if err == nil || errors.Is(err, providers.ErrNotExist) {
		t.Errorf("sizes: %v", err)
	}
	for i, e := range entries {
		if want := int64(len(fmt.Sprint("content ", i))); e.Name == "f07" && e.Size != -1 || e.Name != "f07" && e.Size != want {
			t.Errorf("%s has size %d", e.Name, e.Size)
		}
		b, err := readFile(t.Context(), r, "d/"+e.Name, "")
		if e.Name == "f07" {
			if !errors.Is(err, providers.ErrChanged) {
				t.Errorf("the lost one: %q, %v", b, err)
			}
		} else if string(b) != fmt.Sprint("content ", i) {
			t.Errorf("%s: %q, %v", e.Name, b, err)
		}
	}
	if n := s.requests.Load(); n > 30 {
		t.Errorf("%d requests", n)
	}
}

// TestFewFilters has servers that allow filters on files only, as some forges.
func TestFewFilters(t *testing.T) {
	home(t)
	repo := newRepo(t)
	commit(t, repo, "main", "", commitTime, manyFiles()...)
	checkout := clone(t, repo, "main")
	runGit(t, repo, "config", "uploadpackfilter.allow", "false")
	for _, tc := range []struct {
		allow    string
		requests int64
	}{{"blob:none", 200}, {"blob:limit", 40}} {
		runGit(t, repo, "config", "uploadpackfilter."+tc.allow+".allow", "true")
		s := serveHTTP(t, repo, withoutCapability("object-info"))
		r := open(t, s.remoteURL(t, ""), testOptions(t))
		compareTree(t, r, "", checkout, time.Unix(commitTime, 0))
		if n := s.requests.Load(); n > tc.requests {
			t.Errorf("%s: %d requests", tc.allow, n)
		}
	}
}

// TestFirstListing holds most of the trees back: listings do not wait for them.
func TestFirstListing(t *testing.T) {
	home(t)
	repo := newRepo(t)
	commit(t, repo, "main", "", commitTime, manyFiles()...)
	gate := make(chan struct{})
	s := serveHTTP(t, repo, tampered(func(w http.ResponseWriter, r *http.Request, a []byte) {
		if body, _ := io.ReadAll(r.Body); bytes.Contains(body, []byte("filter blob:none\n")) {
			w.Write(a[:300])
			w.(http.Flusher).Flush()
			select {
			case <-gate:
			case <-r.Context().Done():
			}
			a = a[300:]
		}
		w.Write(a)
	}))
	r := open(t, s.remoteURL(t, ""), testOptions(t))
	if n := len(listAll(t, r, "")); n != 28 {
		t.Errorf("%d entries in the root folder", n)
	}
	if n := len(listAll(t, r, "deep/a/b")); n != 1 {
		t.Errorf("%d entries in another", n)
	}
	if got := mustRead(t, r, "deep/a/b/c/d/e/f/g"); got != "deep\n" {
		t.Errorf("%q", got)
	}
	select {
	case <-gate:
		t.Fatal("the trees came")
	default:
		close(gate)
	}
	compareNames(t, r, repo, "main")
	if n := s.requests.Load(); n > 14 {
		t.Errorf("%d requests", n)
	}
}

func TestTogether(t *testing.T) {
	home(t)
	repo := newRepo(t)
	commit(t, repo, "main", "", commitTime, file{"f", "100644", strings.Repeat("f", 100_000)}, file{"g", "100644", "g"})
	gate := make(chan struct{})
	var fetches atomic.Int64
	s := serveHTTP(t, repo, tampered(func(w http.ResponseWriter, r *http.Request, a []byte) {
		if fetches.Add(1) > 1 { // the first is for the trees
			w.(http.Flusher).Flush()
			select {
			case <-gate:
			case <-r.Context().Done():
				return
			}
		}
		w.Write(a)
	}))
	r := open(t, s.remoteURL(t, ""), testOptions(t))
	first, leave := context.WithCancel(t.Context())
	results := make(chan error, 20)
	var wg sync.WaitGroup
	for i := range 20 {
		ctx := t.Context()
		if i == 0 {
			ctx = first
		}
		wg.Go(func() {
			_, err := readFile(ctx, r, "f", "")
			results <- err
		})
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		r.flights.mu.Lock()
		waiting := 0
		for _, f := range r.flights.byKey {
			waiting += f.waiters
		}
		r.flights.mu.Unlock()
		if waiting == 20 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d wait", waiting)
		}
	}
	leave()
	if err := <-results; !errors.Is(err, context.Canceled) {
		t.Errorf("the one who left: %v", err)
	}
	close(gate)
	wg.Wait()
	for range 19 {
		if err := <-results; err != nil {
			t.Errorf("one who stayed: %v", err)
		}
	}
	if n := fetches.Load(); n != 2 {
		t.Errorf("%d fetches", n)
	}

	// Close ends what is on its way.
	gate = make(chan struct{})
	go func() {
		_, err := readFile(context.Background(), r, "g", "")
		results <- err
	}()
	for fetches.Load() < 3 {
		time.Sleep(time.Millisecond)
	}
	start := time.Now()
	r.Close()
	if err := <-results; !errors.Is(err, providers.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("Close took %v", took)
	}
}

func TestCacheLimit(t *testing.T) {
	home(t)
	repo := newRepo(t)
	var files []file
	for i := range 40 {
		files = append(files, file{fmt.Sprintf("f%02d", i), "100644", strings.Repeat(fmt.Sprintf("%02d", i), 5000)})
	}
	commit(t, repo, "main", "", commitTime, files...)
	var now atomic.Int64
	now.Store(commitTime)
	o := testOptions(t)
	o.CacheLimit = 100_000
	o.Clock = func() time.Time { return time.Unix(now.Load(), 0) }
	r := open(t, serveHTTP(t, repo, nil).remoteURL(t, ""), o)
	for range 2 {
		for _, f := range files {
			if got := mustRead(t, r, f.path); got != f.content {
				t.Errorf("%s differs", f.path)
			}
			now.Add(11)
		}
	}
	if used := r.CacheUsed(); used > 120_000 {
		t.Errorf("%d bytes in the cache", used)
	}
}
