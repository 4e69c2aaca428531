package kerneltest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Guest describes one boot.
type Guest struct {
	// Scripts are files that the guest finds in $JOB; the first one is run by sh.
	Scripts []string
	// Bin is a directory of programs; it comes first in the guest's PATH.
	Bin string
	// Env holds further variables of the script. BOOT is the name of one of Scripts that
	// the first process goes on with, instead of running the first script.
	Env map[string]string
	// Disk is the size in bytes of an ext4 disk at /mnt/disk; 0 means none. What
	// is stored there takes the guest's memory.
	Disk int64
	// Memory is the guest's, in bytes, in which its files are, too; 0: 1 GiB.
	Memory int64
	// Timeout bounds the guest's life, boot included.
	Timeout time.Duration
	// Needs names programs that the scripts use beside those of this package.
	Needs []string
}

// guestInit is the guest's init. The root file system is the host's and can be
// written, so tmpfs covers every place where programs leave things. The modules
// stand in the order in which they need each other. The disk is in the guest's
// memory: one in a file of the host takes 20 ms to flush.
const guestInit = `#!/bin/sh
export PATH=/mnt/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/run/home TMPDIR=/tmp JOB=/mnt/job LC_ALL=C
mount -t proc proc /proc; mount -t sysfs sys /sys
mount -t tmpfs run /run; mount -t tmpfs mnt /mnt
mkdir -p /run/home /mnt/job /mnt/bin
mount --bind %[1]s /mnt/job; mount --bind %[2]s /mnt/bin
for d in /tmp /var/tmp /var/lib/nfs; do mount -t tmpfs -o mode=1777 tmp $d; done
mount -t devtmpfs dev /dev 2>/dev/null; ln -sfn /proc/self/fd /dev/fd; mkdir -p /dev/shm; mount -t tmpfs shm /dev/shm
busybox ifconfig lo 127.0.0.1 up
M=/usr/lib/uml/modules/$(uname -r)/kernel
for m in net/sunrpc/sunrpc fs/nfs_common/grace fs/nfs_common/nfs_acl fs/lockd/lockd fs/netfs/netfs fs/fscache/fscache fs/nfs/nfs fs/nfs/nfsv3; do
	[ ! -f $M/$m.ko ] || busybox insmod $M/$m.ko
done
if [ %[3]d -gt 0 ]; then
	busybox insmod $M/drivers/block/brd.ko rd_nr=1 rd_size=%[3]d
	mkdir /mnt/disk; mkfs.ext4 -q -m 0 /dev/ram0; mount -t ext4 -o barrier=0 /dev/ram0 /mnt/disk
fi
cd /run
. /mnt/job/env
if grep -qw nfs /proc/filesystems; then
	[ -z "$BOOT" ] || . "/mnt/job/$BOOT"
	sh "/mnt/job/$SCRIPT" >/mnt/job/out 2>&1
	echo $? >/mnt/job/status.new
else
	echo "the guest's kernel has no NFS client: is $M complete?" >/mnt/job/out
	echo 1 >/mnt/job/status.new
fi
mv /mnt/job/status.new /mnt/job/status
sync
busybox poweroff -f
`

// Run boots a guest, waits for its script and returns what the script printed.
// What the script leaves in $JOB/keep becomes artifacts of the test.
// If the script fails, or the guest does not come to its end, the test fails
// and shows the output.
func Run(t *testing.T, g Guest) string {
	t.Helper()
	Need(t, append([]string{"linux.uml", "mount.nfs", "busybox"}, g.Needs...)...)
	job := t.TempDir()
	for _, s := range g.Scripts {
		text, err := os.ReadFile(s)
		if err == nil {
			err = os.WriteFile(filepath.Join(job, filepath.Base(s)), text, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var env strings.Builder
	fmt.Fprintf(&env, "SCRIPT=%s\n", quote(filepath.Base(g.Scripts[0])))
	for name, value := range g.Env {
		fmt.Fprintf(&env, "export %s=%s\n", name, quote(value))
	}
	if g.Disk > 0 {
		Need(t, "mkfs.ext4")
	}
	bin := g.Bin
	if bin == "" {
		bin = job
	}
	for name, text := range map[string]string{"env": env.String(), "init": fmt.Sprintf(guestInit, quote(job), quote(bin), g.Disk>>10)} {
		if err := os.WriteFile(filepath.Join(job, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	keep := filepath.Join(job, "keep")
	if err := os.Mkdir(keep, 0o777); err != nil {
		t.Fatal(err)
	}
	console, err := boot(t.Context(), job, cmp.Or(g.Memory, 1<<30), xstate(t, job), g.Timeout)
	if kept, _ := os.ReadDir(keep); len(kept) > 0 {
		if err := os.CopyFS(t.ArtifactDir(), os.DirFS(keep)); err != nil {
			t.Error(err)
		}
	}
	out, _ := os.ReadFile(filepath.Join(job, "out"))
	status, readErr := os.ReadFile(filepath.Join(job, "status"))
	switch {
	case readErr != nil:
		t.Fatalf("the guest came to no end (%v): a panic, a hang, or longer than %v.\nThe script's output:\n%s\nThe end of the console:\n%s",
			err, g.Timeout, out, tail(console, 1000))
	case strings.TrimSpace(string(status)) != "0":
		t.Fatalf("the script ended with status %s:\n%s", bytes.TrimSpace(status), out)
	}
	return string(out)
}

// boot runs the guest to its end and returns what it wrote to the console. Its
// exit status says nothing.
func boot(ctx context.Context, job string, memory int64, env []string, limit time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	// The ptrace-based guest is several times faster when all its processes
	// share one processor.
	args := append(onOneCPU(), "linux.uml", fmt.Sprintf("mem=%dM", memory>>20), "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "rw",
		"init="+filepath.Join(job, "init"), "con=null", "con0=fd:0,fd:1")
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(append(os.Environ(), "HOME="+job), env...) // it keeps its sockets in HOME
	var console bytes.Buffer
	cmd.Stdout, cmd.Stderr = &console, &console
	// Every process of the guest is one of the host in the same process group,
	// and stays when the guest's kernel alone is killed. On SIGTERM the kernel
	// takes them along, should this process end first.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		err = errors.Join(ctx.Err(), err)
	}
	return console.Bytes(), err
}

// onOneCPU is the beginning of a command that shall run on one processor: the
// last one that this process may use.
func onOneCPU() []string {
	var set unix.CPUSet
	if _, err := exec.LookPath("taskset"); err != nil || unix.SchedGetaffinity(0, &set) != nil {
		return nil
	}
	last := -1
	for cpu := range 1024 {
		if set.IsSet(cpu) {
			last = cpu
		}
	}
	return []string{"taskset", "-c", fmt.Sprint(last)}
}

// Need skips the test if a program is missing, and fails it where CI=true says
// that none may be.
func Need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			missing(t, fmt.Sprintf("%s is not installed", p))
		}
	}
	if m, _ := filepath.Glob("/usr/lib/uml/modules/*/kernel/fs/nfs/nfsv3.ko"); len(m) == 0 {
		missing(t, "the NFS modules of user-mode Linux are not in /usr/lib/uml/modules")
	}
}

func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// Build compiles the packages without cgo into a new directory, which it
// returns, each as the last element of its path.
func Build(t *testing.T, packages ...string) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"build", "-o", dir + "/"}, packages...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return dir
}

// quote makes s one word of the shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func tail(b []byte, n int) []byte { return b[max(0, len(b)-n):] }
