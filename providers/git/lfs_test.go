package git

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/providers"
)

// lfsServer is a small LFS server over the folder in which git-lfs keeps files.
type lfsServer struct {
	objects string // folder
	token   string // wanted as "Authorization: RemoteAuth TOKEN" by both, "" for none
	mu      sync.Mutex
	away    bool
	cut     int // downloads that break off in the middle
	spoil   bool
	served  int
}

func (s *lfsServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.away:
		w.WriteHeader(http.StatusServiceUnavailable)
	case s.token != "" && r.Header.Get("Authorization") != "RemoteAuth "+s.token:
		w.WriteHeader(http.StatusForbidden)
	case strings.HasSuffix(r.URL.Path, "/info/lfs/objects/batch"):
		s.batch(w, r)
	default:
		oid := filepath.Base(r.URL.Path)
		b, err := os.ReadFile(filepath.Join(s.objects, oid[:2], oid[2:4], oid))
		if err != nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		s.served++
		if s.spoil {
			b = bytes.Repeat([]byte{'?'}, len(b))
		}
		if s.cut > 0 {
			s.cut--
			w.Header().Set("Content-Length", fmt.Sprint(len(b)))
			w.Write(b[:len(b)/3])
			panic(http.ErrAbortHandler)
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
	}
}

// set changes what the server does.
func (s *lfsServer) set(change func(*lfsServer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// count is how many large files were served since the last call.
func (s *lfsServer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.served
	s.served = 0
	return n
}

func (s *lfsServer) batch(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Operation string
		Objects   []struct {
			OID  string
			Size int64
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil || q.Operation != "download" || r.Header.Get("Accept") != "application/vnd.git-lfs+json" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	var objects []any
	for _, o := range q.Objects {
		if _, err := os.Stat(filepath.Join(s.objects, o.OID[:2], o.OID[2:4], o.OID)); err != nil {
			objects = append(objects, map[string]any{"oid": o.OID, "size": o.Size, "error": map[string]any{"code": 404, "message": "gone"}})
			continue
		}
		a := map[string]any{"href": "http://" + r.Host + "/content/" + o.OID}
		if s.token != "" {
			a["header"] = map[string]string{"Authorization": "RemoteAuth " + s.token}
		}
		objects = append(objects, map[string]any{"oid": o.OID, "size": o.Size, "actions": map[string]any{"download": a}})
	}
	w.Header().Set("Content-Type", "application/vnd.git-lfs+json")
	json.NewEncoder(w).Encode(map[string]any{"transfer": "basic", "objects": objects})
}

// lfsRepo makes a repository with large files by git-lfs itself, and returns a
// working tree of it with their contents.
func lfsRepo(t testing.TB) (repo, work string) {
	t.Helper()
	need(t, "git-lfs")
	repo = newRepo(t)
	work = filepath.Join(t.TempDir(), "work")
	runGit(t, "", "clone", "-q", repo, work)
	runGit(t, work, "lfs", "install", "--local")
	runGit(t, work, "lfs", "track", "*.bin", "big/**", "with space/*.dat")
	writeTree := func(name, content string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(work, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(work, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(work, ".gitattributes"), 0o644); err != nil {
		t.Fatal(err)
	}
	writeTree("a.bin", strings.Repeat("large ", 100_000))
	writeTree("big/one/two", "content of two")
	writeTree("big/plain.txt", "not by lfs\n")
	writeTree("big/.gitattributes", "plain.txt !filter !diff !merge\n*.gitattributes !filter\n")
	writeTree("with space/x.dat", strings.Repeat("x", 300_000))
	writeTree("empty.bin", "")
	writeTree("plain", "plain\n")
	// Has the form of a pointer, but nobody said that it is one.
	writeTree("fixture.txt", fmt.Sprintf("version https://git-lfs.github.com/spec/v1\noid sha256:%x\nsize 12\n", sha256.Sum256(nil)))
	// Is said to be one, and has not the form of one.
	runGit(t, work, "add", ".")
	hash := exec.Command("git", "hash-object", "-w", "--stdin")
	hash.Dir, hash.Stdin = work, strings.NewReader(strings.Repeat("no pointer ", 20))
	out, err := hash.Output()
	if err != nil {
		t.Fatal(err)
	}
	runGit(t, work, "update-index", "--add", "--cacheinfo", "100644,"+strings.TrimSpace(string(out))+",wrong.bin")
	runGit(t, work, "commit", "-q", "-m", "lfs")
	runGit(t, work, "push", "-q", "--no-verify", "origin", "HEAD:main")
	writeTree("wrong.bin", strings.Repeat("no pointer ", 20))
	return repo, work
}

func lfsObjects(work string) string { return filepath.Join(work, ".git", "lfs", "objects") }

func TestLFS(t *testing.T) {
	home(t)
	t.Setenv("GIT_COMMITTER_DATE", fmt.Sprintf("%d +0000", commitTime))
	repo, work := lfsRepo(t)
	large := &lfsServer{objects: lfsObjects(work)}
	for _, info := range []bool{true, false} {
		t.Run(fmt.Sprintf("object-info %v", info), func(t *testing.T) {
			s := serveHTTP(t, repo, func(h http.Handler) http.Handler {
				if !info {
					h = withoutCapability("object-info")(h)
				}
				mux := http.NewServeMux()
				mux.Handle("/", h)
				mux.Handle("/repo.git/info/lfs/", large)
				mux.Handle("/content/", large)
				return mux
			})
			o := testOptions(t)
			r := open(t, s.remoteURL(t, ""), o)
			large.count()
			entries := listAll(t, r, "")
			if err := r.Sizes(t.Context(), "", entries); err != nil {
				t.Fatal(err)
			}
			if large.count() != 0 {
				t.Error("a listing fetched large files")
			}
			compareTree(t, r, "", work, time.Unix(commitTime, 0))
			if n := large.count(); n != 3 {
				t.Errorf("%d large files fetched", n)
			}
			r.Close()

			// Again from the cache, with both servers away.
			s.Close()
			r = open(t, s.remoteURL(t, ""), o)
			compareTree(t, r, "", work, time.Unix(commitTime, 0))
		})
	}
}

func TestLFSTrouble(t *testing.T) {
	home(t)
	repo, work := lfsRepo(t)
	large := &lfsServer{objects: lfsObjects(work)}
	s := serveHTTP(t, repo, func(h http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/", h)
		mux.Handle("/repo.git/info/lfs/", large)
		mux.Handle("/content/", large)
		return mux
	})
	r := open(t, s.remoteURL(t, ""), testOptions(t))
	large.set(func(s *lfsServer) { s.away = true })
	if _, err := readFile(t.Context(), r, "a.bin", ""); !errors.Is(err, providers.ErrOffline) {
		t.Errorf("LFS server away: %v", err)
	}
	large.set(func(s *lfsServer) { s.away = false })
	large.set(func(s *lfsServer) { s.spoil = true })
	if _, err := readFile(t.Context(), r, "a.bin", ""); !errors.Is(err, providers.ErrProtocol) {
		t.Errorf("wrong content: %v", err)
	}
	large.set(func(s *lfsServer) { s.spoil = false })
	large.set(func(s *lfsServer) { s.cut = 1 })
	want, _ := os.ReadFile(filepath.Join(work, "a.bin"))
	if got := mustRead(t, r, "a.bin"); got != string(want) {
		t.Error("content differs after the download was interrupted")
	}
	gone := filepath.Join(lfsObjects(work))
	if err := os.Rename(gone, gone+".away"); err != nil {
		t.Fatal(err)
	}
	if b, err := readFile(t.Context(), r, "big/one/two", ""); err == nil || errors.Is(err, providers.ErrNotExist) {
		t.Errorf("LFS server has lost the file: %q, %v", b, err)
	}
}

func TestLFSOverSSH(t *testing.T) {
	h := home(t)
	repo, work := lfsRepo(t)
	large := &lfsServer{objects: lfsObjects(work), token: "s3cret"}
	web := httptest.NewServer(large)
	defer web.Close()
	bin := filepath.Join(h, "bin")
	writeFile(t, filepath.Join(bin, "git-lfs-authenticate"), fmt.Sprintf("#!/bin/sh\n[ \"$2\" = download ] && [ -d \"$1\" ] && echo '{\"href\":\"%s/x/info/lfs\",\"header\":{\"Authorization\":\"RemoteAuth s3cret\"},\"expires_in\":100}'\n", web.URL))
	os.Chmod(filepath.Join(bin, "git-lfs-authenticate"), 0o700)
	s := startSSHD(t, "AcceptEnv GIT_PROTOCOL", "SetEnv PATH="+bin+":"+os.Getenv("PATH"))
	key := filepath.Join(h, ".ssh", "id_ed25519")
	writeFile(t, filepath.Join(h, ".ssh", "config"), "")
	sshKeygen(t, key, "")
	s.authorize(t, key+".pub")
	s.know(t, h)
	r := open(t, parseURL(t, fmt.Sprintf("ssh://%s@127.0.0.1:%d%s", s.user, s.port, repo)), testOptions(t))
	want, _ := os.ReadFile(filepath.Join(work, "a.bin"))
	if got := mustRead(t, r, "a.bin"); got != string(want) {
		t.Error("content differs")
	}
}

func TestLFSOfThisComputer(t *testing.T) {
	home(t)
	repo, work := lfsRepo(t)
	r := open(t, parseURL(t, "git+file://"+repo), testOptions(t))
	if b, err := readFile(t.Context(), r, "a.bin", ""); err == nil {
		t.Errorf("a file that was never pushed reads as %.40q", b)
	}
	runGit(t, work, "remote", "set-url", "origin", "file://"+repo)
	runGit(t, work, "config", "lfs.allowincompletepush", "true")
	runGit(t, work, "lfs", "push", "--all", "origin")
	want, _ := os.ReadFile(filepath.Join(work, "a.bin"))
	if got := mustRead(t, r, "a.bin"); got != string(want) {
		t.Error("content differs")
	}
}
