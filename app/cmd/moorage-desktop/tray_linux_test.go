package main

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
)

// needMounts skips the test where the kernel cannot mount a drive.
func needMounts(t *testing.T) {
	t.Helper()
	known, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(known, []byte("\tnfs\n")) {
		t.Skip("this kernel has no NFS client; daemon/internal/kerneltest/desktop runs this test in one that has")
	}
}

// mountedAt says whether the kernel has an NFS mount there.
func mountedAt(t *testing.T, dir string) bool {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 4 && f[4] == dir && strings.Contains(line, " - nfs ") {
			return true
		}
	}
	return false
}

// fileManager takes the place of the desktop's, and notes which folders it is to
// show: as the program that every desktop has for that.
func (s *session) fileManager() (shown func() []string) {
	s.t.Helper()
	dir, log := filepath.Join(s.home, "bin"), filepath.Join(s.home, "shown")
	err := os.Mkdir(dir, 0o755)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "xdg-open"), []byte("#!/bin/sh\nprintf '%s\\n' \"$*\" >>'"+log+"'\n"), 0o755)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.env = append(s.env, "PATH="+dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	return func() []string {
		b, err := os.ReadFile(log)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			s.t.Fatal(err)
		}
		return strings.Fields(string(b))
	}
}

// bucket is a bucket on a server that can be made to answer nothing.
type bucket struct {
	s       *session
	url     string
	objects string
	server  *exec.Cmd
}

func (s *session) bucket() *bucket {
	s.t.Helper()
	const user, secret = "moorage-test", "moorage-test-secret"
	dir := filepath.Join(s.home, "..", "s3")
	b := &bucket{s: s, objects: filepath.Join(dir, "objects", "box")}
	credentials := "[default]\naws_access_key_id = " + user + "\naws_secret_access_key = " + secret + "\nregion = us-east-1\n"
	err := errors.Join(os.MkdirAll(b.objects, 0o755), os.Mkdir(filepath.Join(dir, "meta"), 0o755), os.Mkdir(filepath.Join(s.home, ".aws"), 0o700),
		os.WriteFile(filepath.Join(s.home, ".aws", "credentials"), []byte(credentials), 0o600))
	if err != nil {
		s.t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	b.url = "s3://box?endpoint=http://" + address
	b.server, _ = s.start("versitygw", "--access", user, "--secret", secret, "--port", address, "--region", "us-east-1", "--quiet",
		"posix", "--sidecar", filepath.Join(dir, "meta"), filepath.Join(dir, "objects"))
	s.until("the server of the bucket answers", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return b
}

// answers makes the server answer, or not.
func (b *bucket) answers(yes bool) {
	b.s.t.Helper()
	signal := syscall.SIGSTOP
	if yes {
		signal = syscall.SIGCONT
	}
	if err := b.server.Process.Signal(signal); err != nil {
		b.s.t.Fatal(err)
	}
}

func (b *bucket) has(name, text string) bool {
	got, err := os.ReadFile(filepath.Join(b.objects, name))
	return err == nil && string(got) == text
}

// trayAlone does all that the tray can do with drives, without any other face
// of the app: by the lines of its menu, as the desktop's panel does it.
func trayAlone(t *testing.T, program string) {
	needMounts(t)
	s := newSession(t, true)
	service := s.service()
	s.env = append(s.env, "FYNE_THEME=light")
	shown := s.fileManager()
	b := s.bucket()
	folder := filepath.Join(s.home, "Pictures")
	err := os.Mkdir(folder, 0o755)
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "sea.txt"), []byte("blue"), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	app, ended := s.start(program, "--hidden")
	tray := s.trayOf(app.Process.Pid)
	tray.await("Add drive…")
	s.until("the service runs", func() bool {
		_, err := service.Service(s.ctx)
		return err == nil
	})
	dirs := map[string]string{}
	for name, url := range map[string]string{"photos": folder, "box": b.url} {
		d, err := service.Add(s.ctx, api.AddDrive{URL: url, Name: name, Remember: true})
		if err != nil {
			t.Fatal(err)
		}
		dirs[name] = d.Dir
	}

	tray.click("○ photos")
	tray.await("● photos")
	if got, err := os.ReadFile(filepath.Join(dirs["photos"], "sea.txt")); err != nil || string(got) != "blue" || !mountedAt(t, dirs["photos"]) {
		t.Errorf("the drive reads %q, %v", got, err)
	}
	tray.click("● photos")
	s.until("the file manager shows the drive", func() bool { return len(shown()) > 0 })
	if got := shown(); len(got) != 1 || got[0] != dirs["photos"] {
		t.Errorf("the file manager was to show %q, and the drive is at %s", got, dirs["photos"])
	}
	tray.click("○ box")
	tray.await("● box")
	tray.click("Unmount all")
	for name, dir := range dirs {
		tray.await("○ " + name)
		if mountedAt(t, dir) {
			t.Errorf("%s is not mounted, says the tray, but is", name)
		}
	}
	if n := tray.count("Unmount all"); n != 0 {
		t.Error("nothing is mounted, and all can be unmounted")
	}

	// With nothing to upload the app ends at once, and drives stay.
	tray.click("○ photos")
	tray.await("● photos")
	tray.quit(ended)
	if !mountedAt(t, dirs["photos"]) {
		t.Error("the drive went with the app")
	}
	if w := s.window(); w != "" {
		t.Errorf("all by the tray, but there is window %s", w)
	}
	quitChoices(s, program, service, b, dirs["box"])
	if mountedAt(t, dirs["photos"]) {
		t.Error("the service has ended, and left a drive that nobody serves")
	}
}

// quitChoices quits while a file waits for its bucket, in each of the three ways.
func quitChoices(s *session, program string, service *client.Client, b *bucket, dir string) {
	s.t.Helper()
	waiting := func(name string) (*trayMenu, <-chan error) {
		s.t.Helper()
		app, ended := s.start(program, "--hidden")
		tray := s.trayOf(app.Process.Pid)
		tray.click("○ box")
		tray.await("● box")
		b.answers(false)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644); err != nil {
			s.t.Fatal(err)
		}
		tray.await("↑ box")
		tray.click("Quit")
		s.until("the window is there", func() bool { return s.window() != "" })
		s.focus()
		return tray, ended
	}
	unmount := func() {
		s.t.Helper()
		if _, err := service.Unmount(s.ctx, "box", api.UnmountDrive{Wait: true}); err != nil {
			s.t.Fatal(err)
		}
	}
	arrives := func(name string) {
		s.t.Helper()
		b.answers(true)
		s.until(name+" is in the bucket", func() bool { return b.has(name, name) })
	}

	// It can be called off; and it asks again.
	tray, ended := waiting("background")
	s.shootWhen("quit", "a question", func(path string) bool { return brightness(s.t, path) > 0.4 })
	s.keys("Escape")
	light := brightness(s.t, s.shootWhen("quit-not", "no question", func(path string) bool { return brightness(s.t, path) > 0.75 }))
	asks := func(name string) {
		s.t.Helper()
		s.shootWhen(name, "a question", func(path string) bool {
			b := brightness(s.t, path)
			return b > light*0.5 && b < light*0.95 // not drawn at all it is black
		})
	}
	tray.click("Quit")
	asks("quit")
	s.keys("Return")
	s.ends(ended)
	if !mountedAt(s.t, dir) {
		s.t.Error("the app ended alone, but its drive is gone")
	}
	arrives("background")
	unmount()

	_, ended = waiting("after")
	asks("quit-after")
	s.keys("Tab", "Return")
	s.shootWhen("quit-leaving", "what is waited for", func(path string) bool { return brightness(s.t, path) > 0.4 })
	s.hide() // it waits all the same
	if b.has("after", "after") {
		s.t.Error("it was uploaded to a server that does not answer")
	}
	arrives("after")
	s.ends(ended)
	unmount()

	_, ended = waiting("stop")
	asks("quit-stop")
	s.keys("Tab", "Tab", "Return")
	s.ends(ended)
	if _, err := service.Service(s.ctx); !errors.Is(err, client.ErrNoService) {
		s.t.Errorf("the service was to end with the app: %v", err)
	}
	if mountedAt(s.t, dir) {
		s.t.Error("the drive is still mounted")
	}
	b.answers(true)
	app, ended := s.start(program, "--hidden")
	tray = s.trayOf(app.Process.Pid)
	tray.click("○ box")
	arrives("stop")
	tray.await("● box")
	tray.quit(ended)
	if err := service.Stop(s.ctx, api.StopService{Unmount: true}); err != nil {
		s.t.Fatal(err)
	}
}
