package mounts

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestRule06SocketTable(t *testing.T) {
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("the table is of a little-endian computer")
	}
	const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	line := func(state, uid, inode string) string {
		return head + "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 0 11 1\n" +
			"   1: 0100007F:02BC 0100007F:1F90 " + state + " 00000000:00000000 00:00000000 00000000 " + uid + " 0 " + inode + " 1\n"
	}
	local, remote := netip.MustParseAddrPort("127.0.0.1:700"), netip.MustParseAddrPort("127.0.0.1:8080")
	for name, tt := range map[string]struct {
		table       string
		found, root bool
	}{
		"kernel":          {line("01", "0", "4711"), true, true},
		"user":            {line("01", "1000", "4711"), true, false},
		"closed by user":  {line("04", "0", "0"), true, false},
		"orphan":          {line("01", "0", "0"), true, false},
		"time wait":       {line("06", "0", "0"), true, false},
		"not there":       {head, false, false},
		"garbage":         {"x\n1: zz:00 0100007F:1F90 01 a b c 0 0 1 1\n" + strings.Repeat("9", 100) + "\n", false, false},
		"ipv6 mapped too": {head + "1: 0000000000000000FFFF00000100007F:02BC 0000000000000000FFFF00000100007F:1F90 01 a b c 0 0 9 1\n", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			found, root, err := scanPeer(strings.NewReader(tt.table), local, remote)
			if err != nil || found != tt.found || root != tt.root {
				t.Errorf("got %v, %v, %v, want %v, %v", found, root, err, tt.found, tt.root)
			}
		})
	}
}

// connect makes a connection from a socket of uid and returns our end of it.
func connect(t *testing.T, uid int, then func(fd int)) net.Conn {
	t.Helper()
	l, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	go func() {
		runtime.LockOSThread() // the thread ends with this goroutine
		unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0))
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
		}
		if err != nil {
			t.Error(err)
			l.Close()
			return
		}
		then(fd)
	}()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestRule06OnlyRootsSocketsConnect(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to become root and another user")
	}
	end := make(chan struct{})
	t.Cleanup(func() { close(end) })
	hold := func(fd int) { <-end; unix.Close(fd) }
	if err := checkPeer(connect(t, 0, hold)); err != nil {
		t.Errorf("root: %v", err)
	}
	if err := checkPeer(connect(t, 65534, hold)); !errors.Is(err, errPeer) {
		t.Errorf("another user: %v", err)
	}
	// A socket that was closed has no owner any more, in whatever state it is.
	c := connect(t, 65534, func(fd int) { unix.Close(fd) })
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.ReadAll(c); err != nil {
		t.Fatal(err)
	}
	if err := checkPeer(c); !errors.Is(err, errPeer) {
		t.Errorf("another user who has closed: %v", err)
	}
}
