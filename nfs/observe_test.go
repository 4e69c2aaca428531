package nfs_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/memfs"
	"github.com/moorage/moorage/nfs/nfstest"
)

// recorder keeps copies of what it is told.
type recorder struct {
	mu    sync.Mutex
	calls []nfs.CallInfo
}

func (r *recorder) Observe(c *nfs.CallInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := *c
	kept.Call, kept.Reply = slices.Clone(c.Call), slices.Clone(c.Reply)
	r.calls = append(r.calls, kept)
}

func (r *recorder) all() []nfs.CallInfo {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

func (r *recorder) last(t *testing.T) nfs.CallInfo {
	t.Helper()
	all := r.all()
	if len(all) == 0 {
		t.Fatal("nothing was observed")
	}
	return all[len(all)-1]
}

func withObserver(o nfs.Observer) func(*config) {
	return func(c *config) { c.opts.Observer = o }
}

func TestObserver(t *testing.T) {
	var rec recorder
	e := start(t, memfs.New(memfs.Options{}), withObserver(&rec))
	began := time.Now()
	must(e.c.Lookup(e.ctx, e.root, "none"))(t)
	c := rec.last(t)
	if c.Program != 100003 || c.Version != 3 || c.Procedure != 3 || c.Denied || c.Accept != 0 || c.Status != nfs.ErrNoEnt {
		t.Errorf("a LOOKUP of an absent name was observed as %+v", c)
	}
	if c.UID != 1000 || c.Peer == nil || c.Peer.String() != e.c.Conn().LocalAddr().String() {
		t.Errorf("uid %d from %v, want 1000 from %v", c.UID, c.Peer, e.c.Conn().LocalAddr())
	}
	if c.Received != 4+len(c.Call) || c.Sent != 4+len(c.Reply) || !strings.Contains(string(c.Call), "none") {
		t.Errorf("received %d, sent %d with messages of %d and %d bytes", c.Received, c.Sent, len(c.Call), len(c.Reply))
	}
	if c.Start.Before(began) || c.Duration <= 0 || c.Start.Add(c.Duration).After(time.Now()) {
		t.Errorf("started %v after the test, took %v", c.Start.Sub(began), c.Duration)
	}
	must(e.c.Mnt(e.ctx, "/nowhere"))(t)
	if c := rec.last(t); c.Program != 100005 || c.Status != nfs.ErrNoEnt {
		t.Errorf("a MNT of nothing was observed as %+v", c)
	}
}

// TestObserverRefusals: what RPC refuses is observed too.
func TestObserverRefusals(t *testing.T) {
	var rec recorder
	e := start(t, nil, withObserver(&rec))
	for _, c := range []struct {
		prog, vers, proc, accept uint32
	}{{100003, 3, 99, 3}, {100003, 4, 0, 2}, {1, 1, 1, 1}, {100003, 3, 1, 4}} {
		e.c.Call(e.ctx, c.prog, c.vers, c.proc, nil) // its error is the point
		if got := rec.last(t); got.Denied || got.Accept != c.accept || got.Status != 0 || got.Program != c.prog || got.Procedure != c.proc {
			t.Errorf("call %v was observed as %+v", c, got)
		}
	}
	m := e.c.Header(100003, 3, 0)
	m[7] = 3 // the RPC version; the XID is put in front
	if _, err := e.c.RawCall(e.ctx, m); err != nil {
		t.Fatal(err)
	}
	if c := rec.last(t); !c.Denied {
		t.Errorf("a call of RPC version 3 was observed as %+v", c)
	}
	m = e.c.Header(100003, 3, 0)
	m[23] = 99 // the credential's flavor
	if _, err := e.c.RawCall(e.ctx, m); err != nil {
		t.Fatal(err)
	}
	if c := rec.last(t); !c.Denied || !strings.HasSuffix(c.String(), "Reply AUTH_ERROR(5) (uid 0, "+suffix(c)) {
		t.Errorf("a call with an unknown credential was observed as %+v: %v", c, c.String())
	}
}

func suffix(c nfs.CallInfo) string {
	s := c.String()
	return s[strings.LastIndex(s, ", ")+2:]
}

// TestObserverPanic: a file system that panics is observed as a refusal.
func TestObserverPanic(t *testing.T) {
	var rec recorder
	e := start(t, nil, withObserver(&rec))
	e.fs.on(func(context.Context, string) error { panic("on purpose") })
	e.c.Getattr(e.ctx, e.root)
	if c := rec.last(t); c.Accept != 5 {
		t.Errorf("a panic was observed as %+v", c)
	}
}

func TestStats(t *testing.T) {
	var stats nfs.Stats
	var rec recorder
	e := start(t, memfs.New(memfs.Options{}), withObserver(nfs.Observers(&stats, &rec)), func(c *config) { c.auth = nfstest.Auth{} })
	f := must(e.c.Create(e.ctx, e.root, "file", nfs.Guarded, nfstest.Sattr{}, [8]byte{}))(t)
	for range 3 {
		must(e.c.Write(e.ctx, f.Handle.Handle, 0, make([]byte, 1000), nfs.Unstable))(t)
	}
	must(e.c.Lookup(e.ctx, e.root, "none"))(t)
	must(e.c.Lookup(e.ctx, e.root, "file"))(t)
	must(e.c.Readdirplus(e.ctx, e.root, 0, [8]byte{}, 4096, 4096))(t)
	must(e.c.Mnt(e.ctx, "/drive"))(t)
	e.c.Call(e.ctx, 100003, 3, 1, nil)
	e.c.Call(e.ctx, 7, 7, 7, nil)

	snap := stats.Snapshot()
	got := map[string]nfs.ProcedureStats{}
	var received, sent, calls uint64
	for _, p := range snap.Procedures {
		got[p.Name] = p
		received, sent, calls = received+p.Received, sent+p.Sent, calls+p.Calls
		if p.P50 <= 0 || p.P50 > p.P90 || p.P90 > p.P99 || p.P99 > p.Slowest || p.Mean <= 0 || p.Mean > p.Slowest {
			t.Errorf("%s: mean %v, p50 %v, p90 %v, p99 %v, slowest %v", p.Name, p.Mean, p.P50, p.P90, p.P99, p.Slowest)
		}
	}
	for name, want := range map[string]struct{ calls, failed, refused uint64 }{
		"CREATE": {1, 0, 0}, "WRITE": {3, 0, 0}, "LOOKUP": {2, 1, 0}, "READDIRPLUS": {1, 0, 0}, "MNT": {1, 0, 0},
		"GETATTR": {1, 0, 1}, "": {1, 0, 1},
	} {
		if p := got[name]; p.Calls != want.calls || p.Failed != want.failed || p.Refused != want.refused {
			t.Errorf("%s: %+v, want %v", name, p, want)
		}
	}
	if w := got["WRITE"]; w.Received < 3000 || w.Received > 4000 || w.Program != "NFS" {
		t.Errorf("WRITE: %+v", w)
	}
	var wantReceived, wantSent uint64
	for _, c := range rec.all() {
		wantReceived, wantSent = wantReceived+uint64(c.Received), wantSent+uint64(c.Sent)
	}
	if received != wantReceived || sent != wantSent || calls != uint64(len(rec.all())) {
		t.Errorf("%d calls, %d bytes in, %d out; the observer saw %d, %d, %d", calls, received, sent, len(rec.all()), wantReceived, wantSent)
	}
	if len(snap.Statuses) != 1 || snap.Statuses["NFS3ERR_NOENT"] != 1 {
		t.Errorf("statuses %v", snap.Statuses)
	}
	if tab := snap.Table(); !strings.Contains(tab, "READDIRPLUS") || !strings.Contains(tab, "MOUNT MNT") || !strings.Contains(tab, "statuses: NFS3ERR_NOENT 1\n") {
		t.Errorf("the table lacks something:\n%s", tab)
	}
	data, err := json.Marshal(snap)
	if err != nil || !strings.Contains(string(data), `"p99_ns":`) {
		t.Errorf("as JSON: %s, %v", data, err)
	}
}

// TestStatsEstimates: percentiles lie in the power of two of the true ones.
func TestStatsEstimates(t *testing.T) {
	var s nfs.Stats
	for i := range 1000 {
		s.Observe(&nfs.CallInfo{Program: 100003, Version: 3, Procedure: 6, Duration: time.Duration(i+1) * 100 * time.Microsecond})
	}
	s.Observe(&nfs.CallInfo{Program: 100003, Version: 3, Procedure: 1, Duration: time.Hour, Status: 10008})
	s.Observe(&nfs.CallInfo{Program: 100003, Version: 3, Procedure: 2, Status: 12345})
	snap := s.Snapshot()
	read := snap.Procedures[2]
	for _, q := range []struct{ got, want time.Duration }{
		{read.P50, 50 * time.Millisecond}, {read.P90, 90 * time.Millisecond}, {read.P99, 99 * time.Millisecond},
	} {
		if q.got < q.want/2 || q.got > q.want*2 {
			t.Errorf("estimated %v for %v", q.got, q.want)
		}
	}
	if read.Name != "READ" || read.Slowest != 100*time.Millisecond || read.Mean != 50050*time.Microsecond {
		t.Errorf("%+v", read)
	}
	if slow := snap.Procedures[0]; slow.Slowest != time.Hour || slow.P50 < 16*time.Second || slow.P50 > time.Hour {
		t.Errorf("an hour is counted as %+v", slow)
	}
	if snap.Statuses["NFS3ERR_JUKEBOX"] != 1 || snap.Statuses["other"] != 1 {
		t.Errorf("statuses %v", snap.Statuses)
	}
}

func TestStatsAllocates(t *testing.T) {
	var s nfs.Stats
	c := nfs.CallInfo{Program: 100003, Version: 3, Procedure: 6, Duration: time.Millisecond}
	if n := testing.AllocsPerRun(100, func() { s.Observe(&c) }); n != 0 {
		t.Errorf("counting a call allocates %v times", n)
	}
}

func BenchmarkStats(b *testing.B) {
	var s nfs.Stats
	b.RunParallel(func(p *testing.PB) {
		c := nfs.CallInfo{Program: 100003, Version: 3, Procedure: 6, Duration: time.Millisecond}
		for p.Next() {
			s.Observe(&c)
		}
	})
}
