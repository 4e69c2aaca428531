package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"github.com/moorage/moorage/daemon/crash"
	"github.com/moorage/moorage/daemon/internal/control"
	"github.com/moorage/moorage/daemon/internal/keeper"
	"github.com/moorage/moorage/daemon/internal/mounts"
)

// keepCommand is what keeps listeners while the service is away.
func keepCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "keep SOCKET",
		Short:  "Keep the ports of mounted drives while the service is killed and started again",
		Hidden: true,
		Args:   usageArgs(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{ReplaceAttr: crash.RedactAttr}))
			if err := leaveService(c.Context()); err != nil {
				log.Warn("systemd will end this with the service", "err", err)
			}
			err := keeper.Serve(c.Context(), args[0], log)
			var running *control.RunningError
			if errors.As(err, &running) { // somebody else's was faster
				return nil
			}
			return err
		},
	}
}

// keeperOf is the keeper of the service at socket.
func keeperOf(socket string) mounts.Keeper {
	at := socket + ".keep"
	return keeper.NewClient(at, func() error {
		self, err := thisProgram()
		if err != nil {
			return err
		}
		cmd := exec.Command(self, "keep", at)
		cmd.Dir = rootDir
		cmd.SysProcAttr = detached()
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("start the keeper: %w", err)
		}
		go func() { _ = cmd.Wait() }() // reaps it, if this process is still there then
		return nil
	})
}
