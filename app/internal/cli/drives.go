package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moorage/moorage/daemon/api"
)

// find looks a drive up by its name, else by the folder that it is mounted on.
// It only compares paths: looking at a dead mount hangs.
func (a *app) find(ctx context.Context, arg string) (api.Drive, error) {
	c, ctx, cancel, err := a.ask(ctx)
	if err != nil {
		return api.Drive{}, err
	}
	defer cancel()
	all, err := c.Drives(ctx)
	if err != nil {
		return api.Drive{}, err
	}
	for _, d := range all {
		if d.Name == arg {
			return d, nil
		}
	}
	dir, err := absDir(arg)
	if err != nil {
		return api.Drive{}, err
	}
	dirs := []string{dir, resolved(dir)}
	for _, d := range all {
		if d.Dir != "" && slices.Contains(dirs, filepath.Clean(d.Dir)) {
			return d, nil
		}
	}
	return api.Drive{}, nothing(fmt.Sprintf("There is no drive %q.", arg), "moorage status shows all there are.")
}

// absDir makes a mount folder absolute; a Windows drive letter stays as it is.
func absDir(s string) (string, error) {
	if s == "" || filepath.VolumeName(s) == s {
		return s, nil
	}
	abs, err := absolute(s)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", s, err)
	}
	return abs, nil
}

// resolved is dir with the symlinks above it resolved, "" if that does not work. It
// waits a moment only: a folder above may lie in a dead mount.
func resolved(dir string) string {
	parent := make(chan string, 1)
	go func() {
		p, err := filepath.EvalSymlinks(filepath.Dir(dir))
		if err != nil {
			p = ""
		}
		parent <- p
	}()
	t := time.NewTimer(2 * time.Second)
	defer t.Stop()
	select {
	case p := <-parent:
		if p != "" {
			return filepath.Join(p, filepath.Base(dir))
		}
	case <-t.C:
	}
	return ""
}

func (a *app) statusCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "status [NAME|DIR]",
		Short: "Show every drive: state, place, cache, what waits, last error",
		Long: `Shows every drive that is mounted or remembered: its state, where it is, what it
keeps on this computer, what waits to be published, and its last problem with
what to do about it. With a name or a folder, only that drive, with what of it is
not on the remote yet and why, and what the system has asked of it since it was
mounted: how often, how much and how fast.`,
		Example: `  moorage status
  moorage status go
  moorage status --json | jq -r '.[] | select(.state == "mounted") | .dir'`,
		Args:              between(0, 1, "moorage status go"),
		ValidArgsFunction: a.completeDrives(anyDrive),
		RunE: func(cmd *cobra.Command, args []string) error {
			var all []api.Drive
			if len(args) == 1 {
				d, err := a.find(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if d, err = a.detail(cmd.Context(), d); err != nil {
					return err
				}
				all = []api.Drive{d}
			} else {
				c, ctx, cancel, err := a.ask(cmd.Context())
				if err != nil {
					return err
				}
				defer cancel()
				if all, err = c.Drives(ctx); err != nil {
					return err
				}
			}
			if asJSON {
				return a.writeJSON(notNull(all))
			}
			a.showStatus(all)
			if len(args) == 1 {
				a.showUploads(all[0])
				a.showPins(all[0])
				a.showCalls(all[0].Calls)
			}
			return a.showPause(cmd.Context())
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON list of drives")
	return c
}

func (a *app) showStatus(all []api.Drive) {
	if len(all) == 0 {
		a.note("There is no drive yet. Mount one: moorage mount https://github.com/golang/go")
		return
	}
	t := table{head: []string{"NAME", "STATE", "PLACE", "REVISION", "CACHE", "WAITING"},
		tint: func(r []string, column int) string {
			if column != 1 {
				return ""
			}
			for _, d := range all {
				if clean(d.Name) == r[0] {
					return stateTint(d.State)
				}
			}
			return ""
		}}
	for _, d := range all {
		cache := size(d.Cache.Used)
		if cache != "" && d.Cache.Limit > 0 {
			cache += " of " + size(d.Cache.Limit)
		}
		waiting := ""
		if d.Pending.Files > 0 {
			waiting = amount(d.Pending)
		}
		t.add(d.Name, stateText(d), d.Dir, shortRevision(d.Revision), cache, waiting)
	}
	t.write(a)
	for _, d := range all {
		if p := d.Problem; p != nil {
			a.say("")
			a.say("%s: %s", clean(d.Name), clean(strings.TrimSpace(p.What+" "+p.Means)))
			if p.Do != "" {
				a.say("  %s", clean(p.Do))
			}
		}
	}
}

// shortRevision shortens a commit id; a branch or tag is shown whole.
func shortRevision(r string) string {
	if len(r) >= 40 && strings.Trim(r, "0123456789abcdef") == "" {
		return r[:12]
	}
	return r
}

func notNull[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}

func (a *app) listCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the drives that are remembered",
		Example: `  moorage list
  moorage list --json | jq -r '.[].url'`,
		Args: exactly(0, "moorage list"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, ctx, cancel, err := a.ask(cmd.Context())
			if err != nil {
				return err
			}
			defer cancel()
			all, err := c.Drives(ctx)
			if err != nil {
				return err
			}
			all = slices.DeleteFunc(all, func(d api.Drive) bool { return !d.Remembered })
			if asJSON {
				return a.writeJSON(notNull(all))
			}
			if len(all) == 0 {
				a.note("No drive is remembered. Add one: moorage add https://github.com/golang/go")
				return nil
			}
			t := table{head: []string{"NAME", "URL", "PLACE", "OPTIONS"}}
			for _, d := range all {
				var o []string
				if d.Auto {
					o = append(o, "auto")
				}
				if d.ReadOnly {
					o = append(o, "read-only")
				}
				t.add(d.Name, d.URL, d.Dir, strings.Join(o, ", "))
			}
			t.write(a)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON list of drives")
	return c
}

// newDrive are the flags of commands that make a drive.
type newDrive struct {
	api.AddDrive
	askSecret bool
}

func (n *newDrive) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&n.Name, "name", "", "name of the drive (default: from the URL)")
	f.BoolVar(&n.ReadOnly, "read-only", false, "nobody can change anything on the drive")
	f.BoolVar(&n.Auto, "auto", false, "remember the drive and mount it whenever the service starts")
	f.BoolVar(&n.askSecret, "secret", false, "ask for a password or token, which goes to the keyring; without a terminal it is read from standard input")
}

// fill takes URL and DIR from the arguments and the secret from the person.
func (n *newDrive) fill(ctx context.Context, a *app, args []string) error {
	var err error
	if n.URL, err = absURL(args[0]); err != nil {
		return err
	}
	a.warnOfPassword(n.URL)
	if len(args) > 1 {
		if n.Dir, err = absDir(args[1]); err != nil {
			return err
		}
	}
	if n.askSecret {
		if n.Secret, err = a.readSecret(ctx, n.URL); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) addCommand() *cobra.Command {
	var n newDrive
	c := &cobra.Command{
		Use:   "add URL [DIR]",
		Short: "Remember a drive without mounting it",
		Example: `  moorage add https://github.com/golang/go
  moorage add git@github.com:me/notes.git ~/notes --auto
  moorage add https://git.example.com/me/private.git --secret`,
		Args:              between(1, 2, "moorage add https://github.com/golang/go"),
		ValidArgsFunction: completeURLAndDir,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := n.fill(cmd.Context(), a, args); err != nil {
				return err
			}
			n.Remember = true
			c, ctx, cancel, err := a.ask(cmd.Context())
			if err != nil {
				return err
			}
			defer cancel()
			d, err := c.Add(ctx, n.AddDrive)
			if err != nil {
				return err
			}
			a.say("Added %s. Mount it with: moorage mount %s", clean(d.Name), clean(d.Name))
			return nil
		},
	}
	n.flags(c)
	return c
}

func (a *app) editCommand() *cobra.Command {
	var name, dir string
	var readOnly, auto, secret bool
	c := &cobra.Command{
		Use:   "edit NAME",
		Short: "Change a drive",
		Long: `Changes what is given and leaves the rest. Name, place and read-only can change
only while the drive is not mounted.`,
		Example: `  moorage edit go --auto
  moorage edit go --auto=false --read-only
  moorage edit go --name golang --dir ~/golang
  moorage edit notes --secret            a new password or token`,
		Args:              exactly(1, "moorage edit go --auto"),
		ValidArgsFunction: a.completeDrives(anyDrive),
		RunE: func(cmd *cobra.Command, args []string) error {
			var e api.EditDrive
			f := cmd.Flags()
			if f.Changed("name") {
				e.Name = &name
			}
			if f.Changed("dir") {
				abs, err := absDir(dir)
				if err != nil {
					return err
				}
				e.Dir = &abs
			}
			if f.Changed("read-only") {
				e.ReadOnly = &readOnly
			}
			if f.Changed("auto") {
				e.Auto = &auto
			}
			change := e != (api.EditDrive{})
			if !change && !secret {
				return usage("Nothing to change was given, as in: moorage edit %s --auto", args[0])
			}
			d, err := a.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			var word string
			if secret {
				if word, err = a.readSecret(cmd.Context(), d.Name); err != nil {
					return err
				}
			}
			c, ctx, cancel, err := a.ask(cmd.Context())
			if err != nil {
				return err
			}
			defer cancel()
			if change {
				if d, err = c.Edit(ctx, d.Name, e); err != nil {
					return err
				}
			}
			if secret {
				if err := c.SetSecret(ctx, d.Name, word); err != nil {
					return err
				}
			}
			a.say("Changed %s.", clean(d.Name))
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&name, "name", "", "a new name")
	f.StringVar(&dir, "dir", "", "the folder to mount on (a drive letter on Windows)")
	f.BoolVar(&readOnly, "read-only", false, "nobody can change anything on the drive")
	f.BoolVar(&auto, "auto", false, "mount it whenever the service starts")
	f.BoolVar(&secret, "secret", false, "ask for a password or token, which goes to the keyring; without a terminal it is read from standard input; empty takes it away")
	return c
}

func (a *app) removeCommand() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "remove NAME",
		Short: "Unmount a drive and forget it, with its password",
		Long: `Unmounts a drive if it is mounted and forgets it, with its password. The remote is
not touched. While changes are not on the remote the command fails and says where
they are; with --force they are lost.`,
		Example: `  moorage remove go
  moorage remove notes --force           also what was not published`,
		Args:              exactly(1, "moorage remove go"),
		ValidArgsFunction: a.completeDrives(anyDrive),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := a.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), mountTimeout)
			defer cancel()
			remove := a.client.Remove
			if force {
				remove = a.client.Discard
			}
			if err := remove(ctx, d.Name); err != nil {
				return err
			}
			a.say("Removed %s.", clean(d.Name))
			return nil
		},
	}
	c.Flags().BoolVar(&force, "force", false, "give up changes that are not on the remote")
	return c
}
