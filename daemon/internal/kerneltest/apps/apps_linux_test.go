package apps

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/internal/kerneltest"
)

// Variables of the environment; see the package's comment.
const (
	guestEnv = "MOORAGE_APPS_GUEST" // this binary runs in the guest
	longEnv  = "MOORAGE_TEST_LONG"
	onlyEnv  = "MOORAGE_APPS_ONLY"
)

func TestMain(m *testing.M) {
	if os.Getenv(guestEnv) == "" {
		os.Exit(m.Run())
	}
	long := os.Getenv(longEnv) == "1"
	var err error
	if len(os.Args) == 3 {
		err = workNamed(os.Args[1], os.Args[2], long)
	} else {
		err = guest(long, os.Getenv(onlyEnv))
	}
	if err != nil {
		fmt.Println("FAIL:", err)
		os.Exit(1)
	}
}

func TestApps(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a kernel; not with -short")
	}
	programs := []string{"git", "rsync", "sqlite3", "versitygw"}
	kerneltest.Need(t, programs...)
	bin := kerneltest.Build(t, "github.com/moorage/moorage/app/cmd/moorage", "github.com/moorage/moorage/daemon/cmd/mooraged")
	// Compiled anew: what the race detector or cgo adds is not for the guest.
	cmd := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", filepath.Join(bin, "apps"), ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go test -c: %v\n%s", err, out)
	}
	// In the guest, PATH has no place for what is installed by hand.
	gateway, err := exec.LookPath("versitygw")
	if err != nil {
		t.Fatal(err)
	}
	g := kerneltest.Guest{
		Scripts: []string{"testdata/apps.sh"}, Bin: bin, Needs: programs, Timeout: 5 * time.Minute,
		Env: map[string]string{guestEnv: "1", longEnv: os.Getenv(longEnv), onlyEnv: os.Getenv(onlyEnv), gatewayEnv: gateway,
			"GOGC": "400"}, // the guest is slow enough
	}
	if os.Getenv(longEnv) == "1" {
		g.Memory, g.Timeout = 8<<30, time.Hour
	}
	t.Log("\n" + kerneltest.Run(t, g))
}

// guest is all that happens in the guest.
func guest(long bool, only string) error {
	var all []*work
	for _, w := range works(long) {
		ok, err := path.Match(only, w.name)
		if err != nil {
			return err
		}
		if ok || only == "" {
			all = append(all, w)
		}
	}
	if err := timed("local", func() error { return local(all) }); err != nil {
		return err
	}
	gw, err := startGateway()
	if err != nil {
		return err
	}
	defer gw.stop()
	kills := 1
	if long {
		kills = 5
	}
	var failed []error
	for _, d := range []*drive{{name: "calm", gateway: gw}, {name: "disturbed", gateway: gw, kills: kills}} {
		if err := d.all(all); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", d.name, err))
		}
	}
	return errors.Join(failed...)
}

// timed tells how long f took.
func timed(what string, f func() error) error {
	began := time.Now()
	err := f()
	took := time.Since(began).Round(10 * time.Millisecond)
	if err != nil {
		fmt.Printf("FAIL %s (%v): %v\n", what, took, err)
	} else {
		fmt.Printf("ok   %s (%v)\n", what, took)
	}
	return err
}
