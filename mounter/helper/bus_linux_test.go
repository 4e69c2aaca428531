package helper

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/mounter/helper/protocol"
)

// busConfig is a bus like the system's: everybody may own what this test needs.
const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path=SOCKET</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy></busconfig>`

// newBus starts a bus and returns its address.
func newBus(t *testing.T) string {
	t.Helper()
	daemon, err := exec.LookPath("dbus-daemon")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("dbus-daemon is not installed")
		}
		t.Skip("dbus-daemon is not installed")
	}
	dir, err := os.MkdirTemp("", "bus") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	conf := filepath.Join(dir, "conf")
	writeFile(t, conf, strings.Replace(busConfig, "SOCKET", filepath.Join(dir, "s"), 1))
	cmd := exec.Command(daemon, "--config-file="+conf, "--nofork", "--nopidfile", "--nosyslog", "--print-address")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("dbus-daemon did not start: %v", err)
	}
	return strings.TrimSpace(address)
}

func connectBus(t *testing.T, address string) *dbus.Conn {
	t.Helper()
	c, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// polkit stands in for polkitd, to see what it is asked; that the real one is asked
// the right thing is for the test with a kernel.
type polkit struct {
	mu    sync.Mutex
	no    bool
	asked []string // kind, name and action
	flags uint32
}

type polkitSubject struct {
	Kind    string
	Details map[string]dbus.Variant
}

type polkitResult struct {
	Authorized, Challenge bool
	Details               map[string]string
}

func (p *polkit) CheckAuthorization(s polkitSubject, action string, _ map[string]string, flags uint32, _ string) (polkitResult, *dbus.Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	name, _ := s.Details["name"].Value().(string)
	p.asked = append(p.asked, s.Kind+" "+name+" "+action)
	p.flags = flags
	return polkitResult{Authorized: !p.no, Details: map[string]string{}}, nil
}

// was tells what was asked so far, and the flags of the last question.
func (p *polkit) was() ([]string, uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked), p.flags
}

// TestRule13HelperOnTheBus runs as nobody where it is started as root, for whom the helper does nothing.
func TestRule13HelperOnTheBus(t *testing.T) {
	if os.Geteuid() != 0 {
		testBus(t)
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/tmp", "bus")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	bin := filepath.Join(dir, "test") // where it was built, others may not be let in
	b, err := os.ReadFile(self)
	if err == nil {
		err = errors.Join(os.WriteFile(bin, b, 0o755), os.Chmod(dir, 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "-test.run", "^TestRule13HelperOnTheBus$", "-test.v", "-test.timeout", "2m")
	cmd.Env = append(os.Environ(), "TMPDIR=/tmp", "HOME=/tmp")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

func testBus(t *testing.T) {
	address := newBus(t)
	authority := &polkit{}
	pk := connectBus(t, address)
	if err := pk.Export(authority, "/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.PolicyKit1.Authority"); err != nil {
		t.Fatal(err)
	}
	if _, err := pk.RequestName("org.freedesktop.PolicyKit1", dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	s := &system{}
	calls := connectBus(t, address)
	h, err := New(Options{System: s, Authority: &Polkit{Conn: calls, Logger: log}, Logger: log, Records: &Records{Dir: t.TempDir(), Logger: log}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- h.Serve(ctx, connectBus(t, address), calls) }()

	client := connectBus(t, address)
	untilOwned(t, client)
	call := func(flags dbus.Flags, verb string, args ...any) *dbus.Call {
		m := &dbus.Message{Type: dbus.TypeMethodCall, Flags: flags, Body: args, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldDestination: dbus.MakeVariant(protocol.Name),
			dbus.FieldPath:        dbus.MakeVariant(dbus.ObjectPath(protocol.Path)),
			dbus.FieldInterface:   dbus.MakeVariant(protocol.Name),
			dbus.FieldMember:      dbus.MakeVariant(verb),
		}}
		if len(args) > 0 {
			m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(args...))
		}
		return <-client.SendWithContext(t.Context(), m, make(chan *dbus.Call, 1)).Done
	}

	var fd dbus.UnixFD
	var port uint16
	if err := call(dbus.FlagAllowInteractiveAuthorization, protocol.Listen, one, uint16(4000)).Store(&fd, &port); err != nil {
		t.Fatalf("Listen: %v", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(fd), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || port != 4000 {
		t.Errorf("the descriptor: mode %o, %v; port %d", st.Mode, err, port)
	}
	unix.Close(int(fd))
	want := "system-bus-name " + client.Names()[0] + " " + protocol.Action
	if asked, flags := authority.was(); len(asked) != 1 || asked[0] != want || flags != 1 {
		t.Errorf("polkit was asked %q, flags %d", asked, flags)
	}
	p := spec(one, "/home/d")
	if err := call(0, protocol.Mount, p.Drive, p.Dir, p.Export, p.Root, p.ReadOnly).Err; err != nil {
		t.Fatalf("Mount: %v", err)
	}
	if _, flags := authority.was(); flags != 0 {
		t.Error("polkit may ask for a password although the caller did not allow it")
	}
	var l []protocol.Mounted
	if err := call(0, protocol.List).Store(&l); err != nil || len(l) != 1 || l[0] != (protocol.Mounted{Drive: one, Dir: "/home/d", Port: 4000}) {
		t.Errorf("List: %+v, %v", l, err)
	}
	if err := call(0, protocol.Unmount, "/home/d", true).Err; err != nil {
		t.Errorf("Unmount: %v", err)
	}

	for name, c := range map[string]*dbus.Call{
		"InvalidArgs":   call(0, protocol.Listen, one, uint32(1<<16)),
		"InvalidArgs ":  call(0, protocol.Listen, one),
		"InvalidArgs  ": call(0, protocol.List, "x"),
		"UnknownMethod": call(0, "Exec", "/bin/sh"),
		"NotMounted":    call(0, protocol.Unmount, "/", true),
		"BadRequest":    call(0, protocol.Listen, "x", uint16(0)),
		"UnknownMethod ": client.Object(protocol.Name, "/").CallWithContext(t.Context(),
			"org.freedesktop.DBus.Properties.Set", 0, "a", "b", dbus.MakeVariant("")),
	} {
		var e dbus.Error
		if !errors.As(c.Err, &e) || !strings.HasSuffix(e.Name, "."+strings.TrimSpace(name)) {
			t.Errorf("%s: %v", name, c.Err)
		}
	}

	authority.mu.Lock()
	authority.no = true
	authority.mu.Unlock()
	var e dbus.Error
	if err := call(0, protocol.Listen, two, uint16(0)).Err; !errors.As(err, &e) || e.Name != protocol.ErrorName(protocol.Denied) {
		t.Errorf("polkit says no: %v", err)
	}
	authority.mu.Lock()
	authority.no = false
	authority.mu.Unlock()

	// The connection that a listener was for is gone, and so is the listener.
	other := connectBus(t, address)
	if err := other.Object(protocol.Name, protocol.Path).CallWithContext(t.Context(), protocol.Name+"."+protocol.Listen, 0, two, uint16(0)).Store(&fd, &port); err != nil {
		t.Fatal(err)
	}
	unix.Close(int(fd))
	other.Close()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) { // nothing tells when it was closed
		h.mu.Lock()
		n := len(h.drives)
		h.mu.Unlock()
		if n == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d drives of a connection that is gone", n)
		}
	}
	stop()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// untilOwned waits for the helper's name.
func untilOwned(t *testing.T, c *dbus.Conn) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		var has bool
		if err := c.BusObject().CallWithContext(t.Context(), "org.freedesktop.DBus.NameHasOwner", 0, protocol.Name).Store(&has); err != nil {
			t.Fatal(err)
		}
		if has {
			return
		}
	}
	t.Fatal("the helper did not take its name")
}
