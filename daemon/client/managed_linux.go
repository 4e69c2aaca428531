package client

import (
	"context"
	"os/exec"
)

// Unit is the service's name for systemd's user manager.
const Unit = "moorage.service"

// startManaged has the user manager start the service, if it is to start it at
// login, and reports whether it did.
func startManaged(ctx context.Context) bool {
	return exec.CommandContext(ctx, "systemctl", "--user", "--quiet", "is-enabled", Unit).Run() == nil &&
		exec.CommandContext(ctx, "systemctl", "--user", "start", Unit).Run() == nil
}
