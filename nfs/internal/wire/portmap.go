package wire

import "github.com/moorage/moorage/nfs/internal/xdr"

// The portmapper and rpcbind, one program in three versions (RFC 1833).
const (
	PortmapProgram = 100000
	PortmapV2      = 2 // the portmapper: port numbers
	RPCBindV3      = 3 // rpcbind: universal addresses
	RPCBindV4      = 4
)

// Procedures of the portmapper (RFC 1833 §3.1).
const (
	PmapNull    = 0
	PmapSet     = 1
	PmapUnset   = 2
	PmapGetport = 3
	PmapDump    = 4
	NumPmap     = 6 // with CALLIT
)

// Procedures of rpcbind (RFC 1833 §2.1); GETVERSADDR is in version 4 only.
const (
	RpcbNull        = 0
	RpcbSet         = 1
	RpcbUnset       = 2
	RpcbGetaddr     = 3
	RpcbDump        = 4
	RpcbGettime     = 6
	RpcbGetversaddr = 9
	NumRpcb         = 13 // with GETSTAT
)

// Protocol numbers in a Mapping.
const (
	ProtoTCP = 6
	ProtoUDP = 17
)

// MaxRpcbString bounds each string of an Rpcb, in bytes. RFC 1833 has no
// bound; what is in use has less than 64.
const MaxRpcbString = 255

// Mapping is mapping of RFC 1833 §3.1, the argument of SET, UNSET and GETPORT
// of version 2, and what DUMP lists.
type Mapping struct{ Prog, Vers, Prot, Port uint32 }

// Decode reads the mapping.
func (m *Mapping) Decode(d *xdr.Decoder) {
	m.Prog, m.Vers, m.Prot, m.Port = d.Uint32(), d.Uint32(), d.Uint32(), d.Uint32()
}

// Append is the inverse of Decode.
func (m *Mapping) Append(b []byte) []byte {
	b = xdr.AppendUint32(xdr.AppendUint32(b, m.Prog), m.Vers)
	return xdr.AppendUint32(xdr.AppendUint32(b, m.Prot), m.Port)
}

// Mappings is pmaplist, the result of DUMP of version 2.
type Mappings struct{ List []Mapping }

// Decode reads the list.
func (r *Mappings) Decode(d *xdr.Decoder) {
	for d.Bool() {
		var m Mapping
		if m.Decode(d); d.Err() != nil {
			return
		}
		r.List = append(r.List, m)
	}
}

// Append is the inverse of Decode.
func (r *Mappings) Append(b []byte) []byte {
	for i := range r.List {
		b = r.List[i].Append(xdr.AppendBool(b, true))
	}
	return xdr.AppendBool(b, false)
}

// Rpcb is rpcb of RFC 1833 §2.1, the argument of SET, UNSET, GETADDR and
// GETVERSADDR of versions 3 and 4, and what DUMP lists.
type Rpcb struct {
	Prog, Vers uint32
	Netid      []byte // "tcp", "udp", "tcp6", "udp6"
	Addr       []byte // universal address, "127.0.0.1.8.1"
	Owner      []byte
}

// Decode reads the rpcb.
func (r *Rpcb) Decode(d *xdr.Decoder) {
	r.Prog, r.Vers = d.Uint32(), d.Uint32()
	r.Netid, r.Addr, r.Owner = d.Opaque(MaxRpcbString), d.Opaque(MaxRpcbString), d.Opaque(MaxRpcbString)
}

// Append is the inverse of Decode.
func (r *Rpcb) Append(b []byte) []byte {
	b = xdr.AppendUint32(xdr.AppendUint32(b, r.Prog), r.Vers)
	return xdr.AppendOpaque(xdr.AppendOpaque(xdr.AppendOpaque(b, r.Netid), r.Addr), r.Owner)
}

// Rpcbs is rpcblist_ptr, the result of DUMP of versions 3 and 4.
type Rpcbs struct{ List []Rpcb }

// Decode reads the list.
func (r *Rpcbs) Decode(d *xdr.Decoder) {
	for d.Bool() {
		var e Rpcb
		if e.Decode(d); d.Err() != nil {
			return
		}
		r.List = append(r.List, e)
	}
}

// Append is the inverse of Decode.
func (r *Rpcbs) Append(b []byte) []byte {
	for i := range r.List {
		b = r.List[i].Append(xdr.AppendBool(b, true))
	}
	return xdr.AppendBool(b, false)
}

// Uaddr is the result of GETADDR and GETVERSADDR; empty: nobody is there.
type Uaddr struct{ Addr []byte }

// Decode reads the address.
func (r *Uaddr) Decode(d *xdr.Decoder) { r.Addr = d.Opaque(MaxRpcbString) }

// Append is the inverse of Decode.
func (r *Uaddr) Append(b []byte) []byte { return xdr.AppendOpaque(b, r.Addr) }

// Number is an unsigned integer: the port of GETPORT, 0 if nobody is there,
// and the seconds since 1970 of GETTIME.
type Number struct{ N uint32 }

// Decode reads the number.
func (r *Number) Decode(d *xdr.Decoder) { r.N = d.Uint32() }

// Append is the inverse of Decode.
func (r *Number) Append(b []byte) []byte { return xdr.AppendUint32(b, r.N) }

// Bool is the result of SET and UNSET.
type Bool struct{ OK bool }

// Decode reads the result.
func (r *Bool) Decode(d *xdr.Decoder) { r.OK = d.Bool() }

// Append is the inverse of Decode.
func (r *Bool) Append(b []byte) []byte { return xdr.AppendBool(b, r.OK) }

func newPortmapArgs(vers, proc uint32) Message {
	switch {
	case vers == PortmapV2:
		switch proc {
		case PmapNull, PmapDump:
			return new(Void)
		case PmapSet, PmapUnset, PmapGetport:
			return new(Mapping)
		}
	case vers == RPCBindV3 || vers == RPCBindV4:
		switch proc {
		case RpcbNull, RpcbDump, RpcbGettime:
			return new(Void)
		case RpcbSet, RpcbUnset, RpcbGetaddr:
			return new(Rpcb)
		case RpcbGetversaddr:
			if vers == RPCBindV4 {
				return new(Rpcb)
			}
		}
	}
	return nil
}

func newPortmapResults(vers, proc uint32) Message {
	if newPortmapArgs(vers, proc) == nil {
		return nil
	}
	switch proc {
	case PmapNull:
		return new(Void)
	case PmapSet, PmapUnset:
		return new(Bool)
	case RpcbGettime:
		return new(Number)
	}
	switch {
	case vers == PortmapV2 && proc == PmapGetport:
		return new(Number)
	case vers == PortmapV2:
		return new(Mappings)
	case proc == RpcbDump:
		return new(Rpcbs)
	}
	return new(Uaddr)
}
