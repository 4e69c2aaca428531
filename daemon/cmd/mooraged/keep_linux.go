package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/godbus/dbus/v5"
)

// leaveService has systemd count this process as a unit of its own. It ends all that a
// service has started when that is killed, and this is what is to be left.
func leaveService(ctx context.Context) error {
	if os.Getenv("INVOCATION_ID") == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	// As systemctl does: without a bus, which a session need not have.
	systemd, err := dbus.Dial("unix:path="+filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "systemd", "private"), dbus.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("find the user's systemd: %w", err)
	}
	defer systemd.Close()
	if err := systemd.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Getuid()))}); err != nil {
		return fmt.Errorf("greet the user's systemd: %w", err)
	}
	type property struct {
		Name  string
		Value dbus.Variant
	}
	type auxiliary struct {
		Name       string
		Properties []property
	}
	name := fmt.Sprintf("moorage-keeper-%d.scope", os.Getpid())
	call := systemd.Object("org.freedesktop.systemd1", "/org/freedesktop/systemd1").CallWithContext(ctx,
		"org.freedesktop.systemd1.Manager.StartTransientUnit", 0, name, "fail", []property{
			{"Description", dbus.MakeVariant("Moorage: ports of mounted drives")},
			{"PIDs", dbus.MakeVariant([]uint32{uint32(os.Getpid())})},
			{"CollectMode", dbus.MakeVariant("inactive-or-failed")},
		}, []auxiliary{})
	if call.Err != nil {
		return fmt.Errorf("become a unit of its own: %w", call.Err)
	}
	return nil
}
