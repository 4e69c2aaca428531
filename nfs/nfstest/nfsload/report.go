package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// report is what a run found, as it is written as JSON.
type report struct {
	Date    time.Time  `json:"date"`
	System  string     `json:"system"`
	Sizes   sizes      `json:"sizes"`
	Conns   int        `json:"connections"`
	Rounds  int        `json:"rounds"`
	Seconds float64    `json:"seconds"`
	Servers []*target  `json:"servers"`
	Missing []string   `json:"missing,omitempty"` // servers that could not be started, and why
	Cells   []*cell    `json:"cells"`
	Medians []medianOf `json:"medians"`

	units map[string]unit
}

// medianOf is the middle of a cell's samples, each number for itself.
type medianOf struct {
	Server   string  `json:"server"`
	Workload string  `json:"workload"`
	Depth    int     `json:"depth"`
	Samples  int     `json:"samples"`
	Rate     float64 `json:"rate"`
	RateUnit string  `json:"rate_unit"`
	CPU      float64 `json:"cpu_seconds_per_unit"` // 0: not known
	CPUUnit  string  `json:"cpu_unit"`
	P50      float64 `json:"p50_us"`
	P99      float64 `json:"p99_us"`
	RSS      float64 `json:"peak_rss_bytes"`
	Client   float64 `json:"client_cpu_share"` // processor time of nfsload by time
	Error    string  `json:"error,omitempty"`
}

// over is the median of f over the samples.
func (c *cell) over(f func(*sample) float64) float64 {
	v := make([]float64, len(c.Samples))
	for i := range v {
		v[i] = f(&c.Samples[i])
	}
	return median(v)
}

func (c *cell) median(u unit) medianOf {
	m := medianOf{
		Server: c.Server, Workload: c.Workload, Depth: c.Depth, Samples: len(c.Samples),
		RateUnit: u.rate, CPUUnit: "s/" + u.per, Error: c.Error,
	}
	if len(c.Samples) == 0 {
		return m
	}
	m.Rate = c.over(func(s *sample) float64 { return float64(s.Units) / s.Seconds / u.scale })
	m.CPU = c.over(func(s *sample) float64 { return s.CPU / float64(max(s.Units, 1)) * u.much })
	m.P50 = c.over(func(s *sample) float64 { return s.P50 })
	m.P99 = c.over(func(s *sample) float64 { return s.P99 })
	m.RSS = c.over(func(s *sample) float64 { return float64(s.RSS) })
	m.Client = c.over(func(s *sample) float64 { return s.Client / s.Seconds })
	return m
}

func (r *report) finish() {
	for _, c := range r.Cells {
		r.Medians = append(r.Medians, c.median(r.units[c.Workload]))
	}
}

func (r *report) json(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "\t")
	return e.Encode(r)
}

// find is the median of one cell; nil if it was not measured.
func (r *report) find(server, workload string, depth int) *medianOf {
	for i := range r.Medians {
		if m := &r.Medians[i]; m.Server == server && m.Workload == workload && m.Depth == depth {
			return m
		}
	}
	return nil
}

// yardstick is the server that the processor time of others is compared with:
// ganesha if it is there, else the first.
func (r *report) yardstick() string {
	for _, t := range r.Servers {
		if t.Name == "ganesha" {
			return t.Name
		}
	}
	return r.Servers[0].Name
}

// markdown writes the tables for people.
func (r *report) markdown(w io.Writer) {
	fmt.Fprintf(w, "%s, %s. %d connection(s), %d KiB blocks, %d rounds of %g s, servers by turns; medians.\n\n",
		r.Date.Format("2006-01-02"), r.System, r.Conns, r.Sizes.Block>>10, r.Rounds, r.Seconds)
	for _, t := range r.Servers {
		if t.Version != "" {
			fmt.Fprintf(w, "- %s: %s\n", t.Name, t.Version)
		}
	}
	for _, m := range r.Missing {
		fmt.Fprintf(w, "- left out: %s\n", m)
	}
	for _, depth := range r.depths() {
		fmt.Fprintf(w, "\n%d call(s) at a time. Rate; p50/p99; **processor time of the server per unit**; most memory.\n\n", depth)
		r.table(w, depth, func(m *medianOf) string { return m.String() })
		yard := r.yardstick()
		fmt.Fprintf(w, "\nProcessor time as a share of that of %s, %d call(s) at a time.\n\n", yard, depth)
		r.table(w, depth, func(m *medianOf) string {
			if y := r.find(yard, m.Workload, depth); y != nil && y.CPU > 0 && m.CPU > 0 {
				return fmt.Sprintf("%.2f", m.CPU/y.CPU)
			}
			return "-"
		})
	}
	fmt.Fprintf(w, "\nThe load itself, as processor time of nfsload by time: what is near 1 is bounded by the client.\n\n")
	r.table(w, r.depths()[0], func(m *medianOf) string { return fmt.Sprintf("%.2f", m.Client) })
	var errs []string
	for _, c := range r.Cells {
		if c.Error != "" {
			errs = append(errs, fmt.Sprintf("- %s, %s, %d at a time: %s", c.Server, c.Workload, c.Depth, c.Error))
		}
	}
	if len(errs) > 0 {
		fmt.Fprintf(w, "\nWhat went wrong:\n\n%s\n", strings.Join(errs, "\n"))
	}
}

// depths is those measured, the largest first.
func (r *report) depths() []int {
	var v []int
	for _, c := range r.Cells {
		if !slices.Contains(v, c.Depth) {
			v = append(v, c.Depth)
		}
	}
	slices.Sort(v)
	slices.Reverse(v)
	return v
}

// table has a row for each workload and a column for each server.
func (r *report) table(w io.Writer, depth int, text func(*medianOf) string) {
	head, rule := "| workload |", "|---|"
	for _, t := range r.Servers {
		head += " " + t.Name + " |"
		rule += "---|"
	}
	fmt.Fprintf(w, "%s\n%s\n", head, rule)
	var rows []string
	for _, c := range r.Cells {
		if c.Depth == depth && !slices.Contains(rows, c.Workload) {
			rows = append(rows, c.Workload)
		}
	}
	for _, row := range rows {
		fmt.Fprintf(w, "| %s |", row)
		for _, t := range r.Servers {
			cell := "-"
			if m := r.find(t.Name, row, depth); m != nil {
				cell = text(m)
			}
			fmt.Fprintf(w, " %s |", cell)
		}
		fmt.Fprintln(w)
	}
}

// String is one cell of the table.
func (m *medianOf) String() string {
	if m.Samples == 0 {
		return "failed"
	}
	s := fmt.Sprintf("%s %s; %s/%s us", short(m.Rate), m.RateUnit, short(m.P50), short(m.P99))
	if m.CPU > 0 {
		s += fmt.Sprintf("; **%.3g %s**", m.CPU, m.CPUUnit)
	}
	if m.RSS > 0 {
		s += fmt.Sprintf("; %.0f MiB", m.RSS/(1<<20))
	}
	if m.Error != "" {
		s += " (!)"
	}
	return s
}

// short writes a number with three digits.
func short(v float64) string {
	switch {
	case v >= 999.5e3:
		return fmt.Sprintf("%.3gM", v/1e6)
	case v >= 999.5:
		return fmt.Sprintf("%.3gk", v/1e3)
	}
	return fmt.Sprintf("%.3g", v)
}

// resultsHeading is the line of a document behind which the tables are.
const resultsHeading = "\n## Results\n"

// update replaces the tables in a document.
func update(path string, tables []byte) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	i := bytes.Index(b, []byte(resultsHeading))
	if i < 0 {
		return fmt.Errorf("%s has no heading Results", path)
	}
	b = append(b[:i+len(resultsHeading):i+len(resultsHeading)], '\n')
	return os.WriteFile(path, append(b, tables...), 0o644)
}
