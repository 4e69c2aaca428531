package crash

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/internal/kerneltest"
)

// programs are what the script calls beside the usual small ones.
var programs = []string{"dbus-daemon", "/usr/lib/polkit-1/polkitd", "setpriv", "pgrep", "fio", "versitygw"}

func TestKilledService(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a kernel; not with -short")
	}
	kerneltest.Need(t, programs...)
	const module = "github.com/moorage/moorage/"
	bin := kerneltest.Build(t, module+"app/cmd/moorage", module+"daemon/cmd/mooraged", module+"mounter/cmd/moorage-mount-helper")
	installed, err := filepath.Glob("../../../../packaging/linux/org.moorage.[Mm]ount*")
	if err != nil || len(installed) != 3 {
		t.Fatalf("files for bus and polkit: %q, %v", installed, err)
	}
	// In the guest, PATH has no place for what is installed by hand.
	gateway, err := exec.LookPath("versitygw")
	if err != nil {
		t.Fatal(err)
	}
	kills, limit := "6", 6*time.Minute
	if os.Getenv("MOORAGE_TEST_LONG") == "1" {
		kills, limit = "50", 30*time.Minute
	}
	t.Log("\n" + kerneltest.Run(t, kerneltest.Guest{Bin: bin, Needs: programs, Timeout: limit, Disk: 512 << 20,
		Env:     map[string]string{"KILLS": kills, "GATEWAY": gateway},
		Scripts: append([]string{"testdata/crash.sh", "testdata/works.sh", "testdata/fio.ini", "../security/testdata/system.sh", "../testdata/lib.sh"}, installed...)}))
}
