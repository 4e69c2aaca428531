package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/providers"
)

// basicAuth wants a login of HTTP Basic.
func basicAuth(user, password string) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if u, p, ok := r.BasicAuth(); !ok || u != user || p != password {
				w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			h.ServeHTTP(w, r)
		})
	}
}

func TestCredentialHelper(t *testing.T) {
	h := home(t)
	repo, _ := history(t)
	s := serveHTTP(t, repo, basicAuth("ann", "c4nary"))
	var logged bytes.Buffer
	o := testOptions(t)
	o.Logger = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))

	_, err := Open(t.Context(), s.remoteURL(t, ""), o)
	if !errors.Is(err, providers.ErrAuth) || !strings.Contains(err.Error(), "keyring") {
		t.Errorf("no login anywhere: %v", err)
	}
	runGit(t, "", "config", "--global", "credential.helper", "store")
	stored := filepath.Join(h, ".git-credentials")
	entry := strings.Replace(s.URL, "http://", "http://ann:%s@", 1) + "\n"
	writeFile(t, stored, fmt.Sprintf(entry, "wrong"))
	if _, err := Open(t.Context(), s.remoteURL(t, ""), o); !errors.Is(err, providers.ErrAuth) {
		t.Errorf("wrong password: %v", err)
	}
	if b, _ := os.ReadFile(stored); bytes.Contains(b, []byte("wrong")) {
		t.Error("the helper still has the password that was refused")
	}
	writeFile(t, stored, fmt.Sprintf(entry, "c4nary"))
	r := open(t, s.remoteURL(t, ""), o)
	if got := mustRead(t, r, "n"); got != "2" {
		t.Errorf("%q", got)
	}
	if b, _ := os.ReadFile(stored); !bytes.Contains(b, []byte("c4nary")) {
		t.Error("the helper has lost the password that worked")
	}
	if bytes.Contains(logged.Bytes(), []byte("c4nary")) || bytes.Contains(logged.Bytes(), []byte("wrong")) {
		t.Error("a password is in the log")
	}
}

func TestKeyring(t *testing.T) {
	h := home(t)
	repo, _ := history(t)
	s := serveHTTP(t, repo, basicAuth("git", "t0ken"))
	o := testOptions(t)
	var asked []CredentialRequest
	var mu sync.Mutex
	answer := Credential{Password: "t0ken"}
	var locked error
	o.Credential = func(_ context.Context, q CredentialRequest) (Credential, error) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, q)
		return answer, locked
	}
	r := open(t, s.remoteURL(t, ""), o)
	if got := mustRead(t, r, "n"); got != "2" {
		t.Errorf("%q", got)
	}
	want := CredentialRequest{Protocol: "http", Host: strings.TrimPrefix(s.URL, "http://"), Path: "repo.git"}
	if len(asked) != 1 || asked[0] != want {
		t.Errorf("keyring was asked %+v, want %+v", asked, want)
	}
	answer.Password = "old"
	o.CacheDir = t.TempDir()
	if _, err := Open(t.Context(), s.remoteURL(t, ""), o); !errors.Is(err, providers.ErrAuth) {
		t.Errorf("an old token: %v", err)
	}
	answer = Credential{}
	if _, err := Open(t.Context(), s.remoteURL(t, ""), o); !errors.Is(err, providers.ErrAuth) {
		t.Errorf("no token: %v", err)
	}
	// A keyring that cannot be asked is no refused login, and does not keep the helpers
	// from being asked.
	locked = errors.New("the keyring is locked")
	if _, err := Open(t.Context(), s.remoteURL(t, ""), o); !errors.Is(err, locked) || errors.Is(err, providers.ErrAuth) {
		t.Errorf("locked: %v", err)
	}
	runGit(t, "", "config", "--global", "credential.helper", "store")
	writeFile(t, filepath.Join(h, ".git-credentials"), strings.Replace(s.URL, "http://", "http://git:t0ken@", 1)+"\n")
	open(t, s.remoteURL(t, ""), o)
}

func TestRedirects(t *testing.T) {
	home(t)
	repo, _ := history(t)
	var seen []string
	thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer thief.Close()
	target := ""
	s := serveHTTP(t, repo, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/old.git/") {
				http.Redirect(w, r, target+strings.Replace(r.URL.String(), "old.git", "repo.git", 1), http.StatusMovedPermanently)
				return
			}
			basicAuth("ann", "c4nary")(h).ServeHTTP(w, r)
		})
	})
	o := testOptions(t)
	o.Credential = func(context.Context, CredentialRequest) (Credential, error) {
		return Credential{Username: "ann", Password: "c4nary"}, nil
	}
	old := s.remoteURL(t, "")
	old.Path = "/old.git"
	r := open(t, old, o)
	if got := mustRead(t, r, "n"); got != "2" {
		t.Errorf("%q", got)
	}
	target = thief.URL
	o.CacheDir = t.TempDir()
	if _, err := Open(t.Context(), old, o); !errors.Is(err, providers.ErrAuth) {
		t.Errorf("redirected elsewhere: %v", err)
	}
	if strings.Join(seen, "") != "" {
		t.Errorf("the login went along: %q", seen)
	}
}

func TestHTTPAnswers(t *testing.T) {
	home(t)
	var answer func(w http.ResponseWriter)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w) }))
	defer s.Close()
	u := parseURL(t, "git+"+s.URL+"/repo.git")
	status := func(code int, header ...string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			if len(header) > 0 {
				w.Header().Set(header[0], header[1])
			}
			w.WriteHeader(code)
		}
	}
	body := func(contentType, text string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", contentType)
			w.Write([]byte(text))
		}
	}
	const advert = "application/x-git-upload-pack-advertisement"
	for _, tc := range []struct {
		name   string
		answer func(http.ResponseWriter)
		want   error
	}{
		{"401", status(401), providers.ErrAuth},
		{"403", status(403), providers.ErrAuth},
		{"404", status(404), providers.ErrNoRemote},
		{"500", status(500), providers.ErrOffline},
		{"503", status(503), providers.ErrOffline},
		{"418", status(418), providers.ErrProtocol},
		{"redirect loop", status(302, "Location", "/repo.git/info/refs?service=git-upload-pack"), providers.ErrProtocol},
		{"redirect to a file", status(302, "Location", "file:///etc/passwd"), providers.ErrProtocol},
		{"web page", body("text/html", "<html>"), providers.ErrNoRemote},
		{"dumb http", body("text/plain; charset=utf-8", "0123456789012345678901234567890123456789\trefs/heads/main\n"), providers.ErrUnsupported},
		{"nonsense", body(advert, "nonsense"), providers.ErrProtocol},
		{"cut off", body(advert, "001e# service=git-upload-pack\n0000000eversion"), providers.ErrOffline},
		{"ERR", body(advert, "001e# service=git-upload-pack\n00000010ERR go away\n"), providers.ErrNoRemote},
		{"unknown format", body(advert, "000eversion 2\n000afetch\n0017object-format=sha9\n0000"), providers.ErrUnsupported},
		{"nothing offered", body(advert, "000eversion 2\n0000"), providers.ErrProtocol},
	} {
		answer = tc.answer
		if _, err := Open(t.Context(), u, testOptions(t)); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
	answer = status(429, "Retry-After", "7")
	var limited *providers.RateLimitedError
	if _, err := Open(t.Context(), u, testOptions(t)); !errors.As(err, &limited) || limited.After != 7*time.Second {
		t.Errorf("429: %v", err)
	}
	tls := httptest.NewTLSServer(http.NotFoundHandler())
	defer tls.Close()
	if _, err := Open(t.Context(), parseURL(t, "git+"+tls.URL+"/repo.git"), testOptions(t)); !errors.Is(err, providers.ErrHostKey) {
		t.Errorf("a certificate that nobody knows: %v", err)
	}
	o := testOptions(t)
	o.HTTP = tls.Client()
	if _, err := Open(t.Context(), parseURL(t, "git+"+tls.URL+"/repo.git"), o); !errors.Is(err, providers.ErrNoRemote) {
		t.Errorf("a certificate that the client trusts: %v", err)
	}
}
