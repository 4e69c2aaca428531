//go:build unix && !darwin

package secrets

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"
)

// System returns the keyring of this session: whatever answers the Secret Service
// API on the session bus.
func System() Keyring { return secretService{} }

// secretService speaks the Secret Service API itself and not through go-keyring,
// which asks the person at each call, and can neither be interrupted nor tell a
// keyring that is locked from one that does not work. Items look as that library's.
type secretService struct{}

const (
	ssName       = "org.freedesktop.secrets"
	ssPath       = dbus.ObjectPath("/org/freedesktop/secrets")
	ssService    = "org.freedesktop.Secret.Service"
	ssCollection = "org.freedesktop.Secret.Collection"
	ssItem       = "org.freedesktop.Secret.Item"
	ssPrompt     = "org.freedesktop.Secret.Prompt"
	ssLogin      = ssPath + "/collection/login" // where go-keyring puts things, if it is there

	attrService = "service"
	attrID      = "username"
)

// Limit is far below what a message on the bus may have.
func (secretService) Limit() int { return MaxSecret }

// ssSecret is a secret as the API has it.
type ssSecret struct {
	Session     dbus.ObjectPath
	Parameters  []byte
	Value       []byte
	ContentType string
}

func (secretService) Get(ctx context.Context, id string) (string, error) {
	s, err := dialSecrets(ctx)
	if err != nil {
		return "", err
	}
	defer s.close()
	item, err := s.find(id)
	if err != nil {
		return "", err
	}
	session, err := s.session()
	if err != nil {
		return "", err
	}
	var secret ssSecret
	if err := s.call(item, ssItem+".GetSecret", session).Store(&secret); err != nil {
		return "", ssError(err)
	}
	return string(secret.Value), nil
}

func (secretService) Set(ctx context.Context, id, secret string) error {
	s, err := dialSecrets(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	c, err := s.collection()
	if err != nil {
		return err
	}
	if c == "" {
		return fmt.Errorf("%w: it has no place for passwords yet", ErrLocked)
	}
	if locked, err := s.locked(c); err != nil || locked {
		return lockedOr(err)
	}
	session, err := s.session()
	if err != nil {
		return err
	}
	properties := map[string]dbus.Variant{
		ssItem + ".Label":      dbus.MakeVariant("Moorage drive " + id),
		ssItem + ".Attributes": dbus.MakeVariant(map[string]string{attrService: service, attrID: id}),
	}
	var item, prompt dbus.ObjectPath
	in := ssSecret{Session: session, Parameters: []byte{}, Value: []byte(secret), ContentType: "text/plain; charset=utf8"}
	if err := s.call(c, ssCollection+".CreateItem", properties, in, true).Store(&item, &prompt); err != nil {
		return ssError(err)
	}
	return s.prompt(prompt)
}

func (secretService) Delete(ctx context.Context, id string) error {
	s, err := dialSecrets(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	for {
		item, err := s.find(id)
		if err != nil {
			return err
		}
		var prompt dbus.ObjectPath
		if err := s.call(item, ssItem+".Delete").Store(&prompt); err != nil {
			return ssError(err)
		}
		if err := s.prompt(prompt); err != nil {
			return err
		}
		if _, err := s.find(id); errors.Is(err, ErrNotFound) {
			return nil
		}
	}
}

func (secretService) List(ctx context.Context) ([]string, error) {
	s, err := dialSecrets(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	unlocked, locked, err := s.search(map[string]string{attrService: service})
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, item := range append(unlocked, locked...) {
		v, err := s.c.Object(ssName, item).GetProperty(ssItem + ".Attributes")
		if err != nil {
			continue // gone meanwhile, or nothing is told of locked ones
		}
		if a, ok := v.Value().(map[string]string); ok && a[attrID] != "" {
			ids = append(ids, a[attrID])
		}
	}
	return ids, nil
}

// Unlock asks for the keyring's password, or for one for a new keyring.
func (secretService) Unlock(ctx context.Context) error {
	s, err := dialSecrets(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	c, err := s.collection()
	if err != nil {
		return err
	}
	if c == "" {
		var prompt dbus.ObjectPath
		label := map[string]dbus.Variant{ssCollection + ".Label": dbus.MakeVariant("Login")}
		if err := s.call(ssPath, ssService+".CreateCollection", label, "default").Store(&c, &prompt); err != nil {
			return ssError(err)
		}
		return s.prompt(prompt)
	}
	if err := s.unlock(c); err != nil {
		return err
	}
	if locked, err := s.locked(c); err != nil || locked {
		return lockedOr(err)
	}
	return nil
}

// lockedOr is err, or that the keyring is locked.
func lockedOr(err error) error {
	if err != nil {
		return err
	}
	return ErrLocked
}

// ssConn is a connection of its own to the keyring, for one call of ours: with it
// ends what hangs.
type ssConn struct {
	ctx context.Context
	c   *dbus.Conn
}

// dialBus connects to the session bus, and starts none.
func dialBus(ctx context.Context) (*dbus.Conn, error) {
	c, err := dbus.SessionBusPrivateNoAutoStartup(dbus.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoBus, err)
	}
	if err = c.Auth(nil); err == nil {
		err = c.Hello()
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("%w: %w", ErrNoBus, err)
	}
	return c, nil
}

// dialSecrets connects, and makes sure that there is a keyring.
func dialSecrets(ctx context.Context) (*ssConn, error) {
	c, err := dialBus(ctx)
	if err != nil {
		return nil, err
	}
	s := &ssConn{ctx: ctx, c: c}
	if err := s.provider(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *ssConn) close() { s.c.Close() }

func (s *ssConn) call(path dbus.ObjectPath, method string, args ...any) *dbus.Call {
	return s.c.Object(ssName, path).CallWithContext(s.ctx, method, 0, args...)
}

// provider makes sure that a program has the keyring's name, or can be started.
func (s *ssConn) provider() error {
	const bus = "org.freedesktop.DBus"
	var owned bool
	if err := s.c.BusObject().CallWithContext(s.ctx, bus+".NameHasOwner", 0, ssName).Store(&owned); err != nil {
		return ssError(err)
	}
	if owned {
		return nil
	}
	var names []string
	if err := s.c.BusObject().CallWithContext(s.ctx, bus+".ListActivatableNames", 0).Store(&names); err != nil {
		return ssError(err)
	}
	if !slices.Contains(names, ssName) {
		return ErrNoProvider
	}
	return nil
}

// session makes a session in which secrets are plain: the bus is a socket of this
// user, whose programs could as well ask the keyring. It ends with the connection.
func (s *ssConn) session() (dbus.ObjectPath, error) {
	var none dbus.Variant
	var path dbus.ObjectPath
	if err := s.call(ssPath, ssService+".OpenSession", "plain", dbus.MakeVariant("")).Store(&none, &path); err != nil {
		return "", ssError(err)
	}
	return path, nil
}

// collection is where secrets go; "" if there is none yet.
func (s *ssConn) collection() (dbus.ObjectPath, error) {
	v, err := s.c.Object(ssName, ssPath).GetProperty(ssService + ".Collections")
	if err != nil {
		return "", ssError(err)
	}
	if all, ok := v.Value().([]dbus.ObjectPath); ok && slices.Contains(all, ssLogin) {
		return ssLogin, nil
	}
	var path dbus.ObjectPath
	if err := s.call(ssPath, ssService+".ReadAlias", "default").Store(&path); err != nil {
		return "", ssError(err)
	}
	if path == "/" {
		return "", nil
	}
	return path, nil
}

func (s *ssConn) locked(c dbus.ObjectPath) (bool, error) {
	v, err := s.c.Object(ssName, c).GetProperty(ssCollection + ".Locked")
	if err != nil {
		return false, ssError(err)
	}
	locked, ok := v.Value().(bool)
	return locked && ok, nil
}

func (s *ssConn) search(attributes map[string]string) (unlocked, locked []dbus.ObjectPath, err error) {
	if err := s.call(ssPath, ssService+".SearchItems", attributes).Store(&unlocked, &locked); err != nil {
		return nil, nil, ssError(err)
	}
	return unlocked, locked, nil
}

// find finds the item of id. If it is not seen in a keyring that is locked, nobody
// knows whether it is there.
func (s *ssConn) find(id string) (dbus.ObjectPath, error) {
	unlocked, locked, err := s.search(map[string]string{attrService: service, attrID: id})
	if err != nil {
		return "", err
	}
	if len(unlocked) > 0 {
		return unlocked[0], nil
	}
	c, err := s.collection()
	if err != nil {
		return "", err
	}
	if c != "" {
		if shut, err := s.locked(c); err != nil || shut {
			return "", lockedOr(err)
		}
	}
	if len(locked) == 0 {
		return "", ErrNotFound
	}
	// KeePassXC asks for single items, if it is set to.
	if err := s.unlock(locked[0]); err != nil {
		return "", err
	}
	return locked[0], nil
}

// unlock has the keyring ask for a collection or an item.
func (s *ssConn) unlock(path dbus.ObjectPath) error {
	var unlocked []dbus.ObjectPath
	var prompt dbus.ObjectPath
	if err := s.call(ssPath, ssService+".Unlock", []dbus.ObjectPath{path}).Store(&unlocked, &prompt); err != nil {
		return ssError(err)
	}
	return s.prompt(prompt)
}

// prompt shows the prompt that a call asks for, if it does, and waits for its end.
func (s *ssConn) prompt(path dbus.ObjectPath) error {
	if path == "/" || path == "" {
		return nil
	}
	if err := s.c.AddMatchSignalContext(s.ctx, dbus.WithMatchObjectPath(path), dbus.WithMatchInterface(ssPrompt)); err != nil {
		return ssError(err)
	}
	signals := make(chan *dbus.Signal, 4)
	s.c.Signal(signals)
	if err := s.call(path, ssPrompt+".Prompt", "").Err; err != nil {
		return ssError(err)
	}
	for {
		select {
		case sig, ok := <-signals:
			switch {
			case !ok:
				return fmt.Errorf("%w: it went away", ErrTimeout)
			case sig.Path != path || sig.Name != ssPrompt+".Completed" || len(sig.Body) == 0:
				continue
			}
			if dismissed, ok := sig.Body[0].(bool); ok && dismissed {
				return ErrDismissed
			}
			return nil
		case <-s.ctx.Done():
			return s.ctx.Err() // the prompt ends with the connection
		}
	}
}

// ssError sorts what the bus and the keyring say.
func ssError(err error) error {
	var e dbus.Error
	if !errors.As(err, &e) {
		if ctxErr := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, dbus.ErrClosed); ctxErr {
			return fmt.Errorf("%w: %w", ErrTimeout, err)
		}
		return fmt.Errorf("%w: %w", ErrNone, err)
	}
	const bus = "org.freedesktop.DBus.Error."
	switch {
	case e.Name == "org.freedesktop.Secret.Error.IsLocked":
		return fmt.Errorf("%w: %w", ErrLocked, err)
	case e.Name == "org.freedesktop.Secret.Error.NoSuchObject":
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case e.Name == bus+"NoReply", e.Name == bus+"Timeout", e.Name == bus+"TimedOut":
		return fmt.Errorf("%w: %w", ErrTimeout, err)
	case e.Name == bus+"ServiceUnknown", e.Name == bus+"NameHasNoOwner", strings.HasPrefix(e.Name, bus+"Spawn."):
		return fmt.Errorf("%w: %w", ErrNoProvider, err)
	}
	return fmt.Errorf("%w: %w", ErrNone, err)
}
