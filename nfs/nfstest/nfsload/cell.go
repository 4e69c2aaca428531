package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// sample is one measurement. Processor times are of user and system together.
type sample struct {
	Calls   int     `json:"calls"`
	Units   int     `json:"units"` // operations, bytes or entries
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpu_seconds"`        // of the server; 0: not known
	Client  float64 `json:"client_cpu_seconds"` // of nfsload itself
	P50     float64 `json:"p50_us"`
	P99     float64 `json:"p99_us"`
	RSS     int     `json:"peak_rss_bytes"` // 0: not known
}

// cell is what one server does under one workload.
type cell struct {
	Server   string   `json:"server"`
	Workload string   `json:"workload"`
	Depth    int      `json:"depth"`
	Samples  []sample `json:"samples"`
	Error    string   `json:"error,omitempty"` // the last one
	failures int
}

// runner measures.
type runner struct {
	z       sizes
	conns   int
	seconds time.Duration
	p       *pattern
	clock   cpuClock
}

// maxFailures is how often a server may fail a workload before it is left out.
const maxFailures = 2

// measure adds a sample or an error to c.
func (r *runner) measure(ctx context.Context, t *target, w *workload, c *cell) {
	if c.failures >= maxFailures || ctx.Err() != nil {
		return
	}
	s, err := r.sample(t, w, c.Depth)
	if err != nil && !errors.Is(err, errIncomplete) {
		c.failures++
		c.Error = err.Error()
		return
	}
	if err != nil { // it took very long and will again: once is enough
		c.failures = maxFailures
		c.Error = err.Error()
	}
	c.Samples = append(c.Samples, s)
}

func (r *runner) sample(t *target, w *workload, depth int) (sample, error) {
	s, err := open(t, r.z, r.p, r.conns, depth)
	if err != nil {
		return sample{}, err
	}
	defer s.close()
	jobs, err := w.jobs(s)
	if err != nil {
		return sample{}, fmt.Errorf("prepare: %w", err)
	}
	if w.warm {
		if _, err := r.run(s, jobs, r.seconds/10); err != nil {
			return sample{}, err
		}
	}
	before := 0
	for i, j := range jobs {
		before += j.count()
		s.conns[i].hist.reset()
	}
	r.clock.settle(t.PID)
	r.clock.resetPeak(t.PID)
	cpu, client := r.clock.used(t.PID), r.clock.used(selfPID)
	took, err := r.run(s, jobs, r.seconds)
	if err != nil {
		return sample{}, err
	}
	client = r.clock.used(selfPID) - client
	// What a server does late, such as writing back, is its work all the same.
	r.clock.settle(t.PID)
	cpu = r.clock.used(t.PID) - cpu
	var h histogram
	units := -before
	for i, j := range jobs {
		units += j.count()
		h.merge(&s.conns[i].hist)
	}
	out := sample{
		Calls: h.n, Units: units, Seconds: took.Seconds(), CPU: cpu.Seconds(), Client: client.Seconds(),
		P50: us(h.quantile(0.5)), P99: us(h.quantile(0.99)), RSS: r.clock.peak(t.PID),
	}
	if w.verify != nil {
		err = w.verify(s, jobs)
	}
	return out, err
}

func us(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

// run has all connections work for d, and tells how long the last one needed.
func (r *runner) run(s *session, jobs []counted, d time.Duration) (time.Duration, error) {
	errs := make([]error, len(jobs))
	ends := make([]time.Time, len(jobs))
	begin := time.Now()
	var wg sync.WaitGroup
	for i, j := range jobs {
		wg.Add(1)
		go func() {
			defer wg.Done()
			c := s.conns[i]
			stop := begin.Add(d).Sub(c.start)
			last, err := c.run(j, stop, stop+max(2*listPatience, 5*d))
			errs[i], ends[i] = err, c.start.Add(last)
		}()
	}
	wg.Wait()
	end := begin
	for _, e := range ends {
		if e.After(end) {
			end = e
		}
	}
	return end.Sub(begin), errors.Join(errs...)
}
