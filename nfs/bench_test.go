package nfs_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"strconv"
	"testing"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/dirfs"
	"github.com/moorage/moorage/nfs/internal/rpc"
	"github.com/moorage/moorage/nfs/internal/wire"
	"github.com/moorage/moorage/nfs/internal/xdr"
	"github.com/moorage/moorage/nfs/memfs"
	"github.com/moorage/moorage/nfs/nfstest"
)

// These benchmarks call each procedure over a loopback connection, one call at
// a time and sixteen, so what they tell is for the change of one server from one
// day to another. nfstest/nfsload compares servers.
//
//	go test -run '^$' -bench . -benchtime 200ms ./nfs
//
// The client allocates nothing per call, so allocs/op are the server's. The last
// parts of a name are the file system and the calls under way, as in
// BenchmarkCall/LOOKUP/dirfs/16.

const (
	benchBlock = 128 << 10
	benchBig   = 4 << 20 // the file to read and write, in bytes
	benchDir   = 1000    // entries of the folder to list, for benchmarks
	benchDepth = 16
)

// bench is an export with some objects in it, and a client of its own.
type bench struct {
	tb   testing.TB
	c    *nfstest.Client // for what is not measured
	root nfstest.Handle

	big, file, dir, link nfstest.Handle
	targets              [64]nfstest.Handle // of LINK, because a file may have 65000 names only
	renamed              [benchDepth]bool
	entries              int

	nc    net.Conn
	r     *bufio.Reader
	out   []byte
	heads [wire.NumProcs][]byte
	name  []byte
}

var benchRoot = nfstest.Auth{UID: uint32(max(os.Getuid(), 0)), GID: uint32(max(os.Getgid(), 0))}

// newBench has entries files in its folder to list.
func newBench(tb testing.TB, fs nfs.FileSystem, entries int) *bench {
	tb.Helper()
	ctx := testContext(tb)
	s, addr := serve(tb, nfs.Options{})
	if err := s.Export(nfs.Export{Path: "/drive", FS: fs, Key: testKey, FSID: 1}); err != nil {
		tb.Fatal(err)
	}
	b := &bench{tb: tb, entries: entries, out: make([]byte, 0, 4<<20)}
	var err error
	if b.root, err = s.RootHandle("/drive"); err != nil {
		tb.Fatal(err)
	}
	if b.c, err = nfstest.Dial(ctx, addr, benchRoot); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { b.c.Close() })
	if b.nc, err = net.Dial("tcp", addr); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { b.nc.Close() })
	b.r = bufio.NewReaderSize(b.nc, 1<<20)
	for proc := range b.heads {
		b.heads[proc] = b.c.Header(wire.NFSProgram, wire.NFSVersion, uint32(proc))
	}

	made := func(r nfstest.NewResult, err error) nfstest.Handle {
		tb.Helper()
		if err != nil || r.Status != 0 {
			tb.Fatalf("%v, %v", nfs.Status(r.Status), err)
		}
		return r.Handle.Handle
	}
	mode := nfstest.Sattr{SetMode: true, Mode: 0o755}
	b.big = made(b.c.Create(ctx, b.root, "big", nfs.Guarded, mode, [8]byte{}))
	b.file = made(b.c.Create(ctx, b.root, "file", nfs.Guarded, mode, [8]byte{}))
	b.dir = made(b.c.Mkdir(ctx, b.root, "dir", mode))
	for off := 0; off < benchBig; off += 1 << 20 {
		want(tb, "WRITE", must(b.c.Write(ctx, b.big, uint64(off), make([]byte, 1<<20), nfs.Unstable))(tb).Status, nfs.OK)
	}
	b.run(entries, benchDepth, func(_, i int) { b.create(b.dir, "entry-", i) })
	b.run(benchDepth, 1, func(_, i int) { b.create(b.root, "here-", i) })
	for i := range b.targets {
		b.targets[i] = made(b.c.Create(ctx, b.root, fmt.Sprint("target-", i), nfs.Guarded, mode, [8]byte{}))
	}
	r := must(b.c.Symlink(ctx, b.root, "link", "../some/other/place", nfstest.Sattr{}))(tb)
	if r.Status == 0 {
		b.link = r.Handle.Handle
	}
	return b
}

// begin starts a call; its arguments are appended to b.out, and end ends it.
func (b *bench) begin(proc int) (mark int) {
	mark = len(b.out)
	b.out = append(b.out, 0, 0, 0, 0, 0, 0, 0, 0) // the mark, the xid
	b.out = append(b.out, b.heads[proc]...)
	return mark
}

func (b *bench) end(mark int) { rpc.PutMark(b.out[mark:]) }

// named makes a call whose arguments begin with a folder and a name.
func (b *bench) named(proc int, dir nfstest.Handle, prefix string, i int, more func([]byte) []byte) {
	mark := b.begin(proc)
	b.name = strconv.AppendInt(append(b.name[:0], prefix...), int64(i), 10)
	b.out = xdr.AppendOpaque(xdr.AppendOpaque(b.out, dir), b.name)
	if more != nil {
		b.out = more(b.out)
	}
	b.end(mark)
}

var benchMode = wire.Sattr{SetMode: true, Mode: 0o755}

func (b *bench) create(dir nfstest.Handle, prefix string, i int) {
	b.named(wire.ProcCreate, dir, prefix, i, func(out []byte) []byte {
		return benchMode.Append(xdr.AppendUint32(out, uint32(nfs.Guarded)))
	})
}

// handle makes a call whose arguments begin with a handle.
func (b *bench) handle(proc int, h nfstest.Handle, more func([]byte) []byte) {
	mark := b.begin(proc)
	b.out = xdr.AppendOpaque(b.out, h)
	if more != nil {
		b.out = more(b.out)
	}
	b.end(mark)
}

// run makes n calls with depth of them under way. call makes the i-th, for a
// place in the window; the calls of one place come one after the other.
func (b *bench) run(n, depth int, call func(place, i int)) {
	b.tb.Helper()
	sent := 0
	next := func(place int) {
		mark := len(b.out)
		call(place, sent)
		binary.BigEndian.PutUint32(b.out[mark+4:], uint32(sent)<<8|uint32(place))
		sent++
	}
	for place := 0; place < depth && sent < n; place++ {
		next(place)
	}
	for got := 0; got < n; got++ {
		// All calls that replies at hand have made room for go out together.
		if b.r.Buffered() < 4 {
			if _, err := b.nc.Write(b.out); err != nil {
				b.tb.Fatal(err)
			}
			b.out = b.out[:0]
		}
		head, err := b.r.Peek(4)
		if err != nil {
			b.tb.Fatal(err)
		}
		size := int(binary.BigEndian.Uint32(head) &^ (1 << 31))
		if head, err = b.r.Peek(min(4+size, 32)); err != nil {
			b.tb.Fatal(err)
		}
		place := int(head[7])
		if stat := binary.BigEndian.Uint32(head[24:]); stat != 0 {
			b.tb.Fatalf("accept_stat %d", stat)
		}
		if len(head) == 32 {
			switch st := nfs.Status(binary.BigEndian.Uint32(head[28:])); st {
			case nfs.OK:
			case nfs.ErrNotSupp:
				b.tb.Skip("this file system cannot do that here")
			default:
				b.tb.Fatal(st)
			}
		}
		if _, err := b.r.Discard(4 + size); err != nil {
			b.tb.Fatal(err)
		}
		if sent < n {
			next(place)
		}
	}
}

// benchCall is what one benchmark does. prepare may make what n calls need;
// make makes a call. bytes is how much data a call moves.
type benchCall struct {
	name    string
	bytes   int
	prepare func(b *bench, n int)
	make    func(b *bench, place, i int)
}

func benchCalls() []benchCall {
	count := func(v ...uint32) func([]byte) []byte {
		return func(out []byte) []byte {
			for _, x := range v {
				out = xdr.AppendUint32(out, x)
			}
			return out
		}
	}
	on := func(proc int, h func(*bench) nfstest.Handle, more func([]byte) []byte) func(*bench, int, int) {
		return func(b *bench, _, _ int) { b.handle(proc, h(b), more) }
	}
	file := func(b *bench) nfstest.Handle { return b.file }
	root := func(b *bench) nfstest.Handle { return b.root }
	dir := func(b *bench) nfstest.Handle { return b.dir }
	read := func(size int) func(*bench, int, int) {
		return func(b *bench, _, i int) {
			b.handle(wire.ProcRead, b.big, func(out []byte) []byte {
				out = xdr.AppendUint64(out, uint64(i*size%benchBig))
				return xdr.AppendUint32(out, uint32(size))
			})
		}
	}
	data := make([]byte, benchBlock)
	write := func(size int, stable nfs.Stable) func(*bench, int, int) {
		return func(b *bench, _, i int) {
			b.handle(wire.ProcWrite, b.big, func(out []byte) []byte {
				out = xdr.AppendUint32(xdr.AppendUint64(out, uint64(i*size%benchBig)), uint32(size))
				return xdr.AppendOpaque(xdr.AppendUint32(out, uint32(stable)), data[:size])
			})
		}
	}
	mkdir := func(b *bench, _, i int) { b.named(wire.ProcMkdir, b.root, "d", i, benchMode.Append) }
	create := func(b *bench, _, i int) { b.create(b.root, "f", i) }
	links := func(b *bench) {
		if b.link == nil {
			b.tb.Skip("this file system has no symbolic links here")
		}
	}
	all := func(make func(*bench, int, int)) func(*bench, int) {
		return func(b *bench, n int) { b.run(n, benchDepth, func(place, i int) { make(b, place, i) }) }
	}
	return []benchCall{
		{name: "NULL", make: func(b *bench, _, _ int) { b.end(b.begin(wire.ProcNull)) }},
		{name: "GETATTR", make: on(wire.ProcGetattr, file, nil)},
		{name: "SETATTR", make: on(wire.ProcSetattr, file, func(out []byte) []byte {
			return xdr.AppendBool(benchMode.Append(out), false)
		})},
		{name: "LOOKUP", make: func(b *bench, _, i int) { b.named(wire.ProcLookup, b.dir, "entry-", i%b.entries, nil) }},
		{name: "ACCESS", make: on(wire.ProcAccess, file, count(0x3f))},
		{name: "READLINK", make: func(b *bench, _, _ int) {
			links(b)
			b.handle(wire.ProcReadlink, b.link, nil)
		}},
		{name: "READ-4K", bytes: 4096, make: read(4096)},
		{name: "READ-128K", bytes: benchBlock, make: read(benchBlock)},
		{name: "WRITE-4K", bytes: 4096, make: write(4096, nfs.Unstable)},
		{name: "WRITE-128K", bytes: benchBlock, make: write(benchBlock, nfs.Unstable)},
		{name: "WRITE-128K-sync", bytes: benchBlock, make: write(benchBlock, nfs.FileSync)},
		{name: "CREATE", make: create},
		{name: "MKDIR", make: mkdir},
		{name: "SYMLINK", make: func(b *bench, _, i int) {
			links(b)
			b.named(wire.ProcSymlink, b.root, "l", i, func(out []byte) []byte {
				return xdr.AppendOpaque(new(wire.Sattr).Append(out), "target")
			})
		}},
		{name: "MKNOD", make: func(b *bench, _, i int) {
			b.named(wire.ProcMknod, b.root, "p", i, func(out []byte) []byte {
				return benchMode.Append(xdr.AppendUint32(out, uint32(nfs.TypeFIFO)))
			})
		}},
		{name: "REMOVE", prepare: all(create), make: func(b *bench, _, i int) { b.named(wire.ProcRemove, b.root, "f", i, nil) }},
		{name: "RMDIR", prepare: all(mkdir), make: func(b *bench, _, i int) { b.named(wire.ProcRmdir, b.root, "d", i, nil) }},
		{name: "RENAME", make: func(b *bench, place, _ int) {
			from, to := "here-", "there-"
			if b.renamed[place] {
				from, to = to, from
			}
			b.renamed[place] = !b.renamed[place]
			b.named(wire.ProcRename, b.root, from, place, func(out []byte) []byte {
				b.name = strconv.AppendInt(append(b.name[:0], to...), int64(place), 10)
				return xdr.AppendOpaque(xdr.AppendOpaque(out, b.root), b.name)
			})
		}},
		{name: "LINK", make: func(b *bench, _, i int) {
			b.handle(wire.ProcLink, b.targets[i%len(b.targets)], func(out []byte) []byte {
				b.name = strconv.AppendInt(append(b.name[:0], "hard"...), int64(i), 10)
				return xdr.AppendOpaque(xdr.AppendOpaque(out, b.root), b.name)
			})
		}},
		{name: "READDIR", make: on(wire.ProcReaddir, dir, count(0, 0, 0, 0, 32<<10))},
		{name: "READDIRPLUS", make: on(wire.ProcReaddirplus, dir, count(0, 0, 0, 0, 32<<10, 32<<10))},
		{name: "FSSTAT", make: on(wire.ProcFsstat, root, nil)},
		{name: "FSINFO", make: on(wire.ProcFsinfo, root, nil)},
		{name: "PATHCONF", make: on(wire.ProcPathconf, file, nil)},
		{name: "COMMIT", make: on(wire.ProcCommit, file, count(0, 0, 0))},
	}
}

// benchFS is a file system to measure.
type benchFS struct {
	name string
	open func(tb testing.TB) nfs.FileSystem
}

func benchSystems() []benchFS {
	return []benchFS{
		{"memfs", func(testing.TB) nfs.FileSystem {
			return memfs.New(memfs.Options{UID: benchRoot.UID, GID: benchRoot.GID, Quota: 8 << 30, MaxFiles: 1 << 24})
		}},
		{"dirfs", func(tb testing.TB) nfs.FileSystem {
			tb.Helper()
			dir := "/dev/shm" // in memory, if there is such a thing, so that no disk is measured
			if _, err := os.Stat(dir); err != nil {
				dir = ""
			}
			dir, err := os.MkdirTemp(dir, "nfsbench")
			if err != nil {
				tb.Fatal(err)
			}
			tb.Cleanup(func() { os.RemoveAll(dir) })
			fs, err := dirfs.Open(dir, dirfs.Options{})
			if err != nil {
				tb.Fatal(err)
			}
			tb.Cleanup(func() { fs.Close() })
			return fs
		}},
	}
}

func BenchmarkCall(b *testing.B) {
	for _, c := range benchCalls() {
		for _, fs := range benchSystems() {
			for _, depth := range []int{1, benchDepth} {
				b.Run(fmt.Sprintf("%s/%s/%d", c.name, fs.name, depth), func(b *testing.B) {
					e := newBench(b, fs.open(b), benchDir)
					if c.prepare != nil {
						c.prepare(e, b.N)
					}
					b.SetBytes(int64(c.bytes))
					b.ReportAllocs()
					b.ResetTimer()
					e.run(b.N, depth, func(place, i int) { c.make(e, place, i) })
				})
			}
		}
	}
}

// BenchmarkDecode is the header and the arguments of each procedure, without
// what comes before and after.
func BenchmarkDecode(b *testing.B) {
	handle := make(nfstest.Handle, 32)
	cred := rpc.SysCred{Machine: []byte("machine"), UID: 1000, GID: 1000}
	head := rpc.Call{XID: 1, RPCVersion: rpc.Version, Prog: nfsProg, Vers: 3, Cred: rpc.Auth{Flavor: rpc.AuthSys, Body: cred.Append(nil)}}
	all := sampleArgs(handle)
	for proc := uint32(1); proc < wire.NumProcs; proc++ {
		p := [3]uint32{nfsProg, 3, proc}
		args := all[p]
		b.Run(fmt.Sprint("procedure-", proc), func(b *testing.B) {
			message := append(head.Append(nil), args...)
			m := wire.NewArgs(p[0], p[1], p[2])
			var h rpc.Call
			var sys rpc.SysCred
			b.ReportAllocs()
			for b.Loop() {
				d := xdr.NewDecoder(message)
				if h.Decode(&d) != nil || sys.Decode(h.Cred.Body) != nil {
					b.Fatal("the header does not decode")
				}
				if m.Decode(&d); d.Done() != nil {
					b.Fatal(d.Err())
				}
			}
		})
	}
}

// TestBenchmarks: what the benchmarks call succeeds, so that they measure what
// their names say. They themselves run on demand only.
func TestBenchmarks(t *testing.T) {
	for _, fs := range benchSystems() {
		t.Run(fs.name, func(t *testing.T) {
			for _, c := range benchCalls() {
				t.Run(c.name, func(t *testing.T) {
					e := newBench(t, fs.open(t), 20)
					const n = 40
					if c.prepare != nil {
						c.prepare(e, n)
					}
					e.run(n, benchDepth, func(place, i int) { c.make(e, place, i) })
				})
			}
		})
	}
}
