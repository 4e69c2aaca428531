//go:build unix && !darwin

package autostart

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestSet(t *testing.T) {
	conf := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", conf)
	e, err := New("/opt/a b/moorage-desktop")
	if err != nil {
		t.Fatal(err)
	}
	is := func(want bool) {
		t.Helper()
		if on, err := e.Enabled(); err != nil || on != want {
			t.Errorf("enabled: %v, %v, want %v", on, err, want)
		}
	}
	set := func(on bool) {
		t.Helper()
		if err := e.Set(on); err != nil {
			t.Fatal(err)
		}
	}
	is(false)
	set(false)
	set(true)
	is(true)
	path := filepath.Join(conf, "autostart", "moorage.desktop")
	b, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(b), "\nExec=\"/opt/a b/moorage-desktop\" --hidden\n") {
		t.Errorf("%s, %v", b, err)
	}
	for _, off := range []string{"Hidden=true", "X-GNOME-Autostart-enabled=false"} { // as desktops switch it off
		if err := os.WriteFile(path, []byte("[Desktop Entry]\n"+off+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		is(false)
	}
	set(true)
	is(true)
	set(false)
	is(false)
	if l, err := os.ReadDir(filepath.Dir(path)); err != nil || len(l) != 0 {
		t.Errorf("left: %v, %v", l, err)
	}
}

func TestDesktopFileIsValid(t *testing.T) {
	validate, err := exec.LookPath("desktop-file-validate")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("desktop-file-validate is not installed: apt install desktop-file-utils")
		}
		t.Skip("desktop-file-validate is not installed: apt install desktop-file-utils")
	}
	for _, program := range []string{"/usr/bin/moorage-desktop", `/opt/a "b" $c 100% \d` + "`e`" + `/moorage-desktop`} {
		p := filepath.Join(t.TempDir(), "moorage.desktop")
		if err := os.WriteFile(p, []byte(desktopFile(program)), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(validate, p).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v: %s\n%s", program, err, out, desktopFile(program))
		}
	}
}
