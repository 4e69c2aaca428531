package mounter

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/moorage/moorage/mounter/helper/protocol"
)

// Where the helper is no service, pkexec is asked, and then sudo. Both are scripts here.
// The test runs as nobody where it is started as root, who asks nobody.
func TestAsRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		testAsRoot(t)
		return
	}
	dir, err := os.MkdirTemp("/tmp", "asroot")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(self)
	bin := filepath.Join(dir, "test")
	if err := errors.Join(err, os.WriteFile(bin, b, 0o755), os.Chmod(dir, 0o755), os.Chown(dir, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "-test.run", "^TestAsRoot$", "-test.v")
	cmd.Env = append(os.Environ(), "TMPDIR=/tmp", "HOME=/tmp")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "--- SKIP") {
		t.Errorf("%v\n%s", err, out)
	}
}

func testAsRoot(t *testing.T) {
	if _, err := os.Stat(helperPlaces()[0]); err == nil {
		t.Skip("the mount helper is installed here, which this test would run")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	helper := filepath.Join(filepath.Dir(self), "moorage-mount-helper")
	bin := t.TempDir()
	script := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Remove(path) })
	}
	t.Setenv("PATH", bin)
	s := spec
	s.Drive, s.Root, s.Export = "0123456789abcdef", []byte("root"), "/"+strings.Repeat("0", 32)+"/x"
	if s.Dir, err = filepath.EvalSymlinks(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	mount := func() error { return new(Mounter).Mount(t.Context(), s) }
	asked := filepath.Join(bin, "asked")

	if err := mount(); !errors.Is(err, ErrPermission) {
		t.Errorf("no helper: %v", err)
	}
	script(helper, "read -r q; echo \"$1 $q\" >"+asked+"; cat "+bin+"/answer\n")
	if err := mount(); !errors.Is(err, ErrPermission) {
		t.Errorf("neither pkexec nor sudo: %v", err)
	}
	script(filepath.Join(bin, "pkexec"), "echo pkexec $1; exit 127\n")
	if err := mount(); !errors.Is(err, ErrPermission) || !strings.Contains(err.Error(), "pkexec") {
		t.Errorf("pkexec says no: %v", err)
	}
	script(filepath.Join(bin, "sudo"), "[ \"$1 $2\" = '-n --' ] || exit 9; shift 2; exec \"$@\"\n")
	answer := func(a protocol.Answer) {
		b, err := json.Marshal(a)
		if err == nil {
			err = os.WriteFile(filepath.Join(bin, "answer"), b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	answer(protocol.Answer{})
	if err := mount(); err != nil {
		t.Errorf("sudo lets us: %v", err)
	}
	got, err := os.ReadFile(asked)
	if err != nil {
		t.Fatal(err)
	}
	words, q, _ := strings.Cut(strings.TrimSpace(string(got)), " ")
	var r protocol.Request
	if err := json.Unmarshal([]byte(q), &r); err != nil || words != "once" || r.Port != s.Port || r.Mount == nil ||
		r.Mount.Dir != s.Dir || string(r.Mount.Root) != "root" {
		t.Errorf("the helper was asked %s (%v)", got, err)
	}
	answer(protocol.Answer{Kind: protocol.BadDir, What: "The folder is not yours."})
	var e *Error
	if err := mount(); !errors.Is(err, ErrDir) || !errors.As(err, &e) || e.What != "The folder is not yours." {
		t.Errorf("the helper says no: %v", err)
	}
}
