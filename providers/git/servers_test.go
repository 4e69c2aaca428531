package git

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/git/internal/transport"
)

// need skips the test if a program is missing; on CI that is a failure.
func need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing, and CI=true", p)
		}
		t.Skipf("%s is not installed", p)
	}
}

// home makes a home folder of the test's own, so that nobody's settings, keys
// and logins are used.
func home(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("USERPROFILE", dir)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, ".config"))
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	t.Setenv("SSH_AUTH_SOCK", "")
	t.Setenv("GIT_AUTHOR_NAME", "A")
	t.Setenv("GIT_AUTHOR_EMAIL", "a@example.org")
	t.Setenv("GIT_COMMITTER_NAME", "A")
	t.Setenv("GIT_COMMITTER_EMAIL", "a@example.org")
	return dir
}

func runGit(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return strings.TrimSpace(string(out))
}

// commitTime is when the first commit of a test repository was made.
const commitTime = 1_700_000_000

// fastImport feeds a stream to git fast-import.
func fastImport(t testing.TB, repo, stream string) {
	t.Helper()
	cmd := exec.Command("git", "fast-import", "--quiet", "--force")
	cmd.Dir = repo
	cmd.Stdin = strings.NewReader(stream)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git fast-import: %v\n%s", err, out)
	}
}

// file of a commit.
type file struct {
	path, mode, content string
}

// commit makes a commit on branch. from is the parent, "" for none.
func commit(t testing.TB, repo, branch, from string, when int64, files ...file) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "commit refs/heads/%s\ncommitter A <a@example.org> %d +0100\ndata 3\nmsg\n", branch, when)
	if from != "" {
		fmt.Fprintf(&b, "from %s\n", from)
	}
	for _, f := range files {
		if f.mode == "160000" {
			fmt.Fprintf(&b, "M 160000 %s %s\n", f.content, f.path)
			continue
		}
		if f.mode == "D" {
			fmt.Fprintf(&b, "D %s\n", f.path)
			continue
		}
		fmt.Fprintf(&b, "M %s inline %s\ndata %d\n%s\n", f.mode, strconv.Quote(f.path), len(f.content), f.content)
	}
	b.WriteString("\n")
	fastImport(t, repo, b.String())
}

// newRepo makes an empty bare repository whose server allows everything.
func newRepo(t testing.TB, args ...string) string {
	t.Helper()
	need(t, "git")
	dir := filepath.Join(t.TempDir(), "repo.git")
	runGit(t, "", append([]string{"init", "-q", "--bare", "--initial-branch=main"}, append(args, dir)...)...)
	for _, kv := range [][2]string{
		{"uploadpack.allowFilter", "true"}, {"uploadpack.allowAnySHA1InWant", "true"},
		{"transfer.advertiseObjectInfo", "true"}, {"http.receivepack", "false"}, {"core.logAllRefUpdates", "false"},
	} {
		runGit(t, dir, "config", kv[0], kv[1])
	}
	return dir
}

// manyFiles are more than 1,200 files in folders, some alike, some large, with
// links and execute bits.
func manyFiles() []file {
	rng := rand.New(rand.NewPCG(1, 2))
	noise := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.UintN(256))
		}
		return string(b)
	}
	var files []file
	for i := range 1200 {
		dir := fmt.Sprintf("d%02d/s%d", i%20, i%7)
		files = append(files, file{fmt.Sprintf("%s/f%04d.txt", dir, i), "100644", fmt.Sprintf("file %d\n%s", i, strings.Repeat("text that repeats\n", i%50))})
	}
	return append(files,
		file{"README.md", "100644", "# hello\n"},
		file{"run.sh", "100755", "#!/bin/sh\necho hello\n"},
		file{"link", "120000", "d00/s0/f0000.txt"},
		file{"empty", "100644", ""},
		file{"deep/a/b/c/d/e/f/g", "100644", "deep\n"},
		file{"big/noise.bin", "100644", noise(3 << 20)},
		file{"big/zero.bin", "100644", strings.Repeat("\x00", 2<<20)},
		file{"big/medium.bin", "100644", noise(200 << 10)},
		file{"names/with space", "100644", "1"},
		file{"names/ünïcode", "100644", "2"},
		file{"names/-dash", "100644", "3"},
		file{"sub/module", "160000", "0123456789012345678901234567890123456789"},
	)
}

// httpServer serves the parent folder of repo over http by git http-backend.
type httpServer struct {
	*httptest.Server
	requests atomic.Int64
	mu       sync.Mutex
	log      []string // "GET /repo.git/info/refs", …
}

func gitCore(t testing.TB) string { return runGit(t, "", "--exec-path") }

func serveHTTP(t testing.TB, repo string, wrap func(http.Handler) http.Handler) *httpServer {
	t.Helper()
	backend := filepath.Join(gitCore(t), "git-http-backend")
	need(t, backend)
	s := &httpServer{}
	var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &cgi.Handler{
			Path: backend,
			Env: []string{
				"GIT_PROJECT_ROOT=" + filepath.Dir(repo), "GIT_HTTP_EXPORT_ALL=1",
				"GIT_PROTOCOL=" + r.Header.Get("Git-Protocol"), "HOME=" + os.Getenv("HOME"),
				"GIT_CONFIG_NOSYSTEM=1",
			},
			Stderr: &bytes.Buffer{},
			Logger: log.New(io.Discard, "", 0), // of clients that hung up
		}
		if u, _, ok := r.BasicAuth(); ok {
			c.Env = append(c.Env, "REMOTE_USER="+u)
		}
		c.ServeHTTP(w, r)
	})
	if wrap != nil {
		h = wrap(h)
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		s.mu.Lock()
		s.log = append(s.log, r.Method+" "+r.URL.Path)
		s.mu.Unlock()
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// remoteURL is the drive URL of /repo.git at a server.
func (s *httpServer) remoteURL(t testing.TB, tail string) providers.URL {
	return parseURL(t, "git+"+s.URL+"/repo.git"+tail)
}

func parseURL(t testing.TB, s string) providers.URL {
	t.Helper()
	u, _, err := providers.ParseURL(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func testOptions(t testing.TB) Options {
	return Options{CacheDir: t.TempDir(), timeouts: transport.Timeouts{Connect: 5 * time.Second, Header: 5 * time.Second, Idle: 5 * time.Second}}
}

func open(t testing.TB, u providers.URL, o Options) *Remote {
	t.Helper()
	r, err := Open(t.Context(), u, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// freePort is a port of loopback that was free a moment ago.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func waitForPort(t testing.TB, port int) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// startServer runs a program until the test ends.
func startServer(t testing.TB, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, name, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s: %s", name, out.Bytes())
		}
	})
}

// withoutCapability takes a line of the advertisement away. Some versions of git
// offer object-info whatever their settings say.
func withoutCapability(name string) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet {
				h.ServeHTTP(w, r)
				return
			}
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			for k, v := range rec.Header() {
				w.Header()[k] = v
			}
			w.WriteHeader(rec.Code)
			line := fmt.Sprintf("%04x%s\n", len(name)+5, name)
			w.Write(bytes.Replace(rec.Body.Bytes(), []byte(line), nil, 1))
		})
	}
}
