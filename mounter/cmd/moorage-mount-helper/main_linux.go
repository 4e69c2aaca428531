// Command moorage-mount-helper mounts drives for users, as root. The system bus
// starts it when somebody mounts; see package helper.
//
// "moorage-mount-helper once" does one thing for the user who was let run it by
// pkexec or sudo, where the service is not installed.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/godbus/dbus/v5"

	"github.com/moorage/moorage/mounter/helper"
)

// runDir is empty after a boot.
const runDir = "/run/moorage-mount-helper"

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "moorage-mount-helper:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	if len(args) > 1 || len(args) == 1 && args[0] != "once" {
		return errors.New("usage: moorage-mount-helper [once]")
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	o := helper.Options{Logger: log,
		System:  &helper.Kernel{Dir: filepath.Join(runDir, "ns"), Logger: log},
		Records: &helper.Records{Dir: filepath.Join(runDir, "mounts"), Logger: log},
	}
	for _, d := range []string{runDir, filepath.Join(runDir, "ns"), filepath.Join(runDir, "mounts")} {
		if err := ownDir(d); err != nil {
			return err
		}
	}
	if err := helper.Confine(); err != nil {
		return err
	}
	if len(args) == 1 {
		uid, err := behind()
		if err != nil {
			return err
		}
		return helper.Once(o, helper.Caller{UID: uid}, in, out)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	bus, err := dbus.ConnectSystemBus()
	if err != nil {
		return fmt.Errorf("connect to the system bus: %w", err)
	}
	defer bus.Close()
	calls, err := dbus.ConnectSystemBus()
	if err != nil {
		return fmt.Errorf("connect to the system bus: %w", err)
	}
	defer calls.Close()
	o.Authority = &helper.Polkit{Conn: calls, Logger: log}
	h, err := helper.New(o)
	if err != nil {
		return err
	}
	return h.Serve(ctx, bus, calls)
}

// ownDir makes a folder that only root can enter, or makes sure that it is one.
func ownDir(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	fi, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); !ok || !fi.IsDir() || fi.Mode().Perm() != 0o700 || st.Uid != 0 {
		return fmt.Errorf("%s is not a folder of root's alone", path)
	}
	return nil
}

// behind is the user who was let run this as root.
func behind() (uint32, error) {
	for _, name := range []string{"PKEXEC_UID", "SUDO_UID"} {
		if v, ok := os.LookupEnv(name); ok {
			uid, err := strconv.ParseUint(v, 10, 32)
			if err != nil || uid == 0 {
				return 0, fmt.Errorf("%s is %q", name, v)
			}
			return uint32(uid), nil
		}
	}
	return 0, errors.New("once is for pkexec and sudo")
}
