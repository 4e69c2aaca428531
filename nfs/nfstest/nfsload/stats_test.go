package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestQuantiles: a quantile of the histogram is within 1 % of the exact one.
func TestQuantiles(t *testing.T) {
	var h histogram
	rng := rand.New(rand.NewPCG(1, 2))
	var exact []time.Duration
	for range 50000 {
		d := time.Duration(math.Exp(rng.Float64() * math.Log(60e9))) // 1 ns to 60 s
		exact = append(exact, d)
		h.add(d)
	}
	slices.Sort(exact)
	for _, q := range []float64{0.001, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		want := exact[int(math.Ceil(q*float64(len(exact))))-1]
		got := h.quantile(q)
		if off := math.Abs(float64(got-want)) / float64(want); off > 0.01 {
			t.Errorf("quantile %g: %v, want %v", q, got, want)
		}
	}
}

func TestHistogram(t *testing.T) {
	var h, sum histogram
	if h.quantile(0.5) != 0 {
		t.Error("a quantile of nothing")
	}
	for _, d := range []time.Duration{-1, 0, 1, 63, 64, 127, 128, time.Hour} {
		h.add(d)
	}
	sum.merge(&h)
	sum.merge(&h)
	if sum.n != 16 || sum.quantile(0.01) != 0 || sum.quantile(1) < 8*time.Minute {
		t.Errorf("n %d, from %v to %v", sum.n, sum.quantile(0.01), sum.quantile(1))
	}
	for i := range histPowers * histSteps {
		if got := histIndex(histValue(i)); got != i {
			t.Fatalf("index %d stands for %v, which counts at %d", i, histValue(i), got)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		v    []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{3, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := median(c.v); got != c.want {
			t.Errorf("%v: %g", c.v, got)
		}
	}
	if !math.IsNaN(median(nil)) {
		t.Error("a median of nothing")
	}
}

// TestCellMedian: rates and processor times are in the units of the table.
func TestCellMedian(t *testing.T) {
	c := cell{Samples: []sample{
		{Calls: 10, Units: 2e9, Seconds: 2, CPU: 1, Client: 1, P50: 5, P99: 9, RSS: 1 << 20},
		{Calls: 10, Units: 4e9, Seconds: 2, CPU: 1, Client: 2, P50: 7, P99: 9, RSS: 3 << 20},
		{Calls: 10, Units: 6e9, Seconds: 2, CPU: 9, Client: 2, P50: 6, P99: 8, RSS: 9 << 20},
	}}
	m := c.median(bytesUnit)
	if m.Rate != 2000 || m.CPU != 0.5 || m.P50 != 6 || m.P99 != 9 || m.RSS != 3<<20 || m.Client != 1 || m.Samples != 3 {
		t.Errorf("%+v", m)
	}
	if got, want := m.String(), "2k MB/s; 6/9 us; **0.5 s/GB**; 3 MiB"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := (&cell{}).median(opsUnit); got.String() != "failed" {
		t.Errorf("%+v", got)
	}
}
