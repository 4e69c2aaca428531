package cli

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moorage/moorage/daemon/api"
)

func (a *app) pinCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "pin NAME|DIR [PATH]",
		Short: "Keep a file or folder of a drive on this computer",
		Long: `Keeps a file or folder of a drive on this computer, with all that is in it now or
comes later, so that it can be read while the remote is away. Without PATH, which
begins at the drive's folder, that is the whole drive. It returns at once; what is
missing is fetched in the background, and moorage status NAME tells how far that is.

What is pinned stays so when it is renamed, and until moorage unpin.`,
		Example: `  moorage pin notes
  moorage pin models llama/8b`,
		Args:              between(1, 2, "moorage pin notes drafts"),
		ValidArgsFunction: a.completeDrives(mountedDrive),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := a.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			c, ctx, cancel, err := a.ask(cmd.Context())
			if err != nil {
				return err
			}
			defer cancel()
			p, err := c.Pin(ctx, d.Name, pinPath(args))
			if err != nil {
				return err
			}
			if p.State == api.PinKept {
				a.say("%s is pinned, and all of it is here", clean(pinnedName(d, p)))
				return nil
			}
			a.say("%s is pinned; see how far it is with moorage status %s", clean(pinnedName(d, p)), clean(d.Name))
			return nil
		},
	}
}

func (a *app) unpinCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "unpin NAME|DIR [PATH]",
		Short: "Let go of what moorage pin keeps on this computer",
		Long: `Ends what moorage pin began. Nothing is removed by that: what was kept goes when
there is need for room, and can be fetched again.`,
		Example:           `  moorage unpin models llama/8b`,
		Args:              between(1, 2, "moorage unpin notes drafts"),
		ValidArgsFunction: a.completeDrives(mountedDrive),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := a.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			c, ctx, cancel, err := a.ask(cmd.Context())
			if err != nil {
				return err
			}
			defer cancel()
			at := pinPath(args)
			if err := c.Unpin(ctx, d.Name, at); err != nil {
				return err
			}
			a.say("%s is not pinned any more", clean(pinnedName(d, api.Pin{Path: at})))
			return nil
		},
	}
}

// pinPath is the path of a command's arguments, as the drive has it.
func pinPath(args []string) string {
	if len(args) < 2 {
		return ""
	}
	at := filepath.ToSlash(filepath.Clean(args[1]))
	if at == "." {
		return ""
	}
	return strings.Trim(at, "/")
}

func pinnedName(d api.Drive, p api.Pin) string {
	if p.Path == "" {
		return d.Name
	}
	return p.Path
}

// showPins shows what is kept of a drive on this computer.
func (a *app) showPins(d api.Drive) {
	if len(d.Pins) == 0 {
		return
	}
	a.say("")
	t := table{head: []string{"PINNED", "STATE", "HERE", "OF", "FILES", "SINCE"}, tint: func(r []string, column int) string {
		if column == 1 && (r[1] == pinText(api.Pin{State: api.PinNoRoom}) || r[1] == pinText(api.Pin{State: api.PinFailed})) {
			return "33"
		}
		return ""
	}}
	for _, p := range d.Pins {
		name := p.Path
		if name == "" {
			name = "(all)"
		}
		t.add(name, pinText(p), size(p.Here), size(p.Total), fmt.Sprint(p.Files), p.Since.Local().Format(time.DateTime))
	}
	t.write(a)
	for _, p := range d.Pins {
		if q := p.Problem; q != nil {
			a.say("")
			a.say("%s: %s", clean(pinnedName(d, p)), clean(strings.TrimSpace(q.What+" "+q.Means)))
			if q.Do != "" {
				a.say("  %s", clean(q.Do))
			}
		}
	}
}

// pinText is how far a pin is, in words.
func pinText(p api.Pin) string {
	switch p.State {
	case api.PinKept:
		return "here"
	case api.PinOffline:
		return "waits for the remote"
	case api.PinNoRoom:
		return "no room"
	case api.PinFailed:
		return "not all can be had"
	}
	s := "fetching"
	if p.Total > 0 {
		s += fmt.Sprintf(" %d%%", min(100*p.Here/p.Total, 99))
	}
	return s
}
