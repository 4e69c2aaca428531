package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	_ "image/png" // what import writes
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// panelConfig is a panel with nothing but a tray: the "systray" plugin of
// xfce4-panel is a StatusNotifier host.
const panelConfig = `<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
  <property name="configver" type="int" value="2"/>
  <property name="panels" type="array">
    <value type="int" value="1"/>
    <property name="panel-1" type="empty">
      <property name="position" type="string" value="p=6;x=0;y=0"/>
      <property name="length" type="uint" value="100"/>
      <property name="position-locked" type="bool" value="true"/>
      <property name="size" type="uint" value="32"/>
      <property name="plugin-ids" type="array"><value type="int" value="1"/></property>
    </property>
  </property>
  <property name="plugins" type="empty">
    <property name="plugin-1" type="string" value="systray">
      <property name="square-icons" type="bool" value="true"/>
    </property>
  </property>
</channel>
`

// session is a desktop of its own: a display and a window manager, and with a
// tray also a session bus and a panel, all with folders of their own.
type session struct {
	t    *testing.T
	ctx  context.Context
	home string
	run  string // XDG_RUNTIME_DIR
	env  []string
	bus  *dbus.Conn // nil without a tray
	bye  func()     // ends the session bus
}

// needed are the programs of a session, with the Debian packages that have
// them.
var needed = map[string]string{
	"Xvfb": "xvfb", "dbus-daemon": "dbus", "openbox": "openbox", "xfce4-panel": "xfce4-panel", "xfconf-query": "xfconf",
	"xdotool": "xdotool", "import": "imagemagick",
}

// newSession starts a desktop. Without the programs for one the test is
// skipped, but where CI is "true" it fails.
func newSession(t *testing.T, tray bool) *session {
	t.Helper()
	need(t)
	// Children die with the thread that started them, so that a test that is
	// killed leaves none; this keeps the thread.
	runtime.LockOSThread()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	t.Cleanup(cancel)
	dir, err := os.MkdirTemp("", "moorage-e2e-") // short: a socket's path is at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &session{t: t, ctx: ctx, home: filepath.Join(dir, "home"), run: filepath.Join(dir, "run")}
	config := filepath.Join(s.home, ".config")
	for _, d := range []string{config, s.run} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.env = []string{
		"HOME=" + s.home, "XDG_RUNTIME_DIR=" + s.run, "XDG_CONFIG_HOME=" + config,
		"XDG_CACHE_HOME=" + filepath.Join(s.home, ".cache"), "XDG_STATE_HOME=" + filepath.Join(s.home, ".local", "state"),
		"XDG_DATA_HOME=" + filepath.Join(s.home, ".local", "share"),
		"PATH=" + os.Getenv("PATH"), "LANG=en_US.UTF-8", "LIBGL_ALWAYS_SOFTWARE=1", "NO_AT_BRIDGE=1",
	}
	s.display()
	s.start("openbox")
	if tray {
		s.panel(config)
	}
	return s
}

// need skips the test, with the reason, where programs of a session are missing.
func need(t *testing.T) {
	t.Helper()
	needThese(t, needed)
}

// needThese skips the test where one of the programs is missing; it says which
// packages have them.
func needThese(t *testing.T, programs map[string]string) {
	t.Helper()
	var missing []string
	for program, pkg := range programs {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, pkg)
		}
	}
	if slices.Sort(missing); len(missing) > 0 {
		reason := "this test needs the packages " + strings.Join(missing, " ")
		if os.Getenv("CI") == "true" {
			t.Fatal(reason)
		}
		t.Skip(reason)
	}
}

// panel starts a session bus and a panel with a tray on it.
func (s *session) panel(config string) {
	s.t.Helper()
	dir := filepath.Join(config, "xfce4", "xfconf", "xfce-perchannel-xml")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "xfce4-panel.xml"), []byte(panelConfig), 0o600); err != nil {
		s.t.Fatal(err)
	}
	// The bus starts services, such as the panel's settings, in its own
	// environment: it comes after all else is set.
	address := s.startBus()
	s.env = append(s.env, "DBUS_SESSION_BUS_ADDRESS="+address)
	bus, err := dbus.Connect(address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.bus = bus
	s.t.Cleanup(func() { bus.Close() })
	s.start("xfce4-panel", "--disable-wm-check")
	s.until("the panel has a tray", func() bool {
		var has bool
		call := bus.BusObject().CallWithContext(s.ctx, "org.freedesktop.DBus.NameHasOwner", 0, "org.kde.StatusNotifierWatcher")
		return call.Store(&has) == nil && has
	})
}

func (s *session) display() {
	s.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Close()
	cmd := s.command("Xvfb", "-displayfd", "3", "-screen", "0", "1000x720x24", "-nolisten", "tcp", "+extension", "GLX", "-noreset")
	cmd.ExtraFiles = []*os.File{w}
	s.begin(cmd)
	w.Close()
	number, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		s.t.Fatal("Xvfb has no display: ", err)
	}
	s.env = append(s.env, "DISPLAY=:"+strings.TrimSpace(number))
}

func (s *session) command(name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(s.ctx, name, args...)
	cmd.Env = slices.Clone(s.env)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// begin starts cmd and ends it with the test. What it says is shown if the
// test fails, unless the caller takes it.
func (s *session) begin(cmd *exec.Cmd) (ended <-chan error) {
	s.t.Helper()
	var said bytes.Buffer
	if cmd.Stderr == nil {
		cmd.Stderr = &said
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	done := make(chan error, 1)
	finished := make(chan struct{})
	go func() {
		done <- cmd.Wait()
		close(finished)
	}()
	s.t.Cleanup(func() {
		cmd.Process.Kill()
		<-finished
		if s.t.Failed() && said.Len() > 0 {
			s.t.Logf("%s said:\n%s", filepath.Base(cmd.Path), said.String())
		}
	})
	return done
}

func (s *session) start(name string, args ...string) (*exec.Cmd, <-chan error) {
	s.t.Helper()
	cmd := s.command(name, args...)
	return cmd, s.begin(cmd)
}

func (s *session) startBus() (address string) {
	s.t.Helper()
	cmd := s.command("dbus-daemon", "--session", "--nofork", "--print-address=1")
	r, w, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Close()
	cmd.Stdout = w
	ended := s.begin(cmd)
	w.Close()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		s.t.Fatal("the session bus has no address: ", err)
	}
	s.bye = func() {
		cmd.Process.Kill()
		<-ended
	}
	return strings.TrimSpace(line)
}

// output runs a program to its end.
func (s *session) output(name string, args ...string) (string, error) {
	b, err := s.command(name, args...).Output()
	return strings.TrimSpace(string(b)), err
}

// until polls what has no event to wait for.
func (s *session) until(what string, ok func() bool) {
	s.t.Helper()
	tick := time.NewTicker(40 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			s.t.Fatalf("it did not come to this in time: %s", what)
		}
	}
}

// window is the app's window on the screen, "" while it shows none.
func (s *session) window() string {
	w, _ := s.output("xdotool", "search", "--onlyvisible", "--name", "^Moorage$") // rc 1: none
	return w
}

// keys presses keys in the app's window, one after the other, where text types
// it.
func (s *session) keys(keys ...string) {
	s.t.Helper()
	if _, err := s.output("xdotool", append([]string{"key", "--delay", "40"}, keys...)...); err != nil {
		s.t.Fatal(err)
	}
}

func (s *session) text(text string) {
	s.t.Helper()
	if _, err := s.output("xdotool", "type", "--delay", "8", text); err != nil {
		s.t.Fatal(err)
	}
}

// shoot keeps a picture of the screen for people, as soon as there is
// something on it: a window that is there is not yet a drawn one.
func (s *session) shoot(name string) {
	s.t.Helper()
	s.shootWhen(name, "something", func(path string) bool { return !blank(s.t, path) })
}

// shootWhen keeps a picture of the screen as soon as what is meant is on it, and
// returns its path.
func (s *session) shootWhen(name, what string, ok func(path string) bool) string {
	s.t.Helper()
	path := filepath.Join(s.t.ArtifactDir(), name+".png")
	s.until("there is "+what+" on the screen, as "+path+" should show", func() bool {
		if out, err := s.command("import", "-window", "root", path).CombinedOutput(); err != nil {
			s.t.Fatalf("import: %v\n%s", err, out)
		}
		return ok(path)
	})
	return path
}

func picture(t *testing.T, path string) image.Image {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, _, err := image.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// brightness is that of a picture, from 0 to 1. A sheet dims the window behind it.
func brightness(t *testing.T, path string) float64 {
	t.Helper()
	img, sum := picture(t, path), 0.0
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			sum += float64(color.GrayModel.Convert(img.At(x, y)).(color.Gray).Y)
		}
	}
	return sum / 255 / float64(img.Bounds().Dx()*img.Bounds().Dy())
}

// blank says whether a picture has few colours, or next to nothing but one.
func blank(t *testing.T, path string) bool {
	t.Helper()
	img := picture(t, path)
	colours, most := map[color.Color]int{}, 0
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			c := img.At(x, y)
			colours[c]++
			most = max(most, colours[c])
		}
	}
	return len(colours) < 100 || most > img.Bounds().Dx()*img.Bounds().Dy()*95/100
}

// trayMenu is an app's menu in the tray, as the panel reads it
// (com.canonical.dbusmenu).
type trayMenu struct {
	s    *session
	item dbus.BusObject
}

type trayLine struct {
	id    int32
	label string
}

// trayOf is the menu of the process in the tray.
func (s *session) trayOf(pid int) *trayMenu {
	name := fmt.Sprintf("org.kde.StatusNotifierItem-%d-1", pid)
	return &trayMenu{s, s.bus.Object(name, "/StatusNotifierItem/menu")}
}

// lines are the menu's lines, without separators; nil while there is no menu.
func (m *trayMenu) lines() []trayLine {
	var revision uint32
	var root struct {
		ID       int32
		Props    map[string]dbus.Variant
		Children []dbus.Variant
	}
	call := m.item.CallWithContext(m.s.ctx, "com.canonical.dbusmenu.GetLayout", 0, int32(0), int32(-1), []string{})
	if call.Store(&revision, &root) != nil {
		return nil
	}
	var found []trayLine
	for _, c := range root.Children {
		v, ok := c.Value().([]any)
		if !ok || len(v) != 3 {
			continue
		}
		id, _ := v[0].(int32)
		props, _ := v[1].(map[string]dbus.Variant)
		if label, ok := props["label"].Value().(string); ok && label != "" {
			found = append(found, trayLine{id, label})
		}
	}
	return found
}

// await waits for a line that begins with prefix, and returns it.
func (m *trayMenu) await(prefix string) trayLine {
	m.s.t.Helper()
	var found trayLine
	m.s.until(fmt.Sprintf("the tray has a line %q (it has %v)", prefix, m.lines()), func() bool {
		for _, l := range m.lines() {
			if strings.HasPrefix(l.label, prefix) {
				found = l
				return true
			}
		}
		return false
	})
	return found
}

// click clicks the line that begins with prefix. Ids change with every change
// of the menu, so it is looked up at the last moment.
func (m *trayMenu) click(prefix string) {
	m.s.t.Helper()
	l := m.await(prefix)
	err := m.item.CallWithContext(m.s.ctx, "com.canonical.dbusmenu.Event", 0, l.id, "clicked", dbus.MakeVariant(int32(0)), uint32(0)).Err
	if err != nil {
		m.s.t.Fatalf("click %q: %v", prefix, err)
	}
}

// activate clicks the icon itself.
func (m *trayMenu) activate() {
	m.s.t.Helper()
	item := m.s.bus.Object(m.item.Destination(), "/StatusNotifierItem")
	if err := item.CallWithContext(m.s.ctx, "org.kde.StatusNotifierItem.Activate", 0, int32(0), int32(0)).Err; err != nil {
		m.s.t.Fatalf("click the icon: %v", err)
	}
}

// quit quits the app and waits for its end.
func (m *trayMenu) quit(ended <-chan error) {
	m.s.t.Helper()
	m.click("Quit")
	m.s.ends(ended)
}

// ends waits for the end of the app, which must be a good one.
func (s *session) ends(ended <-chan error) {
	s.t.Helper()
	select {
	case err := <-ended:
		if err != nil {
			s.t.Errorf("the app ended with %v", err)
		}
	case <-s.ctx.Done():
		s.t.Fatal("the app does not end")
	}
}

// count is how many lines begin with prefix.
func (m *trayMenu) count(prefix string) (n int) {
	for _, l := range m.lines() {
		if strings.HasPrefix(l.label, prefix) {
			n++
		}
	}
	return n
}
