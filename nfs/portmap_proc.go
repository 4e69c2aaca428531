package nfs

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/moorage/moorage/nfs/internal/rpc"
	"github.com/moorage/moorage/nfs/internal/wire"
	"github.com/moorage/moorage/nfs/internal/xdr"
)

// portmapCall is one call of a Portmap and who asks where.
type portmapCall struct {
	entries []mapping // of the address that was asked
	local   netip.Addr
	prot    uint32
	now     uint32
	hdr     rpc.Call
}

// answer appends to out the reply to a message that came over prot to local.
// It gives nothing if the message is no call: whoever answers replies too can be
// made to talk to another of his kind for ever.
func (p *Portmap) answer(out, message []byte, local netip.Addr, prot uint32) []byte {
	c := portmapCall{local: local, prot: prot}
	d := xdr.NewDecoder(message)
	// Credentials are read past: there is nothing that only some may know.
	err := c.hdr.Decode(&d)
	var refused *rpc.HeaderError
	switch {
	case errors.As(err, &refused) && refused.Mismatch:
		return rpc.AppendRPCMismatch(out, c.hdr.XID)
	case errors.As(err, &refused) && refused.Auth != rpc.AuthOK:
		return rpc.AppendAuthError(out, c.hdr.XID, refused.Auth)
	case refused != nil:
		return rpc.AppendAccepted(out, c.hdr.XID, rpc.GarbageArgs)
	case err != nil:
		return nil
	case c.hdr.Prog != wire.PortmapProgram:
		return rpc.AppendAccepted(out, c.hdr.XID, rpc.ProgUnavail)
	case c.hdr.Vers < wire.PortmapV2 || c.hdr.Vers > wire.RPCBindV4:
		out = rpc.AppendAccepted(out, c.hdr.XID, rpc.ProgMismatch)
		return xdr.AppendUint32(xdr.AppendUint32(out, wire.PortmapV2), wire.RPCBindV4)
	}
	// CALLIT, BCAST and INDIRECT, which would forward a call, end here with the
	// rest that is missing. RFC 1833 has the first two silent about failures,
	// for the sake of broadcasts; none arrives on loopback, and who asks on
	// purpose need not wait for a timeout.
	args := wire.NewArgs(c.hdr.Prog, c.hdr.Vers, c.hdr.Proc)
	if args == nil {
		return rpc.AppendAccepted(out, c.hdr.XID, rpc.ProcUnavail)
	}
	if args.Decode(&d); d.Done() != nil {
		return rpc.AppendAccepted(out, c.hdr.XID, rpc.GarbageArgs)
	}
	c.now = uint32(p.clock().Unix())
	c.entries = p.at(local)
	return c.results(args).Append(rpc.AppendAccepted(out, c.hdr.XID, rpc.Success))
}

// at is what there is at ip.
func (p *Portmap) at(ip netip.Addr) []mapping {
	p.mu.Lock()
	defer p.mu.Unlock()
	var here []mapping
	for _, m := range p.entries {
		if m.addr.Addr() == ip {
			here = append(here, m)
		}
	}
	return here
}

func (c *portmapCall) results(args wire.Message) wire.Message {
	// SET and UNSET: what is true is said from Go.
	if c.hdr.Proc == wire.PmapSet || c.hdr.Proc == wire.PmapUnset {
		return new(wire.Bool)
	}
	switch a := args.(type) {
	case *wire.Mapping: // GETPORT
		return &wire.Number{N: uint32(c.find(a.Prog, a.Vers, a.Prot, false).Port())}
	case *wire.Rpcb: // GETADDR, GETVERSADDR
		ap := c.find(a.Prog, a.Vers, c.wanted(a.Netid), c.hdr.Proc == wire.RpcbGetversaddr)
		if !ap.IsValid() {
			return new(wire.Uaddr)
		}
		return &wire.Uaddr{Addr: []byte(universal(ap))}
	}
	switch {
	case c.hdr.Proc == wire.PmapNull:
		return new(wire.Void)
	case c.hdr.Proc == wire.RpcbGettime:
		return &wire.Number{N: c.now}
	case c.hdr.Vers == wire.PortmapV2:
		r := new(wire.Mappings)
		for _, m := range c.entries {
			r.List = append(r.List, wire.Mapping{Prog: m.prog, Vers: m.vers, Prot: m.prot, Port: uint32(m.addr.Port())})
		}
		return r
	}
	r := new(wire.Rpcbs)
	for _, m := range c.entries {
		r.List = append(r.List, wire.Rpcb{Prog: m.prog, Vers: m.vers, Netid: []byte(netid(m.prot, c.local)),
			Addr: []byte(universal(m.addr)), Owner: []byte("moorage")})
	}
	return r
}

// find is where a program listens; zero if it does not. Unless the version has
// to be exact, any will do if that one is missing, as portmappers always did:
// asked in a wrong version, the program itself says which ones it has.
func (c *portmapCall) find(prog, vers, prot uint32, exact bool) (ap netip.AddrPort) {
	for _, m := range c.entries {
		if m.prog != prog || m.prot != prot {
			continue
		}
		if m.vers == vers {
			return m.addr
		}
		if !exact {
			ap = m.addr
		}
	}
	return ap
}

// wanted is the protocol that GETADDR asks for. RFC 1833 §2.2.1 ignores the
// netid in favour of the transport of the call. One that is known here counts
// all the same: who asks over UDP for TCP is better served so, and others put
// there the transport that they use.
func (c *portmapCall) wanted(id []byte) uint32 {
	for _, prot := range [...]uint32{wire.ProtoTCP, wire.ProtoUDP} {
		if string(id) == netid(prot, c.local) {
			return prot
		}
	}
	return c.prot
}

// netid is the name of a transport (RFC 5665 §5.2.3).
func netid(prot uint32, ip netip.Addr) string {
	id := "tcp"
	if prot == wire.ProtoUDP {
		id = "udp"
	}
	if ip.Is6() {
		id += "6"
	}
	return id
}

// universal is an address with the port as two more numbers (RFC 5665 §5.2.3).
func universal(a netip.AddrPort) string {
	return fmt.Sprintf("%s.%d.%d", a.Addr(), a.Port()>>8, a.Port()&0xff)
}
