package main

import (
	"image"
	"image/color"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/moorage/moorage/daemon/api"
)

// repository is a git repository on a web server, at the URL.
func (s *session) repository(githttpd string) (url string) {
	s.t.Helper()
	served := filepath.Join(s.home, "..", "git")
	work := filepath.Join(s.home, "..", "work")
	git := func(args ...string) {
		s.t.Helper()
		if out, err := s.command("git", args...).CombinedOutput(); err != nil {
			s.t.Fatalf("git %q: %v\n%s", args, err, out)
		}
	}
	git("init", "-q", "-b", "main", work)
	for name, text := range map[string]string{"README.md": "# Harbour\n", "docs/tides.md": "High at noon.\n", "cmd/crane/main.go": "package main\n"} {
		path := filepath.Join(work, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	git("-C", work, "add", "-A")
	git("-C", work, "-c", "user.name=Ann", "-c", "user.email=ann@example.org", "commit", "-qm", "The harbour")
	bare := filepath.Join(served, "harbour.git")
	git("clone", "-q", "--bare", work, bare)
	git("-C", bare, "config", "uploadpack.allowFilter", "true")
	git("-C", bare, "config", "uploadpack.allowAnySHA1InWant", "true")

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	s.start(githttpd, address, served)
	url = "http://" + address + "/harbour.git"
	s.until("the repository is served", func() bool {
		_, err := s.output("git", "ls-remote", url)
		return err == nil
	})
	return url
}

// gitDrive goes from the first launch to a git repository in the file manager, by
// the mouse alone or by the keyboard alone; an address is typed in both.
func gitDrive(t *testing.T, program string, mouse bool) {
	needMounts(t)
	s := newSession(t, true)
	s.env = append(s.env, "FYNE_THEME=light")
	service := s.service()
	shown := s.fileManager()
	url := s.repository(filepath.Join(filepath.Dir(program), "githttpd"))
	app, ended := s.start(program)
	s.until("the window is there", func() bool { return s.window() != "" })

	// next does what is highlighted.
	next := func(picture string, keys ...string) {
		t.Helper()
		if mouse {
			s.press(picture)
		} else {
			s.keys(keys...)
		}
	}
	if !mouse {
		s.focus()
	}
	s.highlighted("first")
	next("first", "ctrl+n")
	s.step(1)
	s.text(url)
	next("address", "Return")
	s.step(2)
	next("look", "Return")
	s.step(3)
	next("finish", "Return")
	var d api.Drive
	s.until("the drive is mounted", func() bool {
		var err error
		d, err = service.Drive(s.ctx, "harbour")
		return err == nil && d.State == api.Mounted
	})
	if got, err := os.ReadFile(filepath.Join(d.Dir, "docs", "tides.md")); err != nil || string(got) != "High at noon.\n" || !mountedAt(t, d.Dir) {
		t.Errorf("the drive has %q, %v", got, err)
	}
	s.shootWhen("mounted", "a drive that can be opened", func(path string) bool { return len(highlights(picture(t, path))) > 1 })
	next("mounted", "Return")
	s.until("the file manager shows the drive", func() bool { return slices.Equal(shown(), []string{d.Dir}) })
	if mouse {
		s.trayOf(app.Process.Pid).quit(ended)
		return
	}
	s.keys("ctrl+q")
	s.ends(ended)
}

// press clicks the lowest of the highlighted buttons, and moves the mouse away.
func (s *session) press(picture string) {
	s.t.Helper()
	at := s.highlighted(picture)
	x, y := (at.Min.X+at.Max.X)/2, (at.Min.Y+at.Max.Y)/2
	s.mouse(x, y, 1)
	if _, err := s.output("xdotool", "mousemove", "5", "700"); err != nil {
		s.t.Fatal(err)
	}
}

// highlighted waits for a highlighted button, and returns the lowest one.
func (s *session) highlighted(name string) (button image.Rectangle) {
	s.t.Helper()
	s.shootWhen(name, "a highlighted button", func(path string) bool {
		found := highlights(picture(s.t, path))
		if len(found) > 0 {
			button = slices.MaxFunc(found, func(a, b image.Rectangle) int { return a.Min.Y - b.Min.Y })
		}
		return len(found) > 0
	})
	return button
}

// highlights are the buttons in the light theme's own colour: as high as one, and
// broader than high. What is behind a sheet is darker.
func highlights(img image.Image) (found []image.Rectangle) {
	const least = 24
	own := func(x, y int) bool {
		return color.RGBAModel.Convert(img.At(x, y)) == color.RGBA{0x0f, 0x7c, 0x90, 0xff}
	}
	b := img.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
	next:
		for x := b.Min.X; x < b.Max.X; x++ {
			for _, f := range found {
				if image.Pt(x, y).In(f) {
					x = f.Max.X
					continue next
				}
			}
			if !own(x, y) {
				continue
			}
			// The upper edge of a button is of one colour, and so is its left one.
			width, height := 0, 0
			for x+width < b.Max.X && own(x+width, y) {
				width++
			}
			for y+height < b.Max.Y && own(x+2, y+height) {
				height++
			}
			if width > least && height >= least {
				found = append(found, image.Rect(x-8, y, x+width+8, y+height))
			}
			x += width
		}
	}
	return found
}
