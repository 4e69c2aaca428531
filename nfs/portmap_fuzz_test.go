package nfs

import (
	"net"
	"net/netip"
	"testing"

	"github.com/moorage/moorage/nfs/internal/rpc"
	"github.com/moorage/moorage/nfs/internal/wire"
	"github.com/moorage/moorage/nfs/internal/xdr"
)

// FuzzPortmap sends any message: each call has one answer that decodes, is for
// this call and is small, and nothing else has one.
func FuzzPortmap(f *testing.F) {
	p := NewPortmap(Options{})
	local := netip.MustParseAddr("::1")
	if err := p.Register(&net.TCPAddr{IP: net.IPv6loopback, Port: 65535}); err != nil {
		f.Fatal(err)
	}
	for _, prot := range []uint32{wire.ProtoTCP, wire.ProtoUDP} {
		if err := p.enter(new(net.UDPConn), netip.AddrPortFrom(local, 111), prot); err != nil {
			f.Fatal(err)
		}
	}
	for vers := uint32(wire.PortmapV2); vers <= wire.RPCBindV4; vers++ {
		for proc := range uint32(wire.NumRpcb) {
			h := rpc.Call{XID: 7, RPCVersion: 2, Prog: wire.PortmapProgram, Vers: vers, Proc: proc}
			b := h.Append(nil)
			if m := wire.NewArgs(h.Prog, vers, proc); m != nil {
				b = m.Append(b)
			}
			f.Add(b)
		}
	}
	f.Add((&rpc.Reply{XID: 7}).Append(nil))
	f.Fuzz(func(t *testing.T, in []byte) {
		d := xdr.NewDecoder(in)
		xid, typ := d.Uint32(), d.Uint32()
		isCall := d.Err() == nil && typ == 0
		out := p.answer(nil, in, local, wire.ProtoUDP)
		if (len(out) > 0) != isCall {
			t.Fatalf("%x has the answer %x", in, out)
		}
		if !isCall {
			return
		}
		if len(out) > 1<<10 {
			t.Errorf("an answer of %d bytes", len(out))
		}
		d = xdr.NewDecoder(out)
		var r rpc.Reply
		if err := r.Decode(&d); err != nil || r.XID != xid {
			t.Fatalf("%x has the answer %x: %v", in, out, err)
		}
		if r.Err() != nil {
			return
		}
		var h rpc.Call
		d = xdr.NewDecoder(in)
		if err := h.Decode(&d); err != nil {
			t.Fatalf("%x succeeded: %v", in, err)
		}
		res := wire.NewResults(h.Prog, h.Vers, h.Proc)
		d = xdr.NewDecoder(out[rpc.ReplySize:])
		if res == nil {
			t.Fatalf("%x succeeded", in)
		}
		if res.Decode(&d); d.Done() != nil {
			t.Errorf("%x has the results %x: %v", in, d.Rest(), d.Err())
		}
	})
}
