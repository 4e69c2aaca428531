package nfs_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/internal/wire"
	"github.com/moorage/moorage/nfs/internal/xdr"
	"github.com/moorage/moorage/nfs/nfstest"
)

// raw connects without a client.
func (e *env) raw() *net.TCPConn {
	e.t.Helper()
	nc, err := net.Dial("tcp", e.addr)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(testTimeout))
	return nc.(*net.TCPConn)
}

// healthy checks that another connection is served at once.
func (e *env) healthy(what string) {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.ctx, 3*time.Second)
	defer cancel()
	if r, err := e.c.Getattr(ctx, e.root); err != nil || r.Status != 0 {
		e.t.Fatalf("%s: others are not served: %v, %v", what, nfs.Status(r.Status), err)
	}
	c := e.dial(nfstest.Auth{})
	defer c.Close()
	if err := c.Null(ctx); err != nil {
		e.t.Fatalf("%s: newcomers are not served: %v", what, err)
	}
}

// nullCall is a call to NULL as a message, with xid 1.
func nullCall() []byte { return append([]byte{0, 0, 0, 1}, rpcHeader(nfsProg, 3, 0, nil, nil)...) }

func mark(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// TestRule09HostileRecords: what is no record of ours closes its connection, at once
// and without an answer.
func TestRule09HostileRecords(t *testing.T) {
	e := start(t, nil)
	null := nullCall()
	long := append(append([]byte{0, 0, 0, 1}, rpcHeader(nfsProg, 3, 3, nil, nil)...), make([]byte, 900<<10)...)
	for name, b := range map[string][]byte{
		"HTTP":                      []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
		"TLS":                       {0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3},
		"2 GiB":                     mark(0xffffffff),
		"2 GiB, not the last":       mark(0x7fffffff),
		"a byte over the limit":     mark(1<<31 | 1<<20 + 4<<10 + 1),
		"empty":                     mark(1 << 31),
		"only empty fragments":      bytes.Repeat(mark(0), 1000),
		"too many fragments":        bytes.Repeat(append(mark(1), 0), 5000),
		"fragments over the limit":  bytes.Repeat(append(mark(1<<19), make([]byte, 1<<19)...), 3),
		"a LOOKUP of 900 KiB":       nfstest.Record(long)[:4<<10], // the rest need not come
		"the same in two pieces":    slices.Concat(mark(24), long[:24], nfstest.Record(long[24:])),
		"an xid and no more":        nfstest.Record(null[:4]),
		"7 bytes":                   nfstest.Record(null[:7]),
		"a reply":                   nfstest.Record([]byte{0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}),
		"message type 2":            nfstest.Record([]byte{0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0}),
		"a call, then a big record": append(mark(1<<31|8), 0, 0, 0, 1, 0, 0, 0, 9),
	} {
		nc := e.raw()
		nc.Write(b)
		if got, _ := io.ReadAll(nc); len(got) != 0 {
			t.Errorf("%s: answered with %d bytes", name, len(got))
		}
		nc.Close()
		e.healthy(name)
	}
}

// TestFragments: a call may come in pieces of any size.
func TestFragments(t *testing.T) {
	e := start(t, nil)
	null := nullCall()
	cut := func(size int) []byte {
		var b []byte
		for i := 0; i < len(null); i += size {
			piece := null[i:min(i+size, len(null))]
			m := uint32(len(piece))
			if i+size >= len(null) {
				m |= 1 << 31
			}
			b = append(append(b, mark(m)...), piece...)
		}
		return b
	}
	nc := e.raw()
	for _, b := range [][]byte{cut(1), cut(3), cut(20), cut(40), append(mark(0), cut(7)...)} {
		if _, err := nc.Write(b); err != nil {
			t.Fatal(err)
		}
		reply := make([]byte, 28)
		if _, err := io.ReadFull(nc, reply); err != nil || binary.BigEndian.Uint32(reply) != 1<<31|24 || reply[7] != 1 {
			t.Fatalf("%x, %v", reply, err)
		}
	}
	// Bytes that trickle in are one call too.
	for _, b := range nfstest.Record(null) {
		nc.Write([]byte{b})
	}
	if _, err := io.ReadFull(nc, make([]byte, 28)); err != nil {
		t.Fatal(err)
	}
}

// TestRandomBytes: noise, and calls with noise in them, hurt nobody.
func TestRandomBytes(t *testing.T) {
	e := start(t, nil)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		b := make([]byte, rng.IntN(4000))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		nc := e.raw()
		nc.Write(b)
		nc.CloseWrite()
		io.Copy(io.Discard, nc)
		nc.Close()
	}
	e.healthy("noise")
	for p, args := range sampleArgs(e.root) {
		message := append(e.c.Header(p[0], p[1], p[2]), args...)
		for range 30 {
			b := bytes.Clone(message)
			for range 1 + rng.IntN(4) {
				b[rng.IntN(len(b))] = byte(rng.Uint32())
			}
			ctx, cancel := context.WithTimeout(e.ctx, 5*time.Second)
			_, err := e.c.RawCall(ctx, b)
			cancel()
			if errors.Is(err, nfstest.ErrClosed) {
				// A message type that is not CALL: the only thing that closes.
				e.c = e.dial(nfstest.Auth{UID: 1000})
			} else if err != nil {
				t.Fatalf("%v: %x: %v", p, b, err)
			}
		}
	}
	e.healthy("mutated calls")
}

// endless is a file that is as large as one likes to read.
type endless struct{ *fakeFS }

func (endless) Read(_ context.Context, _ *nfs.Caller, _ nfs.ID, p []byte, _ uint64) (int, bool, error) {
	return len(p), false, nil
}

func heap() int64 {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestRule09ClientThatDoesNotRead: who asks and does not read is not read either, makes the server
// keep no more than its limit, is cut off, and harms nobody meanwhile.
func TestRule09ClientThatDoesNotRead(t *testing.T) {
	const limit = 32 << 20
	e := start(t, endless{&fakeFS{}}, func(c *config) {
		c.opts.Limits.Memory, c.opts.Limits.Stall = limit, 2*time.Second
	})
	file := e.handle("file")
	read := append([]byte{0, 0, 0, 1}, e.c.Header(nfsProg, 3, wire.ProcRead)...)
	read = append(read, (&wire.ReadArgs{Handle: file, Count: 1 << 20}).Append(nil)...)
	burst := bytes.Repeat(nfstest.Record(read), 100)
	before := heap()
	var wg sync.WaitGroup
	const greedy = 8
	for range greedy {
		nc := e.raw()
		nc.SetReadBuffer(4096)
		wg.Go(func() {
			sent := 0
			for {
				n, err := nc.Write(burst)
				if sent += n; err != nil {
					break
				}
				if sent > 64<<20 {
					t.Error("64 MiB of calls were taken")
					break
				}
			}
		})
	}
	var most int64
	stop := make(chan struct{})
	go func() { wg.Wait(); close(stop) }()
	for running := true; running; {
		select {
		case <-stop:
			running = false
		case <-time.After(100 * time.Millisecond):
			most = max(most, heap()-before)
			e.healthy("a client that does not read")
		}
	}
	// The limit, one call of each beyond it, and the calls' own records.
	if bound := int64(limit + greedy*(2<<20+600*(1<<10+2<<10)) + 8<<20); most > bound {
		t.Errorf("%d MiB kept, %d allowed", most>>20, bound>>20)
	}
	if most < 1<<20 {
		t.Errorf("the test did nothing: %d bytes kept", most)
	}
	if r := must(e.c.Read(e.ctx, file, 0, 1<<20))(t); r.Count != 1<<20 {
		t.Errorf("afterwards: %v, %d", nfs.Status(r.Status), r.Count)
	}
}

// TestRule09HugeClaims: lengths inside a record are believed only as far as the
// record goes.
func TestRule09HugeClaims(t *testing.T) {
	e := start(t, nil)
	old := debug.SetMemoryLimit(256 << 20)
	defer debug.SetMemoryLimit(old)
	before := heap()
	for _, claim := range []uint32{65, 1 << 20, 1 << 30, 1<<31 - 1, 1 << 31, 1<<32 - 4, 1<<32 - 1} {
		for proc := range uint32(wire.NumProcs) {
			args := xdr.AppendUint32(nil, claim)
			if r := e.rawCall(e.c.Header(nfsProg, 3, proc), args); r.Err() == nil {
				t.Errorf("procedure %d takes a handle of %d bytes", proc, claim)
			}
			args = append(xdr.AppendOpaque(nil, e.root), args...)
			if r := e.rawCall(e.c.Header(nfsProg, 3, proc), args); r.Err() == nil && r.status() == nfs.OK {
				switch proc {
				case wire.ProcAccess: // the claim is the access asked for
				default:
					t.Errorf("procedure %d takes a length of %d", proc, claim)
				}
			}
		}
		if r := e.rawCall(e.c.Header(mountProg, 3, wire.MountMnt), xdr.AppendUint32(nil, claim)); r.Err() == nil {
			t.Errorf("MNT takes a path of %d bytes", claim)
		}
	}
	if grown := heap() - before; grown > 8<<20 {
		t.Errorf("%d MiB kept", grown>>20)
	}
}

func descriptors(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("descriptors cannot be counted here: %v", err)
	}
	return len(entries)
}

// TestChurn: connections that are reset at any moment leave nothing behind.
func TestChurn(t *testing.T) {
	e := start(t, nil)
	e.healthy("before")
	before := descriptors(t)
	call := nfstest.Record(nullCall())
	for i := range 200 {
		nc := e.raw()
		switch i % 4 {
		case 1:
			nc.Write(call[:i%len(call)])
		case 2:
			nc.Write(call)
		case 3:
			nc.Write(mark(1<<31 | 1<<20))
		}
		nc.SetLinger(0)
		nc.Close()
	}
	e.healthy("after 200 resets")
	await(t, "descriptors to come back", func() bool { return descriptors(t) <= before })
}

// TestRule09Connections: newcomers push out idle connections, those that never
// said anything sensible first.
func TestRule09Connections(t *testing.T) {
	e := start(t, nil, func(c *config) { c.opts.Limits.Connections = 8 })
	if err := e.c.Null(e.ctx); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		e.raw()
	}
	if err := e.c.Null(e.ctx); err != nil {
		t.Errorf("a useful connection was closed for idle ones: %v", err)
	}
	e.healthy("50 idle connections")
	// Connections with calls in work stay; there is no place for more.
	file := e.handle("file")
	release := make(chan struct{})
	busy := make(chan struct{}, 8)
	e.fs.on(func(_ context.Context, method string) error {
		if method == "Read" {
			busy <- struct{}{}
			<-release
		}
		return nil
	})
	var wg sync.WaitGroup
	for i := range 8 {
		c := e.c
		if i > 0 {
			c = e.dial(nfstest.Auth{})
		}
		wg.Go(func() {
			if r, err := c.Read(e.ctx, file, 0, 10); err != nil || r.Status != 0 {
				t.Errorf("%v, %v", err, r.Status)
			}
		})
		select {
		case <-busy:
		case <-e.ctx.Done():
			t.Fatal("a call did not arrive")
		}
	}
	if b, err := io.ReadAll(e.raw()); len(b) != 0 {
		t.Errorf("a ninth got %d bytes, %v", len(b), err)
	}
	close(release)
	wg.Wait()
}

// TestRule09Penalty: who sends what no client sends is kept waiting, but neither keeps a
// place from others nor the server from ending.
func TestRule09Penalty(t *testing.T) {
	for name, b := range map[string][]byte{
		"no call":            nfstest.Record(append([]byte{0, 0, 0, 1, 0, 0, 0, 1}, make([]byte, 40)...)),
		"a record too long":  mark(1<<32 - 1),
		"a call too long":    nfstest.Record(append(nullCall(), make([]byte, 200<<10)...)),
		"endless empty ones": bytes.Repeat(mark(0), 100_000),
	} {
		t.Run(name, func(t *testing.T) {
			const penalty = 300 * time.Millisecond
			e := start(t, nil, func(c *config) { c.opts.Limits.Penalty = penalty })
			nc := e.raw()
			began := time.Now()
			go nc.Write(b)
			io.Copy(io.Discard, nc)
			if d := time.Since(began); d < penalty {
				t.Errorf("closed after %v", d)
			}
			e.healthy(name)

			e = start(t, nil, func(c *config) { c.opts.Limits.Penalty, c.opts.Limits.Connections = time.Hour, 2 })
			e.healthy("the client before it") // which has one of the places
			first := e.raw()
			go first.Write(b)
			second := e.raw()
			second.Write(nfstest.Record(nullCall()))
			if _, err := io.ReadFull(second, make([]byte, 28)); err != nil {
				t.Errorf("another in its place: %v", err)
			}
			second.Close()
			third := e.raw()
			go third.Write(b)
			if err := e.srv.Shutdown(e.ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRule09SlowRecords: a record must go on, a connection may be idle.
func TestRule09SlowRecords(t *testing.T) {
	e := start(t, nil, func(c *config) { c.opts.Limits.Stall = 150 * time.Millisecond })
	for name, b := range map[string][]byte{
		"nothing at all": nil, "half a mark": {0x80, 0}, "a mark": mark(1<<31 | 100), "half a call": nfstest.Record(nullCall())[:20],
		"fragments without end": append(mark(4), 0, 0, 0, 1),
	} {
		nc := e.raw()
		nc.Write(b)
		began := time.Now()
		if n, err := io.Copy(io.Discard, nc); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
		if d := time.Since(began); d < 100*time.Millisecond {
			t.Errorf("%s: closed after %v", name, d)
		}
	}
	nc := e.raw()
	for range 3 {
		nc.Write(nfstest.Record(nullCall()))
		if _, err := io.ReadFull(nc, make([]byte, 28)); err != nil {
			t.Fatalf("an idle connection was closed: %v", err)
		}
		time.Sleep(200 * time.Millisecond) // longer than Stall: idle is not stalled
	}
	short := start(t, nil, func(c *config) { c.opts.Limits.Idle = 100 * time.Millisecond })
	nc = short.raw()
	nc.Write(nfstest.Record(nullCall()))
	if b, err := io.ReadAll(nc); len(b) != 28 || err != nil {
		t.Errorf("idle for too long: %d bytes, %v", len(b), err)
	}
}

// TestSlowWriters: many that start a large record and go on slowly do not keep
// others from theirs.
func TestSlowWriters(t *testing.T) {
	e := start(t, nil, func(c *config) { c.opts.Limits.Memory = 8 << 20 })
	for range 40 {
		e.raw().Write(mark(1<<31 | 1<<20))
	}
	data := bytes.Repeat([]byte("x"), 1<<20)
	if r := must(e.c.Write(e.ctx, e.handle("file"), 0, data, nfs.Unstable))(t); r.Count != 1<<20 {
		t.Errorf("%v, %d", nfs.Status(r.Status), r.Count)
	}
}
