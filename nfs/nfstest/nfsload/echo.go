package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/internal/rpc"
	"github.com/moorage/moorage/nfs/internal/wire"
	"github.com/moorage/moorage/nfs/internal/xdr"
)

// echo is the ceiling: a server that answers the calls of nfsload, and no
// others, from memory with as little work as plain Go allows. It checks next to
// nothing, so it is for no other client.
//
// A handle is 16 bytes: a kind and a number. All servers' scratch folders are
// one.
type echo struct {
	z sizes
	p *pattern

	mu   sync.RWMutex
	news map[int]bool     // files created
	data map[int64][]byte // files written
}

// The kinds of handles.
const (
	echoRoot = iota
	echoBig
	echoFiles
	echoFile
	echoMany
	echoScratch
	echoNews
	echoNew
	echoData
)

const echoHandle = 16

func newEcho(z sizes) *echo {
	return &echo{z: z, p: newPattern(z.Block), news: map[int]bool{}, data: map[int64][]byte{}}
}

// serve answers on l until it is closed.
func (e *echo) serve(l net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		nc, err := l.Accept()
		if err != nil {
			return err
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer nc.Close()
			c := &echoConn{echo: e, nc: nc.(*net.TCPConn), in: make([]byte, inSize+max(e.z.Block, e.z.Page)+4096)}
			c.run() // it ends with the connection
		}()
	}
}

// echoConn answers all calls that have come with one write.
type echoConn struct {
	*echo
	nc         *net.TCPConn
	in         []byte
	head, tail int
	gather     // the replies
}

func (c *echoConn) run() error {
	for {
		if c.head == c.tail {
			c.head, c.tail = 0, 0
		} else if c.tail > inSize {
			c.tail = copy(c.in, c.in[c.head:c.tail])
			c.head = 0
		}
		n, err := c.nc.Read(c.in[c.tail:])
		if n == 0 {
			return err
		}
		c.tail += n
		for {
			b := c.in[c.head:c.tail]
			if len(b) < 4 {
				break
			}
			size := int(binary.BigEndian.Uint32(b) &^ (1 << 31))
			if len(b) < 4+size {
				if 4+size > len(c.in) {
					return io.ErrShortBuffer
				}
				break
			}
			c.head += 4 + size
			if err := c.answer(b[4 : 4+size]); err != nil {
				return err
			}
		}
		if err := c.sendTo(c.nc); err != nil {
			return err
		}
	}
}

func (c *echoConn) answer(b []byte) error {
	d := xdr.NewDecoder(b)
	var h rpc.Call
	if err := h.Decode(&d); err != nil {
		return err
	}
	mark := len(c.out)
	c.out = rpc.AppendAccepted(append(c.out, 0, 0, 0, 0), h.XID, rpc.Success)
	var own []byte
	switch {
	case h.Proc == wire.ProcNull:
	case h.Prog == wire.MountProgram:
		r := wire.MntResult{Handle: handleOf(echoRoot, 0), Flavors: []uint32{rpc.AuthSys}}
		c.out = r.Append(c.out)
	default:
		handle := d.Opaque(wire.MaxHandle)
		if len(handle) != echoHandle {
			return fmt.Errorf("echo: procedure %d without a handle", h.Proc)
		}
		kind, n := int(binary.BigEndian.Uint64(handle)), int64(binary.BigEndian.Uint64(handle[8:]))
		own = c.nfs(h.Proc, kind, n, &d)
		if d.Err() != nil {
			return d.Err()
		}
	}
	size := len(c.out) - mark - 4 + len(own)
	binary.BigEndian.PutUint32(c.out[mark:], uint32(size)|1<<31)
	if own != nil {
		c.own = append(c.own, piece{len(c.out), own})
	}
	return nil
}

// nfs appends the results of a procedure on an object, without the data of a
// READ, which it returns.
func (c *echoConn) nfs(proc uint32, kind int, n int64, d *xdr.Decoder) (own []byte) {
	status := func(s nfs.Status) { c.out = xdr.AppendUint32(c.out, uint32(s)) }
	switch proc {
	case wire.ProcGetattr:
		status(nfs.OK)
		c.attr(kind, n)
	case wire.ProcAccess:
		status(nfs.OK)
		c.post(kind, n)
		c.out = xdr.AppendUint32(c.out, d.Uint32())
	case wire.ProcLookup:
		name := d.Opaque(wire.MaxName)
		kind, n := c.find(kind, name)
		if kind < 0 {
			status(nfs.ErrNoEnt)
		} else {
			status(nfs.OK)
			c.handle(kind, n)
			c.post(kind, n)
		}
		c.out = xdr.AppendBool(c.out, false)
	case wire.ProcRead:
		off, count := int(d.Uint64()), int(d.Uint32())
		status(nfs.OK)
		c.post(kind, n)
		if kind == echoBig {
			own = c.p.at(off, 0, count)
		} else {
			c.mu.RLock()
			own = c.data[n][off : off+count]
			c.mu.RUnlock()
		}
		c.out = xdr.AppendUint32(xdr.AppendBool(xdr.AppendUint32(c.out, uint32(count)), false), uint32(count))
	case wire.ProcWrite:
		off, count, stable := int(d.Uint64()), d.Uint32(), d.Uint32()
		c.mu.RLock()
		copy(c.data[n][off:], d.Opaque(d.Left()))
		c.mu.RUnlock()
		status(nfs.OK)
		c.noWcc()
		c.out = xdr.AppendUint64(xdr.AppendUint32(xdr.AppendUint32(c.out, count), stable), 0)
	case wire.ProcCommit:
		status(nfs.OK)
		c.noWcc()
		c.out = xdr.AppendUint64(c.out, 0)
	case wire.ProcCreate:
		name := d.Opaque(wire.MaxName)
		kind, n := c.create(name)
		status(nfs.OK)
		c.out = xdr.AppendBool(c.out, true)
		c.handle(kind, n)
		c.post(kind, n)
		c.noWcc()
	case wire.ProcRemove:
		c.mu.Lock()
		delete(c.news, nameNumber(d.Opaque(wire.MaxName), newFormat))
		c.mu.Unlock()
		status(nfs.OK)
		c.noWcc()
	case wire.ProcReaddir, wire.ProcReaddirplus:
		cookie := int(d.Uint64())
		d.Fixed(wire.VerfSize)
		if proc == wire.ProcReaddirplus {
			d.Uint32()
		}
		status(nfs.OK)
		c.out = xdr.AppendUint64(xdr.AppendBool(c.out, false), 0)
		c.list(kind, cookie, int(d.Uint32())-256, proc == wire.ProcReaddirplus)
	default:
		d.Fail(xdr.ErrValue)
	}
	return own
}

// find is the object of a name; a negative kind if there is none.
func (c *echoConn) find(dir int, name []byte) (kind int, n int64) {
	switch dir {
	case echoRoot:
		switch s := string(name); {
		case s == bigName:
			return echoBig, 0
		case s == filesName:
			return echoFiles, 0
		case s == manyName:
			return echoMany, 0
		case strings.HasPrefix(s, scratchName):
			return echoScratch, 0
		}
	case echoFiles:
		return echoFile, int64(nameNumber(name, filesFormat))
	case echoScratch:
		if string(name) == newName {
			return echoNews, 0
		}
		n := int64(nameNumber(name, dataFormat))
		c.mu.RLock()
		defer c.mu.RUnlock()
		if c.data[n] != nil {
			return echoData, n
		}
	}
	return -1, 0
}

func (c *echoConn) create(name []byte) (kind int, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := nameNumber(name, newFormat); i >= 0 {
		c.news[i] = true
		return echoNew, int64(i)
	}
	i := int64(nameNumber(name, dataFormat))
	c.data[i] = make([]byte, c.z.Data)
	return echoData, i
}

// list appends the entries behind cookie, which is a number and one more.
func (c *echoConn) list(kind, cookie, room int, plus bool) {
	format, limit, child := manyFormat, c.z.Many, echoMany
	if kind == echoNews {
		format, limit, child = newFormat, 1<<17, echoNew
		c.mu.RLock()
		defer c.mu.RUnlock()
	}
	end := len(c.out) + room
	i := cookie
	for ; i < limit && len(c.out) < end; i++ {
		if kind == echoNews && !c.news[i] {
			continue
		}
		c.out = xdr.AppendUint64(xdr.AppendBool(c.out, true), uint64(i)+100)
		length := len(format) + nameDigits
		c.out = appendName(xdr.AppendUint32(c.out, uint32(length)), format, i)
		c.out = append(c.out, 0, 0, 0)[:len(c.out)-length+xdr.Padded(length)]
		c.out = xdr.AppendUint64(c.out, uint64(i)+1)
		if plus {
			c.post(child, int64(i))
			c.out = xdr.AppendBool(c.out, true)
			c.handle(child, int64(i))
		}
	}
	c.out = xdr.AppendBool(xdr.AppendBool(c.out, false), i == limit)
}

func (c *echoConn) attr(kind int, n int64) {
	a := wire.Fattr{Type: uint32(nfs.TypeRegular), Mode: 0o644, Nlink: 1, FSID: 1, FileID: uint64(kind)<<32 + uint64(n)}
	switch kind {
	case echoBig:
		a.Size = uint64(c.z.Big)
	case echoRoot, echoFiles, echoMany, echoScratch, echoNews:
		a.Type, a.Mode = uint32(nfs.TypeDirectory), 0o755
	}
	c.out = a.Append(c.out)
}

func (c *echoConn) post(kind int, n int64) {
	c.out = xdr.AppendBool(c.out, true)
	c.attr(kind, n)
}

func (c *echoConn) handle(kind int, n int64) {
	c.out = xdr.AppendUint64(xdr.AppendUint32(c.out, echoHandle), uint64(kind))
	c.out = xdr.AppendUint64(c.out, uint64(n))
}

func (c *echoConn) noWcc() { c.out = xdr.AppendUint64(c.out, 0) }

func handleOf(kind int, n int64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(kind)), uint64(n))
}
