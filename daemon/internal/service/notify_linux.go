package service

import (
	"net"
	"os"
	"strings"
)

// notify tells systemd what the service does, if it was started by it
// (sd_notify(3)). That nobody listens is not the service's trouble.
func notify(state string) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return
	}
	if strings.HasPrefix(name, "@") { // the abstract namespace
		name = "\x00" + name[1:]
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return
	}
	defer c.Close()
	c.Write([]byte(state))
}

// What systemd is told.
const (
	stateReady    = "READY=1"
	stateStopping = "STOPPING=1"
)
