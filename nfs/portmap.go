package nfs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/moorage/moorage/nfs/internal/rpc"
	"github.com/moorage/moorage/nfs/internal/wire"
)

// portmapMessage is the longest call that a Portmap takes, in bytes. The
// longest sensible one, GETADDR with full strings and credentials, has 1.7 KiB.
const portmapMessage = 8 << 10

// Portmap tells clients that know no ports where a [Server] listens: it is
// portmapper version 2 and rpcbind versions 3 and 4 (RFC 1833), over TCP and
// UDP. Windows' NFS client asks it always, others unless they are given ports.
// Clients expect it on port 111.
//
// It answers for what it was told by [Portmap.Register], and on each address
// for the servers of the same IP address only, because clients go on to the
// address that they asked. So that several servers can each have port 111,
// give each a loopback address of its own. Of programs that are not here, such
// as lock managers, it says so at once. Nobody can register anything over the
// network, or have calls forwarded. All methods may be called concurrently.
type Portmap struct {
	log    *slog.Logger
	clock  func() time.Time
	limits Limits
	done   chan struct{} // closed by Shutdown

	mu      sync.Mutex
	closing bool
	entries []mapping
	sources map[io.Closer]struct{} // listeners and packet connections at work
	conns   map[*portmapConn]struct{}
	wg      sync.WaitGroup // conns
}

// mapping is one line of what a Portmap knows.
type mapping struct {
	prog, vers, prot uint32
	addr             netip.AddrPort
}

// NewPortmap makes a portmapper that knows nothing. Of o it uses Logger, Clock
// and, of the limits, Connections, Stall and Idle.
func NewPortmap(o Options) *Portmap {
	p := &Portmap{
		log: o.Logger, clock: o.Clock, limits: o.Limits.withDefaults(), done: make(chan struct{}),
		sources: make(map[io.Closer]struct{}), conns: make(map[*portmapConn]struct{}),
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	if p.clock == nil {
		p.clock = time.Now
	}
	return p
}

// loopback is the address of a, which must be of this computer alone.
func loopback(a net.Addr) (netip.AddrPort, error) {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.TCPAddr:
		ap = a.AddrPort()
	case *net.UDPAddr:
		ap = a.AddrPort()
	}
	ap = netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
	if !ap.Addr().IsLoopback() {
		return ap, fmt.Errorf("%v: %w", a, ErrNotLoopback)
	}
	return ap, nil
}

// Register makes p answer for a Server that listens on a, a TCP address: NFS
// version 3 and MOUNT versions 1 and 3. It replaces a server of the same IP
// address. The error is ErrNotLoopback.
func (p *Portmap) Register(a net.Addr) error {
	ap, err := loopback(a)
	if err != nil {
		return fmt.Errorf("register %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropLocked(ap.Addr())
	for _, v := range [...][2]uint32{
		{wire.NFSProgram, wire.NFSVersion}, {wire.MountProgram, wire.MountV1}, {wire.MountProgram, wire.MountV3},
	} {
		p.entries = append(p.entries, mapping{v[0], v[1], wire.ProtoTCP, ap})
	}
	return nil
}

// Unregister makes p forget the server that was registered with a's IP address.
func (p *Portmap) Unregister(a net.Addr) {
	if ap, err := loopback(a); err == nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.dropLocked(ap.Addr())
	}
}

// dropLocked forgets the server at ip. It needs p.mu.
func (p *Portmap) dropLocked(ip netip.Addr) {
	p.entries = slices.DeleteFunc(p.entries, func(m mapping) bool {
		return m.addr.Addr() == ip && m.prog != wire.PortmapProgram
	})
}

// enter takes in a listener or packet connection and lists p itself there.
func (p *Portmap) enter(c io.Closer, ap netip.AddrPort, prot uint32) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing {
		return ErrServerClosed
	}
	p.sources[c] = struct{}{}
	for v := uint32(wire.RPCBindV4); v >= wire.PortmapV2; v-- {
		p.entries = append(p.entries, mapping{wire.PortmapProgram, v, prot, ap})
	}
	return nil
}

func (p *Portmap) leave(c io.Closer, ap netip.AddrPort, prot uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.sources, c)
	p.entries = slices.DeleteFunc(p.entries, func(m mapping) bool {
		return m.addr == ap && m.prot == prot && m.prog == wire.PortmapProgram
	})
}

// ended is the error of Serve and ServePacket after err.
func (p *Portmap) ended(what string, err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing {
		return ErrServerClosed
	}
	return fmt.Errorf("nfs: portmapper: %s: %w", what, err)
}

// Serve answers calls on l, which it closes, until Shutdown or until l fails.
// It may run for several listeners, and beside ServePacket. The error is
// ErrServerClosed, ErrNotLoopback or what Accept said.
func (p *Portmap) Serve(l net.Listener) error {
	defer l.Close()
	local, err := loopback(l.Addr())
	if err != nil {
		return fmt.Errorf("listen on %w", err)
	}
	if err := p.enter(l, local, wire.ProtoTCP); err != nil {
		return err
	}
	defer p.leave(l, local, wire.ProtoTCP)
	for {
		nc, err := l.Accept()
		if err == nil {
			p.start(nc, local)
			continue
		}
		if err = p.ended("accept", err); err == ErrServerClosed || errors.Is(err, net.ErrClosed) {
			return err
		}
		// Out of descriptors, or a peer that was gone at once: both pass.
		p.log.Warn("accept failed, will try again", "err", err)
		select {
		case <-time.After(acceptPause):
		case <-p.done:
		}
	}
}

// acceptPause is the time after which a failed Accept is tried again.
const acceptPause = 100 * time.Millisecond

// ServePacket answers datagrams on pc, a UDP connection, which it closes, until
// Shutdown or until pc fails. A datagram of more than 8 KiB, or one that does
// not come from this computer, is dropped; an answer has less than 1 KiB. The
// error is ErrServerClosed, ErrNotLoopback or what ReadFrom said.
func (p *Portmap) ServePacket(pc net.PacketConn) error {
	defer pc.Close()
	local, err := loopback(pc.LocalAddr())
	if err != nil {
		return fmt.Errorf("listen on %w", err)
	}
	if err := p.enter(pc, local, wire.ProtoUDP); err != nil {
		return err
	}
	defer p.leave(pc, local, wire.ProtoUDP)
	in, out := make([]byte, portmapMessage+1), make([]byte, 0, 1<<10)
	for {
		n, from, err := pc.ReadFrom(in)
		if err != nil {
			// Errors of one datagram, which is gone then, come here too: that
			// it was too long, or on Windows that nobody took the last answer.
			if err = p.ended("receive", err); err == ErrServerClosed || errors.Is(err, net.ErrClosed) {
				return err
			}
			select {
			case <-time.After(time.Millisecond):
			case <-p.done:
			}
			continue
		}
		if _, err := loopback(from); err != nil || n > portmapMessage {
			continue
		}
		if out = p.answer(out[:0], in[:n], local.Addr(), wire.ProtoUDP); len(out) == 0 {
			continue
		}
		if _, err := pc.WriteTo(out, from); err != nil {
			p.log.Debug("portmapper: answer not sent", "peer", from.String(), "err", err)
		}
	}
}

// portmapConn is a TCP connection, whose calls are answered one by one.
type portmapConn struct {
	nc     net.Conn
	active time.Time // of the last sign of life; guarded by Portmap.mu
}

// start makes room for the connection and runs it.
func (p *Portmap) start(nc net.Conn, local netip.AddrPort) {
	c := &portmapConn{nc: nc, active: time.Now()}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing {
		nc.Close()
		return
	}
	if len(p.conns) >= p.limits.Connections {
		p.evictLocked()
	}
	p.conns[c] = struct{}{}
	p.wg.Add(1)
	go func() {
		defer p.wg.Done()
		defer nc.Close()
		if err := p.run(c, local); err != nil && !errors.Is(err, io.EOF) {
			p.log.Debug("portmapper: connection closed", "peer", nc.RemoteAddr().String(), "err", err)
		}
		p.mu.Lock()
		delete(p.conns, c)
		p.mu.Unlock()
	}()
}

// evictLocked closes the connection that has been idle longest. It needs p.mu.
func (p *Portmap) evictLocked() {
	var victim *portmapConn
	for c := range p.conns {
		if victim == nil || c.active.Before(victim.active) {
			victim = c
		}
	}
	if victim != nil {
		victim.nc.Close()
		delete(p.conns, victim)
	}
}

// await sets the time that c may take for what it does next; false if the
// portmapper is closing.
func (p *Portmap) await(c *portmapConn, d time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing {
		return false
	}
	c.active = time.Now()
	c.nc.SetDeadline(c.active.Add(d))
	return true
}

// run answers the calls of a connection until it ends.
func (p *Portmap) run(c *portmapConn, local netip.AddrPort) error {
	br := bufio.NewReaderSize(c.nc, 1<<10)
	records := rpc.NewRecordReader(br, portmapMessage)
	in, out := make([]byte, 0, portmapMessage), make([]byte, 0, 1<<10)
	for patience := p.limits.Stall; p.await(c, patience); patience = p.limits.Idle {
		size, last, err := records.Next()
		if err != nil {
			return err
		}
		if !p.await(c, p.limits.Stall) {
			return nil
		}
		call, err := records.Body(in, size, last)
		if err != nil {
			return err
		}
		out = p.answer(append(out[:0], 0, 0, 0, 0), call, local.Addr(), wire.ProtoTCP)
		if len(out) == 0 {
			return rpc.ErrNotCall
		}
		rpc.PutMark(out)
		if _, err := c.nc.Write(out); err != nil {
			return err
		}
	}
	return nil
}

// Shutdown closes the listeners, packet connections and TCP connections; calls
// in work are still answered. It returns when all goroutines of p have ended,
// with ctx's error if that took until then.
func (p *Portmap) Shutdown(ctx context.Context) error {
	p.mu.Lock()
	if !p.closing {
		p.closing = true
		close(p.done)
	}
	for c := range p.sources {
		c.Close()
	}
	for c := range p.conns {
		c.nc.SetReadDeadline(time.Unix(1, 0))
	}
	p.mu.Unlock()

	ended := make(chan struct{})
	go func() {
		p.wg.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	for c := range p.conns {
		c.nc.Close()
	}
	p.mu.Unlock()
	<-ended // nothing holds them any more
	return fmt.Errorf("nfs: shut down the portmapper: %w", ctx.Err())
}
