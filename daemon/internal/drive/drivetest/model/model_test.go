package model

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// hang is after what time a cycle counts as one that never ends.
const hang = 5 * time.Minute

// TestModel goes through cycles of random calls and faults and compares the
// drive with the model after each. MOORAGE_MODEL_COUNT=n has it go through n,
// MOORAGE_TEST_LONG=1 through so many that there are 10,000 kills, half of them
// with loss of power, MOORAGE_MODEL_SEED=n through cycle n alone or from there on,
// and MOORAGE_MODEL_TRACE=1 print what happened in any case.
func TestModel(t *testing.T) {
	first, count := uint64(1), usual
	if os.Getenv("MOORAGE_TEST_LONG") == "1" {
		count = 6000
	}
	if s := os.Getenv("MOORAGE_MODEL_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, count = n, 1
	}
	if s := os.Getenv("MOORAGE_MODEL_COUNT"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		count = n
	}
	if os.Getenv("GOMAXPROCS") == "" {
		// A cycle can be repeated best if no two of its goroutines run at once.
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	}
	began := time.Now()
	var all Stats
	cycles, failed := 0, 0
	for seed := first; seed < first+uint64(count); seed++ {
		var s Stats
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			var trace Trace
			stuck := time.AfterFunc(hang, func() {
				panic(fmt.Sprintf("seed %d is stuck:\n%s", seed, strings.Join(trace.Lines(200), "\n")))
			})
			defer stuck.Stop()
			synctest.Test(t, func(t *testing.T) {
				stats, errs := Run(seed, &trace)
				s = stats
				if len(errs) > 0 {
					failed++
					t.Errorf("seed %d:\n%s", seed, strings.Join(errs, "\n"))
				}
				if len(errs) > 0 || os.Getenv("MOORAGE_MODEL_TRACE") != "" {
					t.Logf("what happened:\n%s", strings.Join(trace.Lines(1<<20), "\n"))
				}
			})
		})
		cycles++
		all.Kills += s.Kills
		all.PowerLosses += s.PowerLosses
		all.Ops += s.Ops
		if failed >= 20 {
			break
		}
	}
	took := time.Since(began)
	t.Logf("%d cycles, %d failed, with %d calls, %d kills and %d power losses in %v: %.1f cycles/s",
		cycles, failed, all.Ops, all.Kills, all.PowerLosses, took.Round(time.Millisecond), float64(cycles)/took.Seconds())
}
