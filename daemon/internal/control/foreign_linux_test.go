package control

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/daemon/client"
)

// Even where the file modes let another user connect, nothing is read from it.
func TestRule12ForeignUserIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to become another user")
	}
	w := start(t)
	for p := w.socket; p != os.TempDir() && p != "/"; p = filepath.Dir(p) {
		if err := os.Chmod(p, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	got := make(chan string, 1)
	go func() { got <- asUser(65534, w.socket) }()
	if s := <-got; s != "closed" {
		t.Errorf("another user got %q, want a closed connection", s)
	}
	if _, err := w.client.Service(t.Context()); err != nil {
		t.Errorf("the owner is refused: %v", err)
	}
}

// asUser asks for the service's description as uid, on a thread of its own
// that ends with the goroutine.
func asUser(uid int, socket string) string {
	runtime.LockOSThread()
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); e != 0 {
		return e.Error()
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err.Error()
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: socket}); err != nil {
		return "connect: " + err.Error()
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		return err.Error()
	}
	_ = unix.Sendto(fd, []byte("GET /v1/service HTTP/1.1\r\nHost: moorage\r\n\r\n"), unix.MSG_NOSIGNAL, nil)
	buf := make([]byte, 1024)
	n, err := unix.Read(fd, buf)
	if n == 0 || errors.Is(err, unix.ECONNRESET) {
		return "closed"
	}
	if err != nil {
		return err.Error()
	}
	return string(buf[:n])
}

// A client does not speak to a service that another user runs.
func TestRule12ClientRefusesForeignService(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to become another user")
	}
	p := socketPath(t)
	if err := os.MkdirAll(filepath.Dir(p), 0o777); err != nil {
		t.Fatal(err)
	}
	for d := filepath.Dir(p); d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	fds := make(chan int)
	end := make(chan struct{})
	defer close(end)
	go func() {
		runtime.LockOSThread()
		unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), 65534, ^uintptr(0))
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrUnix{Name: p})
		}
		if err == nil {
			err = unix.Listen(fd, 5)
		}
		if err != nil {
			fd = -1
		}
		fds <- fd
		<-end
	}()
	fd := <-fds
	if fd < 0 {
		t.Fatal("cannot listen as another user")
	}
	defer unix.Close(fd)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := client.New(p).Service(ctx)
	if err == nil || !strings.Contains(err.Error(), "another user") {
		t.Fatalf("got %v, want a refusal", err)
	}
}
