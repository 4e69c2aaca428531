package nfs_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"strings"

	"github.com/moorage/moorage/nfs/internal/rpc"
	"github.com/moorage/moorage/nfs/internal/wire"
	"github.com/moorage/moorage/nfs/internal/xdr"
)

// A program of FuzzSession is a sequence of steps. The two highest bits of a
// step's first byte choose the client, the others what it does: a procedure of
// NFS (0 to 21), of MOUNT 3 or of MOUNT 1, or one of these.
const (
	opMount3 = 22 // and the five after it
	opMount1 = 28
)

const (
	opAgain    = 40 + iota // the last message once more
	opClose                // the connection ends, by FIN or RST
	opCutShort             // it ends in the middle of a call
	opRaw                  // bytes that are no record
	opSync                 // wait until the server is there
	opFlood                // many calls at once
	opBig                  // a record as large as may be, or larger
)

// How a call is spoiled: bits of the byte that follows its arguments.
const (
	spoilFlip = 1 << iota
	spoilShort
	spoilLong
	spoilCut   // into fragments
	spoilXID   // that of the call before
	spoilCred  // another credential
	spoilEmpty // a fragment of 0 bytes
)

// byte takes the next byte of the program; 0 behind its end.
func (s *session) byte() byte {
	if len(s.in) == 0 {
		return 0
	}
	b := s.in[0]
	s.in = s.in[1:]
	return b
}

func (s *session) uint16() int { return int(s.byte())<<8 | int(s.byte()) }

// number takes a number of those that are of interest.
func (s *session) number() uint64 {
	b := s.byte()
	if b < 128 {
		return uint64(b)
	}
	interesting := [...]uint64{
		255, 256, 4095, 4096, 4097, 8192, 65535, 65536, 1<<20 - 1, 1 << 20, 1<<20 + 1, 1<<31 - 1, 1 << 31,
		1<<32 - 4, 1<<32 - 1, 1 << 32, 1<<40 + 1, 1<<63 - 1, 1 << 63, 1<<64 - 1, 200, 1000,
	}
	return interesting[int(b)%len(interesting)]
}

func (s *session) handle() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.byte()
	h := s.handles[int(b&0x3f)%len(s.handles)]
	switch b >> 6 {
	case 3: // one that nobody gave
		h = bytes.Clone(h)
		h[s.uint16()%len(h)] ^= s.byte() | 1
		return h[:len(h)-int(s.byte()%2)*4]
	}
	return h
}

func (s *session) name() []byte {
	b := s.byte()
	if b < 192 {
		return []byte{'a' + b%6}
	}
	names := [...]string{"", ".", "..", "a/b", "a\x00", strings.Repeat("n", 255), strings.Repeat("n", 256), "\xff\xfe", strings.Repeat("/", 2000)}
	return []byte(names[int(b)%len(names)])
}

func (s *session) op() wire.DirOp { return wire.DirOp{Dir: s.handle(), Name: s.name()} }

func (s *session) set() (a wire.Sattr) {
	b := s.byte()
	if a.SetMode = b&1 != 0; a.SetMode {
		a.Mode = uint32(s.number())
	}
	if a.SetUID = b&2 != 0; a.SetUID {
		a.UID = uint32(s.number())
	}
	if a.SetGID = b&4 != 0; a.SetGID {
		a.GID = uint32(s.number())
	}
	if a.SetSize = b&8 != 0; a.SetSize {
		a.Size = s.number()
	}
	a.AtimeHow, a.MtimeHow = uint32(b>>4&3)%3, uint32(b>>6)%3
	return a
}

// args takes the arguments of a procedure of NFS.
func (s *session) args(proc uint32) wire.Message {
	switch proc {
	case wire.ProcNull:
		return new(wire.Void)
	case wire.ProcSetattr:
		return &wire.SetattrArgs{Handle: s.handle(), Set: s.set(), Guard: s.byte() > 200}
	case wire.ProcLookup, wire.ProcRemove, wire.ProcRmdir:
		a := s.op()
		return &a
	case wire.ProcAccess:
		return &wire.AccessArgs{Handle: s.handle(), Want: uint32(s.number())}
	case wire.ProcRead:
		return &wire.ReadArgs{Handle: s.handle(), Offset: s.number(), Count: uint32(s.number())}
	case wire.ProcWrite:
		data := bytes.Repeat([]byte{s.byte()}, int(min(s.number(), 5000)))
		return &wire.WriteArgs{Handle: s.handle(), Offset: s.number(), Count: uint32(len(data)), Stable: uint32(s.byte()) % 3, Data: data}
	case wire.ProcCreate:
		return &wire.CreateArgs{Where: s.op(), Mode: uint32(s.byte()) % 3, Set: s.set(), Verf: [8]byte{s.byte()}}
	case wire.ProcMkdir:
		return &wire.MkdirArgs{Where: s.op(), Set: s.set()}
	case wire.ProcSymlink:
		return &wire.SymlinkArgs{Where: s.op(), Set: s.set(), Target: bytes.Repeat([]byte{'t'}, int(min(s.number(), 5000)))}
	case wire.ProcMknod:
		return &wire.MknodArgs{Where: s.op(), Type: uint32(s.byte())%7 + 1, Set: s.set(), Major: uint32(s.byte()), Minor: uint32(s.byte())}
	case wire.ProcRename:
		return &wire.RenameArgs{From: s.op(), To: s.op()}
	case wire.ProcLink:
		return &wire.LinkArgs{Handle: s.handle(), To: s.op()}
	case wire.ProcReaddir:
		return &wire.ReaddirArgs{Dir: s.handle(), Cookie: s.number(), Count: uint32(s.number())}
	case wire.ProcReaddirplus:
		return &wire.ReaddirplusArgs{Dir: s.handle(), Cookie: s.number(), DirCount: uint32(s.number()), MaxCount: uint32(s.number())}
	case wire.ProcCommit:
		return &wire.CommitArgs{Handle: s.handle(), Offset: s.number(), Count: uint32(s.number())}
	}
	return &wire.HandleArgs{Handle: s.handle()}
}

// step does one step of the program.
func (s *session) step() {
	b := s.byte()
	who := int(b>>6) % len(s.clients)
	c := s.client(who)
	switch kind := uint32(b & 0x3f); kind {
	default:
		s.call(c, nfsProg, 3, kind%wire.NumProcs)
	case opMount3, opMount3 + 1, opMount3 + 2, opMount3 + 3, opMount3 + 4, opMount3 + 5:
		s.call(c, mountProg, wire.MountV3, kind-opMount3)
	case opMount1, opMount1 + 1, opMount1 + 2, opMount1 + 3, opMount1 + 4, opMount1 + 5:
		s.call(c, mountProg, wire.MountV1, kind-opMount1)
	case opAgain:
		if s.last != nil {
			c.send(s.last, nil)
		}
	case opClose:
		if tcp, ok := c.nc.(*net.TCPConn); ok && s.byte()&1 != 0 {
			tcp.SetLinger(0)
		}
		c.close()
		s.clients[who] = nil
	case opCutShort:
		m := s.message(nfsProg, 3, uint32(s.byte())%wire.NumProcs)
		s.note(m)
		record := append(binary.BigEndian.AppendUint32(nil, 1<<31|uint32(len(m))), m...)
		c.write(record[:s.uint16()%len(record)])
		c.close()
		s.clients[who] = nil
	case opRaw:
		s.mu.Lock()
		c.loose = true
		s.mu.Unlock()
		n := min(int(s.byte())%64, len(s.in))
		c.write(s.in[:n])
		s.in = s.in[n:]
	case opSync:
		c.sync()
	case opFlood:
		n := int(s.byte()) % 40
		m := s.message(nfsProg, 3, uint32(s.byte())%wire.NumProcs)
		for range n {
			m = bytes.Clone(m)
			binary.BigEndian.PutUint32(m, s.next())
			c.send(m, nil)
		}
	case opBig:
		m := s.message(nfsProg, 3, wire.ProcWrite)
		size := 1<<20 + int(s.number()&0x1fff)
		c.send(append(m, make([]byte, max(size-len(m), 0))...), []int{s.uint16() + 1})
	}
}

// message takes a call of NFS or MOUNT, in good order.
func (s *session) message(prog, vers, proc uint32) []byte {
	uid := [...]uint32{1000, 0, 5, 65534}[s.byte()%4]
	cred := rpc.SysCred{Machine: []byte("fuzz"), UID: uid, GID: 100}
	h := rpc.Call{
		XID: s.next(), RPCVersion: rpc.Version, Prog: prog, Vers: vers, Proc: proc,
		Cred: rpc.Auth{Flavor: rpc.AuthSys, Body: cred.Append(nil)},
	}
	b := h.Append(nil)
	switch {
	case prog == nfsProg:
		return s.args(proc).Append(b)
	case proc == wire.MountMnt || proc == wire.MountUmnt:
		paths := [...]string{"/drive", "/drive/a", "/", "/other", strings.Repeat("/a", 600)}
		return xdr.AppendOpaque(b, []byte(paths[int(s.byte())%len(paths)]))
	}
	return b
}

// call makes a call, spoiled or not.
func (s *session) call(c *fuzzClient, prog, vers, proc uint32) {
	m := s.message(prog, vers, proc)
	how := s.byte()
	if how&spoilXID != 0 {
		binary.BigEndian.PutUint32(m, s.xid-1)
	}
	if how&spoilCred != 0 {
		binary.BigEndian.PutUint32(m[24:], uint32(s.byte()%8))
	}
	if how&spoilFlip != 0 {
		for range s.byte()%4 + 1 {
			m[s.uint16()%len(m)] = s.byte()
		}
	}
	if how&spoilShort != 0 {
		m = m[:1+s.uint16()%len(m)]
	}
	if how&spoilLong != 0 {
		m = append(m, make([]byte, s.byte()%16)...)
	}
	var cuts []int
	if how&spoilCut != 0 {
		for range s.byte() % 8 {
			cuts = append(cuts, int(s.byte()))
		}
	}
	if how&spoilEmpty != 0 {
		cuts = append([]int{0}, cuts...)
	}
	c.send(m, cuts)
}

// sessionSeeds are programs to start from: each procedure by itself, spoiled in
// each way, and stories of several clients.
func sessionSeeds() [][]byte {
	var seeds [][]byte
	for proc := range byte(wire.NumProcs) {
		seeds = append(seeds, []byte{0, proc, 0, 0, 0, 0, 0, 0, 0, 0, opSync, proc, 0, 1, 2, 3, 4, 5, 6, 7, opSync})
	}
	for bit := range 7 {
		seeds = append(seeds, []byte{byte(bit), wire.ProcLookup, 0, 0, 0, 1 << bit, 3, 9, 9, 9, opSync})
	}
	create := []byte{wire.ProcCreate, 0, 0, 0, 1, 1, 4, 9, 0}
	write := []byte{wire.ProcWrite, 0, 'x', 100, 1, 0, 2, 0}
	read := []byte{wire.ProcRead, 0, 1, 0, 136, 0}
	story := bytes.Join([][]byte{{0}, create, {opSync}, write, {opSync}, read, {opSync, opAgain, 0x40 | opAgain, opClose, 0}, read, {opSync}}, nil)
	tcp := append([]byte{7}, story[1:]...)
	mount := []byte{0, opMount3 + wire.MountMnt, 0, 0, 0, opMount3 + wire.MountDump, 0, 0, opMount3 + wire.MountExport, 0, 0, opMount1 + wire.MountUmnt, 0, 0, 0, opSync}
	return append(seeds, story, tcp, mount,
		[]byte{7, opCutShort, wire.ProcMkdir, 0, 0, 0, 0, 0, 60, opClose, 1, opSync},
		[]byte{0, opRaw, 12, 'G', 'E', 'T', ' ', '/', ' ', 'H', 'T', 'T', 'P', 13, 10, opSync},
		[]byte{7, opFlood, 63, wire.ProcReaddirplus, 0, 0, 0, 140, 140, opFlood, 63, wire.ProcMkdir, 0, 0, 0, 0, opClose, 1, opSync},
		[]byte{0, opBig, 0, 0, 0, 0, 0, 0, 0, 1, opSync, opBig, 0, 0, 0, 0, 0, 0, 200, 255, 255, opSync},
	)
}
