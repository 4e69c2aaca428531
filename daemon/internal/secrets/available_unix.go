//go:build unix && !darwin

package secrets

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// available makes sure that there is a session bus before the D-Bus library
// looks for one: where there is none, it starts one that stays behind.
func available() error {
	if a := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); a != "" && a != "autolaunch:" {
		return nil
	}
	// The same places where the library looks.
	run := filepath.Join("/run/user", strconv.Itoa(os.Getuid()))
	for _, f := range []string{"bus", "dbus-session"} {
		if _, err := os.Stat(filepath.Join(run, f)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%w: there is no D-Bus session", ErrNone)
}
