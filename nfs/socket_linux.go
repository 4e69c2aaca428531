package nfs

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// tcpEstablished is TCP_ESTABLISHED of include/net/tcp_states.h.
const tcpEstablished = 1

// isDead reports whether the peer of a connection that was just accepted has
// closed it already.
func isDead(nc net.Conn) bool {
	sc, ok := nc.(*net.TCPConn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	dead := false
	err = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), syscall.IPPROTO_TCP, unix.TCP_INFO)
		dead = err == nil && info.State != tcpEstablished
	})
	return err != nil || dead
}

// readNow reads what is there already, without waiting; n is 0 if nothing is,
// or if the connection has ended or cannot tell.
func readNow(nc net.Conn, p []byte) (n int) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0
	}
	err = raw.Read(func(fd uintptr) bool {
		n, err = unix.Read(int(fd), p)
		return true
	})
	if err != nil || n < 0 {
		return 0
	}
	return n
}
