package service

import (
	"net"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// systemd is told which process the service is, and is waited for.
func TestNotifyMain(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", name)
	told := make(chan struct{})
	go func() {
		defer close(told)
		notifyMain(4711)
	}()
	for _, want := range []string{"MAINPID=4711", "BARRIER=1"} {
		b, rights := make([]byte, 100), make([]byte, 100)
		n, r, _, _, err := l.ReadMsgUnix(b, rights)
		if err != nil || string(b[:n]) != want {
			t.Fatalf("got %q, %v, want %q", b[:n], err, want)
		}
		if want != "BARRIER=1" {
			continue
		}
		select {
		case <-told:
			t.Error("it did not wait")
		case <-time.After(20 * time.Millisecond):
		}
		m, err := unix.ParseSocketControlMessage(rights[:r])
		if err != nil || len(m) != 1 {
			t.Fatalf("%d control messages, %v", len(m), err)
		}
		fds, err := unix.ParseUnixRights(&m[0])
		if err != nil || len(fds) != 1 {
			t.Fatalf("descriptors %v, %v", fds, err)
		}
		unix.Close(fds[0])
	}
	<-told
}
