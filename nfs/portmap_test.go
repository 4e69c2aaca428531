package nfs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/internal/rpc"
	"github.com/moorage/moorage/nfs/internal/wire"
	"github.com/moorage/moorage/nfs/internal/xdr"
	"github.com/moorage/moorage/nfs/nfstest"
)

const (
	pmapProg = wire.PortmapProgram
	callTCP  = "tcp"
	callUDP  = "udp"
)

// pmap is a portmapper on one port of 127.0.0.1, over TCP and UDP.
type pmap struct {
	t    *testing.T
	p    *nfs.Portmap
	addr string
	port uint32
	tcp  *nfstest.Client
	udp  net.Conn
}

// startPortmap serves one until the test ends, and checks then that it stops.
func startPortmap(t *testing.T, o nfs.Options) *pmap {
	t.Helper()
	m := &pmap{t: t, p: nfs.NewPortmap(o)}
	l, pc := listenBoth(t)
	m.addr, m.port = l.Addr().String(), uint32(l.Addr().(*net.TCPAddr).Port)
	served := make(chan error, 2)
	go func() { served <- m.p.Serve(l) }()
	go func() { served <- m.p.ServePacket(pc) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := m.p.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		for range 2 {
			if err := <-served; !errors.Is(err, nfs.ErrServerClosed) {
				t.Errorf("served until %v", err)
			}
		}
	})
	var err error
	if m.tcp, err = nfstest.Dial(testContext(t), m.addr, nfstest.Auth{}); err != nil {
		t.Fatal(err)
	}
	if m.udp, err = net.Dial("udp", m.addr); err != nil {
		t.Fatal(err)
	}
	m.udp.SetDeadline(time.Now().Add(testTimeout))
	t.Cleanup(func() { m.tcp.Close(); m.udp.Close() })
	// Each lists itself once it is at work.
	await(t, "both transports", func() bool { return len(m.dump()) == 6 })
	return m
}

// listenBoth finds a port that is free over TCP and UDP.
func listenBoth(t *testing.T) (net.Listener, net.PacketConn) {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		pc, err := net.ListenPacket("udp", l.Addr().String())
		if err == nil {
			return l, pc
		}
		l.Close()
	}
	t.Fatal("no port is free over TCP and UDP")
	return nil, nil
}

// raw calls over one of the transports; message is without its xid.
func (m *pmap) raw(network string, message []byte) rawReply {
	m.t.Helper()
	var b []byte
	if network == callTCP {
		b = must(m.tcp.RawCall(testContext(m.t), message))(m.t)
	} else {
		must(m.udp.Write(append([]byte{1, 2, 3, 4}, message...)))(m.t)
		b = make([]byte, 64<<10)
		b = b[:must(m.udp.Read(b))(m.t)]
		if !bytes.HasPrefix(b, []byte{1, 2, 3, 4}) {
			m.t.Fatalf("an answer to somebody else: %x", b)
		}
	}
	d := xdr.NewDecoder(b)
	var r rawReply
	if err := r.Decode(&d); err != nil {
		m.t.Fatalf("a reply that does not decode: %v, %x", err, b)
	}
	r.accept, r.results = r.Accept, d.Rest()
	return r
}

// call calls a procedure that succeeds and returns its results.
func (m *pmap) call(network string, vers, proc uint32, args wire.Message) wire.Message {
	m.t.Helper()
	r := m.raw(network, args.Append(rpcHeader(pmapProg, vers, proc, nil, nil)))
	if r.Err() != nil {
		m.t.Fatalf("version %d procedure %d: %v", vers, proc, r.Err())
	}
	d := xdr.NewDecoder(r.results)
	res := wire.NewResults(pmapProg, vers, proc)
	if res.Decode(&d); d.Done() != nil {
		m.t.Fatalf("version %d procedure %d: results %x", vers, proc, r.results)
	}
	return res
}

func (m *pmap) getport(network string, prog, vers, prot uint32) uint32 {
	m.t.Helper()
	return m.call(network, 2, wire.PmapGetport, &wire.Mapping{Prog: prog, Vers: vers, Prot: prot}).(*wire.Number).N
}

func (m *pmap) getaddr(network string, rpcbind, proc, prog, vers uint32, netid string) string {
	m.t.Helper()
	return string(m.call(network, rpcbind, proc, &wire.Rpcb{Prog: prog, Vers: vers, Netid: []byte(netid)}).(*wire.Uaddr).Addr)
}

// dump is the list of version 2, as "program version protocol port".
func (m *pmap) dump() (lines []string) {
	m.t.Helper()
	for _, e := range m.call(callTCP, 2, wire.PmapDump, new(wire.Void)).(*wire.Mappings).List {
		lines = append(lines, fmt.Sprint(e.Prog, e.Vers, e.Prot, e.Port))
	}
	slices.Sort(lines)
	return lines
}

func tcpAddr(addr string) net.Addr {
	a, _ := net.ResolveTCPAddr("tcp", addr) // of a literal
	return a
}

func TestPortmap(t *testing.T) {
	clock := time.Unix(1_800_000_000, 0)
	m := startPortmap(t, nfs.Options{Clock: func() time.Time { return clock }})
	if err := m.p.Register(tcpAddr("127.0.0.1:2049")); err != nil {
		t.Fatal(err)
	}
	own := fmt.Sprintf("127.0.0.1.%d.%d", m.port>>8, m.port&0xff)
	for _, network := range []string{callTCP, callUDP} {
		for _, tc := range []struct {
			prog, vers, prot uint32
			port             uint32
		}{
			{nfsProg, 3, 6, 2049}, {mountProg, 3, 6, 2049}, {mountProg, 1, 6, 2049}, {pmapProg, 2, 6, m.port}, {pmapProg, 2, 17, m.port},
			// Other versions: the program itself says which it has.
			{nfsProg, 2, 6, 2049}, {nfsProg, 4, 6, 2049}, {mountProg, 2, 6, 2049},
			// What is not here: NFS over UDP, NLM, NSM, NFSACL, RQUOTA.
			{nfsProg, 3, 17, 0}, {mountProg, 3, 17, 0}, {100021, 4, 6, 0}, {100021, 4, 17, 0}, {100024, 1, 17, 0},
			{100227, 3, 6, 0}, {100011, 1, 6, 0}, {nfsProg, 3, 0, 0}, {0, 0, 0, 0}, {0xffffffff, 0xffffffff, 0xffffffff, 0},
		} {
			if got := m.getport(network, tc.prog, tc.vers, tc.prot); got != tc.port {
				t.Errorf("%s: GETPORT %v: %d", network, tc, got)
			}
		}
		for _, tc := range []struct {
			proc, prog, vers uint32
			netid, want      string
		}{
			{wire.RpcbGetaddr, nfsProg, 3, "tcp", "127.0.0.1.8.1"},
			{wire.RpcbGetaddr, nfsProg, 4, "tcp", "127.0.0.1.8.1"},
			{wire.RpcbGetaddr, mountProg, 1, "tcp", "127.0.0.1.8.1"},
			{wire.RpcbGetaddr, pmapProg, 3, "udp", own},
			{wire.RpcbGetaddr, nfsProg, 3, "udp", ""},
			{wire.RpcbGetaddr, 100021, 4, "tcp", ""},
			{wire.RpcbGetaddr, 100024, 1, "udp", ""},
			{wire.RpcbGetversaddr, nfsProg, 3, "tcp", "127.0.0.1.8.1"},
			{wire.RpcbGetversaddr, nfsProg, 4, "tcp", ""},
		} {
			if got := m.getaddr(network, 4, tc.proc, tc.prog, tc.vers, tc.netid); got != tc.want {
				t.Errorf("%s: procedure %d of version 4, %v: %q", network, tc.proc, tc, got)
			}
			if tc.proc == wire.RpcbGetaddr {
				if got := m.getaddr(network, 3, tc.proc, tc.prog, tc.vers, tc.netid); got != tc.want {
					t.Errorf("%s: GETADDR of version 3, %v: %q", network, tc, got)
				}
			}
		}
		// Without a netid that is known, the transport of the call counts.
		for _, netid := range []string{"", "tcp6", "local"} {
			want := map[string]string{callTCP: "127.0.0.1.8.1"}[network]
			if got := m.getaddr(network, 3, wire.RpcbGetaddr, nfsProg, 3, netid); got != want {
				t.Errorf("%s: GETADDR for netid %q: %q", network, netid, got)
			}
		}
		if got := m.call(network, 4, wire.RpcbGettime, new(wire.Void)).(*wire.Number).N; got != 1_800_000_000 {
			t.Errorf("%s: GETTIME %d", network, got)
		}
		for vers := uint32(2); vers <= 4; vers++ {
			m.call(network, vers, 0, new(wire.Void))
		}
		var list []string
		for _, e := range m.call(network, 4, wire.RpcbDump, new(wire.Void)).(*wire.Rpcbs).List {
			list = append(list, fmt.Sprintf("%d %d %s %s %s", e.Prog, e.Vers, e.Netid, e.Addr, e.Owner))
		}
		slices.Sort(list)
		want := []string{"100003 3 tcp 127.0.0.1.8.1 moorage", "100005 1 tcp 127.0.0.1.8.1 moorage", "100005 3 tcp 127.0.0.1.8.1 moorage"}
		for vers := 4; vers >= 2; vers-- {
			for _, netid := range []string{"udp", "tcp"} {
				want = slices.Insert(want, 0, fmt.Sprintf("100000 %d %s %s moorage", vers, netid, own))
			}
		}
		slices.Sort(want)
		if !slices.Equal(list, want) {
			t.Errorf("%s: DUMP of version 4: %q, want %q", network, list, want)
		}
	}
	want := []string{"100003 3 6 2049", "100005 1 6 2049", "100005 3 6 2049"}
	for _, prot := range []int{6, 17} {
		for vers := 2; vers <= 4; vers++ {
			want = append(want, fmt.Sprint(pmapProg, vers, prot, m.port))
		}
	}
	slices.Sort(want)
	if got := m.dump(); !slices.Equal(got, want) {
		t.Errorf("DUMP: %q, want %q", got, want)
	}
}

// TestPortmapRegister: nothing is said of servers at other addresses, and a
// later server replaces an earlier one.
func TestPortmapRegister(t *testing.T) {
	m := startPortmap(t, nfs.Options{})
	for _, a := range []string{"127.0.0.2:1000", "[::1]:1001"} {
		if err := m.p.Register(tcpAddr(a)); err != nil {
			t.Error(err)
		}
	}
	if got := m.getport(callTCP, nfsProg, 3, 6); got != 0 {
		t.Errorf("port %d, of another address", got)
	}
	for _, port := range []uint32{1002, 1003} {
		if err := m.p.Register(tcpAddr(fmt.Sprint("127.0.0.1:", port))); err != nil {
			t.Error(err)
		}
		if got := m.getport(callTCP, nfsProg, 3, 6); got != port || len(m.dump()) != 9 {
			t.Errorf("port %d, want %d", got, port)
		}
	}
	m.p.Unregister(tcpAddr("127.0.0.1:1003"))
	if got := m.getport(callTCP, mountProg, 3, 6); got != 0 || len(m.dump()) != 6 {
		t.Errorf("port %d after Unregister", got)
	}
	for _, a := range []net.Addr{tcpAddr("192.0.2.1:2049"), tcpAddr("0.0.0.0:2049"), tcpAddr("[::]:2049"), &net.UnixAddr{Name: "/x"}, nil} {
		if err := m.p.Register(a); !errors.Is(err, nfs.ErrNotLoopback) {
			t.Errorf("Register %v: %v", a, err)
		}
	}
}

// TestPortmapRefusals: nobody registers anything or has calls forwarded, and
// what is wrong has its answer in RFC 5531.
func TestPortmapRefusals(t *testing.T) {
	m := startPortmap(t, nfs.Options{})
	before := m.dump()
	set := &wire.Mapping{Prog: nfsProg, Vers: 3, Prot: 6, Port: 666}
	rpcb := &wire.Rpcb{Prog: pmapProg, Vers: 2, Netid: []byte("tcp"), Addr: []byte("127.0.0.1.2.154"), Owner: []byte("root")}
	own := *set
	own.Prog, own.Port = pmapProg, m.port
	for _, network := range []string{callTCP, callUDP} {
		for _, proc := range []uint32{wire.PmapSet, wire.PmapUnset} {
			for vers := uint32(2); vers <= 4; vers++ {
				for _, a := range []wire.Message{set, &own} {
					if vers > 2 {
						a = rpcb
					}
					if m.call(network, vers, proc, a).(*wire.Bool).OK {
						t.Errorf("%s: version %d procedure %d: TRUE", network, vers, proc)
					}
				}
			}
		}
		accepted := func(stat rpc.AcceptStat) rpc.Reply { return rpc.Reply{Accept: stat} }
		// CALLIT of NULL of NFS version 3, and the same as INDIRECT.
		callit := append(xdr.AppendUint32(xdr.AppendUint32(xdr.AppendUint32(nil, nfsProg), 3), 0), 0, 0, 0, 0)
		header := func(vers, proc uint32) []byte { return rpcHeader(pmapProg, vers, proc, nil, nil) }
		long := &wire.Rpcb{Prog: nfsProg, Netid: make([]byte, 256)}
		badVersion := rpc.Call{RPCVersion: 3, Prog: pmapProg, Vers: 2}
		for _, tc := range []struct {
			name    string
			message []byte
			want    rpc.Reply
		}{
			{"CALLIT 2", append(header(2, 5), callit...), accepted(rpc.ProcUnavail)},
			{"CALLIT 3", append(header(3, 5), callit...), accepted(rpc.ProcUnavail)},
			{"BCAST 4", append(header(4, 5), callit...), accepted(rpc.ProcUnavail)},
			{"INDIRECT 4", append(header(4, 10), callit...), accepted(rpc.ProcUnavail)},
			{"GETVERSADDR 3", rpcb.Append(header(3, 9)), accepted(rpc.ProcUnavail)},
			{"procedure 2^32-1", header(4, 0xffffffff), accepted(rpc.ProcUnavail)},
			{"version 1", header(1, 0), rpc.Reply{Accept: rpc.ProgMismatch, Low: 2, High: 4}},
			{"version 5", header(5, 0), rpc.Reply{Accept: rpc.ProgMismatch, Low: 2, High: 4}},
			{"NFS", rpcHeader(nfsProg, 3, 0, nil, nil), accepted(rpc.ProgUnavail)},
			{"RPC version 3", badVersion.Append(nil)[4:], rpc.Reply{Denied: true, RPCBad: true, Low: 2, High: 2}},
			{"GETPORT without arguments", header(2, 3), accepted(rpc.GarbageArgs)},
			{"GETPORT with a word too many", append(set.Append(header(2, 3)), 0, 0, 0, 0), accepted(rpc.GarbageArgs)},
			{"GETADDR with a netid of 256", long.Append(header(3, 3)), accepted(rpc.GarbageArgs)},
			{"GETADDR with a string of 2^32-1", append(header(3, 3), bytes.Repeat([]byte{0xff}, 12)...), accepted(rpc.GarbageArgs)},
			{"a header cut off", header(2, 3)[:20], accepted(rpc.GarbageArgs)},
			{"an AUTH_SYS of one word", rpcHeader(pmapProg, 2, 0, make([]byte, 4), nil), accepted(rpc.Success)},
			{"a credential of 404 bytes", rpcHeader(pmapProg, 2, 0, make([]byte, 404), nil), rpc.Reply{Denied: true, Auth: rpc.AuthBadCred}},
		} {
			got := m.raw(network, tc.message)
			got.XID = 0
			if fmt.Sprint(got.Reply) != fmt.Sprint(tc.want) {
				t.Errorf("%s: %s: %+v, want %+v", network, tc.name, got.Reply, tc.want)
			}
		}
	}
	if after := m.dump(); !slices.Equal(before, after) {
		t.Errorf("DUMP was %q and is %q", before, after)
	}
}

// TestPortmapHostile: what is no call has no answer and does no harm.
func TestPortmapHostile(t *testing.T) {
	m := startPortmap(t, nfs.Options{Limits: nfs.Limits{Connections: 4, Stall: 200 * time.Millisecond}})
	null := append([]byte{9, 9, 9, 9}, rpcHeader(pmapProg, 2, 0, nil, nil)...)
	tooLong := append(bytes.Clone(null), make([]byte, 8<<10)...)
	for _, b := range [][]byte{{}, {1}, {0, 0, 0, 7, 0, 0, 0, 1}, (&rpc.Reply{XID: 7}).Append(nil), tooLong, make([]byte, 60_000)} {
		must(m.udp.Write(b))(t)
	}
	m.call(callUDP, 2, 0, new(wire.Void)) // whose answer is the first

	dial := func() *net.TCPConn { return must(net.Dial("tcp", m.addr))(t).(*net.TCPConn) }
	ends := func(what string, nc net.Conn) {
		t.Helper()
		nc.SetReadDeadline(time.Now().Add(testTimeout))
		if n, err := nc.Read(make([]byte, 1)); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) || err == nil {
			t.Errorf("%s: %d bytes, %v", what, n, err)
		}
		nc.Close()
	}
	for what, b := range map[string][]byte{
		"a record of 8 KiB and 1": mark(8<<10 + 1), "fragments of more": append(mark(8<<10), make([]byte, 8<<10+4)...), "an empty record": mark(1 << 31),
		"a reply": nfstest.Record((&rpc.Reply{XID: 7}).Append(nil)), "half a call": nfstest.Record(null)[:20], "nothing": nil,
	} {
		nc := dial()
		must(nc.Write(b))(t)
		ends(what, nc)
	}
	// More connections than there is room for: the idle ones go.
	var all []*net.TCPConn
	for range 12 {
		nc := dial()
		must(nc.Write(nfstest.Record(null)))(t)
		nc.SetReadDeadline(time.Now().Add(testTimeout))
		if n, err := nc.Read(make([]byte, 100)); n != 28 {
			t.Fatalf("a newcomer is not served: %d bytes, %v", n, err)
		}
		all = append(all, nc)
	}
	// Which ones is the server's choice: one may still be at work.
	ended := make(chan error, len(all))
	for _, nc := range all {
		defer nc.Close()
		nc.SetReadDeadline(time.Now().Add(testTimeout))
		go func() {
			_, err := nc.Read(make([]byte, 1))
			ended <- err
		}()
	}
	for range 8 {
		if err := <-ended; errors.Is(err, os.ErrDeadlineExceeded) || err == nil {
			t.Fatalf("an idle connection: %v", err)
		}
	}
	m.call(callUDP, 2, 0, new(wire.Void))
}

// TestPortmapIPv6: netids and universal addresses of IPv6.
func TestPortmapIPv6(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 loopback: ", err)
	}
	p := nfs.NewPortmap(nfs.Options{})
	if err := p.Register(tcpAddr("[::1]:2049")); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- p.Serve(l) }()
	m := &pmap{t: t, p: p, tcp: must(nfstest.Dial(testContext(t), l.Addr().String(), nfstest.Auth{}))(t)}
	defer m.tcp.Close()
	for netid, want := range map[string]string{"tcp6": "::1.8.1", "": "::1.8.1", "udp6": ""} {
		if got := m.getaddr(callTCP, 4, wire.RpcbGetversaddr, nfsProg, 3, netid); got != want {
			t.Errorf("%q: %q", netid, got)
		}
	}
	if err := p.Shutdown(testContext(t)); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, nfs.ErrServerClosed) {
		t.Error(err)
	}
}

func TestRule01PortmapperListensOnLoopbackOnly(t *testing.T) {
	p := nfs.NewPortmap(nfs.Options{})
	for _, a := range []string{"192.0.2.1:111", "0.0.0.0:111", "[::]:111"} {
		l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
		if err := p.Serve(addrListener{l, tcpAddr(a)}); !errors.Is(err, nfs.ErrNotLoopback) {
			t.Errorf("Serve on %s: %v", a, err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve on %s does not close: %v", a, err)
		}
	}
	pc := must(net.ListenPacket("udp", "0.0.0.0:0"))(t)
	if err := p.ServePacket(pc); !errors.Is(err, nfs.ErrNotLoopback) {
		t.Errorf("ServePacket: %v", err)
	}
	// A listener that fails ends Serve, and the portmapper forgets itself.
	m := startPortmap(t, nfs.Options{})
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	served := make(chan error, 1)
	go func() { served <- m.p.Serve(l) }()
	await(t, "the second listener", func() bool { return len(m.dump()) == 9 })
	l.Close()
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve: %v", err)
	}
	if got := m.dump(); len(got) != 6 {
		t.Errorf("DUMP: %q", got)
	}
	// Shutdown does not wait for a client that keeps its connection, and comes
	// back when it was called before.
	for range 2 {
		if err := p.Shutdown(testContext(t)); err != nil {
			t.Error(err)
		}
	}
	l, pc = listenBoth(t)
	if err := p.Serve(l); !errors.Is(err, nfs.ErrServerClosed) {
		t.Errorf("Serve after Shutdown: %v", err)
	}
	if err := p.ServePacket(pc); !errors.Is(err, nfs.ErrServerClosed) {
		t.Errorf("ServePacket after Shutdown: %v", err)
	}
}

// TestOtherPrograms: a server that is asked for lock managers, ACLs and old
// versions says at once that it has none, and none of it is worth a line in a
// log: clients ask at every mount.
func TestOtherPrograms(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo}))
	m := startPortmap(t, nfs.Options{Logger: logger})
	e := start(t, nil, func(c *config) { c.opts.Logger = logger })
	if err := m.p.Register(tcpAddr(e.addr)); err != nil {
		t.Fatal(err)
	}
	port := uint32(tcpAddr(e.addr).(*net.TCPAddr).Port)
	began := time.Now()
	for _, tc := range []struct {
		prog, vers, proc uint32
		port             uint32 // what GETPORT says
		want             string
	}{
		{100021, 4, 0, 0, "PROG_UNAVAIL"}, {100021, 4, 2, 0, "PROG_UNAVAIL"}, {100021, 1, 0, 0, "PROG_UNAVAIL"},
		{100024, 1, 0, 0, "PROG_UNAVAIL"}, {100024, 1, 2, 0, "PROG_UNAVAIL"},
		{100227, 3, 0, 0, "PROG_UNAVAIL"}, {100227, 2, 1, 0, "PROG_UNAVAIL"}, {100011, 2, 1, 0, "PROG_UNAVAIL"},
		{nfsProg, 2, 0, port, "PROG_MISMATCH(3,3)"}, {nfsProg, 2, 6, port, "PROG_MISMATCH(3,3)"}, {nfsProg, 4, 1, port, "PROG_MISMATCH(3,3)"},
		{mountProg, 2, 0, port, "PROG_MISMATCH(1,3)"}, {mountProg, 2, 1, port, "PROG_MISMATCH(1,3)"}, {mountProg, 4, 0, port, "PROG_MISMATCH(1,3)"},
	} {
		if got := m.getport(callUDP, tc.prog, tc.vers, 6); got != tc.port {
			t.Errorf("GETPORT of %d version %d: %d, want %d", tc.prog, tc.vers, got, tc.port)
		}
		// Arguments that no other program understands do not matter.
		for _, args := range [][]byte{nil, make([]byte, 64)} {
			r := e.rawCall(e.c.Header(tc.prog, tc.vers, tc.proc), args)
			if got := fmt.Sprint(r.Err()); got != "rpc: "+tc.want {
				t.Errorf("program %d version %d procedure %d: %s, want %s", tc.prog, tc.vers, tc.proc, got, tc.want)
			}
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the answers took %v", took)
	}
	if err := e.c.Null(e.ctx); err != nil {
		t.Error("the connection does not go on:", err)
	}
	if log.Len() > 0 {
		t.Errorf("logged:\n%s", strings.TrimSpace(log.String()))
	}
}

// TestTwoListeners: MOUNT on one listener, NFS on another, and the handles of
// the one are good on the other.
func TestTwoListeners(t *testing.T) {
	e := start(t, nil)
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	served := make(chan error, 1)
	go func() { served <- e.srv.Serve(l) }()
	mount := must(nfstest.Dial(e.ctx, l.Addr().String(), nfstest.Auth{UID: 1000}))(t)
	defer mount.Close()
	r := must(mount.Mnt(e.ctx, "/drive"))(t)
	if r.Status != 0 {
		t.Fatalf("MNT: %d", r.Status)
	}
	want(t, "GETATTR on the other", must(e.c.Getattr(e.ctx, r.Handle))(t).Status, nfs.OK)
	if list := must(e.c.Dump(e.ctx))(t).Mounts; len(list) != 1 {
		t.Errorf("DUMP on the other: %v", list)
	}
	// The listener of MOUNT can go; NFS stays.
	l.Close()
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	mount.Close()
	want(t, "GETATTR afterwards", must(e.c.Getattr(e.ctx, r.Handle))(t).Status, nfs.OK)
}
