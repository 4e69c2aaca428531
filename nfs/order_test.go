package nfs_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/internal/wire"
	"github.com/moorage/moorage/nfs/nfstest"
)

// burst sends calls, which get the xids from 1 on, in one piece, and returns
// their replies by xid as they come, without mark and xid.
func (e *env) burst(nc net.Conn, messages ...[]byte) func(n int) map[int][]byte {
	e.t.Helper()
	var b []byte
	for i, m := range messages {
		b = append(b, nfstest.Record(append(binary.BigEndian.AppendUint32(nil, uint32(i+1)), m...))...)
	}
	go nc.Write(b) // until the connection ends; if it fails, replies are missing
	return func(n int) map[int][]byte {
		e.t.Helper()
		got := make(map[int][]byte)
		for range n {
			var m [4]byte
			if _, err := io.ReadFull(nc, m[:]); err != nil {
				e.t.Fatalf("after %d replies: %v", len(got), err)
			}
			r := make([]byte, binary.BigEndian.Uint32(m[:])&^(1<<31))
			if _, err := io.ReadFull(nc, r); err != nil {
				e.t.Fatalf("after %d replies: %v", len(got), err)
			}
			got[int(binary.BigEndian.Uint32(r))] = r[4:]
		}
		return got
	}
}

// bodyStatus is the status in a reply without its xid.
func bodyStatus(b []byte) nfs.Status { return nfs.Status(binary.BigEndian.Uint32(b[20:])) }

// orderFS notes when changes of the data begin and end, and holds up each that
// gate is given for.
type orderFS struct {
	*fakeFS
	mu      sync.Mutex
	log     []string
	entered chan string
	gate    func(name string) chan struct{}
}

func (f *orderFS) do(name string) {
	f.entered <- name
	if gate := f.gate(name); gate != nil {
		<-gate
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, name)
}

// done is what was done, the first first.
func (f *orderFS) done() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.log)
}

func (f *orderFS) Write(ctx context.Context, c *nfs.Caller, id nfs.ID, p []byte, off uint64, want nfs.Stable) (nfs.Stable, nfs.WCC, error) {
	f.do(fmt.Sprintf("%d:%s", off, p))
	return want, f.wcc(id), nil
}

func (f *orderFS) SetAttr(ctx context.Context, c *nfs.Caller, id nfs.ID, set nfs.SetAttr, guard *time.Time) (nfs.WCC, error) {
	f.do("size")
	return f.wcc(id), nil
}

func startOrder(t *testing.T, gate func(string) chan struct{}) (*env, *orderFS) {
	fs := &orderFS{fakeFS: &fakeFS{}, entered: make(chan string, 1000), gate: gate}
	return start(t, fs), fs
}

func (e *env) writeCall(h nfstest.Handle, off uint64, data string) []byte {
	return append(e.c.Header(nfsProg, 3, wire.ProcWrite), writeArgs(h, off, uint32(len(data)), 0, []byte(data))...)
}

func (e *env) truncateCall(h nfstest.Handle) []byte {
	return (&wire.SetattrArgs{Handle: h, Set: wire.Sattr{SetSize: true, Size: 3}}).Append(e.c.Header(nfsProg, 3, wire.ProcSetattr))
}

// TestWritesInOrder: what one connection writes to the same bytes is written in
// the order in which it was sent, also if that is more than can run at a time,
// and none of it is put off because it waits for the others.
func TestWritesInOrder(t *testing.T) {
	for _, quick := range []bool{true, false} {
		t.Run(fmt.Sprintf("quick=%v", quick), func(t *testing.T) {
			first := make(chan struct{})
			e, fs := startOrder(t, func(name string) chan struct{} {
				if name == "0:first" && !quick {
					return first
				}
				if name[len(name)-1] == '5' { // now and then slow, so that others could overtake
					time.Sleep(time.Millisecond)
				}
				return nil
			})
			file := e.handle("file")
			var calls [][]byte
			var expected []string
			add := func(off uint64, data string) {
				calls = append(calls, e.writeCall(file, off, data))
				expected = append(expected, fmt.Sprintf("%d:%s", off, data))
			}
			add(0, "first")
			for i := range 300 { // each overlaps the one before
				add(uint64(i), fmt.Sprintf("%03d", i))
				if i%100 == 50 {
					calls, expected = append(calls, e.truncateCall(file)), append(expected, "size")
				}
			}
			replies := e.burst(e.raw(), calls...)
			<-fs.entered
			if err := e.c.Null(e.ctx); err != nil {
				t.Fatal(err)
			}
			close(first)
			for xid, b := range replies(len(calls)) {
				if bodyStatus(b) != nfs.OK {
					t.Errorf("call %d: %v", xid, bodyStatus(b))
				}
			}
			// Neighbours that do not overlap may change places: of each byte's
			// writes, and of all before and after a change of size, none may.
			log := fs.done()
			at := make(map[string]int)
			for i, name := range log {
				at[name] = i
			}
			sizes := 0
			for i, name := range expected {
				if name == "size" {
					before := expected[:i]
					pos := slices.Index(log, "size")
					for range sizes {
						pos += 1 + slices.Index(log[pos+1:], "size")
					}
					sizes++
					for _, b := range before {
						if b != "size" && at[b] > pos {
							t.Errorf("%s came after the change of size number %d", b, sizes)
						}
					}
				} else if i > 0 && expected[i-1] != "size" && at[name] < at[expected[i-1]] {
					t.Errorf("%s came before %s", name, expected[i-1])
				}
			}
		})
	}
}

// TestWaitingWritesTakeNoPlaces: however many writes wait for one that takes
// long, others are done meanwhile.
func TestWaitingWritesTakeNoPlaces(t *testing.T) {
	gate := make(chan struct{})
	e, fs := startOrder(t, func(name string) chan struct{} {
		if name == "0:slow" {
			return gate
		}
		return nil
	})
	file := e.handle("file")
	calls := [][]byte{e.writeCall(file, 0, "slow")}
	for range 100 {
		calls = append(calls, e.writeCall(file, 0, "waits"))
	}
	nc := e.raw()
	replies := e.burst(nc, append(calls, e.writeCall(file, 100, "free"))...)
	got := replies(1)
	if b := got[len(calls)+1]; b == nil || bodyStatus(b) != nfs.OK {
		t.Errorf("%x was answered first, not the write of other bytes", got)
	}
	close(gate)
	for xid, b := range replies(len(calls)) {
		if bodyStatus(b) != nfs.OK {
			t.Errorf("call %d: %v", xid, bodyStatus(b))
		}
	}
	if log := fs.done(); log[0] != "100:free" || log[1] != "0:slow" {
		t.Errorf("%v", log[:2])
	}
}

// TestWritesTogether: writes to different bytes, or to different files, do not
// wait for each other, but a change of size waits for all of its file.
func TestWritesTogether(t *testing.T) {
	gate := make(chan struct{})
	e, fs := startOrder(t, func(name string) chan struct{} { return gate })
	file, link := e.handle("file"), e.handle("link")
	replies := e.burst(e.raw(),
		e.writeCall(file, 0, "aaaa"), e.writeCall(file, 4, "bbbb"), e.writeCall(file, 1<<40, "cccc"),
		e.truncateCall(file), e.writeCall(file, 100, "late"), e.writeCall(link, 0, "dddd"))
	var at []string
	for range 4 {
		select {
		case name := <-fs.entered:
			at = append(at, name)
		case <-e.ctx.Done():
			t.Fatalf("only %v run together", at)
		}
	}
	slices.Sort(at)
	if fmt.Sprint(at) != "[0:aaaa 0:dddd 1099511627776:cccc 4:bbbb]" {
		t.Errorf("%v run together", at)
	}
	close(gate)
	replies(6)
	log := fs.done()
	if n := len(log); log[n-1] != "100:late" && log[n-1] != "0:dddd" || slices.Index(log, "100:late") < slices.Index(log, "size") {
		t.Errorf("%v", log)
	}
}

// TestBlockedClasses: calls of all kinds that the file system holds up do not
// hold up others on their connection, however many they are.
func TestBlockedClasses(t *testing.T) {
	e := start(t, nil)
	file := e.handle("file")
	release, blocked := make(chan struct{}), make(chan struct{}, 200)
	e.fs.on(func(_ context.Context, method string) error {
		switch method {
		case "Lookup", "Mkdir", "Read", "Write":
			blocked <- struct{}{}
			<-release
		}
		return nil
	})
	var wg sync.WaitGroup
	for i := range 15 { // 60 calls, of four kinds in turn
		wg.Go(func() { e.c.Lookup(e.ctx, e.root, "file") })
		wg.Go(func() { e.c.Mkdir(e.ctx, e.root, fmt.Sprint(i), nfstest.Sattr{}) })
		wg.Go(func() { e.c.Read(e.ctx, file, 0, 10) })
		wg.Go(func() { e.c.Write(e.ctx, file, uint64(10*i), []byte("data"), nfs.Unstable) })
	}
	for range 60 {
		select {
		case <-blocked:
		case <-e.ctx.Done():
			t.Fatal("a call did not arrive")
		}
	}
	fastest := time.Hour
	for range 20 {
		began := time.Now()
		if err := e.c.Null(e.ctx); err != nil {
			t.Fatal(err)
		}
		want(t, "GETATTR", must(e.c.Getattr(e.ctx, file))(t).Status, nfs.OK)
		fastest = min(fastest, time.Since(began))
	}
	if fastest > 50*time.Millisecond {
		t.Errorf("NULL and GETATTR took %v", fastest)
	}
	close(release)
	wg.Wait()
}
