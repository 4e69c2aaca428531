package nfs

import (
	"fmt"
	"math/bits"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/moorage/moorage/nfs/internal/wire"
)

// latencyBuckets is the number of buckets of a latency histogram. Bucket 0 has
// what took less than 1 µs, bucket i what took 2^(i-1) µs to less than 2^i µs,
// and the last one also all that took longer: 16 s.
const latencyBuckets = 26

// Stats is an [Observer] that counts calls by procedure. The zero value is
// ready. It neither locks nor allocates while it counts, so it can stay on.
type Stats struct {
	nfs      [wire.NumProcs]procedureCounts
	mount    [wire.NumMount]procedureCounts
	other    procedureCounts // unknown programs, versions and procedures
	statuses [statusSlots]atomic.Uint64
}

type procedureCounts struct {
	calls, failed, refused atomic.Uint64
	received, sent         atomic.Uint64 // bytes
	time, slowest          atomic.Int64  // ns
	latency                [latencyBuckets]atomic.Uint64
}

// Observe counts a call.
func (s *Stats) Observe(c *CallInfo) {
	p := s.counts(c)
	p.calls.Add(1)
	switch {
	case c.Denied || c.Accept != 0:
		p.refused.Add(1)
	case c.Status != OK:
		p.failed.Add(1)
		s.statuses[statusSlot(c.Status)].Add(1)
	}
	p.received.Add(uint64(c.Received))
	p.sent.Add(uint64(c.Sent))
	d := max(c.Duration, 0)
	p.time.Add(int64(d))
	p.latency[min(bits.Len64(uint64(d/time.Microsecond)), latencyBuckets-1)].Add(1)
	for old := p.slowest.Load(); int64(d) > old && !p.slowest.CompareAndSwap(old, int64(d)); {
		old = p.slowest.Load()
	}
}

func (s *Stats) counts(c *CallInfo) *procedureCounts {
	switch {
	case c.Program == wire.NFSProgram && c.Version == wire.NFSVersion && c.Procedure < wire.NumProcs:
		return &s.nfs[c.Procedure]
	case c.Program == wire.MountProgram && (c.Version == wire.MountV3 || c.Version == wire.MountV1) && c.Procedure < wire.NumMount:
		return &s.mount[c.Procedure]
	}
	return &s.other
}

// A slot for each small status, for each of those from 10001 on, and one for
// all that RFC 1813 does not know.
const (
	smallStatuses = uint32(ErrRemote) + 1
	firstLarge    = uint32(ErrBadHandle)
	largeStatuses = uint32(ErrJukebox) - firstLarge + 1
	statusSlots   = smallStatuses + largeStatuses + 1
)

func statusSlot(st Status) uint32 {
	switch n := uint32(st); {
	case n < smallStatuses:
		return n
	case n >= firstLarge && n < firstLarge+largeStatuses:
		return smallStatuses + n - firstLarge
	}
	return statusSlots - 1
}

func slotStatus(slot uint32) Status {
	if slot < smallStatuses {
		return Status(slot)
	}
	return Status(firstLarge + slot - smallStatuses)
}

// StatsSnapshot is what [Stats] has counted. Calls that end meanwhile may be
// in some of its numbers and not yet in others.
type StatsSnapshot struct {
	// Procedures are those that were called, in the order of their numbers:
	// NFS, MOUNT, and one without a name for all that the server does not know.
	Procedures []ProcedureStats `json:"procedures"`
	// Statuses counts the answers other than NFS3_OK by their names in RFC
	// 1813 ("NFS3ERR_NOENT"), those of MNT among them.
	Statuses map[string]uint64 `json:"statuses,omitempty"`
}

// ProcedureStats is one procedure's part of a [StatsSnapshot].
type ProcedureStats struct {
	Program  string `json:"program"` // "NFS", "MOUNT"; "" for unknown ones
	Name     string `json:"name"`    // as in RFC 1813: "READDIRPLUS"; "" for unknown ones
	Calls    uint64 `json:"calls"`
	Failed   uint64 `json:"failed"`   // answered with a status other than NFS3_OK
	Refused  uint64 `json:"refused"`  // by RPC: unknown, undecodable, or without a usable credential
	Received uint64 `json:"received"` // bytes of calls
	Sent     uint64 `json:"sent"`     // bytes of replies
	// The times from a call's arrival to its reply, in nanoseconds. The
	// percentiles are estimates: the true ones lie in the same power of two.
	Mean    time.Duration `json:"mean_ns"`
	P50     time.Duration `json:"p50_ns"`
	P90     time.Duration `json:"p90_ns"`
	P99     time.Duration `json:"p99_ns"`
	Slowest time.Duration `json:"slowest_ns"`
}

// Snapshot is what has been counted so far.
func (s *Stats) Snapshot() StatsSnapshot {
	snap := StatsSnapshot{Procedures: []ProcedureStats{}}
	add := func(program, name string, p *procedureCounts) {
		if p.calls.Load() > 0 {
			snap.Procedures = append(snap.Procedures, p.snapshot(program, name))
		}
	}
	for i := range s.nfs {
		add("NFS", nfsNames[i], &s.nfs[i])
	}
	for i := range s.mount {
		add("MOUNT", mountNames[i], &s.mount[i])
	}
	add("", "", &s.other)
	for slot := range statusSlots {
		if n := s.statuses[slot].Load(); n > 0 {
			if snap.Statuses == nil {
				snap.Statuses = make(map[string]uint64)
			}
			name := "other"
			if slot < statusSlots-1 {
				name = slotStatus(slot).name()
			}
			snap.Statuses[name] += n
		}
	}
	return snap
}

func (p *procedureCounts) snapshot(program, name string) ProcedureStats {
	r := ProcedureStats{
		Program: program, Name: name, Calls: p.calls.Load(), Failed: p.failed.Load(), Refused: p.refused.Load(),
		Received: p.received.Load(), Sent: p.sent.Load(), Slowest: time.Duration(p.slowest.Load()),
	}
	var counts [latencyBuckets]uint64
	total := uint64(0)
	for i := range counts {
		counts[i] = p.latency[i].Load()
		total += counts[i]
	}
	if total > 0 {
		r.Mean = time.Duration(uint64(p.time.Load()) / total)
	}
	r.P50, r.P90, r.P99 = quantile(&counts, total, 50, r.Slowest), quantile(&counts, total, 90, r.Slowest), quantile(&counts, total, 99, r.Slowest)
	return r
}

// quantile estimates the time that percent of the calls did not exceed, as if
// the calls of a bucket were spread evenly over it.
func quantile(counts *[latencyBuckets]uint64, total, percent uint64, slowest time.Duration) time.Duration {
	rank := (total*percent + 99) / 100 // the number of calls that are as fast
	for i, n := range counts {
		if n == 0 || rank > n {
			rank -= n
			continue
		}
		low, high := time.Duration(0), time.Microsecond<<i
		if i > 0 {
			low = high / 2
		}
		return min(low+time.Duration(float64(high-low)*float64(rank)/float64(n)), slowest)
	}
	return slowest
}

// Table is the snapshot as a table for people, one line for each procedure,
// and a line with the statuses that were not NFS3_OK.
func (s StatsSnapshot) Table() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "procedure\tcalls\tfailed\trefused\treceived\tsent\tmean\tp50\tp90\tp99\tslowest\t")
	for _, p := range s.Procedures {
		name := p.Name
		switch p.Program {
		case "":
			name = "(unknown)"
		case "MOUNT":
			name = "MOUNT " + name
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%v\t%v\t%v\t%v\t%v\t\n", name, p.Calls, p.Failed, p.Refused, p.Received, p.Sent,
			shortTime(p.Mean), shortTime(p.P50), shortTime(p.P90), shortTime(p.P99), shortTime(p.Slowest))
	}
	w.Flush() // a strings.Builder takes everything
	sep := "statuses: "
	for slot := range statusSlots {
		name := "other"
		if slot < statusSlots-1 {
			name = slotStatus(slot).name()
		}
		if n := s.Statuses[name]; n > 0 {
			fmt.Fprintf(&b, "%s%s %d", sep, name, n)
			sep = ", "
		}
	}
	if len(s.Statuses) > 0 {
		b.WriteByte('\n')
	}
	return b.String()
}

// shortTime leaves three digits or so.
func shortTime(d time.Duration) time.Duration {
	unit := time.Nanosecond
	for unit*1000 <= d {
		unit *= 10
	}
	return d.Round(unit)
}
