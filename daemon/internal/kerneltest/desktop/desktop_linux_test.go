package desktop

import (
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/internal/kerneltest"
)

// programs are those of a desktop, and of servers with a bucket and a repository.
var programs = []string{"Xvfb", "openbox", "dbus-daemon", "xfce4-panel", "xfconf-query", "xdotool", "import", "versitygw", "git"}

func TestDesktop(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a kernel; not with -short")
	}
	kerneltest.Need(t, programs...)
	gateway, err := exec.LookPath("versitygw")
	if err != nil {
		t.Fatal(err)
	}
	bin := kerneltest.Build(t, "github.com/moorage/moorage/daemon/cmd/mooraged", "github.com/moorage/moorage/app/cmd/moorage", "../testdata/githttpd")
	// The window takes cgo.
	const app = "github.com/moorage/moorage/app/cmd/moorage-desktop"
	for _, args := range [][]string{{"build", "-o", bin + "/", app}, {"test", "-c", "-o", filepath.Join(bin, "moorage-desktop.test"), app}} {
		if out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput(); err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, out)
		}
	}
	t.Log("\n" + kerneltest.Run(t, kerneltest.Guest{
		Scripts: []string{"testdata/desktop.sh"}, Bin: bin, Needs: programs,
		Env: map[string]string{"GATEWAY": gateway}, Memory: 2 << 30, Timeout: 15 * time.Minute,
	}))
}
