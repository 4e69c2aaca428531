package mounts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/moorage/moorage/nfs"
)

// mntWindow is how long an export answers MNT while its mount is being made.
const mntWindow = 10 * time.Second

var (
	errNotNow = errors.New("mounting is not expected now")
	errPeer   = errors.New("the connection does not come from the system's NFS client")
)

// Listen listens on a loopback address for an NFS server.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // kernel clients do not speak it
	return lc.Listen(ctx, "tcp", addr)
}

// Server is a running NFS server with one export.
type Server struct {
	nfs  *nfs.Server
	addr netip.AddrPort
	done chan struct{}
	path string
	err  error // of Serve, once done is closed
}

// Start serves e on l, which it owns from then on, also if it fails. seen is
// told about every call; nil: nobody.
func Start(l net.Listener, e nfs.Export, log *slog.Logger, seen nfs.Observer) (*Server, error) {
	addr, err := netip.ParseAddrPort(l.Addr().String())
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("read the address of %v: %w", l.Addr(), err)
	}
	n, err := nfs.NewServer(nfs.Options{Logger: log, Observer: seen})
	if err == nil {
		err = n.Export(e)
	}
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("export the drive: %w", err)
	}
	s := &Server{nfs: n, addr: addr, path: e.Path, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		if err := n.Serve(l); !errors.Is(err, nfs.ErrServerClosed) {
			s.err = err
			log.Error("the drive's server ended", "addr", addr.String(), "err", err)
		}
	}()
	return s, nil
}

// Addr is where the server listens.
func (s *Server) Addr() netip.AddrPort { return s.addr }

// Done is closed when the server has ended, by Stop or by itself.
func (s *Server) Done() <-chan struct{} { return s.done }

// Stop ends the server: calls in work get until ctx is done. Nobody calls the
// file system when it returns nil.
func (s *Server) Stop(ctx context.Context) error {
	err := s.nfs.Shutdown(ctx)
	<-s.done
	return err
}

// gate lets one MNT through while it is open.
type gate struct {
	mu    sync.Mutex
	until time.Time // zero: closed
	clock func() time.Time
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.until = g.clock().Add(mntWindow)
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.until = time.Time{}
}

// allow is nfs.Export.AllowMount.
func (g *gate) allow(context.Context, net.Addr) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.clock().Before(g.until) {
		return errNotNow
	}
	g.until = time.Time{}
	return nil
}

// onlyOwner makes a drive its owner's alone: others get ACCESS errors, and root
// counts as nobody, which is enough for what the kernel asks when it mounts.
func onlyOwner(owner uint32) func(nfs.Caller) (nfs.Caller, error) {
	return func(c nfs.Caller) (nfs.Caller, error) {
		switch c.UID {
		case owner:
			return c, nil
		case 0:
			return nfs.Caller{UID: nobody, GID: nobody}, nil
		}
		return nfs.Caller{}, nfs.ErrAccess
	}
}

const nobody = 65534

// checkedListener drops connections that check refuses, before a byte of
// theirs is read.
type checkedListener struct {
	net.Listener
	check func(net.Conn) error
	log   *slog.Logger
}

func (l *checkedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if err := l.check(c); err != nil {
			l.log.Warn("refused a connection to a drive", "peer", c.RemoteAddr().String(), "err", err)
			c.Close()
			continue
		}
		return c, nil
	}
}
