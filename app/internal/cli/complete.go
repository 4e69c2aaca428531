package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/moorage/moorage/daemon/api"
)

// completeTimeout bounds what a press of the Tab key waits for.
const completeTimeout = time.Second

func anyDrive(api.Drive) bool { return true }

func mountedDrive(d api.Drive) bool { return d.State != api.Stopped }

func stoppedDrive(d api.Drive) bool { return d.State != api.Mounted && d.State != api.Degraded }

// running asks the service for drives, but never starts it.
func (a *app) running(ctx context.Context, want func(api.Drive) bool) []cobra.Completion {
	c, err := a.Connect()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, completeTimeout)
	defer cancel()
	all, err := c.Drives(ctx)
	if err != nil {
		return nil
	}
	var names []cobra.Completion
	for _, d := range all {
		if want(d) && d.Name == clean(d.Name) {
			names = append(names, cobra.CompletionWithDesc(d.Name, clean(stateText(d)+", "+d.Dir)))
		}
	}
	return names
}

// completeDrives completes one drive: by its name, or by a path.
func (a *app) completeDrives(want func(api.Drive) bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.running(cmd.Context(), want), cobra.ShellCompDirectiveDefault
	}
}

func (a *app) completeMount(cmd *cobra.Command, args []string, part string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return a.running(cmd.Context(), stoppedDrive), cobra.ShellCompDirectiveDefault
	}
	return completeURLAndDir(cmd, args, part)
}

// completeURLAndDir completes folders: a URL can be one, DIR is one.
func completeURLAndDir(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveFilterDirs
}
