// Package autostart has the system start the service at login, and again when
// it has crashed: systemd's user manager on Linux, launchd on macOS, the Run key
// on Windows (which starts it at login and no more). Package client starts it now,
// in the same way, and ends it.
package autostart

import (
	"errors"
	"fmt"
)

// ErrUnsupported means that this system has nothing that could start the service.
var ErrUnsupported = errors.New("autostart: no service manager for this user")

// Status is what the system knows of the service.
type Status struct {
	Manager string // as people call it
	AtLogin bool   // it is started at login
	Running bool   // the manager has started it
}

// manager is what an operating system has. Its methods may take seconds and are
// not called concurrently.
type manager interface {
	install() error   // also when it is installed, perhaps for another program
	uninstall() error // also when it is not installed
	status() (Status, error)
}

// Login is the service as the system starts it for this user.
type Login struct {
	m manager
}

// New is for the service's program, an absolute path. The error is
// ErrUnsupported where the user has no service manager.
func New(program string) (*Login, error) {
	m, err := newManager(program)
	if err != nil {
		return nil, err
	}
	return &Login{m}, nil
}

// Install has the service started at each login from the next one on, and
// restarted when it ends otherwise than it was told to. It is no error if that
// is so already.
func (l *Login) Install() error { return wrap("install", l.m.install()) }

// Uninstall undoes Install; a service that runs goes on.
func (l *Login) Uninstall() error { return wrap("uninstall", l.m.uninstall()) }

// Status says what the system knows of the service.
func (l *Login) Status() (Status, error) {
	s, err := l.m.status()
	return s, wrap("look for", err)
}

func wrap(op string, err error) error {
	if err != nil {
		return fmt.Errorf("%s the service: %w", op, err)
	}
	return nil
}
