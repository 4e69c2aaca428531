// Command manpages writes the manual pages into a folder: those of the command line and
// the app, in section 1, and of the programs behind them, in section 8.
package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/moorage/moorage/app/internal/cli"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: manpages DIR DATE (as 2006-01-02)")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "manpages:", err)
		os.Exit(1)
	}
}

func write(dir, date string) error {
	at, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return err
	}
	tree := func(c *cobra.Command, section string) error {
		c.DisableAutoGenTag = true
		return doc.GenManTree(c, &doc.GenManHeader{Section: section, Source: "Moorage", Manual: "Moorage", Date: &at}, dir)
	}
	return errors.Join(tree(cli.Command(cli.Env{}), "1"), tree(desktop(), "1"), tree(service(), "8"), tree(helper(), "8"))
}

// desktop describes moorage-desktop.
func desktop() *cobra.Command {
	c := &cobra.Command{Use: "moorage-desktop", Short: "The drives of Moorage in a window and in the tray", Run: func(*cobra.Command, []string) {},
		Long: `The app shows the drives of **mooraged**(8), which it starts if there is none, and adds, mounts and unmounts them. It goes on in the tray when its window is closed; a second launch opens the window of the first one. Ending it leaves the drives as they are.

What it does the command line does, too: **moorage**(1). Its settings have it started at each login.

# FILES

*~/.config/autostart/moorage.desktop* has the app started at login.`}
	c.Flags().Bool("hidden", false, "start without the window, in the tray")
	return c
}

// service describes mooraged, whose own help says the same in fewer words.
func service() *cobra.Command {
	c := &cobra.Command{Use: "mooraged", Short: "The Moorage service", Run: func(*cobra.Command, []string) {},
		Long: `The service keeps the drives of one user, serves them over NFSv3 to this computer alone, and has the system mount them. **moorage**(1) and the desktop app start it when they need it; **moorage-service-install**(1) has systemd start it at each login and again after a crash.

SIGINT and SIGTERM end it after all drives are unmounted, in the end by force, since a mount without a server hangs whoever touches it. A service that was killed leaves its mounts, and the next one takes them up. **moorage-service-restart**(1) lets a new version take over while drives stay mounted.

The commands **mooraged serve** and **mooraged service** are those of **moorage**(1).

# FILES

*~/.config/moorage/config.toml* has the drives. *~/.local/state/moorage* has the log, what identifies drives to the system, and what was changed and is not published yet: it must not be lost. *~/.cache/moorage* can be removed while no drive is mounted.

# ENVIRONMENT

**MOORAGE_SOCKET** moves the socket by which programs speak to the service. **XDG_CONFIG_HOME**, **XDG_STATE_HOME**, **XDG_CACHE_HOME** and **XDG_RUNTIME_DIR** are used as by others.`}
	c.Flags().Bool("foreground", false, "log to standard error instead of the log file")
	c.Flags().BoolP("version", "v", false, "version for mooraged")
	return c
}

// helper describes moorage-mount-helper, which people never call.
func helper() *cobra.Command {
	return &cobra.Command{Use: "moorage-mount-helper [once]", Short: "Mounts the drives of Moorage for ordinary users",
		Run: func(*cobra.Command, []string) {}, DisableFlagsInUseLine: true,
		Long: `The helper is a service of the system bus, *org.moorage.MountHelper1*, that runs as root. The bus starts it when a user's **mooraged**(8) mounts a drive. Polkit's action *org.moorage.mount* says who may: whoever sits in front of the computer, and others after an administrator's password. Rules in */etc/polkit-1/rules.d* change that.

It mounts only folders that belong to the user who asks, and nothing but what her own service serves, without set-user-ID programs and devices. A drive's server listens in a network namespace where no other program is. The helper keeps four capabilities.

With **once** it does one thing for the user who was let run it by **pkexec**(1) or **sudo**(8), where it is not installed as a service.

# FILES

*/run/moorage-mount-helper* has what is mounted for whom, and the namespaces.`}
}
