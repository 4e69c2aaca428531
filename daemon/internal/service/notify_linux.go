package service

import (
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// What systemd is told.
const (
	stateReady    = "READY=1"
	stateStopping = "STOPPING=1"
)

// barrierTime bounds the wait for systemd to have read what it was told.
const barrierTime = 5 * time.Second

// notify tells systemd what the service does, if it was started by it
// (sd_notify(3)). That nobody listens is not the service's trouble.
func notify(state string) { send(state, nil) }

// notifyMain tells systemd that the process pid is the service now, and waits until it
// knows: this one must not end before.
func notifyMain(pid int) {
	notify("MAINPID=" + strconv.Itoa(pid))
	r, w, err := os.Pipe()
	if err != nil {
		return
	}
	defer r.Close()
	sent := send("BARRIER=1", unix.UnixRights(int(w.Fd())))
	w.Close()
	if sent {
		_ = r.SetReadDeadline(time.Now().Add(barrierTime))
		_, _ = r.Read(make([]byte, 1)) // systemd closes its end
	}
}

// send reports whether somebody listens.
func send(state string, rights []byte) bool {
	name := os.Getenv("NOTIFY_SOCKET") // "@" and a name is one of the abstract namespace, also for Sendmsg
	if name == "" {
		return false
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return unix.Sendmsg(fd, []byte(state), rights, &unix.SockaddrUnix{Name: name}, 0) == nil
}
