package deb

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/internal/kerneltest"
)

// programs are what the scripts call beside the usual small ones.
var programs = []string{"dpkg", "systemctl", "systemd-analyze", "loginctl", "setpriv", "dbus-daemon", "/usr/lib/polkit-1/polkitd",
	"versitygw", "lintian", "Xvfb", "xdotool", "desktop-file-validate"}

func TestPackage(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a kernel; not with -short")
	}
	kerneltest.Need(t, programs...)
	first := build(t)
	// It takes as long as the guest, and another processor.
	lint := exec.CommandContext(t.Context(), "lintian", "--allow-root", "--fail-on", "error,warning", first)
	var said bytes.Buffer
	lint.Stdout, lint.Stderr = &said, &said
	if err := lint.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := lint.Wait(); err != nil || said.Len() > 0 {
			t.Errorf("lintian: %v\n%s", err, said.String())
		}
	}()
	gateway, err := exec.LookPath("versitygw")
	if err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + kerneltest.Run(t, kerneltest.Guest{
		Bin: kerneltest.Build(t, "./testdata/load"), Needs: programs, Timeout: 8 * time.Minute,
		Env: map[string]string{"BOOT": "systemd.sh", "GATEWAY": gateway},
		Scripts: []string{"testdata/deb.sh", "testdata/systemd.sh", "../testdata/lib.sh", first,
			again(t, first, "0.2.0", nil),
			again(t, first, "0.3.0", map[string]string{"usr/bin/mooraged": "#!/bin/sh\n[ $# = 0 ] || exec $0.works \"$@\"\necho this version is broken >&2\nexit 1\n"})},
	}))
}

// build makes the package of version 0.1.0.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "../../../../packaging/linux/build", "0.1.0", dir, "deb")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	named := filepath.Join(dir, "moorage_0.1.0.deb")
	if err := os.Rename(filepath.Join(dir, "moorage_0.1.0_"+runtime.GOARCH+".deb"), named); err != nil {
		t.Fatal(err)
	}
	return named
}

var versionLine = regexp.MustCompile(`(?m)^Version: .*$`)

// again makes the package of another version from one that was built, with other files
// in it.
func again(t *testing.T, deb, version string, files map[string]string) string {
	t.Helper()
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "moorage_"+version+".deb")
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), "dpkg-deb", args...).CombinedOutput(); err != nil {
			t.Fatalf("dpkg-deb %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	run("--raw-extract", deb, dir)
	control := filepath.Join(dir, "DEBIAN/control")
	b, err := os.ReadFile(control)
	if err == nil {
		err = os.WriteFile(control, versionLine.ReplaceAll(b, []byte("Version: "+version)), 0o644)
	}
	for name, text := range files {
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	run("--root-owner-group", "-Znone", "--build", dir, out)
	return out
}
