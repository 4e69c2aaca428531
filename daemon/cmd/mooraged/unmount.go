package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/moorage/moorage/daemon/internal/lockfile"
	"github.com/moorage/moorage/daemon/internal/mounts"
	"github.com/moorage/moorage/daemon/internal/state"
	"github.com/moorage/moorage/daemon/places"
	"github.com/moorage/moorage/providers"
)

// unmountCommand is what the moorage command runs when the service does not answer.
func unmountCommand() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "unmount NAME [DIR...]",
		Short: "Take a drive away without asking the service, which does not answer",
		Long: `Take the mount of a drive away, given by its name or by a folder where it may be
mounted. The service is not asked; "moorage unmount" does this when it does not
answer.`,
		Args: usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			return unmountAlone(c.Context(), args[0], args[1:], force, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	c.Flags().BoolVar(&force, "force", false, "also from programs that have files of it open")
	return c
}

func unmountAlone(ctx context.Context, name string, dirs []string, force bool, stdout, stderr io.Writer) error {
	p, err := places.Default()
	if err != nil {
		return err
	}
	store, err := state.Open(p.Drives())
	if err != nil {
		return err
	}
	st, err := mounts.UnmountAlone(ctx, store, newMounter(slog.New(slog.DiscardHandler)), name, dirs, force)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s is unmounted\n", st.Name)
	fmt.Fprintln(stderr, "The service was not asked: it does not answer"+by(filepath.Join(p.State, "service.lock"))+".")
	if loc, err := newOpener(providers.Network{}).Parse(st.URL); err == nil && loc.Kind != "folder" && loc.Kind != "mem" && !st.ReadOnly {
		fmt.Fprintln(stderr, "What is not on the remote yet is kept on this computer, and published when the drive is mounted again:")
		fmt.Fprintf(stderr, "  moorage mount %s\n", st.Name)
	}
	return nil
}

// by names the process that holds the service's lock.
func by(path string) string {
	l, err := lockfile.Acquire(path)
	var held *lockfile.HeldError
	switch {
	case errors.As(err, &held) && held.PID != 0:
		return fmt.Sprintf(" (process %d)", held.PID)
	case err == nil:
		l.Release()
	}
	return ""
}
