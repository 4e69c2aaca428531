package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/moorage/moorage/providers"
)

// listAll reads a whole folder.
func listAll(t testing.TB, r *Remote, dir string) []providers.Entry {
	t.Helper()
	var all []providers.Entry
	for cursor := ""; ; {
		page, err := r.ReadDir(t.Context(), dir, cursor)
		if err != nil {
			t.Fatalf("%v", err)
		}
		all = append(all, page.Entries...)
		if cursor = page.Next; cursor == "" {
			return all
		}
	}
}

func readFile(ctx context.Context, r *Remote, path string, v providers.Version) ([]byte, error) {
	o, err := r.Open(ctx, path, v)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	rc, err := o.ReadRange(ctx, 0, o.Entry().Size)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	b, err := io.ReadAll(rc)
	if err == nil && int64(len(b)) != o.Entry().Size {
		err = fmt.Errorf("%d bytes, size says %d", len(b), o.Entry().Size)
	}
	return b, err
}

func mustRead(t testing.TB, r *Remote, path string) string {
	t.Helper()
	b, err := readFile(t.Context(), r, path, "")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// compareTree compares the folder dir of r with a checkout: names, types, modes,
// sizes, times, contents. It returns the number of files.
func compareTree(t testing.TB, r *Remote, dir, checkout string, when time.Time) int {
	t.Helper()
	entries := listAll(t, r, dir)
	if err := r.Sizes(t.Context(), dir, entries); err != nil {
		t.Fatalf("%v", err)
	}
	var got []string
	files := 0
	for _, e := range entries {
		got = append(got, e.Name)
		p := join2(dir, e.Name)
		local := filepath.Join(checkout, e.Name)
		fi, err := os.Lstat(local)
		if err != nil {
			t.Errorf("%s is not in the checkout: %v", p, err)
			continue
		}
		mode := e.Mode
		if e.Mode&fs.ModeSymlink != 0 {
			mode = fs.ModeSymlink | 0o777
		}
		if fi.Mode() != mode {
			t.Errorf("%s: mode %v, checkout has %v", p, e.Mode, fi.Mode())
		}
		if !e.ModTime.Equal(when) {
			t.Errorf("%s: time %v, want %v", p, e.ModTime, when)
		}
		if e.Version == "" {
			t.Errorf("%s: no version", p)
		}
		if again, err := r.Stat(t.Context(), p); err != nil || again != e {
			t.Errorf("stat %s: %+v, %v; listed as %+v", p, again, err, e)
		}
		if e.Mode.IsDir() {
			files += compareTree(t, r, p, local, when)
			continue
		}
		files++
		want, err := os.ReadFile(local)
		if e.Mode&fs.ModeSymlink != 0 {
			var target string
			target, err = os.Readlink(local)
			want = []byte(target)
		}
		if err != nil {
			t.Error(err)
			continue
		}
		b, err := readFile(t.Context(), r, p, e.Version)
		if err != nil {
			t.Error(err)
			continue
		}
		if !bytes.Equal(b, want) || e.Size != int64(len(want)) {
			t.Errorf("%s: content differs, %d bytes (size %d), want %d", p, len(b), e.Size, len(want))
		}
	}
	have, err := os.ReadDir(checkout)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, e := range have {
		if e.Name() != ".git" {
			want = append(want, e.Name())
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("names in %q: %q, checkout has %q", dir, got, want)
	}
	return files
}

func clone(t testing.TB, repo, rev string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "clone")
	runGit(t, "", "clone", "-q", "--no-checkout", repo, dir)
	runGit(t, dir, "checkout", "-q", rev)
	return dir
}

func TestHTTPLikeClone(t *testing.T) {
	home(t)
	repo := newRepo(t)
	commit(t, repo, "main", "", commitTime, manyFiles()...)
	checkout := clone(t, repo, "main")
	for _, tc := range []struct {
		name     string
		without  []string // settings of newRepo
		old      bool
		requests int64
	}{
		{"object-info", nil, false, 30},
		{"no object-info", []string{"transfer.advertiseObjectInfo"}, false, 30},
		{"no filter", []string{"transfer.advertiseObjectInfo", "uploadpack.allowFilter"}, false, 3},
		{"no filter, no any", []string{"transfer.advertiseObjectInfo", "uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"}, false, 3},
		{"version 0", nil, true, 30},
		{"version 0, no filter", []string{"uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"}, true, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, key := range tc.without {
				runGit(t, repo, "config", "--unset", key)
				defer runGit(t, repo, "config", key, "true")
			}
			s := serveHTTP(t, repo, func(h http.Handler) http.Handler {
				if len(tc.without) > 0 {
					h = withoutCapability("object-info")(h)
				}
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if tc.old {
						r.Header.Del("Git-Protocol")
					}
					h.ServeHTTP(w, r)
				})
			})
			r := open(t, s.remoteURL(t, ""), testOptions(t))
			if n := len(listAll(t, r, "")); n != 28 {
				t.Errorf("%d entries in the root folder", n)
			}
			if n := s.requests.Load(); n > 3 {
				t.Errorf("first listing took %d requests: %q", n, s.log)
			}
			start := time.Now()
			files := compareTree(t, r, "", checkout, time.Unix(commitTime, 0))
			t.Logf("%d files compared, %d requests, %v", files, s.requests.Load(), time.Since(start))
			if files < 1200 {
				t.Errorf("only %d files", files)
			}
			if n := s.requests.Load(); n > tc.requests {
				t.Errorf("%d requests: %q", n, s.log)
			}
		})
	}
}

func TestMissing(t *testing.T) {
	home(t)
	repo := newRepo(t)
	commit(t, repo, "main", "", commitTime, manyFiles()...)
	s := serveHTTP(t, repo, nil)
	r := open(t, s.remoteURL(t, ""), testOptions(t))
	ctx := t.Context()
	for _, tc := range []struct {
		path string
		want error
	}{
		{"nothing", providers.ErrNotExist}, {"d00/nothing", providers.ErrNotExist}, {"README.md/x", providers.ErrNotDir},
		{"sub/module/x", providers.ErrNotExist}, {"link/x", providers.ErrNotDir},
	} {
		if _, err := r.Stat(ctx, tc.path); !errors.Is(err, tc.want) {
			t.Errorf("stat %q: %v, want %v", tc.path, err, tc.want)
		}
		if _, err := r.Open(ctx, tc.path, ""); !errors.Is(err, tc.want) {
			t.Errorf("open %q: %v, want %v", tc.path, err, tc.want)
		}
		if _, err := r.ReadDir(ctx, tc.path, ""); !errors.Is(err, tc.want) {
			t.Errorf("list %q: %v, want %v", tc.path, err, tc.want)
		}
	}
	if _, err := r.Open(ctx, "d00", ""); !errors.Is(err, providers.ErrIsDir) {
		t.Errorf("open a folder: %v", err)
	}
	if _, err := r.ReadDir(ctx, "README.md", ""); !errors.Is(err, providers.ErrNotDir) {
		t.Errorf("list a file: %v", err)
	}
	if _, err := r.Open(ctx, "README.md", "bogus"); !errors.Is(err, providers.ErrChanged) {
		t.Errorf("open a version that is none: %v", err)
	}
	if _, err := r.Open(ctx, "README.md", "1111111111111111111111111111111111111111"); !errors.Is(err, providers.ErrChanged) {
		t.Errorf("open a version that never was: %v", err)
	}
	r.Close()
	if _, err := r.Stat(ctx, ""); !errors.Is(err, providers.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
