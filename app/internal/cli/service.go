package cli

import (
	"github.com/spf13/cobra"
)

func (a *app) serviceCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "service",
		Short: "Have the service started at login, start it, end it",
		Long: `The service keeps drives and mounts them. Commands that need it start it, so that
none of these is needed for a drive to be mounted; "install" is for drives that are
there at login, and for a service that comes back after a crash.`,
		Example: `  moorage service install        now, at each login, and again after a crash
  moorage service status
  moorage service restart        after an update; drives stay mounted
  moorage service stop           unmount all drives and end it`,
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, args []string) error { return cmd.Help() },
	}
	verb := func(name, short, long string) *cobra.Command {
		v := &cobra.Command{Use: name, Short: short, Long: long, Example: "  moorage service " + name, Args: exactly(0, "moorage service "+name),
			RunE: func(cmd *cobra.Command, args []string) error {
				argv := []string{"service", name}
				if f := cmd.Flags().Lookup("json"); f != nil && f.Changed {
					argv = append(argv, "--json="+f.Value.String())
				}
				return a.serve(cmd.Context(), argv, "")
			}}
		c.AddCommand(v)
		return v
	}
	verb("install", "Start the service at each login, and now",
		"Has the system's service manager (systemd, launchd, the Run key of Windows) start the\nservice at each login and again after a crash, and starts it now. Drives that are\nmounted stay so.")
	verb("uninstall", "Start the service at login no more", "Undoes install. A service that runs goes on.")
	verb("start", "Start the service, if it does not run", "Starts the service, if it does not run.")
	verb("restart", "Have the installed version take over; drives stay mounted",
		"Has the version that is installed take the place of the service that runs. Drives stay\nmounted, and who uses one meanwhile waits a moment. If the new one does not start, the\none before goes on. Nothing is done while a drive lives in the service's memory (mem:).")
	verb("stop", "Unmount all drives and end the service", "Unmounts all drives and ends the service. Nothing is ended if a drive is in use.")
	verb("status", "Say whether the service runs, and whether it is started at login",
		"Says whether the service runs, and whether it is started at login.").Flags().Bool("json", false, "print a JSON object")
	return c
}
