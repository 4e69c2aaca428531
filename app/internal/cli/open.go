package cli

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/moorage/moorage/daemon/api"
)

func (a *app) openCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "open NAME",
		Short:             "Show a mounted drive in the file manager",
		Example:           `  moorage open go`,
		Args:              exactly(1, "moorage open go"),
		ValidArgsFunction: a.completeDrives(mountedDrive),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := a.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if d.State != api.Mounted && d.State != api.Degraded {
				return &failure{status: api.ExitFailed, what: fmt.Sprintf("%s is not mounted.", d.Name), do: "Mount it first: moorage mount " + d.Name}
			}
			// The path is absolute and so no option of the file manager's.
			if !filepath.IsAbs(d.Dir) && filepath.VolumeName(d.Dir) != d.Dir {
				return fmt.Errorf("the service gave %q for a folder", d.Dir)
			}
			if err := a.Launch([]string{fileManager, d.Dir}); err != nil {
				return &failure{status: api.ExitMissing, what: fmt.Sprintf("No file manager could be started: %v.", err), do: "The drive is at " + d.Dir + "."}
			}
			return nil
		},
	}
}

// openWindow starts the window where there is a desktop and it is installed
// beside this program.
func (a *app) openWindow() error {
	if !hasDesktop(a.Getenv) {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil // it is an extra
	}
	if real, err := filepath.EvalSymlinks(self); err == nil {
		self = real
	}
	window := filepath.Join(filepath.Dir(self), "moorage-desktop"+exeSuffix)
	if fi, err := os.Stat(window); err != nil || !fi.Mode().IsRegular() {
		return nil
	}
	if err := a.Launch([]string{window}); err != nil {
		return fmt.Errorf("open the window: %w", err)
	}
	return nil
}
