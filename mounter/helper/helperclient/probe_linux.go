package helperclient

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/moorage/moorage/mounter"
	"github.com/moorage/moorage/mounter/helper/protocol"
)

// probeTimeout bounds each question of Probe; the bus may start what is asked.
const probeTimeout = 5 * time.Second

const reinstall = "Install Moorage's package again."

// Probe looks at what this system has for mounting. Where this process may not mount by
// itself, that is the system's bus, the mount helper, and what polkit says of it.
func (m *Mounter) Probe(ctx context.Context) []mounter.Check {
	checks := m.Mounter.Probe(ctx)
	if mounter.MayMount() {
		return checks
	}
	bus := mounter.Check{Name: "system bus", OK: true, Detail: "It answers."}
	conn, err := m.connect()
	if err != nil {
		bus.OK, bus.Detail, bus.Remedy = false, fmt.Sprintf("It cannot be used: %v.", err), "Install and start dbus; drives are mounted by a service that is on it."
		return append(checks, bus)
	}
	helper, installed := m.probeHelper(ctx, conn)
	if installed {
		for i := range checks {
			if checks[i].Name == "rights" {
				checks[i] = mounter.Check{Name: "rights", OK: true, Detail: "Moorage's mount helper mounts for you."}
			}
		}
	}
	checks = append(checks, bus, helper)
	if installed {
		checks = append(checks, probePolicy(ctx, conn))
	}
	return checks
}

// probeHelper asks the bus whether it knows the mount helper, and the helper for what it
// has mounted for this user.
func (m *Mounter) probeHelper(ctx context.Context, conn *dbus.Conn) (c mounter.Check, installed bool) {
	c = mounter.Check{Name: "mount helper"}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var activatable []string
	var running bool
	err := conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.ListActivatableNames", 0).Store(&activatable)
	if err == nil {
		err = conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, protocol.Name).Store(&running)
	}
	switch {
	case err != nil:
		c.Detail, c.Remedy = fmt.Sprintf("The system bus does not tell: %v.", err), "Try again; if it stays, restart the computer."
		return c, false
	case !running && !slices.Contains(activatable, protocol.Name):
		c.Detail = "It is not installed, or the bus was not told: " + protocol.Name + " is no name that it can start."
		c.Remedy = "Install Moorage's package. Without it drives are mounted by root, pkexec or sudo only."
		return c, false
	}
	l, err := m.mounted(ctx)
	if err != nil {
		var p *protocol.Error
		c.Detail = fmt.Sprintf("It does not answer: %v.", err)
		if errors.As(err, &p) {
			c.Detail = "It does not answer: " + p.What
		}
		c.Remedy = "See what it says: journalctl -u moorage-mount-helper. " + reinstall
		return c, false
	}
	c.OK, c.Detail = true, fmt.Sprintf("It answers, and has %d mounted for you.", len(l))
	return c, true
}

// Of polkit's interface.
const (
	polkitName   = "org.freedesktop.PolicyKit1"
	polkitPath   = "/org/freedesktop/PolicyKit1/Authority"
	polkitPrefix = "org.freedesktop.PolicyKit1.Authority."
)

// probePolicy asks polkit whether it knows the helper's action, and whether this session
// may mount without a password.
func probePolicy(ctx context.Context, conn *dbus.Conn) mounter.Check {
	c := mounter.Check{Name: "mount policy"}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	authority := conn.Object(polkitName, polkitPath)
	type subject struct {
		Kind    string
		Details map[string]dbus.Variant
	}
	var may struct {
		Authorized, Challenge bool
		Details               map[string]string
	}
	me := subject{"unix-process", map[string]dbus.Variant{
		"pid": dbus.MakeVariant(uint32(os.Getpid())), "start-time": dbus.MakeVariant(uint64(0)), "uid": dbus.MakeVariant(int32(os.Getuid()))}}
	err := authority.CallWithContext(ctx, polkitPrefix+"CheckAuthorization", 0, me, protocol.Action, map[string]string{}, uint32(0), "").Store(&may)
	var e dbus.Error
	switch {
	case errors.As(err, &e) && (e.Name == "org.freedesktop.DBus.Error.ServiceUnknown" || e.Name == "org.freedesktop.DBus.Error.NameHasNoOwner"):
		c.Detail, c.Remedy = "polkit is not there, so that the mount helper refuses everybody.", "Install polkitd."
	case err != nil:
		c.Detail, c.Remedy = fmt.Sprintf("polkit does not know %s: %v.", protocol.Action, err), reinstall
	case may.Authorized:
		c.OK, c.Detail = true, "You may mount without a password."
	case may.Challenge:
		c.OK, c.Detail = true, "An administrator's password is asked for at the first mount: this session is not in front of the screen."
	default:
		c.Detail = "polkit does not let this session mount."
		c.Remedy = "Mount from the session in front of the screen, or ask an administrator for a rule that allows " + protocol.Action + "."
	}
	return c
}
