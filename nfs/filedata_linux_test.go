package nfs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/internal/wire"
	"github.com/moorage/moorage/nfs/internal/xdr"
	"github.com/moorage/moorage/nfs/nfstest"
)

// spanFS is a fakeFS whose "file" is a file of the host.
type spanFS struct {
	*fakeFS
	f    *os.File
	data []byte
	hook func() // after a span was promised

	elsewhere atomic.Bool // the data are in no file

	open, most, spans atomic.Int64 // spans not released, the most of them, all
}

func (s *spanFS) attr() nfs.Attr {
	a := fakeAttr(fileID)
	a.Size = uint64(len(s.data))
	return a
}

func (s *spanFS) Read(_ context.Context, _ *nfs.Caller, _ nfs.ID, p []byte, off uint64) (int, bool, error) {
	n := copy(p, s.data[min(off, uint64(len(s.data))):])
	return n, off+uint64(n) >= uint64(len(s.data)), nil
}

func (s *spanFS) ReadFile(_ context.Context, _ *nfs.Caller, _ nfs.ID, off uint64, count int) (nfs.FileSpan, error) {
	if s.elsewhere.Load() {
		return nfs.FileSpan{}, nfs.ErrNotInFile
	}
	n := min(count, len(s.data)-int(min(off, uint64(len(s.data)))))
	s.spans.Add(1)
	if now := s.open.Add(1); now > s.most.Load() {
		s.most.Store(now)
	}
	var released atomic.Bool
	span := nfs.FileSpan{FD: int(s.f.Fd()), N: n, EOF: off+uint64(n) >= uint64(len(s.data)), Attr: s.attr(), Release: func() {
		if !released.CompareAndSwap(false, true) {
			panic("released twice")
		}
		s.open.Add(-1)
	}}
	if s.hook != nil {
		s.hook()
	}
	return span, nil
}

var _ nfs.FileReader = (*spanFS)(nil)

func startSpans(t *testing.T, edit ...func(*config)) (*env, *spanFS) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	s := &spanFS{fakeFS: &fakeFS{}, f: f, data: make([]byte, 1<<20+200<<10+3)}
	for i := range s.data {
		s.data[i] = byte(i*7 + i>>8 + i>>16)
	}
	if _, err := f.Write(s.data); err != nil {
		t.Fatal(err)
	}
	return start(t, s, edit...), s
}

func (e *env) readCall(h nfstest.Handle, off uint64, count uint32) []byte {
	return (&wire.ReadArgs{Handle: h, Offset: off, Count: count}).Append(e.c.Header(nfsProg, 3, wire.ProcRead))
}

// TestSpans: data that are sent from a file are those of the file, whatever
// their place and number, and are one stream with all other replies.
func TestSpans(t *testing.T) {
	e, fs := startSpans(t)
	file := e.handle("file")
	size := uint64(len(fs.data))
	reads := []struct {
		off   uint64
		count uint32
	}{
		{0, 64 << 10}, {0, 64<<10 - 1}, {1, 64<<10 + 1}, {2, 64<<10 + 2}, {3, 64<<10 + 3}, {4095, 100_001}, {0, 1 << 20}, {12345, 1<<20 - 3},
		{size - 64<<10, 64 << 10}, {size - 64<<10, 64<<10 + 1}, {size - 64<<10 - 1, 64 << 10}, {size - 1, 1 << 20}, {size - 2, 64 << 10},
		{size - 100_001, 1 << 20}, {size, 64 << 10}, {size + 1, 1 << 20}, {1 << 62, 1 << 20}, {0, 4<<20 - 1}, {5, 10},
	}
	getattr := (&wire.HandleArgs{Handle: file}).Append(e.c.Header(nfsProg, 3, wire.ProcGetattr))
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	go e.srv.Serve(l) // until the server is shut down
	for _, network := range []string{"tcp", "unix", "tcp, in no file"} {
		t.Run(network, func(t *testing.T) {
			fs.elsewhere.Store(network == "tcp, in no file")
			var nc net.Conn = e.raw()
			if network == "unix" {
				nc = must(net.Dial("unix", path))(t)
				defer nc.Close()
				nc.SetDeadline(time.Now().Add(testTimeout))
			}
			var calls [][]byte
			for _, r := range reads {
				calls = append(calls, getattr, e.readCall(file, r.off, r.count))
			}
			got := e.burst(nc, calls...)(len(calls))
			for i, r := range reads {
				what := fmt.Sprintf("%d bytes at %d", r.count, r.off)
				if b := got[2*i+1]; len(b) != 20+4+wire.AttrSize || bodyStatus(b) != nfs.OK {
					t.Errorf("GETATTR before %s: %x", what, b)
				}
				var res wire.ReadResult
				d := xdr.NewDecoder(got[2*i+2][20:])
				if res.Decode(&d); d.Done() != nil || res.Status != 0 {
					t.Errorf("%s: %v, %v", what, nfs.Status(res.Status), d.Done())
					continue
				}
				from := min(r.off, size)
				expected := fs.data[from:min(size, from+uint64(min(r.count, 1<<20)))]
				if !bytes.Equal(res.Data, expected) || int(res.Count) != len(expected) {
					t.Errorf("%s: %d bytes, count %d, want %d", what, len(res.Data), res.Count, len(expected))
				}
				if eof := from+uint64(len(expected)) == size; res.EOF != eof {
					t.Errorf("%s: EOF %v", what, res.EOF)
				}
			}
		})
	}
	if fs.spans.Load() == 0 {
		t.Error("nothing was sent from the file")
	}
	await(t, "spans to be released", func() bool { return fs.open.Load() == 0 })
}

// TestSpanShrinks: a file that becomes shorter before its data are sent ends
// the connection, because no other bytes are true, and nothing else.
func TestSpanShrinks(t *testing.T) {
	e, fs := startSpans(t)
	file := e.handle("file")
	other := e.dial(nfstest.Auth{})
	fs.hook = func() { fs.f.Truncate(70_000) }
	if r, err := e.c.Read(e.ctx, file, 0, 1<<20); !errors.Is(err, nfstest.ErrClosed) {
		t.Errorf("%v, %d bytes, %v", nfs.Status(r.Status), len(r.Data), err)
	}
	want(t, "GETATTR on another connection", must(other.Getattr(e.ctx, file))(t).Status, nfs.OK)
	if r := must(other.Read(e.ctx, file, 1, 65_537))(t); !bytes.Equal(r.Data, fs.data[1:65_538]) {
		t.Errorf("what is left: %d bytes", len(r.Data))
	}
	await(t, "spans to be released", func() bool { return fs.open.Load() == 0 })
}

// TestSpansNotRead: who does not take his data has few files held open, is cut
// off in time, and leaves none behind, nor does who goes away meanwhile.
func TestSpansNotRead(t *testing.T) {
	for _, leaves := range []bool{false, true} {
		e, fs := startSpans(t, func(c *config) {
			if !leaves {
				c.opts.Limits.Stall = time.Second
			}
		})
		file := e.handle("file")
		nc := e.raw()
		nc.SetReadBuffer(4096)
		fill(nc, nfstest.Record(append([]byte{0, 0, 0, 1}, e.readCall(file, 0, 1<<20)...)))
		if fs.open.Load() == 0 {
			t.Errorf("leaves=%v: the test did nothing", leaves)
		}
		e.healthy("a client that does not read")
		if leaves {
			nc.SetLinger(0)
			nc.Close()
		}
		await(t, "spans to be released", func() bool { return fs.open.Load() == 0 })
		// Those in work, and a few that wait.
		if n := fs.most.Load(); n > dataPlaces+8 {
			t.Errorf("leaves=%v: %d spans at a time", leaves, n)
		}
		e.healthy("a client that was cut off")
	}
}

// dataPlaces is how many READs and WRITEs of a connection run at a time.
const dataPlaces = 32
