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
