package mounter

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// guestServer answers just enough NFSv3 and MOUNT for a kernel to mount it and to
// list, read and write its one file.
type guestServer struct {
	l      net.Listener
	mnt    atomic.Int32 // MNT calls
	refuse atomic.Bool  // MNT is answered with MNT3ERR_ACCES
	hold   chan struct{}

	mu    sync.Mutex
	conns map[net.Conn]bool
}

var guestRoot = []byte("ROOTFH-0123456789abcdef-secret!!")

// newGuestServer serves until the test ends. A held one reads calls and answers
// none until hold is closed.
func newGuestServer(t *testing.T, held bool) *guestServer {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &guestServer{l: l, hold: make(chan struct{}), conns: map[net.Conn]bool{}}
	if !held {
		close(s.hold)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[c] = true
			s.mu.Unlock()
			go s.serve(c)
		}
	}()
	t.Cleanup(s.die)
	return s
}

// die is what kill -9 is to a server.
func (s *guestServer) die() {
	s.l.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

func (s *guestServer) spec(dir string) Spec {
	return Spec{Address: "127.0.0.1", Port: uint16(s.l.Addr().(*net.TCPAddr).Port), Export: "/t0ken/My Drive", Dir: dir}
}

type xdr []byte

func (x *xdr) u32(v ...uint32) {
	for _, n := range v {
		*x = binary.BigEndian.AppendUint32(*x, n)
	}
}

func (x *xdr) opaque(b []byte) {
	x.u32(uint32(len(b)))
	*x = append(append(*x, b...), make([]byte, (4-len(b)%4)%4)...)
}

func (x *xdr) attr(folder bool) {
	if folder {
		x.u32(2, 0o755, 2)
	} else {
		x.u32(1, 0o644, 1)
	}
	id := uint32(2)
	if folder {
		id = 1
	}
	x.u32(0, 0, 0, 6, 0, 6, 0, 0, 0, 77, 0, id, 1, 0, 1, 0, 1, 0)
}

func (x *xdr) take() []byte {
	n := binary.BigEndian.Uint32(*x)
	b := (*x)[4 : 4+n]
	*x = (*x)[4+(n+3)&^3:]
	return b
}

func (s *guestServer) serve(c net.Conn) {
	defer c.Close()
	for {
		var mark [4]byte
		if _, err := io.ReadFull(c, mark[:]); err != nil {
			return
		}
		call := make(xdr, binary.BigEndian.Uint32(mark[:])&0x7fffffff)
		if _, err := io.ReadFull(c, call); err != nil {
			return
		}
		<-s.hold
		word := func(i int) uint32 { return binary.BigEndian.Uint32(call[4*i:]) }
		var r xdr
		r.u32(word(0), 1, 0, 0, 0, 0)
		prog, proc := word(3), word(5)
		call = call[28:]
		call.take()
		call = call[4:]
		call.take()
		switch {
		case proc == 0:
		case prog == 100005 && proc == 1:
			s.mnt.Add(1)
			if s.refuse.Load() {
				r.u32(13)
			} else {
				r.u32(0)
				r.opaque(guestRoot)
				r.u32(1, 1)
			}
		case prog == 100003:
			s.nfs(&r, proc, &call)
		}
		out := binary.BigEndian.AppendUint32(nil, uint32(len(r))|1<<31)
		if _, err := c.Write(append(out, r...)); err != nil {
			return
		}
	}
}

func (s *guestServer) nfs(r *xdr, proc uint32, args *xdr) {
	folder := string(args.take()) == string(guestRoot)
	switch proc {
	case 1: // GETATTR
		r.u32(0)
		r.attr(folder)
	case 3: // LOOKUP
		if string(args.take()) != "file" {
			r.u32(2, 0)
			return
		}
		r.u32(0)
		r.opaque([]byte("FILE"))
		r.u32(1)
		r.attr(false)
		r.u32(0)
	case 4: // ACCESS
		r.u32(0, 1)
		r.attr(folder)
		r.u32(0x3f)
	case 6: // READ
		r.u32(0, 1)
		r.attr(false)
		r.u32(6, 1)
		r.opaque([]byte("hello\n"))
	case 7: // WRITE
		*args = (*args)[8:] // offset
		count := binary.BigEndian.Uint32(*args)
		r.u32(0, 0, 1)
		r.attr(false)
		r.u32(count, 0, 0, 0) // unstable
	case 21: // COMMIT
		r.u32(0, 0, 1)
		r.attr(false)
		r.u32(0, 0)
	case 16: // READDIR
		r.u32(0, 1)
		r.attr(true)
		r.u32(0, 0, 1, 0, 2)
		r.opaque([]byte("file"))
		r.u32(0, 1, 0, 1)
	case 18: // FSSTAT
		r.u32(0, 0, 0, 1<<20, 0, 1<<20, 0, 1<<20, 0, 9, 0, 9, 0, 9, 0)
	case 19: // FSINFO
		r.u32(0, 0, 65536, 65536, 4096, 65536, 65536, 4096, 4096, 256, 0, 0, 1, 0x1b)
	case 20: // PATHCONF
		r.u32(0, 0, 1, 255, 1, 1, 0, 1)
	default:
		r.u32(10004, 0)
	}
}
