package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"

	"github.com/moorage/moorage/daemon/peer"
)

// DefaultSocket is the pipe where the service listens: MOORAGE_SOCKET if set,
// else one named after the user. It does not say that anything listens there.
func DefaultSocket() (string, error) {
	if s := os.Getenv(SocketEnv); s != "" {
		return s, nil
	}
	u, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return "", fmt.Errorf("find this user's identity: %w", err)
	}
	return `\\.\pipe\moorage-` + u.User.Sid.String(), nil
}

// dial connects to the pipe and makes sure that its owner listens there.
func dial(ctx context.Context, pipe string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	c, err := winio.DialPipeContext(ctx, pipe)
	if err != nil {
		return nil, err
	}
	if err := peer.SameUser(c); err != nil {
		c.Close()
		return nil, fmt.Errorf("refuse to use %s: %w", pipe, err)
	}
	return c, nil
}

func nobodyListens(err error) bool { return errors.Is(err, fs.ErrNotExist) }
