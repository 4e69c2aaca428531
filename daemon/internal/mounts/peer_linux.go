package mounts

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
)

// maxProcNet bounds what is read of the kernel's socket tables: some hundred thousand
// sockets.
const maxProcNet = 64 << 20

// checkPeer tells whether the other end of c, on this computer, is a socket of
// uid 0, as those of the kernel's NFS client are, by the tables that proc(5)
// describes. A socket whose owner has closed it counts as root's there; it is told
// from others by its state and by having no inode.
func checkPeer(c net.Conn) error {
	local, err1 := netip.ParseAddrPort(c.LocalAddr().String())
	remote, err2 := netip.ParseAddrPort(c.RemoteAddr().String())
	if err1 != nil || err2 != nil {
		return errPeer
	}
	// An IPv4 connection of a dual-stack socket is in the IPv6 table.
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		found, root, err := findPeer(table, remote, local)
		if err != nil {
			return err
		}
		if found {
			if root {
				return nil
			}
			return errPeer
		}
	}
	return fmt.Errorf("%w: its socket is gone", errPeer)
}

// findPeer looks in a table for the socket that is bound to local and connected to remote.
func findPeer(table string, local, remote netip.AddrPort) (found, root bool, err error) {
	f, err := os.Open(table)
	if err != nil {
		if os.IsNotExist(err) {
			return false, false, nil // no IPv6
		}
		return false, false, fmt.Errorf("look up the owner of a connection: %w", err)
	}
	defer f.Close()
	return scanPeer(io.LimitReader(f, maxProcNet), local, remote)
}

func scanPeer(r io.Reader, local, remote netip.AddrPort) (found, root bool, err error) {
	s := bufio.NewScanner(r)
	for s.Scan() {
		f := strings.Fields(s.Text())
		if len(f) < 10 {
			continue
		}
		l, ok1 := procAddr(f[1])
		p, ok2 := procAddr(f[2])
		if !ok1 || !ok2 || l != unmap(local) || p != unmap(remote) {
			continue
		}
		const established = "01"
		return true, f[3] == established && f[7] == "0" && f[9] != "0", nil
	}
	if err := s.Err(); err != nil {
		return false, false, fmt.Errorf("look up the owner of a connection: %w", err)
	}
	return false, false, nil
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// procAddr reads an address of /proc/net/tcp: 32-bit words in the byte order of
// this computer, the port in hexadecimal.
func procAddr(s string) (netip.AddrPort, bool) {
	host, port, ok := strings.Cut(s, ":")
	b, err := hex.DecodeString(host)
	p, err2 := hex.DecodeString(port)
	if !ok || err != nil || err2 != nil || len(p) != 2 || len(b) != 4 && len(b) != 16 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	a, ok := netip.AddrFromSlice(b)
	return unmap(netip.AddrPortFrom(a, binary.BigEndian.Uint16(p))), ok
}
