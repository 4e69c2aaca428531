package helperclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/moorage/moorage/mounter"
	"github.com/moorage/moorage/mounter/helper/protocol"
)

// The bounds of calls. The helper's own are shorter; it may start first, and a person
// may type a password.
const (
	askTimeout    = 2 * time.Minute
	callTimeout   = 45 * time.Second
	gentleTimeout = 4 * time.Second // a plain unmount before a forced one
)

// Mounter is a *mounter.Mounter that has the helper do what it may not do itself. Its
// methods may be called concurrently. Its connection to the bus ends with the process:
// what the helper keeps for drives that are not mounted goes with it.
type Mounter struct {
	*mounter.Mounter

	mu      sync.Mutex
	conn    *dbus.Conn      // nil: none yet
	serving map[string]bool // drives whose listener is open here
}

// New makes a Mounter that falls back to m.
func New(m *mounter.Mounter) *Mounter {
	return &Mounter{Mounter: m, serving: make(map[string]bool)}
}

// Listen gives a listener for the server of a drive that only the system's NFS client
// can connect to. It outlives this process while the drive is mounted: who asks again
// gets the same. mounter.ErrNoHelper means that the drive can listen by itself only.
func (m *Mounter) Listen(ctx context.Context, drive string, port uint16) (net.Listener, error) {
	if mounter.MayMount() {
		return nil, mounter.ErrNoHelper
	}
	var fd dbus.UnixFD
	if err := m.call(ctx, askTimeout, protocol.Listen, []any{drive, port}, &fd, &port); err != nil {
		return nil, mounter.FromHelper(ctx, "mount", drive, err)
	}
	f := os.NewFile(uintptr(fd), "drive "+drive)
	l, err := net.FileListener(f)
	f.Close()
	if err != nil {
		return nil, fmt.Errorf("use the mount helper's listener: %w", err)
	}
	m.serves(drive, true)
	return &listener{Listener: l, closed: func() { m.serves(drive, false) }}, nil
}

func (m *Mounter) serves(drive string, is bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if is {
		m.serving[drive] = true
	} else {
		delete(m.serving, drive)
	}
}

// listener tells when it is closed.
type listener struct {
	net.Listener
	closed func()
}

func (l *listener) Close() error {
	l.closed()
	return l.Listener.Close()
}

// Mount makes the mount s, by the helper if its listener is from there.
func (m *Mounter) Mount(ctx context.Context, s mounter.Spec) error {
	if !s.Held {
		return m.Mounter.Mount(ctx, s)
	}
	err := m.call(ctx, callTimeout, protocol.Mount, []any{s.Drive, s.Dir, s.Export, s.Root, s.ReadOnly})
	if err != nil {
		return mounter.FromHelper(ctx, "mount", s.Dir, err)
	}
	return nil
}

// Unmount takes the NFS mount at dir away, see mounter.Mounter. One that the helper
// does not know is for the Mounter beneath.
func (m *Mounter) Unmount(ctx context.Context, dir string, force bool) error {
	if mounter.MayMount() {
		return m.Mounter.Unmount(ctx, dir, force)
	}
	l, err := m.mounted(ctx)
	if err != nil && !errors.Is(err, mounter.ErrNoHelper) {
		return mounter.FromHelper(ctx, "unmount", dir, err)
	}
	for _, mt := range l {
		if mt.Dir != dir {
			continue
		}
		m.mu.Lock()
		alive := m.serving[mt.Drive]
		m.mu.Unlock()
		if force && alive { // plain first, so that what was written reaches the server
			if err := m.call(ctx, gentleTimeout, protocol.Unmount, []any{dir, false}); err == nil {
				return nil
			}
		}
		if err := m.call(ctx, callTimeout, protocol.Unmount, []any{dir, force}); err != nil && !m.isGone(ctx, dir) {
			return mounter.FromHelper(ctx, "unmount", dir, err)
		}
		return nil
	}
	return m.Mounter.Unmount(ctx, dir, force)
}

// isGone tells whether the mount at dir went meanwhile, by a call that was given up.
func (m *Mounter) isGone(ctx context.Context, dir string) bool {
	l, err := m.mounted(ctx)
	if err != nil {
		return false
	}
	for _, mt := range l {
		if mt.Dir == dir {
			return false
		}
	}
	return true
}

// mounted are the mounts that the helper made for this user.
func (m *Mounter) mounted(ctx context.Context) ([]protocol.Mounted, error) {
	var l []protocol.Mounted
	err := m.call(ctx, callTimeout, protocol.List, nil, &l)
	return l, err
}

// call calls the helper. It fails with a *protocol.Error, or mounter.ErrNoHelper if
// there is none.
func (m *Mounter) call(ctx context.Context, d time.Duration, verb string, args []any, results ...any) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	conn, err := m.connect()
	if err != nil {
		return fmt.Errorf("%w: %w", mounter.ErrNoHelper, err)
	}
	err = (<-conn.SendWithContext(ctx, message(verb, args), make(chan *dbus.Call, 1)).Done).Store(results...)
	var e dbus.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return &protocol.Error{Kind: protocol.Timeout, What: "The mount helper did not answer in time.", Err: err}
	case !errors.As(err, &e):
		return err
	}
	for _, k := range protocol.Kinds() {
		if e.Name == protocol.ErrorName(k) {
			return &protocol.Error{Kind: k, What: e.Error()}
		}
	}
	switch {
	case e.Name == "org.freedesktop.DBus.Error.ServiceUnknown", e.Name == "org.freedesktop.DBus.Error.NameHasNoOwner",
		strings.HasPrefix(e.Name, "org.freedesktop.DBus.Error.Spawn."):
		return fmt.Errorf("%w: %w", mounter.ErrNoHelper, e)
	}
	return &protocol.Error{Kind: protocol.Failed, What: "The mount helper did not do it.", Err: e}
}

// message is a call by which polkit may ask for a password, for which the library has
// no other way.
func message(verb string, args []any) *dbus.Message {
	m := &dbus.Message{Type: dbus.TypeMethodCall, Flags: dbus.FlagAllowInteractiveAuthorization, Body: args,
		Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldDestination: dbus.MakeVariant(protocol.Name),
			dbus.FieldPath:        dbus.MakeVariant(dbus.ObjectPath(protocol.Path)),
			dbus.FieldInterface:   dbus.MakeVariant(protocol.Name),
			dbus.FieldMember:      dbus.MakeVariant(verb),
		}}
	if len(args) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(args...))
	}
	return m
}

// connect gives the connection to the system bus, a new one if it broke.
func (m *Mounter) connect() (*dbus.Conn, error) {
	m.mu.Lock()
	conn := m.conn
	m.mu.Unlock()
	if conn != nil && conn.Connected() {
		return conn, nil
	}
	conn, err := dbus.ConnectSystemBus()
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conn != nil && m.conn.Connected() { // somebody else was faster
		conn.Close()
		return m.conn, nil
	}
	m.conn = conn
	return conn, nil
}
