package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Where Debian has the 64-bit programs of Wine, which are not in PATH.
const (
	wine       = "/usr/lib/wine/wine64"
	wineServer = "/usr/lib/wine/wineserver64"
)

// prng is a library of Windows 10 that Debian's Wine lacks, and without which no
// program of Go starts there.
const prng = `#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE p, SIZE_T n) { return SystemFunction036(p, (ULONG)n); }
`

// TestWindows has the app for Windows show its window and its icon in the tray,
// and end. Wine's named pipes do not carry the service's protocol, so that there is
// no service.
func TestWindows(t *testing.T) {
	if testing.Short() {
		t.Skip("compiling for Windows takes minutes")
	}
	const gcc = "x86_64-w64-mingw32-gcc"
	need(t)
	needThese(t, map[string]string{gcc: "gcc-mingw-w64-x86-64", wine: "wine64", wineServer: "wine64", "go": "golang"})
	dir := t.TempDir()
	run := func(cmd *exec.Cmd, env ...string) {
		t.Helper()
		cmd.Env = append(os.Environ(), env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd, err, out)
		}
	}
	run(exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-H windowsgui", "-o", dir+string(filepath.Separator),
		"github.com/moorage/moorage/app/cmd/moorage-desktop"), "CGO_ENABLED=1", "GOOS=windows", "GOARCH=amd64", "CC="+gcc)
	source, library := filepath.Join(dir, "prng.c"), filepath.Join(dir, "bcryptprimitives.dll")
	if err := os.WriteFile(source, []byte(prng), 0o600); err != nil {
		t.Fatal(err)
	}
	run(exec.CommandContext(t.Context(), gcc, "-shared", "-O2", "-o", library, source, "-ladvapi32"))

	s := newSession(t, true)
	prefix := filepath.Join(s.home, "wine")
	s.env = append(s.env, "FYNE_THEME=light", "WINEPREFIX="+prefix, "WINEARCH=win64", "WINEDEBUG=-all",
		"WINEDLLOVERRIDES=mscoree=;mshtml=") // else it offers to fetch what it has not
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for _, arg := range []string{"-k", "-w"} { // end all, wait for it
			cmd := exec.CommandContext(ctx, wineServer, arg)
			cmd.Env = s.env
			if out, err := cmd.CombinedOutput(); err != nil && arg == "-w" {
				t.Errorf("%v: %v\n%s", cmd, err, out)
			}
		}
	})
	// What Wine leaves running has the output of what started it, so that a pipe
	// would stay open.
	said, err := os.Create(filepath.Join(dir, "said"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		said.Close()
		if b, err := os.ReadFile(said.Name()); t.Failed() {
			t.Logf("Wine said: %v\n%s", err, b)
		}
	})
	windows := func(program string, args ...string) *exec.Cmd {
		cmd := s.command(wine, append([]string{program}, args...)...)
		cmd.Stdout, cmd.Stderr = said, said
		return cmd
	}
	if err := windows("wineboot", "--init").Run(); err != nil {
		t.Fatal("wineboot: ", err)
	}
	b, err := os.ReadFile(library)
	if err == nil {
		err = os.WriteFile(filepath.Join(prefix, "drive_c", "windows", "system32", filepath.Base(library)), b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}

	ended := s.begin(windows(filepath.Join(dir, "moorage-desktop.exe")))
	s.until("the window is there", func() bool { return s.window() != "" })
	s.shootWhen("windows", "a window", func(path string) bool { return brightness(t, path) > 0.5 })
	hide := func() {
		t.Helper()
		s.insist("the window is gone", s.focusAnd("ctrl+w"), func() bool { return s.window() == "" })
	}
	hide()
	s.insist("a click on the tray brings the window back", func() { s.mouse(16, 16, 1) }, func() bool { return s.window() != "" })
	hide()
	var menu string
	s.insist("the tray's menu is open", func() { s.mouse(16, 16, 3) }, func() bool {
		menu, _ = s.output("xdotool", "search", "--onlyvisible", "--class", "^moorage-desktop.exe$")
		return menu != ""
	})
	s.shootWhen("windows-tray", "a menu", func(path string) bool { return brightness(t, path) > 0.055 })
	x, y, _, height := s.place(menu)
	s.mouse(x+40, y+height-11, 1) // the last line: Quit
	s.ends(ended)
}

// insist does something again every few seconds: Wine loses what comes while it
// passes on the keyboard, or before the icon is there.
func (s *session) insist(what string, do func(), ok func() bool) {
	s.t.Helper()
	var done time.Time
	s.until(what, func() bool {
		if ok() {
			return true
		}
		if time.Since(done) > 5*time.Second {
			do()
			done = time.Now()
		}
		return false
	})
}

// focusAnd presses a key in the window, if that is there.
func (s *session) focusAnd(key string) func() {
	return func() {
		if w := s.window(); w != "" {
			s.output("xdotool", "windowactivate", "--sync", w, "key", key)
		}
	}
}

// mouse clicks at a place of the screen.
func (s *session) mouse(x, y, button int) {
	s.t.Helper()
	if _, err := s.output("xdotool", "mousemove", strconv.Itoa(x), strconv.Itoa(y), "click", strconv.Itoa(button)); err != nil {
		s.t.Fatal(err)
	}
}

var placeLine = regexp.MustCompile(`(?m)^(X|Y|WIDTH|HEIGHT)=(\d+)$`)

// place is where a window is on the screen.
func (s *session) place(window string) (x, y, width, height int) {
	s.t.Helper()
	window, _, _ = strings.Cut(window, "\n")
	said, err := s.output("xdotool", "getwindowgeometry", "--shell", window)
	if err != nil {
		s.t.Fatal(err)
	}
	at := map[string]int{}
	for _, m := range placeLine.FindAllStringSubmatch(said, -1) {
		at[m[1]], _ = strconv.Atoi(m[2])
	}
	if len(at) != 4 {
		s.t.Fatal(fmt.Errorf("xdotool said %q", said))
	}
	return at["X"], at["Y"], at["WIDTH"], at["HEIGHT"]
}
