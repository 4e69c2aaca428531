package main

import (
	"math"
	"math/bits"
	"slices"
	"time"
)

// Latencies are counted in 64 steps per power of two, so that a quantile is off
// by less than 1 %, from 1 ns to about 9 minutes.
const (
	histSteps  = 64
	histPowers = 34
)

// histogram counts latencies without allocating.
type histogram struct {
	n      int
	counts [histPowers * histSteps]uint32
}

func histIndex(d time.Duration) int {
	v := uint64(max(d, 0))
	if v < histSteps {
		return int(v)
	}
	p := bits.Len64(v) - 7 // v>>p is 64 to 127
	return min((p+1)*histSteps+int(v>>p)-histSteps, histPowers*histSteps-1)
}

// histValue is the middle of the latencies that count at index i.
func histValue(i int) time.Duration {
	if i < 2*histSteps {
		return time.Duration(i)
	}
	p := i/histSteps - 1
	low := uint64(i%histSteps+histSteps) << p
	return time.Duration(low + 1<<p/2)
}

func (h *histogram) add(d time.Duration) {
	h.n++
	h.counts[histIndex(d)]++
}

func (h *histogram) reset() { *h = histogram{} }

// merge adds what o counted.
func (h *histogram) merge(o *histogram) {
	h.n += o.n
	for i, n := range o.counts {
		h.counts[i] += n
	}
}

// quantile is the latency that the share q of all, 0 to 1, does not exceed; 0
// if nothing was counted.
func (h *histogram) quantile(q float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	want := max(int(math.Ceil(q*float64(h.n))), 1)
	for i, n := range h.counts {
		if want -= int(n); want <= 0 {
			return histValue(i)
		}
	}
	return histValue(len(h.counts) - 1)
}

// median is the middle of v, or the mean of the two middle ones; NaN if v is
// empty. It sorts v.
func median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	slices.Sort(v)
	m := len(v) / 2
	if len(v)%2 == 1 {
		return v[m]
	}
	return (v[m-1] + v[m]) / 2
}
