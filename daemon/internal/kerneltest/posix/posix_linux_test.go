package posix

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/daemon/internal/kerneltest"
	"github.com/moorage/moorage/daemon/internal/kerneltest/fsx"
)

// guestEnv is set where this binary runs in the guest.
const guestEnv = "MOORAGE_POSIX_GUEST"

func TestMain(m *testing.M) {
	if os.Getenv(guestEnv) == "" {
		os.Exit(m.Run())
	}
	if err := guest(); err != nil {
		fmt.Println("FAIL:", err)
		os.Exit(1)
	}
}

func TestPOSIX(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a kernel; not with -short")
	}
	kerneltest.Need(t, "mkfs.ext4")
	bin := kerneltest.Build(t, "github.com/moorage/moorage/app/cmd/moorage", "github.com/moorage/moorage/daemon/cmd/mooraged")
	// Compiled anew: what the race detector or cgo adds is not for the guest.
	cmd := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", filepath.Join(bin, "posix"), ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go test -c: %v\n%s", err, out)
	}
	t.Log("\n" + kerneltest.Run(t, kerneltest.Guest{
		Scripts: []string{"testdata/posix.sh"}, Bin: bin, Timeout: 10 * time.Minute,
		Env: map[string]string{guestEnv: "1"},
	}))
}

// guest is all that happens in the guest.
func guest() error {
	unix.Umask(0)
	everybody := users()
	cs := checks()
	var failed []error
	used := map[int]bool{} // of the differences
	for _, w := range []world{
		{"mem", "/mnt/ref", "mem:", everybody, false},
		{"folder-ext4", "/mnt/ext4/ref", "/mnt/ext4/served", everybody, true},
		{"folder-user", "/mnt/ref", "/mnt/served/user", alone(everybody), false},
	} {
		if err := w.compare(cs, used); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", w.name, err))
		}
	}
	for i, d := range differences {
		if !used[i] {
			failed = append(failed, fmt.Errorf("this difference is listed and does not show: %s: %s: %s (%s)", d.check, d.line, d.result, d.why))
		}
	}
	return errors.Join(failed...)
}

// A world is a drive and the local file system that it is compared with.
type world struct {
	name, local, url string
	users            map[string]*user // "root" owns and serves the drive
	small            bool             // a small volume is mounted in the folder
}

func (w world) compare(cs []check, used map[int]bool) error {
	host := w.users["root"]
	local := filepath.Join(w.local, w.name)
	for _, dir := range []string{local, w.url} {
		if !strings.HasPrefix(dir, "/") {
			continue
		}
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.MkdirAll("/mnt/served/far", 0o777), os.Chown(dir, int(host.uid), int(host.gid))); err != nil {
			return err
		}
	}
	if w.small {
		at := w.url + "/small"
		if err := errors.Join(os.Mkdir(at, 0o755), unix.Mount("small", at, "tmpfs", 0, "size=2m,mode=777")); err != nil {
			return fmt.Errorf("mount %s: %w", at, err)
		}
		defer unix.Unmount(at, unix.MNT_DETACH)
	}
	began := time.Now()
	want := machine{dir: local, view: local + "/", far: "/mnt/served/far", users: w.users}
	if err := want.runAll(cs); err != nil {
		return fmt.Errorf("local: %w", err)
	}
	fmt.Printf("%s: local in %v\n", w.name, time.Since(began).Round(time.Millisecond))
	d, err := attach(w.name, w.url, host)
	if err != nil {
		return err
	}
	far, err := attach(w.name+"-far", "mem:", host)
	if err != nil {
		return errors.Join(err, d.detach())
	}
	began = time.Now()
	got := machine{dir: d.at, view: d.view, far: far.at, users: w.users}
	if err = got.runAll(cs); err == nil {
		fmt.Printf("%s: drive in %v\n", w.name, time.Since(began).Round(time.Millisecond))
		err = errors.Join(judge(w.name, want.steps, got.steps, used), want.right(), got.right())
	}
	if err == nil {
		began = time.Now()
		err = w.random(d)
		fmt.Printf("%s: random work in %v\n", w.name, time.Since(began).Round(time.Millisecond))
	}
	return errors.Join(err, d.detach(), far.detach())
}

// random is random work on the drive.
func (w world) random(d *drive) (err error) {
	host := w.users["root"]
	threads := host.more(4)
	const seed = 1
	host.do(func() {
		err = fsx.Run{Dir: d.at, View: d.view, Seed: seed, Steps: 3000, Tick: 30 * time.Millisecond}.Do()
	})
	err = errors.Join(err, randomNames([]string{d.at, d.more}, threads, seed, 300))
	if w.small {
		host.do(func() { err = errors.Join(err, full(d.at+"/small")) })
	}
	return err
}

// right is whether all steps gave what their lines say.
func (m *machine) right() error {
	if m.wrong > 0 {
		return fmt.Errorf("%s: %d steps did not give what their line says", m.dir, m.wrong)
	}
	return nil
}

func (m *machine) runAll(cs []check) error {
	for i, c := range cs {
		if err := m.run(i, c); err != nil {
			return err
		}
	}
	return nil
}

// judge compares the steps of a drive with those of a local file system, and notes
// which differences showed.
func judge(name string, want, got []step, used map[int]bool) error {
	if len(want) != len(got) {
		return fmt.Errorf("%d steps, not %d", len(got), len(want))
	}
	differ, listed := 0, 0
	for i, w := range want {
		if w.result == got[i].result {
			continue
		}
		if k := excuse(w, got[i].result); k >= 0 {
			used[k] = true
			listed++
			continue
		}
		differ++
		fmt.Printf("DIFF %s: %s\n\tlocal %s\n\tdrive %s\n", name, w, w.result, got[i].result)
	}
	fmt.Printf("%s: %d steps compared, %d differ as listed, %d otherwise\n", name, len(want), listed, differ)
	if differ > 0 {
		return fmt.Errorf("%d steps differ", differ)
	}
	return nil
}
