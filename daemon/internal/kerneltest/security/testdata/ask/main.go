//go:build linux

// Command ask asks the mount helper for what it must refuse, and prints what it said.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/godbus/dbus/v5"

	"github.com/moorage/moorage/mounter"
	"github.com/moorage/moorage/mounter/helper/helperclient"
	"github.com/moorage/moorage/mounter/helper/protocol"
)

func main() {
	if err := ask(os.Args[1], os.Args[2]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func ask(verb, dir string) error {
	const drive = "0123456789abcdef"
	m := helperclient.New(new(mounter.Mounter))
	switch verb {
	case "descriptor": // which no verb takes; the bus must not deliver it
		conn, err := dbus.ConnectSystemBus()
		if err != nil {
			return err
		}
		defer conn.Close()
		err = conn.Object(protocol.Name, protocol.Path).Call(protocol.Name+"."+protocol.List, 0, dbus.UnixFD(0)).Err
		var e dbus.Error
		if errors.As(err, &e) {
			return errors.New(e.Name)
		}
		return err
	case "unmount":
		return m.Unmount(context.Background(), dir, true)
	case "mount":
		l, err := m.Listen(context.Background(), drive, 0)
		if err != nil {
			return err
		}
		defer l.Close()
		return m.Mount(context.Background(), mounter.Spec{Drive: drive, Held: true, Dir: dir,
			Export: "/" + strings.Repeat("0", 32) + "/x", Root: []byte("root")})
	}
	return fmt.Errorf("what is %s?", verb)
}
