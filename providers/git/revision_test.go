package git

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/providertest"
)

func TestConformance(t *testing.T) {
	home(t)
	var repo string
	providertest.Run(t, func(t *testing.T) providers.Provider {
		repo = newRepo(t)
		var files []file
		for _, f := range providertest.Tree() {
			mode := "100644"
			switch {
			case f.Mode&fs.ModeSymlink != 0:
				mode = "120000"
			case f.Mode&0o100 != 0:
				mode = "100755"
			}
			files = append(files, file{f.Path, mode, f.Data})
		}
		commit(t, repo, "main", "", commitTime, files...)
		s := serveHTTP(t, repo, nil)
		r, err := Open(t.Context(), s.remoteURL(t, ""), testOptions(t))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}, providertest.Prepared(), providertest.Changing(func(t *testing.T, f providertest.File) {
		commit(t, repo, "main", "refs/heads/main^0", commitTime+60, file{f.Path, "100644", f.Data})
	}))
}

// history makes a repository with three commits, branches and tags, and returns
// the ids of the commits.
func history(t testing.TB, args ...string) (repo string, ids []string) {
	t.Helper()
	repo = newRepo(t, args...)
	for i := range 3 {
		from := ""
		if i > 0 {
			from = "refs/heads/main^0"
		}
		commit(t, repo, "main", from, commitTime+int64(i)*100,
			file{"n", "100644", fmt.Sprint(i)}, file{fmt.Sprintf("dir/f%d", i), "100644", fmt.Sprint("f", i)}, file{"dir/sub/x", "100644", "x"})
		ids = append(ids, runGit(t, repo, "rev-parse", "main"))
	}
	runGit(t, repo, "branch", "side", ids[0])
	runGit(t, repo, "branch", "feature/x", ids[1])
	runGit(t, repo, "branch", "both", ids[0])
	runGit(t, repo, "tag", "both", ids[1])
	runGit(t, repo, "tag", "light", ids[0])
	runGit(t, repo, "tag", "-a", "-m", "m", "v1.0", ids[1])
	runGit(t, repo, "tag", "-a", "-m", "m", "nested", "v1.0")
	runGit(t, repo, "tag", "tree", ids[1]+"^{tree}")
	runGit(t, repo, "tag", "file", ids[1]+":n")
	return repo, ids
}

func TestRevisions(t *testing.T) {
	for _, format := range []string{"sha1", "sha256"} {
		t.Run(format, func(t *testing.T) {
			home(t)
			repo, ids := history(t, "--object-format="+format)
			annotated := runGit(t, repo, "rev-parse", "v1.0")
			s := serveHTTP(t, repo, nil)
			for _, tc := range []struct{ rev, want string }{
				{"", "2"}, {"@main", "2"}, {"@HEAD", "2"}, {"@side", "0"}, {"@feature/x", "1"}, {"@both", "0"}, {"@tags/both", "1"},
				{"@light", "0"}, {"@v1.0", "1"}, {"@nested", "1"}, {"@refs/tags/light", "0"}, {"@refs/heads/side", "0"},
				{"@" + ids[0], "0"}, {"@" + strings.ToUpper(ids[1]), "1"}, {"@" + ids[0][:7], "0"}, {"@" + ids[1][:12], "1"}, {"@" + ids[2][:8], "2"},
				{"@" + annotated, "1"}, {"@tree", "1"},
			} {
				r := open(t, s.remoteURL(t, tc.rev), testOptions(t))
				if got := mustRead(t, r, "n"); got != tc.want {
					t.Errorf("%s: %q, want %q", tc.rev, got, tc.want)
				}
				e, err := r.Stat(t.Context(), "")
				want := time.Unix(commitTime+100*int64(tc.want[0]-'0'), 0)
				if tc.rev == "@tree" {
					want = time.Time{}
				}
				if err != nil || !e.ModTime.Equal(want) {
					t.Errorf("%s: time %v, %v", tc.rev, e.ModTime, err)
				}
				if v, err := r.Probe(t.Context()); err != nil || v == "" {
					t.Errorf("%s: probe %q, %v", tc.rev, v, err)
				}
				r.Close()
			}
			for _, rev := range []string{"@nothing", "@main2", "@mai", "@" + strings.Repeat("a", len(ids[0])), "@abcdef1", "@file"} {
				if _, err := Open(t.Context(), s.remoteURL(t, rev), testOptions(t)); !errors.Is(err, providers.ErrNoRevision) {
					t.Errorf("%s: %v", rev, err)
				}
			}
			empty := newRepo(t, "--object-format="+format)
			if _, err := Open(t.Context(), serveHTTP(t, empty, nil).remoteURL(t, ""), testOptions(t)); !errors.Is(err, providers.ErrNoRevision) {
				t.Errorf("empty repository: %v", err)
			}
		})
	}
}

func TestSubfolder(t *testing.T) {
	home(t)
	repo, _ := history(t)
	s := serveHTTP(t, repo, nil)
	r := open(t, s.remoteURL(t, "@main#dir"), testOptions(t))
	if got := mustRead(t, r, "sub/x"); got != "x" {
		t.Errorf("%q", got)
	}
	if n := len(listAll(t, r, "")); n != 4 {
		t.Errorf("%d entries", n)
	}
	if n := s.requests.Load(); n > 4 {
		t.Errorf("%d requests", n)
	}
	if _, err := Open(t.Context(), s.remoteURL(t, "#nothing"), testOptions(t)); !errors.Is(err, providers.ErrNotExist) {
		t.Errorf("no such folder: %v", err)
	}
	if _, err := Open(t.Context(), s.remoteURL(t, "#n"), testOptions(t)); !errors.Is(err, providers.ErrNotDir) {
		t.Errorf("a file as folder: %v", err)
	}
	// The address of a page, where nobody knows where the branch ends.
	u := s.remoteURL(t, "")
	u.Revision, u.Subdir, u.SplitOpen = "feature", "x/dir/sub", true
	r = open(t, u, testOptions(t))
	if got := mustRead(t, r, "x"); got != "x" {
		t.Errorf("%q", got)
	}
}

func TestProbe(t *testing.T) {
	home(t)
	repo := newRepo(t)
	commit(t, repo, "main", "", commitTime, manyFiles()...)
	s := serveHTTP(t, repo, nil)
	o := testOptions(t)
	r := open(t, s.remoteURL(t, "@main"), o)
	ctx := t.Context()
	old, err := r.Stat(ctx, "README.md")
	if err != nil {
		t.Fatal(err)
	}
	link, _ := r.Stat(ctx, "link")
	first, err := r.Probe(ctx)
	if err != nil {
		t.Fatal(err)
	}
	before := s.requests.Load()
	if again, err := r.Probe(ctx); err != nil || again != first {
		t.Errorf("nothing changed: %q, %v, was %q", again, err, first)
	}
	if n := s.requests.Load() - before; n != 1 {
		t.Errorf("a probe took %d requests", n)
	}

	commit(t, repo, "main", "refs/heads/main^0", commitTime+100, file{"README.md", "100644", "changed\n"}, file{"d00", "D", ""}, file{"new/file", "100644", "new"})
	if got := mustRead(t, r, "README.md"); got != "# hello\n" {
		t.Errorf("changed without a probe: %q", got)
	}
	before = s.requests.Load()
	second, err := r.Probe(ctx)
	if err != nil || second == first {
		t.Fatalf("the branch moved: %q, %v", second, err)
	}
	if n := s.requests.Load() - before; n != 2 {
		t.Errorf("moving took %d requests", n)
	}
	if got := mustRead(t, r, "README.md"); got != "changed\n" {
		t.Errorf("after the move: %q", got)
	}
	if _, err := r.Stat(ctx, "d00"); !errors.Is(err, providers.ErrNotExist) {
		t.Errorf("a removed folder: %v", err)
	}
	if got := mustRead(t, r, "new/file"); got != "new" {
		t.Errorf("a new file: %q", got)
	}
	if b, err := readFile(ctx, r, "README.md", old.Version); err != nil || string(b) != "# hello\n" {
		t.Errorf("the old version: %q, %v", b, err)
	}
	if b, err := readFile(ctx, r, "link", link.Version); err != nil || string(b) != "d00/s0/f0000.txt" {
		t.Errorf("what did not change: %q, %v", b, err)
	}
	compareNames(t, r, repo, "main")
	times := func(r *Remote) {
		t.Helper()
		for path, after := range map[string]int64{"": 100, "README.md": 100, "new": 100, "new/file": 100, "run.sh": 0, "d01": 0, "d01/s1/f0001.txt": 0, "big/noise.bin": 0} {
			e, err := r.Stat(ctx, path)
			if want := time.Unix(commitTime+after, 0); err != nil || !e.ModTime.Equal(want) {
				t.Errorf("%q: time %v, %v, want %v", path, e.ModTime, err, want)
			}
			if path == "" {
				continue
			}
			for _, l := range listAll(t, r, parent(path)) {
				if l.Name == e.Name && !l.ModTime.Equal(e.ModTime) {
					t.Errorf("%q: time %v in the listing", path, l.ModTime)
				}
			}
		}
	}
	times(r)
	r.Close()
	r = open(t, s.remoteURL(t, "@main"), o)
	times(r)

	// A force-push to something unrelated.
	commit(t, repo, "main", "", commitTime+200, file{"only", "100644", "1"})
	if _, err := r.Probe(ctx); err != nil {
		t.Fatal(err)
	}
	if n := len(listAll(t, r, "")); n != 1 {
		t.Errorf("%d entries after a force-push", n)
	}

	// The branch vanishes: the probe says so, what is shown stays.
	runGit(t, repo, "update-ref", "-d", "refs/heads/main")
	if _, err := r.Probe(ctx); !errors.Is(err, providers.ErrNoRevision) {
		t.Errorf("branch deleted: %v", err)
	}
	if got := mustRead(t, r, "only"); got != "1" {
		t.Errorf("%q", got)
	}
}

// compareNames compares all paths, in few requests.
func compareNames(t *testing.T, r *Remote, repo, rev string) {
	t.Helper()
	want := strings.Split(runGit(t, repo, "ls-tree", "-r", "-z", "--name-only", rev), "\x00")
	var got []string
	var walk func(dir string)
	walk = func(dir string) {
		for _, e := range listAll(t, r, dir) {
			if p := join2(dir, e.Name); e.Mode.IsDir() && e.Name != "module" {
				walk(p)
			} else {
				got = append(got, p)
			}
		}
	}
	walk("")
	have := make(map[string]bool)
	for _, p := range got {
		have[p] = true
	}
	for _, p := range want {
		if p != "" && !have[p] {
			t.Errorf("%q is missing", p)
		}
	}
	if len(got) != len(want)-1 {
		t.Errorf("%d files, git has %d", len(got), len(want)-1)
	}
}

func TestOffline(t *testing.T) {
	home(t)
	for _, filter := range []bool{true, false} {
		t.Run(fmt.Sprintf("filter %v", filter), func(t *testing.T) {
			repo := newRepo(t)
			if !filter {
				runGit(t, repo, "config", "--unset", "uploadpack.allowFilter")
			}
			commit(t, repo, "main", "", commitTime, manyFiles()...)
			var away atomic.Bool
			s := serveHTTP(t, repo, func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if away.Load() {
						panic(http.ErrAbortHandler)
					}
					h.ServeHTTP(w, r)
				})
			})
			o := testOptions(t)
			r := open(t, s.remoteURL(t, ""), o)
			if got := mustRead(t, r, "README.md"); got != "# hello\n" {
				t.Errorf("%q", got)
			}
			fill := r.flights.running(fillKey{r.snapshot().id})
			if fill != nil {
				fill.wait(t.Context())
				fill.leave()
			}
			away.Store(true)
			check := func(r *Remote) {
				t.Helper()
				compareNames(t, r, repo, "main")
				if got := mustRead(t, r, "README.md"); got != "# hello\n" {
					t.Errorf("%q", got)
				}
				_, err := readFile(t.Context(), r, "run.sh", "")
				if filter && !errors.Is(err, providers.ErrOffline) {
					t.Errorf("a file that is not here: %v", err)
				}
				if !filter && err != nil {
					t.Errorf("a file that came with all: %v", err)
				}
				if _, err := r.Probe(t.Context()); !errors.Is(err, providers.ErrOffline) {
					t.Errorf("probe: %v", err)
				}
			}
			check(r)
			r.Close()
			r = open(t, s.remoteURL(t, ""), o) // restart
			check(r)
			away.Store(false)
			if _, err := r.Probe(t.Context()); err != nil {
				t.Errorf("back again: %v", err)
			}
			if got := mustRead(t, r, "run.sh"); !strings.HasPrefix(got, "#!") {
				t.Errorf("%q", got)
			}
			if _, err := Open(t.Context(), s.remoteURL(t, "@other"), o); !errors.Is(err, providers.ErrNoRevision) {
				t.Errorf("another revision in the same folder: %v", err)
			}
		})
	}
}
