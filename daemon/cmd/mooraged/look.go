package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/moorage/moorage/daemon/internal/mounts"
)

// How a look ends that is no failure of the look itself.
const (
	exitStale = 10
	exitDeaf  = 11
)

// lookCommand is what the service runs to see whether a mount answers: it may hang, and
// is killed then.
func lookCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "look DIR",
		Short:  "See whether a mount answers",
		Hidden: true,
		Args:   usageArgs(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			// From here on it is the mount that is waited for.
			if _, err := io.WriteString(c.OutOrStdout(), "\n"); err != nil {
				return err
			}
			err := lookAt(args[0])
			switch {
			case err == nil:
				return nil
			case errors.Is(err, syscall.ESTALE):
				os.Exit(exitStale)
			case errors.Is(err, syscall.EIO), errors.Is(err, syscall.ETIMEDOUT): // of a mount that gives up
				os.Exit(exitDeaf)
			}
			return err
		},
	}
}

// reapTime is how long a process that was killed may take to go.
const reapTime = 2 * time.Second

// look is mounts.Options.Look.
func look(ctx context.Context, dir string) error {
	self, err := thisProgram()
	if err != nil {
		return err
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, self, "look", dir)
	cmd.Dir = rootDir
	cmd.Stdout = &out
	cmd.WaitDelay = reapTime / 2
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("look at %s: %w", dir, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		t := time.NewTimer(reapTime)
		defer t.Stop()
		select {
		case err = <-ended:
		case <-t.C: // no signal ends it
			return mounts.ErrDeaf
		}
	}
	var exit *exec.ExitError
	switch {
	case err == nil || errors.Is(ctx.Err(), context.Canceled):
		return nil
	case errors.As(err, &exit) && exit.ExitCode() == exitStale:
		return mounts.ErrStale
	case errors.As(err, &exit) && exit.ExitCode() == exitDeaf:
		return mounts.ErrDeaf
	case ctx.Err() != nil && out.Len() > 0:
		return mounts.ErrDeaf
	}
	return fmt.Errorf("look at %s: %w", dir, err)
}
