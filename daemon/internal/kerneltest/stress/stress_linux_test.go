package stress

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/daemon/internal/kerneltest"
	"github.com/moorage/moorage/daemon/internal/kerneltest/fsx"
)

// guestEnv says what this binary is in the guest: the test or the helper of the
// lock checks.
const (
	guestEnv = "MOORAGE_STRESS_GUEST"
	stepsEnv = "MOORAGE_STRESS_STEPS"
	seedEnv  = "MOORAGE_STRESS_SEED"
	onlyEnv  = "MOORAGE_STRESS_ONLY"
)

// What is done without MOORAGE_STRESS_STEPS, and from where on it is long.
const (
	shortSteps = 6_000
	longSteps  = 1_000_000
)

// runs is how many runs of package fsx go on at the same time.
const runs = 4

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(guestEnv) {
	case "":
		os.Exit(m.Run())
	case lockHelper:
		err = locker(os.Stdin, os.Stdout)
	default:
		err = guest()
	}
	if err != nil {
		fmt.Println("FAIL:", err)
		os.Exit(1)
	}
}

func TestStress(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a kernel; not with -short")
	}
	kerneltest.Need(t, "mkfs.ext4", "fio", "dbench", "stress-ng")
	steps, seed := number(t, stepsEnv, shortSteps), number(t, seedEnv, 1)
	limit := 5*time.Minute + time.Duration(steps)*10*time.Millisecond
	bin := kerneltest.Build(t, "github.com/moorage/moorage/app/cmd/moorage", "github.com/moorage/moorage/daemon/cmd/mooraged")
	// Compiled anew: what the race detector or cgo adds is not for the guest.
	cmd := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", filepath.Join(bin, "stress"), ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go test -c: %v\n%s", err, out)
	}
	t.Log("\n" + kerneltest.Run(t, kerneltest.Guest{
		Scripts: []string{"testdata/stress.sh", "testdata/verify.fio"}, Bin: bin, Disk: 512 << 20, Timeout: limit,
		Env: map[string]string{guestEnv: "1", stepsEnv: strconv.Itoa(steps), seedEnv: strconv.Itoa(seed), onlyEnv: os.Getenv(onlyEnv)},
	}))
}

// number is the number in an environment variable.
func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// guest is all that happens in the guest.
func guest() error {
	steps, err := strconv.Atoi(os.Getenv(stepsEnv))
	seed, err2 := strconv.Atoi(os.Getenv(seedEnv))
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	l := load{steps: steps, seed: seed, long: steps >= longSteps}
	// What a local disk cannot do is no check for a drive.
	if err := timed("tmpfs: locks", func() error { return locks("/mnt/local") }); err != nil {
		return err
	}
	var failed []error
	for _, w := range []struct{ name, url string }{{"mem", "mem:"}, {"folder", "/mnt/disk/served"}} {
		if err := l.on(w.name, w.url); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", w.name, err))
		}
	}
	return errors.Join(failed...)
}

// load is how much is done.
type load struct {
	steps, seed int
	long        bool
}

// pick is the one of two values that fits.
func (l load) pick(short, long int) int {
	if l.long {
		return long
	}
	return short
}

// on does all on one drive.
func (l load) on(name, url string) error {
	idle, err := idleGoroutines(name, url)
	if err != nil {
		return err
	}
	d, err := attach(name, url)
	if err != nil {
		return err
	}
	defer d.kill()
	before, err := d.usage()
	if err != nil {
		return err
	}
	var failed []error
	do := func(what string, f func(dir string) error) {
		if only := os.Getenv(onlyEnv); only != "" {
			if ok, err := path.Match(only, name+": "+what); err != nil || !ok {
				failed = append(failed, err)
				return
			}
		}
		dir := filepath.Join(d.at, what)
		err := errors.Join(unix.Mkdir(dir, 0o755), timed(name+": "+what, func() error { return f(dir) }))
		if err == nil {
			err = os.RemoveAll(dir)
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", what, err))
		}
	}
	do("locks", locks)
	do("fio", l.fio)
	do("dbench", l.dbench)
	do("stress-ng", l.stressors)
	do("fsx", func(dir string) error { return l.fsx(dir, d.past(dir)) })
	failed = append(failed, timed(name+": what is given back", func() error { return d.settle(before, l.long) }))
	after, err := d.dump()
	if err == nil && after > idle+spareGoroutines {
		err = fmt.Errorf("%d goroutines after the work, %d in a server that did little", after, idle)
	}
	fmt.Printf("%s: %d goroutines after the work, %d in a server that did little\n", name, after, idle)
	return errors.Join(append(failed, err)...)
}

// timed tells how long f took.
func timed(what string, f func() error) error {
	began := time.Now()
	err := f()
	took := time.Since(began).Round(100 * time.Millisecond)
	if err != nil {
		fmt.Printf("FAIL %s (%v): %v\n", what, took, err)
	} else {
		fmt.Printf("ok   %s (%v)\n", what, took)
	}
	return err
}

// fsx takes the random steps in several runs at the same time.
func (l load) fsx(dir, past string) error {
	ended := make(chan error, runs)
	for i := range runs {
		go func() {
			ended <- fsx.Run{Dir: dir, View: past, Seed: uint64(l.seed + i), Steps: l.steps / runs, Tick: 30 * time.Millisecond}.Do()
		}()
	}
	var err error
	for range runs {
		err = errors.Join(err, <-ended)
	}
	fmt.Printf("     %d random steps with the seeds %d to %d\n", l.steps/runs*runs, l.seed, l.seed+runs-1)
	return err
}

// command runs a program, bounded, and gives its output; an error has its end.
func command(limit time.Duration, name string, args ...string) (string, error) {
	// timeout ends the children, too.
	args = append([]string{"-k", "5", strconv.Itoa(int(limit.Seconds())), name}, args...)
	out, err := exec.Command("timeout", args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", strings.Join(args[3:], " "), err, out[max(0, len(out)-3000):])
	}
	return string(out), err
}
