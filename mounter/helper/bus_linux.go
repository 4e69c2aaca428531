package helper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/mounter/helper/protocol"
)

// backlog is how many messages may wait to be looked at, which takes no time.
const backlog = 1024

// Serve answers calls on the system bus until ctx is done or the bus is gone. calls is
// a connection of its own for what the helper asks others.
func (h *Helper) Serve(ctx context.Context, bus, calls *dbus.Conn) error {
	if !bus.SupportsUnixFDs() {
		return errors.New("the system bus passes no descriptors")
	}
	signals := make(chan *dbus.Signal, backlog)
	calls.Signal(signals)
	defer calls.RemoveSignal(signals)
	err := calls.AddMatchSignalContext(ctx, dbus.WithMatchSender("org.freedesktop.DBus"), dbus.WithMatchInterface("org.freedesktop.DBus"),
		dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(2, ""))
	if err != nil {
		return fmt.Errorf("watch the bus: %w", err)
	}
	var work sync.WaitGroup
	defer work.Wait()
	// Messages are looked at here and not by the library, which would find a method by
	// reflection, and could not tell when a descriptor has been sent. The call that
	// started the helper comes right behind the name.
	messages := make(chan *dbus.Message, backlog)
	bus.Eavesdrop(messages)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	request := requestName()
	bus.SendWithContext(ctx, request, nil)
	for {
		select {
		case m := <-messages:
			switch {
			case m.Type == dbus.TypeMethodCall:
				work.Go(func() { h.answer(ctx, bus, calls, m) })
			case m.Headers[dbus.FieldReplySerial].Value() == request.Serial():
				if m.Type != dbus.TypeMethodReply || len(m.Body) != 1 || m.Body[0] != uint32(dbus.RequestNameReplyPrimaryOwner) {
					return fmt.Errorf("the name %s is not to be had: %v", protocol.Name, m.Body)
				}
				h.o.Logger.Info("the mount helper is ready")
			}
		case s := <-signals:
			if name, ok := goneName(s); ok {
				work.Go(func() { h.Gone(name) })
			}
		case <-bus.Context().Done():
			return errors.New("the system bus has closed the connection")
		case <-calls.Context().Done():
			return errors.New("the system bus has closed the connection")
		case <-ctx.Done():
			return nil
		}
	}
}

func requestName() *dbus.Message {
	return &dbus.Message{Type: dbus.TypeMethodCall, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: dbus.MakeVariant("org.freedesktop.DBus"),
		dbus.FieldPath:        dbus.MakeVariant(dbus.ObjectPath("/org/freedesktop/DBus")),
		dbus.FieldInterface:   dbus.MakeVariant("org.freedesktop.DBus"),
		dbus.FieldMember:      dbus.MakeVariant("RequestName"),
		dbus.FieldSignature:   dbus.MakeVariant(dbus.SignatureOf("", uint32(0))),
	}, Body: []any{protocol.Name, uint32(dbus.NameFlagDoNotQueue)}}
}

// goneName reads the signal that a connection has ended.
func goneName(s *dbus.Signal) (string, bool) {
	if s.Name != "org.freedesktop.DBus.NameOwnerChanged" || len(s.Body) != 3 {
		return "", false
	}
	name, ok := s.Body[0].(string)
	now, _ := s.Body[2].(string)
	return name, ok && now == ""
}

// answer does what m asks and replies.
func (h *Helper) answer(ctx context.Context, bus, calls *dbus.Conn, m *dbus.Message) {
	sender, _ := m.Headers[dbus.FieldSender].Value().(string)
	body, err := h.call(ctx, calls, sender, m)
	reply := &dbus.Message{Type: dbus.TypeMethodReply, Body: body, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: dbus.MakeVariant(sender), dbus.FieldReplySerial: dbus.MakeVariant(m.Serial()),
	}}
	if err != nil {
		name, what := protocol.ErrorName(protocol.Failed), "The mount helper failed."
		var e *protocol.Error
		var d dbus.Error
		switch {
		case errors.As(err, &e):
			name, what = protocol.ErrorName(e.Kind), e.What
		case errors.As(err, &d):
			name, what = d.Name, d.Error()
		}
		h.o.Logger.Warn("refused", "sender", sender, "err", err)
		reply.Type, reply.Body = dbus.TypeError, []any{what}
		reply.Headers[dbus.FieldErrorName] = dbus.MakeVariant(name)
	}
	if len(reply.Body) > 0 {
		reply.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(reply.Body...))
	}
	if m.Flags&dbus.FlagNoReplyExpected == 0 {
		bus.Send(reply, nil)
	}
	for _, v := range body {
		if fd, ok := v.(dbus.UnixFD); ok { // the caller's copy, which is sent by now
			unix.Close(int(fd))
		}
	}
}

// call runs the verb of m.
func (h *Helper) call(ctx context.Context, calls *dbus.Conn, sender string, m *dbus.Message) ([]any, error) {
	path, _ := m.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
	iface, _ := m.Headers[dbus.FieldInterface].Value().(string)
	member, _ := m.Headers[dbus.FieldMember].Value().(string)
	if path != protocol.Path || iface != protocol.Name {
		return nil, dbus.ErrMsgUnknownMethod
	}
	c, err := caller(ctx, calls, sender, m.Flags)
	if err != nil {
		return nil, fmt.Errorf("ask the bus who calls: %w", err)
	}
	switch member {
	case protocol.Listen:
		var drive string
		var port uint16
		if err := store(m, "sq", &drive, &port); err != nil {
			return nil, err
		}
		fd, port, err := h.Listen(ctx, c, drive, port)
		if err != nil {
			return nil, err
		}
		// It may have ended before it was known to have something.
		var there bool
		if err := calls.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, sender).Store(&there); err != nil || !there {
			h.Gone(sender)
		}
		return []any{dbus.UnixFD(fd), port}, nil
	case protocol.Mount:
		var s protocol.Spec
		if err := store(m, "sssayb", &s.Drive, &s.Dir, &s.Export, &s.Root, &s.ReadOnly); err != nil {
			return nil, err
		}
		return nil, h.Mount(ctx, c, s)
	case protocol.Unmount:
		var dir string
		var force bool
		if err := store(m, "sb", &dir, &force); err != nil {
			return nil, err
		}
		return nil, h.Unmount(ctx, c, dir, force)
	case protocol.List:
		if err := store(m, ""); err != nil {
			return nil, err
		}
		l, err := h.List(ctx, c)
		if err != nil {
			return nil, err
		}
		return []any{l}, nil
	}
	return nil, dbus.ErrMsgUnknownMethod
}

// store takes the arguments of m, whose types must be those of the signature.
func store(m *dbus.Message, signature string, dest ...any) error {
	got, _ := m.Headers[dbus.FieldSignature].Value().(dbus.Signature)
	if got.String() != signature || dbus.Store(m.Body, dest...) != nil {
		return dbus.ErrMsgInvalidArg
	}
	return nil
}

// caller asks the bus who sender is, which it knows from the socket.
func caller(ctx context.Context, calls *dbus.Conn, sender string, flags dbus.Flags) (Caller, error) {
	c := Caller{Name: sender, Interactive: flags&dbus.FlagAllowInteractiveAuthorization != 0}
	var about map[string]dbus.Variant
	if err := calls.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.GetConnectionCredentials", 0, sender).Store(&about); err != nil {
		return c, err
	}
	if err := about["UnixUserID"].Store(&c.UID); err != nil {
		return c, err
	}
	if g, ok := about["UnixGroupIDs"]; ok { // since D-Bus 1.14
		if err := g.Store(&c.Groups); err != nil {
			return c, err
		}
	}
	return c, nil
}

// Polkit is the Authority of the system.
type Polkit struct {
	Conn   *dbus.Conn
	Logger *slog.Logger
}

// Allow implements Authority.
func (p *Polkit) Allow(ctx context.Context, c Caller) error {
	type subject struct {
		Kind    string
		Details map[string]dbus.Variant
	}
	const interactive = 1
	var flags uint32
	if c.Interactive {
		flags = interactive
	}
	var answer struct {
		Authorized, Challenge bool
		Details               map[string]string
	}
	err := p.Conn.Object("org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority").CallWithContext(ctx,
		"org.freedesktop.PolicyKit1.Authority.CheckAuthorization", 0,
		subject{"system-bus-name", map[string]dbus.Variant{"name": dbus.MakeVariant(c.Name)}},
		protocol.Action, map[string]string{}, flags, "").Store(&answer)
	switch {
	case err != nil:
		p.Logger.Error("polkit does not answer", "err", err)
		return &protocol.Error{Kind: protocol.Denied, What: "The system could not be asked whether you may mount (polkit).", Err: err}
	case !answer.Authorized:
		return &protocol.Error{Kind: protocol.Denied, What: "The system does not let this session mount without an administrator's password (polkit)."}
	}
	return nil
}
