package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
	"github.com/moorage/moorage/daemon/internal/mounts"
	"github.com/moorage/moorage/daemon/internal/mounts/mountstest"
	"github.com/moorage/moorage/daemon/internal/mounts/serve"
	"github.com/moorage/moorage/daemon/internal/secrets"
	"github.com/moorage/moorage/daemon/internal/service"
	"github.com/moorage/moorage/daemon/internal/transfer"
	"github.com/moorage/moorage/daemon/places"
	"github.com/moorage/moorage/mounter"
	"github.com/moorage/moorage/nfs/nfstest"
)

// roleEnv makes the test binary be the program: "main", or "service" for the
// service with a mount table in a file instead of a kernel.
const roleEnv = "MOORAGE_TEST_ROLE"

func TestMain(m *testing.M) {
	if os.Getenv(roleEnv) != "" {
		if err := hideMemory(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	switch os.Getenv(roleEnv) {
	case "main":
		os.Exit(run())
	case "service":
		if len(os.Args) > 1 { // what the service starts
			os.Exit(run())
		}
		if err := testService(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// testService is runService with another mounter and keyring.
func testService() error {
	ctx, stop := signal.NotifyContext(context.Background(), endSignals...)
	defer stop()
	p, err := places.Default()
	if err != nil {
		return err
	}
	socket, err := client.DefaultSocket()
	if err != nil {
		return err
	}
	successor, err := successors(false) // its output would keep this process from ending for the test
	if err != nil {
		return err
	}
	var ring secrets.Keyring = memoryKeyring{}
	if os.Getenv(realKeyring) != "" {
		ring = secrets.System()
	}
	store := secrets.New(secrets.Options{Keyring: ring, Dir: p.Secrets(), Timeout: 20 * time.Second, Rand: rand.Reader})
	defer store.Close()
	m := &mountstest.Mounter{Path: os.Getenv("MOORAGE_TEST_TABLE"), OnMount: mnt}
	transfers := transfer.New(nil)
	opener := newOpener(transfers.Network())
	var keep mounts.Keeper
	if os.Getenv(keepPorts) != "" {
		keep = keeperOf(socket)
	}
	return service.Run(ctx, service.Options{
		Keep: keep, Places: p, Socket: socket, Version: "test", Opener: opener, Mounter: m, Secrets: store,
		Prospects: opener, List: func(_ context.Context, dir string, read bool) error { return listAt(dir, read) },
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Probe:     func(context.Context) []api.Check { return nil },
		Successor: successor, Transfers: transfers,
		CheckPeer: func(net.Conn) error { return nil }, Watch: m.Watch,
	})
}

// keepPorts names the variable that makes testService have ports kept.
const keepPorts = "MOORAGE_TEST_KEEP"

// realKeyring names the variable that makes testService use that of the session.
const realKeyring = "MOORAGE_TEST_REAL_KEYRING"

// memoryKeyring is a keyring that lives as long as the process.
type memoryKeyring map[string]string

func (k memoryKeyring) Get(_ context.Context, id string) (string, error) {
	if s, ok := k[id]; ok {
		return s, nil
	}
	return "", secrets.ErrNotFound
}

func (k memoryKeyring) Set(_ context.Context, id, secret string) error {
	k[id] = secret
	return nil
}

func (k memoryKeyring) Delete(_ context.Context, id string) error {
	delete(k, id)
	return nil
}

func (k memoryKeyring) List(context.Context) ([]string, error) {
	return slices.Collect(maps.Keys(k)), nil
}

func (memoryKeyring) Unlock(context.Context) error { return nil }
func (memoryKeyring) Limit() int                   { return secrets.MaxSecret }

// mnt is the MNT call of a kernel that mounts.
func mnt(ctx context.Context, s mounter.Spec) error {
	c, err := nfstest.Dial(ctx, net.JoinHostPort(s.Address, fmt.Sprint(s.Port)), nfstest.Auth{})
	if err != nil {
		return err
	}
	defer c.Close()
	r, err := c.Mnt(ctx, s.Export)
	if err != nil {
		return err
	}
	if r.Status != 0 {
		return &mounter.Error{Op: "mount", Dir: s.Dir, Kind: mounter.ErrRefused, What: "The server refused."}
	}
	return os.WriteFile(os.Getenv("MOORAGE_TEST_TABLE")+".root", s.Root, 0o600)
}

// home is a person's home.
type home struct {
	t      *testing.T
	dir    string
	client *client.Client
	table  *mountstest.Mounter
}

func newHome(t *testing.T) *home {
	dir := t.TempDir()
	h := &home{t: t, dir: dir, table: &mountstest.Mounter{Path: filepath.Join(dir, "table")}}
	for k, v := range map[string]string{"HOME": dir, "XDG_CONFIG_HOME": "", "XDG_STATE_HOME": "", "XDG_CACHE_HOME": "",
		"XDG_RUNTIME_DIR": filepath.Join(dir, "run"), client.SocketEnv: "", "MOORAGE_TEST_TABLE": h.table.Path,
		"DBUS_SESSION_BUS_ADDRESS": "", "GIT_CONFIG_GLOBAL": os.DevNull, "TMPDIR": filepath.Join(dir, "tmp")} {
		t.Setenv(k, v)
	}
	if err := os.Mkdir(filepath.Join(dir, "tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	socket, err := client.DefaultSocket()
	if err != nil {
		t.Fatal(err)
	}
	h.client = client.New(socket)
	return h
}

// process is a program at work.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout *bufio.Reader
	stderr lockedBuffer
	done   chan struct{}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (h *home) run(role string, args ...string) *process {
	h.t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	return h.start(cmd)
}

// start starts a program whose output is looked at.
func (h *home) start(cmd *exec.Cmd) *process {
	h.t.Helper()
	p := &process{t: h.t, cmd: cmd, done: make(chan struct{})}
	p.cmd.Stderr = &p.stderr
	out, w, err := os.Pipe()
	if err != nil {
		h.t.Fatal(err)
	}
	p.cmd.Stdout, p.stdout = w, bufio.NewReader(out)
	err = p.cmd.Start()
	w.Close()
	if err != nil {
		h.t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // its status is asked for later
	}()
	h.t.Cleanup(func() {
		p.end(syscall.SIGKILL)
		out.Close()
		if h.t.Failed() {
			h.t.Logf("%s wrote:\n%s", cmd, p.stderr.String())
		}
	})
	return p
}

// end sends sig, waits, and returns the exit status.
func (p *process) end(sig syscall.Signal) int {
	p.t.Helper()
	_ = p.cmd.Process.Signal(sig) // it may have ended
	return p.wait()
}

func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(40 * time.Second):
		p.cmd.Process.Kill()
		p.t.Fatalf("it does not end\n%s", p.stderr.String())
	}
	return p.cmd.ProcessState.ExitCode()
}

// service starts the service and waits until it answers.
func (h *home) service() *process {
	h.t.Helper()
	p := h.run("service")
	h.answers(p)
	return p
}

func (h *home) answers(p *process) {
	h.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		_, err := h.client.Service(h.t.Context())
		if err == nil {
			return
		}
		select {
		case <-p.done:
			h.t.Fatalf("the service ended:\n%s", p.stderr.String())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("the service does not answer: %v\n%s", err, p.stderr.String())
		}
	}
}

func code(err error) string {
	var e *api.Error
	if errors.As(err, &e) {
		return e.Problem.Code
	}
	return fmt.Sprint(err)
}

// ready reads the first line that serve writes.
func (p *process) ready() (r serve.Ready) {
	p.t.Helper()
	line, err := p.stdout.ReadString('\n')
	if err != nil {
		p.t.Fatalf("no line: %v\n%s", err, p.stderr.String())
	}
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		p.t.Fatalf("%q: %v", line, err)
	}
	return r
}

func (p *process) rest() string {
	b, _ := io.ReadAll(p.stdout)
	return string(b)
}

// repository makes a bare git repository with one file.
func repository(t *testing.T, name, content string) string {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	dir := t.TempDir()
	work := filepath.Join(dir, "work")
	for _, args := range [][]string{
		{"init", "-q", "-b", "main", work},
		{"-C", work, "add", "."},
		{"-C", work, "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-q", "-m", "first"},
		{"clone", "-q", "--bare", work, filepath.Join(dir, "repo.git")},
	} {
		if args[2] == "add" {
			if err := os.WriteFile(filepath.Join(work, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if out, err := exec.Command("git", args...).CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	return filepath.Join(dir, "repo.git")
}
