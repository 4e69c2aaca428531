package security

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/internal/kerneltest"
)

// programs are what the scripts call beside the usual small ones.
var programs = []string{"dbus-daemon", "/usr/lib/polkit-1/polkitd", "setpriv", "nsenter", "pgrep", "pkexec", "unshare", "git"}

// The mount helper as packages install it: the bus starts it, polkit is asked. Only
// what logind would write of sessions is written by the script. Checks that belong to
// a rule of SECURITY.md begin with its number.
func TestMountHelper(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a kernel; not with -short")
	}
	kerneltest.Need(t, programs...)
	const module = "github.com/moorage/moorage/"
	bin := kerneltest.Build(t, module+"app/cmd/moorage", module+"daemon/cmd/mooraged", module+"mounter/cmd/moorage-mount-helper", "./testdata/ask", "../testdata/githttpd")
	installed, err := filepath.Glob("../../../../packaging/linux/org.moorage.[Mm]ount*")
	if err != nil || len(installed) != 3 {
		t.Fatalf("files for bus and polkit: %q, %v", installed, err)
	}
	t.Log("\n" + kerneltest.Run(t, kerneltest.Guest{Bin: bin, Needs: programs, Timeout: 6 * time.Minute,
		Scripts: append([]string{"testdata/security.sh", "testdata/system.sh", "../testdata/lib.sh"}, installed...)}))
}
