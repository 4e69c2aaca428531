package git

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moorage/moorage/providers"
)

func TestGitDaemon(t *testing.T) {
	home(t)
	repo := newRepo(t)
	commit(t, repo, "main", "", commitTime, manyFiles()...)
	port := freePort(t)
	startServer(t, "git", "daemon", "--reuseaddr", "--export-all", "--base-path="+filepath.Dir(repo), "--listen=127.0.0.1", fmt.Sprintf("--port=%d", port), "--log-destination=stderr")
	waitForPort(t, port)
	base := fmt.Sprintf("git://127.0.0.1:%d", port)
	r := open(t, parseURL(t, base+"/repo.git"), testOptions(t))
	if v := r.client.Version(); v != 2 {
		t.Errorf("version %d of the protocol", v)
	}
	compareTree(t, r, "", clone(t, repo, "main"), time.Unix(commitTime, 0))
	moves(t, r, repo)
	if _, err := Open(t.Context(), parseURL(t, base+"/other.git"), testOptions(t)); !errors.Is(err, providers.ErrNoRemote) {
		t.Errorf("a repository that is not there: %v", err)
	}
}

// moves asserts that a branch that moves is seen by the next probe, also on a
// connection that has told the old one.
func moves(t *testing.T, r *Remote, repo string) {
	t.Helper()
	for i, want := range []string{"first\n", "second\n"} {
		before, err := r.Probe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		commit(t, repo, "main", "refs/heads/main^0", commitTime+int64(i)+1, file{"README.md", "100644", want})
		if after, err := r.Probe(t.Context()); err != nil || after == before {
			t.Errorf("the branch moved, the probe says %q, %v", after, err)
		}
		if got := mustRead(t, r, "README.md"); got != want {
			t.Errorf("after the move: %q, want %q", got, want)
		}
	}
}

func TestFile(t *testing.T) {
	home(t)
	repo := newRepo(t)
	commit(t, repo, "main", "", commitTime, manyFiles()...)
	r := open(t, parseURL(t, "git+file://"+repo), testOptions(t))
	compareTree(t, r, "", clone(t, repo, "main"), time.Unix(commitTime, 0))
	moves(t, r, repo)
	for _, missing := range []string{repo + "/objects", filepath.Dir(repo), "/nowhere"} {
		if _, err := Open(t.Context(), parseURL(t, "git+file://"+missing), testOptions(t)); !errors.Is(err, providers.ErrNoRemote) {
			t.Errorf("%s: %v", missing, err)
		}
	}
}

// sshServer is a real sshd that runs as this user.
type sshServer struct {
	port    int
	user    string
	hostPub string // "ssh-ed25519 AAAA…"
	auth    string // authorized_keys
}

func sshKeygen(t testing.TB, file, passphrase string) {
	t.Helper()
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", file).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
}

func startSSHD(t testing.TB, extra ...string) *sshServer {
	t.Helper()
	need(t, "ssh-keygen")
	sshd, err := exec.LookPath("sshd")
	if err != nil {
		sshd = "/usr/sbin/sshd"
	}
	need(t, sshd)
	if os.Getuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := &sshServer{port: freePort(t), user: me.Username, auth: filepath.Join(dir, "authorized_keys")}
	key := filepath.Join(dir, "host")
	sshKeygen(t, key, "")
	pub, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	s.hostPub = strings.Join(strings.Fields(string(pub))[:2], " ")
	config := filepath.Join(dir, "sshd_config")
	text := fmt.Sprintf("Port %d\nListenAddress 127.0.0.1\nHostKey %s\nAuthorizedKeysFile %s\nPidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n%s\n",
		s.port, key, s.auth, strings.Join(extra, "\n"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	startServer(t, sshd, "-D", "-e", "-f", config)
	waitForPort(t, s.port)
	return s
}

func (s *sshServer) authorize(t testing.TB, pubFile string) {
	t.Helper()
	b, err := os.ReadFile(pubFile)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, s.auth, string(b))
}

func (s *sshServer) know(t testing.TB, home string) {
	t.Helper()
	writeFile(t, filepath.Join(home, ".ssh", "known_hosts"), fmt.Sprintf("[127.0.0.1]:%d %s\n", s.port, s.hostPub))
}

func writeFile(t testing.TB, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSSH(t *testing.T) {
	for _, tc := range []struct {
		name    string
		setting string
		version int
	}{
		{"version 2", "AcceptEnv GIT_PROTOCOL", 2},
		{"environment refused", "", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := home(t)
			s := startSSHD(t, tc.setting)
			repo := newRepo(t)
			commit(t, repo, "main", "", commitTime, manyFiles()...)
			key := filepath.Join(h, ".ssh", "id_ed25519")
			writeFile(t, filepath.Join(h, ".ssh", "config"), "")
			sshKeygen(t, key, "")
			s.authorize(t, key+".pub")
			s.know(t, h)
			u := parseURL(t, fmt.Sprintf("ssh://%s@127.0.0.1:%d%s", s.user, s.port, repo))
			r := open(t, u, testOptions(t))
			if v := r.client.Version(); v != tc.version {
				t.Errorf("version %d of the protocol", v)
			}
			if n := len(listAll(t, r, "")); n != 28 {
				t.Errorf("%d entries", n)
			}
			compareTree(t, r, "", clone(t, repo, "main"), time.Unix(commitTime, 0))
			moves(t, r, repo)
			u.Path = "/nowhere/it's.git"
			_, err := Open(t.Context(), u, testOptions(t))
			if !errors.Is(err, providers.ErrNoRemote) || !strings.Contains(err.Error(), "it's.git") {
				t.Errorf("a repository that is not there: %v", err)
			}
		})
	}
}

func TestSSHLogin(t *testing.T) {
	need(t, "ssh-agent", "ssh-add")
	h := home(t)
	s := startSSHD(t, "AcceptEnv GIT_PROTOCOL")
	repo := newRepo(t)
	commit(t, repo, "main", "", commitTime, file{"a", "100644", "x"})
	u := parseURL(t, fmt.Sprintf("ssh://%s@127.0.0.1:%d%s", s.user, s.port, repo))
	try := func() error {
		r, err := Open(t.Context(), u, testOptions(t))
		if err == nil {
			r.Close()
		}
		return err
	}
	key := filepath.Join(h, ".ssh", "id_ed25519")
	writeFile(t, filepath.Join(h, ".ssh", "config"), "")

	err := try()
	if !errors.Is(err, providers.ErrHostKey) || !strings.Contains(err.Error(), "SHA256:") || !strings.Contains(err.Error(), "known_hosts") {
		t.Errorf("host not known: %v", err)
	}
	other := filepath.Join(t.TempDir(), "other")
	sshKeygen(t, other, "")
	pub, _ := os.ReadFile(other + ".pub")
	writeFile(t, filepath.Join(h, ".ssh", "known_hosts"), fmt.Sprintf("[127.0.0.1]:%d %s", s.port, pub))
	if err := try(); !errors.Is(err, providers.ErrHostKey) || strings.Count(err.Error(), "SHA256:") != 2 {
		t.Errorf("host has another key: %v", err)
	}
	s.know(t, h)
	if err := try(); !errors.Is(err, providers.ErrAuth) || !strings.Contains(err.Error(), "ssh-keygen") {
		t.Errorf("no key: %v", err)
	}
	sshKeygen(t, key, "secret")
	s.authorize(t, key+".pub")
	if err := try(); !errors.Is(err, providers.ErrAuth) || !strings.Contains(err.Error(), "ssh-add "+key) {
		t.Errorf("locked key: %v", err)
	}

	sock := startAgent(t)
	t.Setenv("SSH_AUTH_SOCK", sock)
	ask := filepath.Join(h, "askpass")
	writeFile(t, ask, "#!/bin/sh\necho secret\n")
	os.Chmod(ask, 0o700)
	add := exec.Command("ssh-add", key)
	add.Env = append(os.Environ(), "SSH_ASKPASS="+ask, "SSH_ASKPASS_REQUIRE=force", "DISPLAY=:9")
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("ssh-add: %v\n%s", err, out)
	}
	if err := try(); err != nil {
		t.Errorf("key in the agent: %v", err)
	}

	// An alias with everything, as people have it.
	t.Setenv("SSH_AUTH_SOCK", "")
	mine := filepath.Join(h, "keys", "mine")
	os.MkdirAll(filepath.Dir(mine), 0o700)
	sshKeygen(t, mine, "")
	s.authorize(t, mine+".pub")
	writeFile(t, filepath.Join(h, ".ssh", "config"), fmt.Sprintf("Match final all\n  Port 1\nHost work\n  HostName 127.0.0.1\n  Port %d\n  User %s\n  IdentityFile ~/keys/mine\n  IdentitiesOnly yes\n", s.port, s.user))
	u = parseURL(t, "git+ssh://work"+repo)
	if err := try(); err != nil {
		t.Errorf("alias: %v", err)
	}
	writeFile(t, filepath.Join(h, ".ssh", "config"), "Host work\n  ProxyJump elsewhere\n")
	if err := try(); !errors.Is(err, providers.ErrUnsupported) {
		t.Errorf("jump host: %v", err)
	}
}

func startAgent(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	sock := filepath.Join(dir, "sock")
	startServer(t, "ssh-agent", "-D", "-a", sock)
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(sock); err == nil {
			return sock
		}
		if time.Now().After(deadline) {
			t.Fatal("ssh-agent did not start")
		}
	}
}

func TestRefusedURLs(t *testing.T) {
	for _, u := range []providers.URL{
		{Kind: "git", Transport: "ssh", Host: "-oProxyCommand=x", Path: "/repo.git"},
		{Kind: "git", Transport: "ssh", Host: "h", User: "-l", Path: "/repo.git"},
		{Kind: "git", Transport: "ssh", Host: "h", Path: "--upload-pack=x"},
		{Kind: "git", Transport: "git", Host: "h\n", Path: "/repo.git"},
		{Kind: "git", Transport: "https", Path: "/repo.git"},
		{Kind: "git", Transport: "https", Host: "h", Path: "/repo.git", Revision: "a\x00b"},
	} {
		if _, err := Open(t.Context(), u, testOptions(t)); !errors.Is(err, providers.ErrURL) {
			t.Errorf("%+v: %v", u, err)
		}
	}
}

// silent accepts connections and says nothing.
func silent(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func TestSilentServer(t *testing.T) {
	h := home(t)
	writeFile(t, filepath.Join(h, ".ssh", "known_hosts"), "")
	port := silent(t)
	o := testOptions(t)
	o.timeouts.Connect, o.timeouts.Header, o.timeouts.Idle = 300*time.Millisecond, 300*time.Millisecond, 300*time.Millisecond
	for _, scheme := range []string{"git+http", "git+https", "git", "git+ssh"} {
		start := time.Now()
		_, err := Open(t.Context(), parseURL(t, fmt.Sprintf("%s://127.0.0.1:%d/repo.git", scheme, port)), o)
		if !errors.Is(err, providers.ErrOffline) {
			t.Errorf("%s: %v", scheme, err)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("%s: gave up after %v", scheme, took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if _, err := Open(ctx, parseURL(t, fmt.Sprintf("%s://127.0.0.1:%d/repo.git", scheme, port)), o); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s, own deadline: %v", scheme, err)
		}
		cancel()
	}
	free := freePort(t)
	for _, scheme := range []string{"git+http", "git+https", "git", "git+ssh"} {
		if _, err := Open(t.Context(), parseURL(t, fmt.Sprintf("%s://127.0.0.1:%d/repo.git", scheme, free)), o); !errors.Is(err, providers.ErrOffline) {
			t.Errorf("%s, nobody listens: %v", scheme, err)
		}
		if _, err := Open(t.Context(), parseURL(t, scheme+"://host.invalid/repo.git"), o); !errors.Is(err, providers.ErrOffline) {
			t.Errorf("%s, no such host: %v", scheme, err)
		}
	}
}
