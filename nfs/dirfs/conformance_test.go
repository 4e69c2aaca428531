//go:build linux || darwin

package dirfs

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/nfstest"
)

// hostTick is how far apart two changes must be for the host's clock to tell.
const hostTick = 20 * time.Millisecond

func TestConformance(t *testing.T) {
	opts := []nfstest.Option{nfstest.TimeGranularity(hostTick)}
	if os.Geteuid() != 0 {
		opts = append(opts, nfstest.Unprivileged(me().UID, me().GID), nfstest.HostLimits())
	}
	nfstest.TestFS(t, func(t *testing.T) nfs.FileSystem {
		return open(t, t.TempDir(), Options{StateDir: t.TempDir()})
	}, opts...)
}

// TestAsOrdinaryUser runs the tests again as somebody who is not the superuser.
func TestAsOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("already an ordinary user")
	}
	const uid = 12345
	// Also another file system than that of the other run, where there is one.
	base := "/dev/shm"
	if _, err := os.Stat(base); err != nil {
		base = ""
	}
	tmp, err := os.MkdirTemp(base, "dirfs-user")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(tmp)
	if err := os.Chown(tmp, uid, uid); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	exe := tmp + "/dirfs.test"
	if out, err := exec.Command("cp", self, exe).CombinedOutput(); err != nil {
		t.Fatalf("copy the test: %v: %s", err, out)
	}
	if err := os.CopyFS(tmp+"/testdata", os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.short", "-test.timeout=4m")
	if testing.Verbose() {
		cmd.Args = append(cmd.Args, "-test.v")
	}
	cmd.Dir = tmp
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "HOME="+tmp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("as uid %d: %v\n%s", uid, err, out)
	}
	t.Logf("%s", out)
}
