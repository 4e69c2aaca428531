//go:build unix

package peer

import (
	"fmt"
	"net"
	"os"
)

// SameUser returns ErrForeign unless the process at the other end of the unix
// socket c has this process's effective uid. For the side that dialled, that
// process is the one that listens.
func SameUser(c net.Conn) error {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return fmt.Errorf("read peer credentials: %T is no unix socket", c)
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return fmt.Errorf("read peer credentials: %w", err)
	}
	var uid uint32
	var cerr error
	if err := raw.Control(func(fd uintptr) { uid, cerr = peerUID(int(fd)) }); err != nil {
		return fmt.Errorf("read peer credentials: %w", err)
	}
	if cerr != nil {
		return fmt.Errorf("read peer credentials: %w", cerr)
	}
	if int(uid) != os.Geteuid() {
		return fmt.Errorf("%w: uid %d", ErrForeign, uid)
	}
	return nil
}
