package mounter

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// guestEnv says that the test binary runs inside user-mode Linux.
const guestEnv = "MOORAGE_MOUNTER_GUEST"

// guestInit is process 1 of the guest. The guest's root is this computer's, so
// everything that is written to lies on a tmpfs.
const guestInit = `#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/run TMPDIR=/run
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t tmpfs run /run; mount -t tmpfs mnt /mnt
ip link set lo up 2>/dev/null || busybox ifconfig lo 127.0.0.1 up
M=/usr/lib/uml/modules/$(uname -r)/kernel
for m in net/sunrpc/sunrpc fs/nfs_common/grace fs/nfs_common/nfs_acl fs/lockd/lockd fs/netfs/netfs fs/fscache/fscache fs/nfs/nfs fs/nfs/nfsv3; do
	[ ! -f $M/$m.ko ] || busybox insmod $M/$m.ko
done
cd /run
` + guestEnv + `=1 timeout -k 5 100 "$UML_BIN" -test.run '^TestGuest' -test.v > "$UML_DIR/out" 2>&1
echo $? > "$UML_DIR/rc"
busybox poweroff -f
`

// TestKernel runs the tests whose names begin with TestGuest under a real kernel
// with a real NFS client.
func TestKernel(t *testing.T) {
	if os.Getenv(guestEnv) != "" {
		t.Skip("inside the guest")
	}
	uml, err := exec.LookPath("linux.uml")
	if err != nil {
		missing := "no linux.uml here: apt install user-mode-linux nfs-common busybox-static"
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	if testing.Short() {
		t.Skip("boots a kernel; not with -short")
	}
	dir, err := os.MkdirTemp("", "moorage-mounter-") // t.TempDir is closed to the guest's other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "mounter.test")
	build := exec.Command("go", "test", "-c", "-o", bin, ".") // without -race, which does not run there
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	init := filepath.Join(dir, "init")
	if err := os.WriteFile(init, []byte(guestInit), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, uml, "mem=256M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "rw",
		"init="+init, "UML_BIN="+bin, "UML_DIR="+dir, "con=null", "con0=fd:0,fd:1")
	cmd.Env = append(os.Environ(), "HOME="+dir)
	if shim := umlShim(t, dir); shim != "" {
		cmd.Env = append(cmd.Env, "LD_PRELOAD="+shim)
	}
	cmd.WaitDelay = 5 * time.Second
	var console bytes.Buffer
	cmd.Stdout, cmd.Stderr = &console, &console
	runErr := cmd.Run() // linux.uml's own status says nothing
	out, _ := os.ReadFile(filepath.Join(dir, "out"))
	rc, err := os.ReadFile(filepath.Join(dir, "rc"))
	if err != nil {
		t.Fatalf("the guest gave no result (panic, hang or time-out): %v\n%s\n%s", runErr, out, console.Bytes())
	}
	t.Logf("%s", out)
	if s := strings.TrimSpace(string(rc)); s != "0" {
		t.Errorf("the guest's tests ended with status %s", s)
	}
}

func guestOnly(t *testing.T) {
	if os.Getenv(guestEnv) == "" {
		t.Skip("runs inside user-mode Linux: see TestKernel")
	}
}

// umlShim builds what linux.uml needs on processors with AMX or APX, see its source; ""
// on others.
func umlShim(t *testing.T, dir string) string {
	t.Helper()
	cpu, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Fatal(err)
	}
	flags := strings.Fields(string(cpu))
	if !slices.Contains(flags, "amx_tile") && !slices.Contains(flags, "apx") {
		return ""
	}
	so := filepath.Join(dir, "umlxstate.so")
	if out, err := exec.Command("cc", "-shared", "-fPIC", "-O2", "-o", so, "testdata/umlxstate.c").CombinedOutput(); err != nil {
		t.Fatalf("linux.uml needs a C compiler on this processor: apt install gcc libc6-dev: %v\n%s", err, out)
	}
	return so
}
