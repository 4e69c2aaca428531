package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/daemon/api"
)

// session starts a D-Bus session of its own with an unlocked keyring in the home.
func (h *home) session() *dbus.Conn {
	h.t.Helper()
	need(h.t, "dbus-daemon", "gnome-keyring-daemon", "secret-tool")
	bus := h.start(exec.Command("dbus-daemon", "--session", "--nofork", "--print-address=1"))
	address, err := bus.stdout.ReadString('\n')
	if err != nil {
		h.t.Fatalf("dbus-daemon: %v\n%s", err, bus.stderr.String())
	}
	h.t.Setenv("DBUS_SESSION_BUS_ADDRESS", strings.TrimSpace(address))
	h.t.Setenv("DISPLAY", "")
	h.t.Setenv("WAYLAND_DISPLAY", "")
	h.t.Setenv(realKeyring, "yes")
	c, err := dbus.ConnectSessionBus()
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	ring := exec.Command("gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets")
	ring.Stdin = strings.NewReader("pw")
	r := h.start(ring)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var owned bool
		if err := c.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, "org.freedesktop.secrets").Store(&owned); err != nil || owned {
			return c
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("the keyring does not come:\n%s", r.stderr.String())
		}
	}
}

// canary is a secret, and the forms in which it could come up.
type canary struct {
	word  string
	forms [][]byte
}

func newCanary(user string) canary {
	b := make([]byte, 12)
	_, _ = rand.Read(b) // never fails
	c := canary{word: "canary" + hex.EncodeToString(b)}
	c.forms = [][]byte{[]byte(c.word), []byte(hex.EncodeToString([]byte(c.word))),
		[]byte(base64.StdEncoding.EncodeToString([]byte(user + ":" + c.word))[:32])}
	return c
}

func (c canary) in(b []byte) bool {
	for _, f := range c.forms {
		if bytes.Contains(b, f) {
			return true
		}
	}
	return false
}

// processes returns the files of /proc that show c: arguments and environments.
func (c canary) processes() []string {
	var found []string
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range all {
		for _, f := range []string{f, filepath.Join(filepath.Dir(f), "environ")} {
			if b, err := os.ReadFile(f); err == nil && c.in(b) { // others may be another user's, or gone
				found = append(found, f)
			}
		}
	}
	return found
}

// watch looks at all processes all the time; stop tells what it has seen, and how often
// it looked.
func (c canary) watch() (stop func() ([]string, int)) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var found []string
	looks := 0
	wg.Go(func() {
		for ctx.Err() == nil {
			found = append(found, c.processes()...)
			looks++
			time.Sleep(10 * time.Millisecond) // the machine has other work
		}
	})
	return func() ([]string, int) {
		cancel()
		wg.Wait()
		return found, looks
	}
}

// files returns the files below dir that show c.
func (c canary) files(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(p)
		if c.in(b) || c.in([]byte(p)) {
			found = append(found, p)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return found
}

// A drive's password is in the keyring, in the memory of the service and on its way to
// the server, and nowhere else: in no file, log, argument or environment, on no bus,
// not in what a crash writes.
func TestRule14Canary(t *testing.T) {
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin, "../../../app/cmd/moorage", ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	h := newHome(t)
	bus := h.session()
	c := newCanary("me")
	server := privateGit(t, repository(t, "hello", "hello\n"), c.word)
	var crashed syscall.Rlimit // as on a computer that keeps core dumps
	if err := syscall.Getrlimit(unix.RLIMIT_CORE, &crashed); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(unix.RLIMIT_CORE, &syscall.Rlimit{Cur: crashed.Max, Max: crashed.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Setrlimit(unix.RLIMIT_CORE, &crashed) })
	t.Setenv("GOTRACEBACK", "crash")
	stop := c.watch()
	var said []string // by all programs
	moorage := func(stdin string, args ...string) string {
		t.Helper()
		cmd := exec.Command(filepath.Join(bin, "moorage"), args...)
		cmd.Stdin = strings.NewReader(stdin)
		out, _ := cmd.CombinedOutput() // what it says is what is looked at
		said = append(said, string(out))
		return string(out)
	}
	start := func() *process {
		cmd := exec.Command(os.Args[0])
		cmd.Env, cmd.Dir = append(os.Environ(), roleEnv+"=service"), h.dir
		p := h.start(cmd)
		h.answers(p)
		return p
	}
	use := func() {
		t.Helper()
		d := h.drive("good", func(d api.Drive) bool { return d.State == api.Mounted })
		if got := read(t, kernel(t, d.Address), h.root(), "hello"); got != "hello\n" {
			t.Errorf("the file is %q", got)
		}
	}

	p := start()
	for _, a := range [][]string{
		{"add", "git+" + strings.Replace(server, "://", "://me@", 1) + "/repo.git", "--name", "good", "--auto", "--secret"},
		{"add", "git+http://me@127.0.0.1:1/repo.git", "--name", "away", "--secret"},
		{"add", "git+" + strings.Replace(server, "://", "://other@", 1) + "/repo.git", "--name", "refused", "--secret"},
	} {
		if out := moorage(c.word+"\n", a...); !strings.Contains(out, "Added") {
			t.Fatalf("%v: %s", a, out)
		}
	}
	if out := moorage("", "mount", "good"); !strings.Contains(out, "is mounted at") {
		t.Fatalf("mount: %s", out)
	}
	use()
	for name, want := range map[string]string{"away": "cannot be reached", "refused": "sign-in"} {
		if out := moorage("", "mount", name); !strings.Contains(out, want) {
			t.Errorf("mount %s: %s", name, out)
		}
	}
	moorage("", "status", "good")
	moorage("", "doctor")
	if out := moorage("", "secrets"); strings.Count(out, "keyring") < 3 || !strings.Contains(out, "refused") {
		t.Errorf("secrets: %s", out)
	}
	l := exec.Command(filepath.Join(bin, "moorage"), "serve", "git+"+strings.Replace(server, "://", "://me@", 1)+"/repo.git", "--secret")
	l.Stdin = strings.NewReader(c.word + "\n")
	s := h.start(l)
	r := s.ready()
	if got := read(t, kernel(t, r.Address), mntRoot(t, kernel(t, r.Address), r.Export), "hello"); got != "hello\n" {
		t.Errorf("served: %q", got)
	}
	s.end(syscall.SIGTERM)
	said = append(said, s.stderr.String(), s.rest())

	// A crash, as bad as it can be, and another service.
	p.end(syscall.SIGABRT)
	if !strings.Contains(p.stderr.String(), "goroutine ") {
		t.Errorf("there is no trace of the crash:\n%s", p.stderr.String())
	}
	if st, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !st.Signaled() || st.CoreDump() {
		t.Errorf("it ended with %v, core dump %v", st.Signal(), st.CoreDump())
	}
	said = append(said, p.stderr.String())
	p = start()
	use()
	if out := moorage("", "remove", "away"); !strings.Contains(out, "Removed") {
		t.Errorf("remove: %s", out)
	}
	p.end(syscall.SIGTERM)
	said = append(said, p.stderr.String())

	// One process of another program shows that what looks at them sees.
	if found, looks := stop(); len(found) > 0 || looks < 10 {
		t.Errorf("after %d looks the password was in %v", looks, found)
	}
	h.waits(exec.Command("sh", "-c", "echo; read x; : "+c.word))
	if found := c.processes(); len(found) == 0 {
		t.Error("a password in an argument is not seen")
	}
	for _, text := range said {
		if c.in([]byte(text)) {
			t.Errorf("the password was said:\n%s", text)
		}
	}
	if found := c.files(t, h.dir); len(found) > 0 {
		t.Errorf("the password is in %v", found)
	}
	ids := onBus(t, bus, c)
	if len(ids) != 2 {
		t.Fatalf("the keyring has %v", ids)
	}
	for _, id := range ids {
		out, err := exec.Command("secret-tool", "lookup", "service", "moorage", "username", id).Output()
		if err != nil || string(out) != c.word {
			t.Errorf("the keyring has %q, %v", out, err)
		}
	}
}

// onBus makes sure that names on the bus and what is told of locked items do not show
// c, and returns the ids of all that is kept.
func onBus(t *testing.T, bus *dbus.Conn, c canary) (ids []string) {
	t.Helper()
	for _, n := range bus.Names() {
		if c.in([]byte(n)) {
			t.Errorf("on the bus is %s", n)
		}
	}
	o := bus.Object("org.freedesktop.secrets", "/org/freedesktop/secrets")
	var unlocked, locked []dbus.ObjectPath
	if err := o.Call("org.freedesktop.Secret.Service.SearchItems", 0, map[string]string{"service": "moorage"}).Store(&unlocked, &locked); err != nil {
		t.Fatal(err)
	}
	for _, item := range unlocked {
		label, err1 := bus.Object("org.freedesktop.secrets", item).GetProperty("org.freedesktop.Secret.Item.Label")
		v, err2 := bus.Object("org.freedesktop.secrets", item).GetProperty("org.freedesktop.Secret.Item.Attributes")
		if err1 != nil || err2 != nil || c.in([]byte(label.String())) || c.in([]byte(v.String())) {
			t.Errorf("an item is called %v, %v: %v, %v", label, v, err1, err2)
		}
		if a, ok := v.Value().(map[string]string); ok {
			ids = append(ids, a["username"])
		}
	}
	return ids
}

// waits starts a program that writes a line and then waits for the end of the test.
func (h *home) waits(cmd *exec.Cmd) *process {
	h.t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { in.Close() })
	p := h.start(cmd)
	if _, err := p.stdout.ReadString('\n'); err != nil {
		h.t.Fatalf("%s: %v\n%s", cmd, err, p.stderr.String())
	}
	return p
}

// Other programs of the same user cannot look into the service.
func TestRule14MemoryIsHidden(t *testing.T) {
	h := newHome(t)
	person := func(args ...string) *exec.Cmd { return exec.Command(args[0], args[1:]...) }
	if os.Getuid() == 0 { // root without capabilities is like anybody
		need(t, "setpriv")
		person = func(args ...string) *exec.Cmd {
			return exec.Command("setpriv", append([]string{"--bounding-set=-all", "--inh-caps=-all"}, args...)...)
		}
	}
	looks := func(p *process) bool {
		return person("head", "-c1", "/proc/"+strconv.Itoa(p.cmd.Process.Pid)+"/environ").Run() == nil
	}
	other := h.waits(person("sh", "-c", "echo; read x"))
	if !looks(other) {
		t.Skip("here nobody can look into any process")
	}
	cmd := person(os.Args[0])
	cmd.Env = append(os.Environ(), roleEnv+"=service")
	p := h.start(cmd)
	h.answers(p)
	if looks(p) {
		t.Error("another program reads the service's environment, and so its memory")
	}
}
