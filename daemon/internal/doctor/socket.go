package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/lockfile"
)

// socketTime is how long a service that is alive may take to accept.
const socketTime = 2 * time.Second

// socket looks for another service where none answers.
func (d *Doctor) socket(ctx context.Context, c *api.Check) {
	if !filepath.IsAbs(d.o.Socket) { // a pipe goes with its process
		c.Detail = "None is left over."
		return
	}
	c.Detail = "No service runs."
	st, err := os.Lstat(d.o.Socket)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		*c = failed(*c, err)
		return
	case st.Mode().Type() != fs.ModeSocket:
		c.State, c.Detail, c.Remedy = api.CheckBad, d.o.Socket+" is there and is no socket.", "Move it away."
		return
	case d.accepts(ctx):
		c.Detail = "A service listens."
		return
	}
	var held *lockfile.HeldError
	if err := d.locked(); errors.As(err, &held) {
		c.State = api.CheckBad
		c.Detail = fmt.Sprintf("Process %d is the service, and does not answer.", held.PID)
		c.Remedy = fmt.Sprintf("Wait a moment. If it stays, end it: kill %d", held.PID)
		return
	}
	if st != nil {
		c.State, c.Fix = api.CheckNote, fixSocket
		c.Detail, c.Remedy = "A service that was killed has left "+d.o.Socket+".", "Nothing: the next one replaces it."
	}
}

func (d *Doctor) accepts(ctx context.Context) bool {
	dialer := net.Dialer{Timeout: socketTime}
	conn, err := dialer.DialContext(ctx, "unix", d.o.Socket)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// locked is a *lockfile.HeldError if there is a service. The locks are free again at once.
func (d *Doctor) locked() error {
	for _, p := range []string{filepath.Join(d.o.Places.State, "service.lock"), d.o.Socket + ".lock"} {
		if _, err := os.Stat(p); err != nil {
			continue // never held
		}
		l, err := lockfile.Acquire(p)
		if err != nil {
			return err
		}
		if err := l.Release(); err != nil {
			return err
		}
	}
	return nil
}

func (d *Doctor) removeSocket(ctx context.Context) (string, error) {
	l, err := lockfile.Acquire(d.o.Socket + ".lock") // so that no service starts meanwhile
	if err != nil {
		return "", err
	}
	err = os.Remove(d.o.Socket)
	if err = errors.Join(err, l.Release()); err != nil {
		return "", err
	}
	return "Removed " + d.o.Socket + ".", nil
}
