package mounter

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// maxHolders is how many programs are named; more do not help anybody.
const maxHolders = 5

// holders names the programs that have something below dir open, as far as /proc
// shows them. It reads links only, and never touches the mount.
func holders(ctx context.Context, dir string) []string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	procs, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var who []string
	for _, p := range procs {
		if ctx.Err() != nil || len(who) == maxHolders {
			break
		}
		if _, err := strconv.Atoi(p.Name()); err != nil || !holds("/proc/"+p.Name(), dir) {
			continue
		}
		comm, err := os.ReadFile("/proc/" + p.Name() + "/comm")
		if err != nil {
			continue
		}
		who = append(who, fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(comm)), p.Name()))
	}
	return who
}

func holds(proc, dir string) bool {
	for _, l := range []string{"cwd", "root", "exe"} {
		if t, err := os.Readlink(filepath.Join(proc, l)); err == nil && isBelow(t, dir) {
			return true
		}
	}
	for _, sub := range []string{"fd", "map_files"} {
		d, err := os.Open(filepath.Join(proc, sub))
		if err != nil {
			continue
		}
		names, _ := d.Readdirnames(4096)
		d.Close()
		for _, n := range names {
			if t, err := os.Readlink(filepath.Join(proc, sub, n)); err == nil && isBelow(t, dir) {
				return true
			}
		}
	}
	return false
}

// MayMount tells whether this process may mount by itself: CAP_SYS_ADMIN in the first
// user namespace, both of which root of a container may lack.
func MayMount() bool {
	if b, err := os.ReadFile("/proc/self/uid_map"); err == nil && strings.Join(strings.Fields(string(b)), " ") != "0 0 4294967295" {
		return false
	}
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return os.Geteuid() == 0
	}
	defer f.Close()
	sc := bufio.NewScanner(io.LimitReader(f, 64<<10))
	for sc.Scan() {
		if v, ok := strings.CutPrefix(sc.Text(), "CapEff:"); ok {
			caps, err := strconv.ParseUint(strings.TrimSpace(v), 16, 64)
			return err == nil && caps&(1<<unix.CAP_SYS_ADMIN) != 0
		}
	}
	return os.Geteuid() == 0
}

// kernelHasNFS reports whether the kernel's NFS client is loaded or built in.
func kernelHasNFS() bool {
	b, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return true // unknown: let the kernel say
	}
	for l := range strings.Lines(string(b)) {
		if f := strings.Fields(l); len(f) > 0 && f[len(f)-1] == "nfs" {
			return true
		}
	}
	return false
}

// moduleInstalled reports whether the kernel would find the module nfs.
func moduleInstalled() bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	release := unix.ByteSliceToString(u.Release[:])
	for _, list := range []string{"modules.dep", "modules.builtin"} {
		f, err := os.Open(filepath.Join("/lib/modules", release, list))
		if err != nil {
			continue
		}
		sc := bufio.NewScanner(io.LimitReader(f, 64<<20))
		sc.Buffer(nil, 1<<20)
		for sc.Scan() {
			path, _, _ := strings.Cut(sc.Text(), ":")
			if name, _, _ := strings.Cut(filepath.Base(path), "."); name == "nfs" {
				f.Close()
				return true
			}
		}
		f.Close()
	}
	return false
}

// rightsText says why this process may not mount, and what to do.
func rightsText() (what, do string) {
	if os.Geteuid() == 0 {
		return "This process is root, but without the right to mount, as in a container.",
			"Run the service outside the container, or give it CAP_SYS_ADMIN there."
	}
	return "On Linux only root may mount. Moorage's mount helper, which does it for you, is not installed, and neither pkexec nor sudo let it mount.",
		"Install Moorage's package, or serve the drive without mounting it: moorage serve URL."
}

func probe(context.Context) []Check {
	client := Check{Name: "nfs client", OK: true}
	switch {
	case kernelHasNFS():
		client.Detail = "The kernel has an NFS client."
	case moduleInstalled():
		client.Detail = "The kernel's NFS client is a module that is loaded at the first mount."
	default:
		client.OK = false
		client.Detail = "This kernel has no NFS client, and there is no module for it."
		client.Remedy = noClientRemedy
	}
	command := Check{Name: "mount.nfs", OK: true, Detail: "Not usable here, and not needed: the kernel is asked directly."}
	if p := findMountNFS(); p != "" {
		command.Detail = p
	}
	rights := Check{Name: "rights", OK: true, Detail: "This process may mount."}
	if !MayMount() {
		rights.OK = false
		rights.Detail, rights.Remedy = rightsText()
	}
	return []Check{client, command, rights}
}
