package nfs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/moorage/moorage/nfs/internal/rpc"
	"github.com/moorage/moorage/nfs/internal/wire"
	"github.com/moorage/moorage/nfs/internal/xdr"
	"github.com/moorage/moorage/nfs/nfstest"
)

// scaleCrowd says how many of each kind beset the server at Place.
type scaleCrowd struct {
	Place     scalePlace
	Idle      int // connect, half of them make a call, then nothing more
	Slow      int // send the largest WRITE byte by byte
	Deaf      int // ask for 1 MiB again and again and read nothing
	Oversized int // send what is too large, in every place where a size is
}

// scaleReport is what a crowd says when it is in place, and when it ends.
type scaleReport struct {
	Open     int // idle connections that the server has not closed
	Answered int // oversized calls that were done as if they were none
}

// scaleBeset is a crowd until standard input ends. It is less urgent than other
// processes: it is the server's patience that is tried, not the processor's.
func scaleBeset() error {
	var spec scaleCrowd
	if err := json.Unmarshal([]byte(os.Getenv(scaleSpec)), &spec); err != nil {
		return err
	}
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, 19); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c := &crowd{place: spec.Place}
	idle, err := c.idle(spec.Idle)
	if err != nil {
		return err
	}
	for range spec.Slow {
		c.loop(ctx, c.slow)
	}
	for range spec.Deaf {
		c.loop(ctx, c.deaf)
	}
	for range spec.Oversized {
		c.loop(ctx, c.oversized)
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(scaleReport{Open: open(idle)}); err != nil {
		return err
	}
	io.Copy(io.Discard, os.Stdin)
	err = out.Encode(scaleReport{Open: open(idle), Answered: int(c.answered.Load())})
	cancel()
	c.wg.Wait()
	for _, nc := range idle {
		nc.Close()
	}
	return err
}

type crowd struct {
	place    scalePlace
	answered atomic.Int64
	turn     atomic.Int64
	wg       sync.WaitGroup
}

// loop does what again and again, on one connection after the other.
func (c *crowd) loop(ctx context.Context, what func(context.Context, net.Conn)) {
	c.wg.Go(func() {
		for ctx.Err() == nil {
			nc, err := net.Dial("tcp", c.place.Addr)
			if err == nil {
				stop := context.AfterFunc(ctx, func() { nc.Close() })
				what(ctx, nc)
				stop()
				nc.Close()
			}
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
}

func (c *crowd) idle(n int) ([]net.Conn, error) {
	var all []net.Conn
	null := nfstest.Record(nullCall())
	for i := range n {
		nc, err := net.Dial("tcp", c.place.Addr)
		if err != nil {
			return nil, fmt.Errorf("connection %d: %w", i, err)
		}
		if i%2 == 0 {
			if _, err := nc.Write(null); err == nil {
				nc.SetReadDeadline(time.Now().Add(testTimeout))
				io.ReadFull(nc, make([]byte, 28)) // or closed for a newcomer
			}
		}
		all = append(all, nc)
	}
	return all, nil
}

// open counts the connections that have not ended.
func open(all []net.Conn) (n int) {
	for _, nc := range all {
		raw, err := nc.(syscall.Conn).SyscallConn()
		if err != nil {
			continue
		}
		err = raw.Control(func(fd uintptr) {
			_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
			if err == syscall.EAGAIN {
				n++
			}
		})
		if err != nil {
			continue
		}
	}
	return n
}

func (c *crowd) header(proc uint32) []byte {
	h := rpc.Call{XID: 1, RPCVersion: rpc.Version, Prog: nfsProg, Vers: 3, Proc: proc}
	return h.Append(nil)
}

func (c *crowd) slow(ctx context.Context, nc net.Conn) {
	a := wire.WriteArgs{Handle: c.place.File, Count: 1 << 20, Data: make([]byte, 1<<20)}
	for _, b := range nfstest.Record(a.Append(c.header(wire.ProcWrite))) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
		if _, err := nc.Write([]byte{b}); err != nil {
			return
		}
	}
}

func (c *crowd) deaf(ctx context.Context, nc net.Conn) {
	nc.(*net.TCPConn).SetReadBuffer(4096)
	a := wire.ReadArgs{Handle: c.place.File, Count: 1 << 20}
	b := bytes.Repeat(nfstest.Record(a.Append(c.header(wire.ProcRead))), 100)
	for ctx.Err() == nil {
		if _, err := nc.Write(b); err != nil {
			return
		}
	}
}

// oversized sends one thing after the other that claims to be larger than it
// may be, or than it is, and counts what the server did as if it were in order.
func (c *crowd) oversized(ctx context.Context, nc net.Conn) {
	root := c.place.Root
	big := bytes.Repeat([]byte("n"), 900<<10)
	op := wire.DirOp{Dir: root, Name: big}
	cred := rpc.Call{RPCVersion: rpc.Version, Prog: nfsProg, Vers: 3, Proc: wire.ProcNull, Cred: rpc.Auth{Flavor: rpc.AuthSys, Body: big}}
	groups := xdr.AppendUint32((&rpc.SysCred{}).Append(nil)[:16], 1<<30)
	many := rpc.Call{RPCVersion: rpc.Version, Prog: nfsProg, Vers: 3, Proc: wire.ProcNull, Cred: rpc.Auth{Flavor: rpc.AuthSys, Body: groups}}
	huge := func(proc uint32) []byte {
		return xdr.AppendUint32(xdr.AppendOpaque(c.header(proc), root), 1<<32-1)
	}
	all := [][]byte{
		nfstest.Record(op.Append(c.header(wire.ProcLookup))),
		nfstest.Record((&wire.MkdirArgs{Where: op}).Append(c.header(wire.ProcMkdir))),
		nfstest.Record((&wire.SymlinkArgs{Where: wire.DirOp{Dir: root, Name: []byte("l")}, Target: big}).Append(c.header(wire.ProcSymlink))),
		nfstest.Record((&wire.WriteArgs{Handle: c.place.File, Count: 1<<32 - 1, Data: big}).Append(c.header(wire.ProcWrite))),
		nfstest.Record(append(xdr.AppendUint32(c.header(wire.ProcGetattr), 1<<31), big...)),
		nfstest.Record(huge(wire.ProcLookup)), nfstest.Record(huge(wire.ProcRename)), nfstest.Record(huge(wire.ProcCreate)),
		nfstest.Record(cred.Append(nil)), nfstest.Record(many.Append(nil)),
		bytes.Repeat([]byte{0, 0, 0, 1, 'x'}, 200_000), // a record of very many pieces
		mark(1<<32 - 1), // 2 GiB
	}
	from := int(c.turn.Add(1)) % len(all) // most of them end the connection
	for _, b := range slices.Concat(all[from:], all[:from]) {
		nc.SetDeadline(time.Now().Add(testTimeout))
		if _, err := nc.Write(b); err != nil {
			return
		}
		if ctx.Err() != nil {
			return
		}
		var m [4]byte
		if _, err := io.ReadFull(nc, m[:]); err != nil {
			return // closed, which is an answer too
		}
		reply := make([]byte, (uint32(m[0])<<24|uint32(m[1])<<16|uint32(m[2])<<8|uint32(m[3]))&^(1<<31))
		if _, err := io.ReadFull(nc, reply); err != nil {
			return
		}
		d := xdr.NewDecoder(reply)
		var r rpc.Reply
		if err := r.Decode(&d); err == nil && r.Err() == nil && d.Uint32() == 0 {
			c.answered.Add(1)
		}
	}
}
