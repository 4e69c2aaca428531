package serve

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"

	"github.com/moorage/moorage/daemon/internal/mounts"
	"github.com/moorage/moorage/nfs"
)

// portmapper tells clients that know no ports where the drive is served.
type portmapper struct {
	nfs *nfs.Portmap
	tcp net.Listener
	udp net.PacketConn
	log *slog.Logger
	wg  sync.WaitGroup // the two servers
}

// listenPortmap listens on addr, "127.0.0.1:111", over TCP and UDP, for the
// drive that is served on drive. Clients connect to the drive on the address on
// which they asked the portmapper, so both must have the same.
func listenPortmap(ctx context.Context, addr string, drive net.Addr, log *slog.Logger) (*portmapper, error) {
	host, port, err := loopback(addr)
	if err != nil {
		return nil, err
	}
	if at, err := netip.ParseAddrPort(drive.String()); err != nil || at.Addr() != netip.MustParseAddr(host) {
		return nil, usage("The portmapper at "+addr+" and the drive at "+drive.String()+" have different addresses.",
			"Clients look for the drive where the portmapper is: give --listen and --portmap the same address.")
	}
	p := &portmapper{nfs: nfs.NewPortmap(nfs.Options{Logger: log}), log: log}
	if p.tcp, err = mounts.Listen(ctx, net.JoinHostPort(host, port)); err != nil {
		return nil, listenError(err, addr, portmapHelp)
	}
	// With port 0 it is UDP's turn to take the port that TCP has got.
	var lc net.ListenConfig
	if p.udp, err = lc.ListenPacket(ctx, "udp", p.tcp.Addr().String()); err != nil {
		p.tcp.Close()
		return nil, listenError(err, addr, portmapHelp)
	}
	return p, nil
}

// portmapHelp is what to do when the portmapper's port is not to be had.
var portmapHelp = help{
	taken:      "It may be the system's own portmapper, rpcbind: end it, or leave out --portmap and tell the client the port.",
	permission: "Clients expect a portmapper on port 111, which takes root here: run this as root, or leave out --portmap and tell the client the port.",
	other:      "Give 127.0.0.1:111, or leave it out.",
}

// start answers for the drive's server at drive, until stop.
func (p *portmapper) start(drive netip.AddrPort) error {
	if err := p.nfs.Register(net.TCPAddrFromAddrPort(drive)); err != nil {
		return err
	}
	p.wg.Go(func() { p.ended(p.nfs.Serve(p.tcp)) })
	p.wg.Go(func() { p.ended(p.nfs.ServePacket(p.udp)) })
	return nil
}

// ended notes that one of the two servers has ended, and why: the drive itself
// is served on.
func (p *portmapper) ended(err error) {
	if !errors.Is(err, nfs.ErrServerClosed) {
		p.log.Error("the portmapper ended", "err", err)
	}
}

// stop ends the portmapper, also one that was not started.
func (p *portmapper) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := p.nfs.Shutdown(ctx); err != nil {
		p.log.Error("the portmapper was cut off", "err", err)
	}
	p.tcp.Close()
	p.udp.Close()
	p.wg.Wait()
}
