package kerneltest

import (
	"testing"
	"time"
)

// programs are what disk.sh calls beside the usual small ones.
var programs = []string{"git", "tar", "rsync", "sqlite3", "setpriv", "mkfifo"}

func TestKernel(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a kernel; not with -short")
	}
	Need(t, programs...)
	bin := Build(t, "github.com/moorage/moorage/app/cmd/moorage", "github.com/moorage/moorage/daemon/cmd/mooraged", "./testdata/githttpd")
	run := func(name string, g Guest) {
		t.Run(name, func(t *testing.T) {
			g.Bin, g.Needs = bin, programs
			g.Scripts = append([]string{"testdata/" + name + ".sh", "testdata/lib.sh"}, g.Scripts...)
			t.Log("\n" + Run(t, g))
		})
	}
	run("mem", Guest{Scripts: []string{"testdata/disk.sh"}, Timeout: 3 * time.Minute})
	run("folder", Guest{Scripts: []string{"testdata/disk.sh", "testdata/crash.sh"}, Disk: 2 << 30, Timeout: 6 * time.Minute})
	run("git", Guest{Timeout: 6 * time.Minute})
	Need(t, "systemctl", "systemd-analyze")
	run("login", Guest{Timeout: 4 * time.Minute})
}
