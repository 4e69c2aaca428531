package client

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// Label is the service's name for launchd, and that of its file.
const Label = "io.github.moorage"

// startManaged has launchd start the service, if it is to start it at login, and
// reports whether it did.
func startManaged(ctx context.Context) bool {
	home, err := os.UserHomeDir()
	if err != nil {
		return false
	}
	file := filepath.Join(home, "Library", "LaunchAgents", Label+".plist")
	if _, err := os.Stat(file); err != nil {
		return false
	}
	domain := "gui/" + strconv.Itoa(os.Getuid())
	exec.CommandContext(ctx, "launchctl", "bootstrap", domain, file).Run() // fails if it is known already
	return exec.CommandContext(ctx, "launchctl", "kickstart", domain+"/"+Label).Run() == nil
}
