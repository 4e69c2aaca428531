// Package single keeps a program to one instance per user: the second one asks
// the first to show itself, and ends.
package single

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// ErrRunning means that another instance holds the place.
var ErrRunning = errors.New("another instance is running")

// The files in an instance's folder.
const (
	lockName   = "desktop.lock"
	socketName = "desktop.sock"
)

// callTimeout bounds one call from instance to instance.
const callTimeout = 2 * time.Second

// Instance is the one that runs. It holds its place until Close, or until the
// process ends in any way.
type Instance struct {
	lock     *os.File
	listener net.Listener
	wg       sync.WaitGroup
	raise    func()
}

// Acquire takes the place in dir, which is made with mode 0700 if it is not
// there; whoever may write in dir may raise the window. raise is called, from
// another goroutine, each time that another instance calls. If there is an
// instance already, the error is ErrRunning.
func Acquire(dir string, raise func()) (*Instance, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the running instance: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the running instance: %w", err)
	}
	if err := lock(f); err != nil {
		f.Close()
		return nil, err
	}
	// Only the holder of the lock touches the socket, so what lies there is a
	// leftover.
	path := filepath.Join(dir, socketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		f.Close()
		return nil, fmt.Errorf("remove the socket of an ended instance: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("listen for other instances: %w", err)
	}
	i := &Instance{lock: f, listener: l, raise: raise}
	i.wg.Go(i.serve)
	return i, nil
}

// Close gives the place up and waits until raise is no longer called.
func (i *Instance) Close() {
	i.listener.Close()
	i.wg.Wait()
	i.lock.Close()
}

// serve answers each call with one byte, so that the caller knows that it was
// heard; a call has no content.
func (i *Instance) serve() {
	for {
		c, err := i.listener.Accept()
		if err != nil {
			return
		}
		if c.SetDeadline(time.Now().Add(callTimeout)) == nil {
			if _, err := c.Write([]byte{1}); err == nil {
				i.raise()
			}
		}
		c.Close()
	}
}

// Raise calls the instance that holds the place in dir. It waits at most 2
// seconds, also for one that is only just starting.
func Raise(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var d net.Dialer
	for {
		c, err := d.DialContext(ctx, "unix", filepath.Join(dir, socketName))
		if err == nil {
			defer c.Close()
			deadline, _ := ctx.Deadline()
			if err = c.SetDeadline(deadline); err == nil {
				_, err = c.Read(make([]byte, 1))
			}
			if err != nil {
				return fmt.Errorf("call the running instance: %w", err)
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("call the running instance: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
