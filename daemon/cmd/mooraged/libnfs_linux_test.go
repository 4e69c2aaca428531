package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/daemon/internal/mounts/serve"
)

// The tests of this file use drives with the commands of libnfs, an NFS client
// that is not a kernel: nfs-ls, nfs-cp and nfs-cat, of the Debian package
// libnfs-utils. With CI=true in the environment they fail without it.

// TestLibNFS: the ports are in the URL.
func TestLibNFS(t *testing.T) {
	needLibNFS(t)
	everyDrive(t, nil, func(r serve.Ready, path string) string {
		port := r.Address[strings.LastIndexByte(r.Address, ':')+1:]
		return fmt.Sprintf("nfs://127.0.0.1%s?nfsport=%s&mountport=%s&version=3", path, port, port)
	})
}

// netnsEnv is set in the process that TestLibNFSPortmap starts.
const netnsEnv = "MOORAGE_TEST_NETNS"

// TestLibNFSPortmap: nobody says a port. The test runs itself again in a network
// namespace of its own, where port 111 is free. That takes root, or a system
// that lets users make namespaces.
func TestLibNFSPortmap(t *testing.T) {
	needLibNFS(t)
	if os.Getenv(netnsEnv) == "" {
		inNetns(t)
		return
	}
	loopbackUp(t)
	everyDrive(t, []string{"--portmap", "127.0.0.1:111"}, func(r serve.Ready, path string) string {
		if r.Portmap != "127.0.0.1:111" {
			t.Errorf("ready: %+v", r)
		}
		// It finds servers by portmapper and EXPORT, too.
		if got := libnfs(t, "nfs-ls", "-D", "nfs://127.0.0.1"); strings.TrimSpace(got) != "nfs://127.0.0.1"+r.Export {
			t.Errorf("discovered %q", got)
		}
		return "nfs://127.0.0.1" + path
	})
}

func needLibNFS(t *testing.T) {
	t.Helper()
	for _, name := range []string{"nfs-ls", "nfs-cp", "nfs-cat"} {
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed (Debian package libnfs-utils)", name)
		}
		t.Skipf("%s is not installed (Debian package libnfs-utils)", name)
	}
}

// inNetns runs this test alone in a new network namespace.
func inNetns(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), netnsEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil && bytes.Contains(out, []byte("--- PASS: "+t.Name())):
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOSPC):
		t.Skipf("no network namespace without root here: %v", err)
	case err != nil && !errors.As(err, &exit):
		t.Fatal(err)
	default:
		t.Errorf("in the namespace: %v\n%s", err, out)
	}
}

// loopbackUp switches the loopback interface of a new namespace on.
func loopbackUp(t *testing.T) {
	t.Helper()
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(s)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	req.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, req); err != nil {
		t.Fatal("ifconfig lo up: ", err)
	}
}

// everyDrive serves a folder and memory with args, and copies files in and out;
// url is where a path is, with the export in front.
func everyDrive(t *testing.T, args []string, url func(r serve.Ready, path string) string) {
	h := newHome(t)
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, drive := range map[string]string{"folder": folder, "memory": "mem:"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			p := h.run("main", append([]string{"serve", drive, "--export", "/shared"}, args...)...)
			r := p.ready()
			at := func(path string) string { return url(r, r.Export+path) }
			if got := ls(t, at("")); len(got) != map[string]int{folder: 1}[drive] {
				t.Errorf("a new drive has %v", got)
			}
			want := map[string]int{}
			for i, size := range []int{0, 1, 4095, 1<<20 + 1, 3_000_001} {
				data := make([]byte, size)
				rand.Read(data) // never fails
				name := fmt.Sprintf("file-%d.bin", i)
				want[name] = size
				local, back := filepath.Join(dir, name), filepath.Join(dir, "back-"+name)
				if err := os.WriteFile(local, data, 0o600); err != nil {
					t.Fatal(err)
				}
				libnfs(t, "nfs-cp", local, at("/"+name))
				libnfs(t, "nfs-cp", at("/"+name), back)
				same(t, back, data)
				if got := libnfs(t, "nfs-cat", at("/"+name)); got != string(data) {
					t.Errorf("nfs-cat %s gives %d bytes, other than the %d of the file", name, len(got), size)
				}
				if drive == folder {
					same(t, filepath.Join(folder, name), data)
				}
			}
			if drive == folder {
				want["sub"] = -1
				libnfs(t, "nfs-cp", filepath.Join(dir, "file-2.bin"), at("/sub/x"))
				if got := ls(t, at("/sub")); len(got) != 1 || got["x"] != 4095 {
					t.Errorf("sub has %v", got)
				}
			}
			if got := ls(t, at("")); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("the drive has %v, want %v", got, want)
			}
			if out, err := exec.Command("nfs-cat", at("/none")).CombinedOutput(); err == nil {
				t.Errorf("nfs-cat of a file that is not there succeeds: %s", out)
			}
			if status := p.end(syscall.SIGTERM); status != 0 {
				t.Errorf("exit status %d", status)
			}
			if log := p.stderr.String(); log != "" {
				t.Errorf("it logged:\n%s", log)
			}
		})
	}
}

// libnfs runs one of the commands, which must succeed.
func libnfs(t *testing.T, args ...string) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// listed is a line of nfs-ls: mode, links, uid, gid, size, name.
var listed = regexp.MustCompile(`(?m)^([-d])\S+ +\d+ +\d+ +\d+ +(\d+) (.+)$`)

// ls is the names in a folder with their sizes; -1 for folders.
func ls(t *testing.T, url string) map[string]int {
	t.Helper()
	out := libnfs(t, "nfs-ls", url)
	m := map[string]int{}
	for _, l := range listed.FindAllStringSubmatch(out, -1) {
		size, err := strconv.Atoi(l[2])
		if err != nil {
			t.Fatal(err)
		}
		if l[1] == "d" {
			size = -1
		}
		m[l[3]] = size
	}
	if n := strings.Count(out, "\n"); n != len(m) {
		t.Errorf("nfs-ls wrote %d lines for %d names:\n%s", n, len(m), out)
	}
	return m
}

func same(t *testing.T, file string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s has %d bytes, other than the %d of the original: %v", file, len(got), len(want), err)
	}
}
