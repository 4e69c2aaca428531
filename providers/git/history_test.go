package git

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moorage/moorage/providers"
)

// longHistory makes a repository with n commits on main, a minute apart, each with the
// number of it in the file n; the tenth merges a branch of three commits.
func longHistory(t testing.TB, n int) string {
	t.Helper()
	repo := newRepo(t)
	var b strings.Builder
	write := func(branch, from, merge string, i int, when int64) {
		content := fmt.Sprint(i)
		fmt.Fprintf(&b, "commit refs/heads/%s\nmark :%d\nauthor Ann %d <a@example.org> %d +0100\ncommitter C <c@example.org> %d +0100\n", branch, i+1, i, when-30, when)
		msg := fmt.Sprintf("commit %d\n\nwith a body\n", i)
		fmt.Fprintf(&b, "data %d\n%s\n", len(msg), msg)
		if from != "" {
			fmt.Fprintf(&b, "from %s\n", from)
		}
		if merge != "" {
			fmt.Fprintf(&b, "merge %s\n", merge)
		}
		fmt.Fprintf(&b, "M 100644 inline n\ndata %d\n%s\nM 100644 inline dir/f%d\ndata 1\nx\n\n", len(content), content, i%7)
	}
	for i := range n {
		from, merge := "", ""
		if i > 0 {
			from = fmt.Sprintf(":%d", i)
		}
		if i == 10 {
			for k := range 3 {
				src := ":5"
				if k > 0 {
					src = fmt.Sprintf(":%d", 10_000+k)
				}
				write("side", src, "", 10_000+k, commitTime+int64(5+k)*60+30)
			}
			merge = ":10003"
		}
		write("main", from, merge, i, commitTime+int64(i)*60)
	}
	fastImport(t, repo, b.String())
	return repo
}

func TestCommits(t *testing.T) {
	home(t)
	repo := longHistory(t, 240)
	want := strings.Split(runGit(t, repo, "log", "--format=%H %ct %s", "main"), "\n")
	for name, tc := range map[string]struct {
		config []string
		v0     bool
	}{
		"v2":        {},
		"no filter": {config: []string{"uploadpack.allowFilter", "false"}},
		"v0":        {v0: true},
		"v0, tips":  {v0: true, config: []string{"uploadpack.allowAnySHA1InWant", "false"}},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.config != nil {
				runGit(t, repo, append([]string{"config"}, tc.config...)...)
				defer runGit(t, repo, "config", tc.config[0], "true")
			}
			s := serveHTTP(t, repo, func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
					if tc.v0 {
						q.Header.Del("Git-Protocol")
					}
					h.ServeHTTP(w, q)
				})
			})
			r := open(t, s.remoteURL(t, ""), testOptions(t))
			var got []string
			cursor := ""
			for {
				page, err := r.Commits(t.Context(), "main", cursor)
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range page.Commits {
					got = append(got, fmt.Sprint(c.ID, " ", c.Time.Unix(), " ", c.Subject))
					if !strings.HasPrefix(c.Author, "Ann ") {
						t.Errorf("author %q", c.Author)
					}
				}
				if cursor = page.Next; cursor == "" {
					break
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%d commits, git log has %d:\n%.600s\n%.600s", len(got), len(want), strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			for i, minute := range map[int]string{239: "", 100: "30", 11: "10", 0: "59"} {
				at := time.Unix(commitTime+int64(i)*60, 0)
				if minute != "" {
					at = at.Add(30 * time.Second)
				}
				c, err := r.CommitAt(t.Context(), "", at)
				if err != nil || c.Subject != fmt.Sprintf("commit %d", i) {
					t.Errorf("at minute %d: %+v, %v", i, c, err)
				}
			}
			if c, err := r.CommitAt(t.Context(), "", time.Unix(commitTime-1, 0)); !errors.Is(err, providers.ErrNoRevision) {
				t.Errorf("before all: %+v, %v", c, err)
			}
		})
	}
}

func TestCommitsTakeOneRequest(t *testing.T) {
	home(t)
	repo := longHistory(t, 60)
	s := serveHTTP(t, repo, nil)
	r := open(t, s.remoteURL(t, ""), testOptions(t))
	if f := r.flights.running(fillKey{r.snapshot().id}); f != nil {
		f.wait(t.Context())
		f.leave()
	}
	before := s.requests.Load()
	page, err := r.Commits(t.Context(), "", "")
	if err != nil || len(page.Commits) != logPage || page.Next == "" {
		t.Fatalf("%d commits, next %q, %v", len(page.Commits), page.Next, err)
	}
	if n := s.requests.Load() - before; n != 1 {
		t.Errorf("%d requests for a page: %q", n, s.log)
	}
	if _, err := r.Commits(t.Context(), "nothing", ""); !errors.Is(err, providers.ErrNoRevision) {
		t.Errorf("no such branch: %v", err)
	}
	for _, cursor := range []string{"x", page.Next + "x", "abc:1", strings.Repeat("a", 40) + ":-1"} {
		if _, err := r.Commits(t.Context(), "", cursor); !errors.Is(err, providers.ErrChanged) {
			t.Errorf("cursor %q: %v", cursor, err)
		}
	}
}

func TestRefs(t *testing.T) {
	home(t)
	repo, ids := history(t)
	for _, v := range []string{"v1.9", "v1.10", "v1.2"} {
		runGit(t, repo, "tag", v, ids[0])
	}
	runGit(t, repo, "branch", "nice\u202egpj.exe", ids[0]) // which reads "nice", then "exe.jpg"
	s := serveHTTP(t, repo, nil)
	r := open(t, s.remoteURL(t, ""), testOptions(t))
	refs, err := r.Refs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(refs.Default, names(refs.Branches), names(refs.Tags)); got != "main[both feature/x main side] [v1.10 v1.9 v1.2 v1.0 tree nested light file tags/both]" {
		t.Error(got)
	}
	for _, ref := range append(refs.Branches, refs.Tags...) {
		if got := runGit(t, repo, "rev-parse", strings.Replace(ref.Name, "tags/both", "refs/tags/both", 1)+"^{}"); ref.Name != "both" && got != ref.Commit {
			t.Errorf("%s is %s, not %s", ref.Name, ref.Commit, got)
		}
	}
}

func names(refs []providers.Ref) (l []string) {
	for _, r := range refs {
		l = append(l, r.Name)
	}
	return l
}

func TestTurn(t *testing.T) {
	home(t)
	repo, ids := history(t)
	var away atomic.Bool
	s := serveHTTP(t, repo, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if away.Load() {
				panic(http.ErrAbortHandler)
			}
			h.ServeHTTP(w, q)
		})
	})
	o := testOptions(t)
	r := open(t, s.remoteURL(t, ""), o)
	ctx := t.Context()
	if sh := r.Shown(); sh.Branch != "main" || sh.Commit != ids[2] || sh.URL != s.remoteURL(t, "") {
		t.Errorf("shown at first: %+v", sh)
	}
	same, err := r.Stat(ctx, "dir/sub/x")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ rev, n, branch string }{
		{"v1.0", "1", ""}, {ids[0], "0", ""}, {"feature/x", "1", "feature/x"}, {ids[1][:8], "1", ""}, {"tags/both", "1", ""}, {"", "2", "main"},
	} {
		v, err := r.Turn(ctx, tc.rev)
		if err != nil {
			t.Fatalf("%q: %v", tc.rev, err)
		}
		if got := mustRead(t, r, "n"); got != tc.n {
			t.Errorf("%q: n is %q, want %q", tc.rev, got, tc.n)
		}
		sh := r.Shown()
		if sh.Branch != tc.branch || sh.URL.Revision != tc.rev || string(v) != sh.Commit || sh.Commit != ids[tc.n[0]-'0'] {
			t.Errorf("%q: %+v, version %q", tc.rev, sh, v)
		}
		if again, err := r.Probe(ctx); err != nil || again != v {
			t.Errorf("%q: a probe says %q, %v, not %q", tc.rev, again, err, v)
		}
		e, err := r.Stat(ctx, "dir/sub/x")
		if err != nil || e.Version != same.Version || !e.ModTime.Equal(same.ModTime) {
			t.Errorf("%q: what is the same shows as %+v, %v", tc.rev, e, err)
		}
		if tc.n != "2" {
			if _, err := r.Stat(ctx, "dir/f2"); !errors.Is(err, providers.ErrNotExist) {
				t.Errorf("%q: a later file: %v", tc.rev, err)
			}
		}
	}
	for _, rev := range []string{"nothing", strings.Repeat("b", 40), "file"} {
		if _, err := r.Turn(ctx, rev); !errors.Is(err, providers.ErrNoRevision) {
			t.Errorf("%q: %v", rev, err)
		}
	}
	for _, rev := range []string{"a\x00b", "x\ny", strings.Repeat("a", 5000)} {
		if _, err := r.Turn(ctx, rev); !errors.Is(err, providers.ErrURL) {
			t.Errorf("%.20q: %v", rev, err)
		}
	}
	if got := mustRead(t, r, "n"); got != "2" {
		t.Errorf("after failures: %q", got)
	}
	if _, err := r.Refs(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Commits(ctx, "", ""); err != nil {
		t.Fatal(err)
	}

	// What was seen before is there without the remote, too.
	away.Store(true)
	for _, rev := range []string{ids[0], "v1.0"} {
		if _, err := r.Turn(ctx, rev); err != nil {
			t.Errorf("%q, which was shown before: %v", rev, err)
		}
	}
	if _, err := r.Turn(ctx, "other"); !errors.Is(err, providers.ErrOffline) {
		t.Errorf("a branch that nobody knows: %v", err)
	}
	if refs, err := r.Refs(ctx); err != nil || len(refs.Branches) != 4 {
		t.Errorf("refs that are known: %+v, %v", refs, err)
	}
	if page, err := r.Commits(ctx, "main", ""); err != nil || len(page.Commits) != 3 {
		t.Errorf("commits that are known: %+v, %v", page, err)
	}
	r.Close()

	// A restart finds the revision that was turned to, and those that are whole.
	r = open(t, s.remoteURL(t, "@v1.0"), o)
	if got := mustRead(t, r, "n"); got != "1" {
		t.Errorf("after a restart: %q", got)
	}
	if _, err := r.Turn(ctx, ids[2]); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	r.Close()

	// One that was told of another revision while it was closed goes on from there.
	away.Store(false)
	r = open(t, s.remoteURL(t, "@side"), o)
	if e, err := r.Stat(ctx, "dir/sub/x"); err != nil || !e.ModTime.Equal(same.ModTime) {
		t.Errorf("what is the same shows as %+v, %v", e, err)
	}
	if got := mustRead(t, r, "n"); got != "0" {
		t.Errorf("@side: %q", got)
	}
}

func TestTurnInSubfolder(t *testing.T) {
	home(t)
	repo, ids := history(t)
	s := serveHTTP(t, repo, nil)
	u := s.remoteURL(t, "")
	u.Revision, u.Subdir, u.SplitOpen = "feature", "x/dir", true
	r := open(t, u, testOptions(t))
	want := s.remoteURL(t, "@feature/x#dir")
	if sh := r.Shown(); sh.URL != want {
		t.Errorf("%+v, want %+v", sh.URL, want)
	}
	if _, err := r.Turn(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	if got := mustRead(t, r, "f2"); got != "f2" || r.Shown().URL != s.remoteURL(t, "@main#dir") {
		t.Errorf("%q at %v", got, r.Shown().URL)
	}
	commit(t, repo, "flat", "", commitTime, file{"n", "100644", "flat"})
	if _, err := r.Turn(t.Context(), "flat"); !errors.Is(err, providers.ErrNotExist) {
		t.Errorf("a revision without the folder: %v", err)
	}
	if got := mustRead(t, r, "f2"); got != "f2" || r.Shown().Commit != ids[2] {
		t.Errorf("%q of %v", got, r.Shown())
	}
}

// A history that is looked at for itself, where the revision of the URL is not there any
// more.
func TestHistoryAlone(t *testing.T) {
	home(t)
	repo, ids := history(t)
	s := serveHTTP(t, repo, nil)
	h, err := OpenHistory(s.remoteURL(t, "@gone#folder"), testOptions(t))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	refs, err := h.Refs(t.Context())
	if err != nil || refs.Default != "main" || len(refs.Branches) != 4 {
		t.Errorf("%+v, %v", refs, err)
	}
	page, err := h.Commits(t.Context(), "", "")
	if err != nil || len(page.Commits) != 3 || page.Commits[2].ID != ids[0] {
		t.Errorf("%+v, %v", page, err)
	}
	if page, err := h.Commits(t.Context(), "nested", ""); err != nil || len(page.Commits) != 2 {
		t.Errorf("of a tag: %+v, %v", page, err)
	}
	if page, err := h.Commits(t.Context(), "tree", ""); !errors.Is(err, providers.ErrNoRevision) {
		t.Errorf("of a tag that is about no commit: %+v, %v", page, err)
	}
	if c, err := h.CommitAt(t.Context(), "", time.Unix(commitTime+150, 0)); err != nil || c.ID != ids[1] {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := h.Commits(t.Context(), "gone", ""); !errors.Is(err, providers.ErrNoRevision) {
		t.Errorf("%v", err)
	}
}

// A long way back takes few requests, and no more memory than it may.
func TestLongWayBack(t *testing.T) {
	home(t)
	const n = 45_000
	repo := newRepo(t)
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "commit refs/heads/main\ncommitter A <a@example.org> %d +0000\ndata 1\nm\n", commitTime+i)
		if i == 0 {
			b.WriteString("M 100644 inline f\ndata 1\nx\n")
		}
		b.WriteByte('\n')
	}
	fastImport(t, repo, b.String())
	s := serveHTTP(t, repo, nil)
	r := open(t, s.remoteURL(t, ""), testOptions(t))
	before := s.requests.Load()
	want := runGit(t, repo, "rev-list", "--max-parents=0", "main")
	c, err := r.CommitAt(t.Context(), "", time.Unix(commitTime, 0))
	if err != nil || c.ID != want {
		t.Errorf("%+v, %v, want %s", c, err, want)
	}
	if n := s.requests.Load() - before; n > 12 {
		t.Errorf("%d requests", n)
	}
	if n := len(r.history.commits); n > 2*maxKnown {
		t.Errorf("%d commits are kept", n)
	}
	// What is listed afterwards is right all the same.
	page, err := r.Commits(t.Context(), "main", "")
	if err != nil || len(page.Commits) != logPage || page.Commits[0].ID != r.Shown().Commit {
		t.Errorf("%d commits, %v", len(page.Commits), err)
	}
}
