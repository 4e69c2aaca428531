// Command moorage is the command line: it mounts remote repositories as drives
// and looks after them, all through the service.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/moorage/moorage/app/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends it at once
	status := cli.Run(ctx, os.Args[1:], cli.System())
	stop()
	os.Exit(status)
}
