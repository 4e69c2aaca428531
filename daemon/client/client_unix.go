//go:build unix

package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/moorage/moorage/daemon/peer"
)

// dial connects to the socket and makes sure that its owner listens there.
func dial(ctx context.Context, socket string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	c, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	if err := peer.SameUser(c); err != nil {
		c.Close()
		return nil, fmt.Errorf("refuse to use %s: %w", socket, err)
	}
	return c, nil
}

func nobodyListens(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// ownFolder returns dir/moorage-UID/service.sock and makes sure that if there is such
// a folder it is a real one of this user's and closed to others: dir may be
// one where everybody makes folders.
func ownFolder(dir string) (string, error) {
	f := filepath.Join(dir, fmt.Sprintf("moorage-%d", os.Geteuid()))
	var st syscall.Stat_t
	switch err := syscall.Lstat(f, &st); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return "", fmt.Errorf("look at %s: %w", f, err)
	case st.Mode&syscall.S_IFMT != syscall.S_IFDIR || int(st.Uid) != os.Geteuid() || st.Mode&0o077 != 0:
		return "", fmt.Errorf("%s is not a private folder of yours: remove it, or set XDG_RUNTIME_DIR", f)
	}
	return filepath.Join(f, "service.sock"), nil
}
