//go:build unix

package control

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/moorage/moorage/daemon/internal/lockfile"
	"github.com/moorage/moorage/daemon/peer"
)

// Listen listens on the unix socket at path, with mode 0600, in a folder that
// is (or is made) this user's and closed to others. A socket that a dead
// service left is replaced; a live one gives a *RunningError. Connections of other users, root
// included, are closed before a byte of theirs is read.
func Listen(path string, log *slog.Logger) (net.Listener, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the socket's folder: %w", err)
	}
	if err := private(dir); err != nil {
		return nil, err
	}
	lock, err := lockfile.Acquire(path + ".lock")
	if err != nil {
		return nil, Held(err)
	}
	l, err := listen(path, log)
	if err != nil {
		lock.Release()
		return nil, err
	}
	return &locked{Listener: l, lock: lock}, nil
}

// private makes sure that only this user can reach what is in dir.
func private(dir string) error {
	var st syscall.Stat_t
	if err := syscall.Lstat(dir, &st); err != nil {
		return fmt.Errorf("look at the socket's folder: %w", err)
	}
	switch {
	case st.Mode&syscall.S_IFMT != syscall.S_IFDIR:
		return fmt.Errorf("%s is no folder", dir)
	case int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to another user", dir)
	case st.Mode&0o077 != 0:
		return fmt.Errorf("%s is open to other users: run chmod 700 on it", dir)
	}
	return nil
}

// listen is called with the lock held, so that nobody else makes or removes
// the socket meanwhile.
func listen(path string, log *slog.Logger) (net.Listener, error) {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("look at the socket: %w", err)
	case st.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s is there and is no socket: move it away", path)
	default:
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("remove the socket of an ended service: %w", err)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on the control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("close the control socket to others: %w", err)
	}
	return &ownListener{Listener: l, log: log}, nil
}

// ownListener accepts connections of this user only.
type ownListener struct {
	net.Listener
	log *slog.Logger
}

func (l *ownListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if err := peer.SameUser(c); err != nil {
			l.log.Warn("refused a control connection", "err", err)
			c.Close()
			continue
		}
		return c, nil
	}
}

// locked gives its lock back after the listener is closed.
type locked struct {
	net.Listener
	lock *lockfile.Lock
}

func (l *locked) Close() error {
	return errors.Join(l.Listener.Close(), l.lock.Release())
}
