package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
)

// build makes the programs as a person has them: side by side. In a guest, which
// has another kernel and little time, they are made already.
func build(t *testing.T) (bin string) {
	t.Helper()
	if bin := os.Getenv("MOORAGE_PROGRAMS"); bin != "" {
		return bin
	}
	bin = t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", bin+string(filepath.Separator),
		"github.com/moorage/moorage/app/cmd/moorage-desktop", "github.com/moorage/moorage/app/cmd/moorage", "github.com/moorage/moorage/daemon/cmd/mooraged")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

func TestDesktop(t *testing.T) {
	if testing.Short() {
		t.Skip("a desktop takes half a minute")
	}
	need(t)
	program := filepath.Join(build(t), "moorage-desktop")
	t.Run("tray", func(t *testing.T) { firstMinutes(t, program) })
	t.Run("no tray", func(t *testing.T) { noTray(t, program) })
	t.Run("idle", func(t *testing.T) { idle(t, program) })
	t.Run("demo", func(t *testing.T) { demo(t, program) })
	t.Run("git by mouse", func(t *testing.T) { gitDrive(t, program, true) })
	t.Run("git by keyboard", func(t *testing.T) { gitDrive(t, program, false) })
	t.Run("tray alone", func(t *testing.T) { trayAlone(t, program) })
}

// firstMinutes goes through those of a person: the app starts the service, a
// folder is added in the window and mounted, and the tray, the window and the
// service tell the same.
func firstMinutes(t *testing.T, program string) {
	s := newSession(t, true)
	service := s.service()
	folder := filepath.Join(s.home, "Pictures")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}

	s.env = append(s.env, "FYNE_THEME=light")
	told := s.notifications()
	app, ended := s.start(program)
	tray := s.trayOf(app.Process.Pid)
	tray.await("Add drive…")
	s.until("the service runs", func() bool {
		_, err := service.Service(s.ctx)
		return err == nil
	})
	s.until("the window is there", func() bool { return s.window() != "" })
	if n := tray.count("Quit"); n != 1 {
		t.Errorf("the tray has %d Quits", n)
	}

	tray.click("Add drive…")
	s.focus()
	s.step(1)
	s.text(folder)
	s.keys("Return")
	s.step(2)
	s.keys("Return") // goes on when it is known what is there
	s.step(3)
	s.text("photos")
	s.keys("Return")
	s.until("the service has the drive", func() bool {
		d, err := service.Drive(s.ctx, "photos")
		return err == nil && d.Kind == "folder" && d.Remembered
	})
	if d := settled(s, service); d.State == api.Mounted {
		mounted(s, service, tray)
	} else {
		refused(s, service, tray, d)
	}
	s.shoot("window")

	for _, want := range []bool{true, false} {
		tray.click("Pause transfers")
		s.until("transfers are paused, or go on", func() bool {
			info, err := service.Service(s.ctx)
			return err == nil && (info.Paused != nil) == want
		})
		if want {
			s.shoot("paused")
		}
	}

	tellsOnce(s, service, told)
	pages(s, tray)

	// A closed window leaves the app in the tray; a click there opens it, and
	// so does a second launch.
	s.hide()
	tray.activate()
	s.until("the window is back", func() bool { return s.window() != "" })
	s.hide()
	s.menu()
	if out, err := s.command(program).CombinedOutput(); err != nil {
		t.Fatalf("second launch: %v\n%s", err, out)
	}
	s.until("the window is back", func() bool { return s.window() != "" })

	survives(s, service, tray)
	tray.quit(ended)
	if _, err := service.Drive(s.ctx, "photos"); err != nil {
		t.Errorf("the service did not outlive the app: %v", err)
	}

	// At login there is only the tray, which opens the window.
	app, ended = s.start(program, "--hidden")
	tray = s.trayOf(app.Process.Pid)
	tray.await("Open window")
	if w := s.window(); w != "" {
		t.Errorf("a hidden start shows window %s", w)
	}
	tray.click("Open window")
	s.until("the window is there", func() bool { return s.window() != "" })

	// When the session bus goes, the window stays; it says once that closing it
	// ends the app.
	s.bye()
	if _, err := service.Add(s.ctx, api.AddDrive{URL: "mem:", Name: "scratch", Remember: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := service.Mount(s.ctx, "scratch", true); err != nil {
		t.Logf("which changes the tray's icon: %v", err)
	}
	if out, err := s.command(program).CombinedOutput(); err != nil {
		t.Fatalf("second launch without a bus: %v\n%s", err, out)
	}
	s.focus()
	s.keys("ctrl+w", "Return")
	s.ends(ended)
}

// demo is what packaging/run starts: the window, and a drive to play with.
func demo(t *testing.T, program string) {
	needMounts(t)
	s := newSession(t, true)
	s.env = append(s.env, "FYNE_THEME=light")
	service := s.service()
	app, ended := s.start(program)
	tray := s.trayOf(app.Process.Pid)
	tray.await("Add drive…")
	said, err := s.output(filepath.Join(filepath.Dir(program), "moorage"), "demo")
	if err != nil || !strings.HasPrefix(said, "demo is mounted at ") {
		t.Fatalf("%v: %s", err, said)
	}
	tray.await("● demo")
	d, err := service.Drive(s.ctx, "demo")
	if err == nil {
		err = os.WriteFile(filepath.Join(d.Dir, "hello"), []byte("hello"), 0o644)
	}
	if err != nil {
		t.Error(err)
	}
	s.shoot("demo")
	tray.quit(ended)
}

// noTray is a desktop without a session bus, and an app without a service: the
// app says both, and ends when its window is closed.
func noTray(t *testing.T, program string) {
	s := newSession(t, false)
	alone := filepath.Join(s.run, "moorage-desktop")
	b, err := os.ReadFile(program)
	if err == nil {
		err = os.WriteFile(alone, b, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	// No mooraged to be found; and a bus that is started for the app alone
	// would stay for ever.
	launched := filepath.Join(s.run, "launched")
	script := "#!/bin/sh\n: >" + launched + "\n"
	if err := os.WriteFile(filepath.Join(s.run, "dbus-launch"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	s.env = append(s.env, "PATH="+s.run)
	for _, launch := range []string{"first", "second"} {
		_, ended := s.start(alone)
		s.until("the window is there", func() bool { return s.window() != "" })
		s.focus()
		s.keys("ctrl+w")
		if launch == "first" {
			// It says once why it cannot stay.
			s.shoot("no-tray")
			s.keys("Return")
		}
		s.ends(ended)
	}
	if _, err := os.Stat(launched); err == nil {
		t.Error("the app started a session bus")
	}
}

// service is the one that the app of the session starts; it ends with the test.
func (s *session) service() *client.Client {
	service := client.New(filepath.Join(s.run, "moorage", "service.sock"))
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := service.Stop(ctx, api.StopService{Unmount: true}); err != nil && !errors.Is(err, client.ErrNoService) {
			s.t.Errorf("stop the service: %v", err)
		}
	})
	return service
}

// focus gives the app's window the keyboard.
func (s *session) focus() {
	s.t.Helper()
	if _, err := s.output("xdotool", "windowactivate", "--sync", s.window()); err != nil {
		s.t.Fatal(err)
	}
}

// step waits until the sheet for a new drive is at a step: so many parts of its bar are
// in the colour of the app.
func (s *session) step(n int) {
	s.t.Helper()
	name := fmt.Sprintf("add-%d", n)
	s.shootWhen(name, fmt.Sprintf("step %d of a new drive", n), func(path string) bool { return parts(picture(s.t, path)) == n })
}

// parts is how many long pieces in the light theme's own colour stand in one row.
func parts(img image.Image) (most int) {
	const long = 120
	own := color.RGBA{0x0f, 0x7c, 0x90, 0xff}
	for y := range img.Bounds().Dy() {
		run, n := 0, 0
		for x := range img.Bounds().Dx() {
			if color.RGBAModel.Convert(img.At(x, y)) != own {
				run = 0
				continue
			}
			if run++; run == long {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// hide closes the window from the keyboard.
func (s *session) hide() {
	s.t.Helper()
	s.focus()
	s.keys("ctrl+w")
	s.until("the window is gone", func() bool { return s.window() == "" })
}

// settled waits until a mount has come to its end.
func settled(s *session, service *client.Client) (d api.Drive) {
	s.t.Helper()
	s.until("the mount came to an end", func() bool {
		var err error
		d, err = service.Drive(s.ctx, "photos")
		return err == nil && d.State != api.Stopped && d.State != api.Connecting
	})
	return d
}

// mounted is the way on where this machine can mount: the tray unmounts and
// mounts the drive.
func mounted(s *session, service *client.Client, tray *trayMenu) {
	s.t.Helper()
	tray.await("● photos")
	tray.click("Unmount all")
	tray.await("○ photos")
	if d, err := service.Drive(s.ctx, "photos"); err != nil || d.State != api.Stopped {
		s.t.Errorf("unmounted, but %+v, %v", d, err)
	}
	tray.click("○ photos")
	tray.await("● photos")
}

// refused is the way on where it cannot: the drive says what is wrong and what
// to do, and the tray tries again.
func refused(s *session, service *client.Client, tray *trayMenu, d api.Drive) {
	s.t.Helper()
	p := d.Problem
	if p == nil || p.What == "" || p.Do == "" {
		s.t.Fatalf("the drive failed without a remedy: %+v, %+v", d, p)
	}
	s.t.Logf("this machine cannot mount: %s %s %s", p.What, p.Means, p.Do)
	line := tray.await("⚠ photos – ")
	told := strings.TrimSuffix(strings.TrimPrefix(line.label, "⚠ photos – "), "…")
	if !strings.HasPrefix(strings.ReplaceAll(p.What, s.home+"/", "~/"), told) {
		s.t.Errorf("the tray says %q, the service %q", line.label, p.What)
	}
	tray.click("✕ photos")
	s.until("it was tried again", func() bool {
		again, err := service.Drive(s.ctx, "photos")
		return err == nil && again.State == d.State && again.Since.After(d.Since)
	})
	tray.await("⚠ photos – ")
}

// tellsOnce has a drive fail, which a person is told of once, however often it is
// tried.
func tellsOnce(s *session, service *client.Client, told *notifications) {
	s.t.Helper()
	folder := filepath.Join(s.home, "$(gone)")
	if err := os.Mkdir(folder, 0o755); err != nil {
		s.t.Fatal(err)
	}
	if _, err := service.Add(s.ctx, api.AddDrive{URL: folder, Name: "gone", Remember: true}); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Remove(folder); err != nil {
		s.t.Fatal(err)
	}
	for range 2 {
		if d, err := service.Mount(s.ctx, "gone", true); err == nil && d.State == api.Mounted {
			s.t.Fatal("a folder that is not there was mounted")
		}
		s.until("a notification", func() bool { return told.count("gone: ") == 1 })
	}
	if n := told.count("$"); n > 0 {
		s.t.Errorf("%d notifications have more than text in them: %q", n, told.list())
	}
	if err := service.Remove(s.ctx, "gone"); err != nil {
		s.t.Fatal(err)
	}
	if n := told.count("gone: "); n != 1 {
		s.t.Errorf("told %d times: %q", n, told.list())
	}
}

// pages looks at the settings, which the tray opens, and at the doctor.
func pages(s *session, tray *trayMenu) {
	s.t.Helper()
	s.focus()
	light := brightness(s.t, s.shootWhen("pages", "a window", func(path string) bool { return !blank(s.t, path) }))
	sheet := func(name string) {
		s.t.Helper()
		s.shootWhen(name, "a sheet over the window", func(path string) bool { return brightness(s.t, path) < light*0.95 })
		s.keys("Escape")
		s.shootWhen("pages", "no sheet any more", func(path string) bool { return brightness(s.t, path) > light*0.98 })
	}
	tray.click("Settings…")
	sheet("settings")
	s.keys("ctrl+comma")
	sheet("settings-again")
	s.keys("ctrl+d")
	sheet("doctor")
}

// survives ends the service in the worst way: the app starts another one, and
// shows the drive as that one has it.
func survives(s *session, service *client.Client, tray *trayMenu) {
	s.t.Helper()
	old, err := service.Service(s.ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := syscall.Kill(old.PID, syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
	s.until("there is another service", func() bool {
		now, err := service.Service(s.ctx)
		return err == nil && now.PID != old.PID
	})
	s.until("the tray has the drive again", func() bool {
		return tray.count("⚠ The service") == 0 && tray.count("○ photos")+tray.count("● photos")+tray.count("✕ photos") == 1
	})
}

// menu opens the tray's menu with the mouse, looks at it, and closes it.
func (s *session) menu() {
	s.t.Helper()
	before := s.windows()
	if _, err := s.output("xdotool", "mousemove", "24", "16", "click", "3"); err != nil {
		s.t.Fatal(err)
	}
	s.until("the menu is open", func() bool { return s.windows() > before })
	s.shoot("tray")
	s.keys("Escape")
	s.until("the menu is closed", func() bool { return s.windows() == before })
}

// windows is the number of windows that can be seen, menus included.
func (s *session) windows() int {
	w, _ := s.output("xdotool", "search", "--onlyvisible", "--name", ".*")
	return len(strings.Fields(w))
}
