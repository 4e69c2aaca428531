package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moorage/moorage/daemon/api"
)

// How long --wait lets pass between tries.
const (
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
)

func (a *app) mountCommand() *cobra.Command {
	var n newDrive
	var wait bool
	c := &cobra.Command{
		Use:   "mount URL|NAME [DIR]",
		Short: "Mount a drive and print where it is",
		Long: `Mounts a drive and returns when it can be used, or when it is known that it
cannot. URL is what a browser shows or what git takes, a folder, or mem: for a
drive in memory. NAME is a drive that is remembered or was mounted before.

DIR is an empty folder (a drive letter on Windows); without it the drive comes to
~/Moorage/NAME. The drive is forgotten when it is unmounted, unless --auto is
given.

With --wait, a remote that cannot be reached is tried again until it can, or until
Ctrl-C.`,
		Example: `  moorage mount https://github.com/golang/go
  moorage mount git+https://host/repo.git@v1.2 ./v1.2      a tag, in a folder of your choice
  moorage mount git@github.com:me/notes.git --auto         now and at every start
  moorage mount /srv/photos /mnt/photos --read-only        a folder of this computer
  moorage mount mem: --name scratch                        a drive in memory
  moorage mount notes                                      one that was added before`,
		Args:              between(1, 2, "moorage mount https://github.com/golang/go"),
		ValidArgsFunction: a.completeMount,
		RunE: func(cmd *cobra.Command, args []string) error {
			known, err := a.known(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if known != nil {
				for _, f := range []string{"name", "read-only", "auto", "secret"} {
					if cmd.Flags().Changed(f) {
						return usage("%s is a drive already. To change it: moorage edit %s --%s", known.Name, known.Name, f)
					}
				}
				if len(args) > 1 {
					return usage("%s is a drive already. To move it: moorage edit %s --dir %s", known.Name, known.Name, args[1])
				}
				if known.State == api.Mounted || known.State == api.Degraded {
					return nothing(fmt.Sprintf("%s is mounted already at %s.", known.Name, known.Dir), "")
				}
				d, err := a.mount(cmd.Context(), *known, wait)
				if err != nil {
					return err
				}
				a.sayMounted(d)
				return nil
			}
			if err := n.fill(cmd.Context(), a, args); err != nil {
				return err
			}
			n.Remember = n.Auto
			d, err := a.addAndMount(cmd.Context(), n.AddDrive, wait)
			if err != nil {
				return err
			}
			a.sayMounted(d)
			return nil
		},
	}
	n.flags(c)
	c.Flags().BoolVar(&wait, "wait", false, "try again while the remote cannot be reached")
	return c
}

func (a *app) sayMounted(d api.Drive) { a.say("%s is mounted at %s", clean(d.Name), clean(d.Dir)) }

// known gives the drive of that name, nil if there is none. What looks like a URL
// or a path is never a name.
func (a *app) known(ctx context.Context, arg string) (*api.Drive, error) {
	if strings.ContainsAny(arg, `:/\`) || strings.HasPrefix(arg, ".") {
		return nil, nil
	}
	c, ctx, cancel, err := a.ask(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	all, err := c.Drives(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range all {
		if d.Name == arg {
			return &d, nil
		}
	}
	return nil, nil
}

// absURL makes a folder that was given relatively absolute: the service has
// another working folder. Everything else is for the service to understand.
func absURL(s string) (string, error) {
	if !isRelativeFolder(s) {
		return s, nil
	}
	abs, err := absolute(s)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", s, err)
	}
	return abs, nil
}

func isRelativeFolder(s string) bool {
	if filepath.IsAbs(s) {
		return false
	}
	for _, p := range []string{".", ".."} {
		if s == p || strings.HasPrefix(s, p+"/") || strings.HasPrefix(s, p+string(filepath.Separator)) {
			return true
		}
	}
	if s == "" || strings.Contains(s, ":") {
		return false // mem:, https:, git@host:path
	}
	fi, err := os.Stat(s)
	return err == nil && fi.IsDir()
}

// addAndMount makes a drive and mounts it. If that fails, the drive is gone again.
func (a *app) addAndMount(ctx context.Context, n api.AddDrive, wait bool) (api.Drive, error) {
	c, short, cancel, err := a.ask(ctx)
	if err != nil {
		return api.Drive{}, err
	}
	defer cancel()
	d, err := c.Add(short, n)
	if err != nil {
		return api.Drive{}, err
	}
	m, err := a.mount(ctx, d, wait)
	if err == nil {
		return m, nil
	}
	// Also after Ctrl-C, hence without its cancellation.
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer cancel()
	if rerr := c.Remove(undo, d.Name); rerr != nil && !isCode(rerr, api.CodeNoDrive) {
		a.note("moorage: %s stays in the list. Remove it with: moorage remove %s", clean(d.Name), clean(d.Name))
	}
	return api.Drive{}, err
}

// mount mounts d and returns it when it is mounted. A person at a terminal is
// asked for a password if that is what is missing.
func (a *app) mount(ctx context.Context, d api.Drive, wait bool) (api.Drive, error) {
	asked := 0
	for delay := firstRetry; ; {
		m, err := a.mountOnce(ctx, d.Name)
		switch {
		case err == nil:
			return m, nil
		case isCode(err, api.CodeAuth) && a.ReadPassword != nil && asked < 3:
			asked++
			_, what, _ := describe(err)
			a.note("%s", clean(what))
			word, rerr := a.readSecret(ctx, d.URL)
			if ctx.Err() != nil {
				return api.Drive{}, ctx.Err()
			}
			if rerr != nil || word == "" {
				return api.Drive{}, err
			}
			if rerr := a.setSecret(ctx, d.Name, word); rerr != nil {
				return api.Drive{}, rerr
			}
		case wait && transient(err):
			_, what, _ := describe(err)
			a.note("%s Trying again in %s; Ctrl-C stops it.", clean(what), delay)
			t := time.NewTimer(delay)
			select {
			case <-t.C:
			case <-ctx.Done():
				t.Stop()
				return api.Drive{}, ctx.Err()
			}
			delay = min(2*delay, lastRetry)
		default:
			return api.Drive{}, err
		}
	}
}

// mountOnce tries once and shows the steps on a terminal.
func (a *app) mountOnce(ctx context.Context, name string) (api.Drive, error) {
	ctx, cancel := context.WithTimeout(ctx, mountTimeout)
	defer cancel()
	done := a.showSteps(ctx, name)
	d, err := a.client.Mount(ctx, name, true)
	done()
	if err != nil {
		return api.Drive{}, err
	}
	if d.State == api.Mounted || d.State == api.Degraded {
		return d, nil
	}
	return api.Drive{}, driveError(d)
}

// driveError is why d is not mounted.
func driveError(d api.Drive) error {
	if d.Problem == nil {
		return &failure{status: api.ExitFailed, what: fmt.Sprintf("%s is not mounted; it is %s.", d.Name, stateText(d)), do: "See moorage status."}
	}
	e := &api.Error{Problem: *d.Problem, Exit: api.ExitFailed}
	if e.Problem.Code == api.CodeNoClient || e.Problem.Code == api.CodeRights {
		e.Exit = api.ExitMissing
	}
	return e
}

// showSteps writes the steps of a mount over each other on a terminal until the
// returned function is called.
func (a *app) showSteps(ctx context.Context, name string) (done func()) {
	if !a.StderrTerminal || a.Getenv("TERM") == "dumb" {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s, err := a.client.Events(ctx)
		if err != nil {
			return // it is only for show
		}
		defer s.Close()
		for {
			e, err := s.Next(ctx)
			if err != nil {
				return
			}
			if e.Kind == api.DriveChanged && e.Drive != nil && e.Drive.Name == name && e.Drive.State == api.Connecting {
				fmt.Fprintf(a.Stderr, "\r\x1b[K%s: %s…", clean(name), clean(stepText(e.Drive.Step)))
			}
		}
	}()
	return func() {
		cancel()
		<-ended
		fmt.Fprint(a.Stderr, "\r\x1b[K")
	}
}

func stepText(step string) string {
	switch step {
	case "sign-in":
		return "signing in"
	case "list":
		return "reading the list of files"
	case "mount":
		return "mounting"
	case "":
		return "connecting"
	}
	return step
}

func isCode(err error, code string) bool {
	var e *api.Error
	return errors.As(err, &e) && e.Problem.Code == code
}

// transient reports whether trying again later may help by itself.
func transient(err error) bool {
	return isCode(err, api.CodeOffline) || isCode(err, api.CodeTimeout)
}

func (a *app) unmountCommand() *cobra.Command {
	var force, wait bool
	c := &cobra.Command{
		Use:   "unmount NAME|DIR",
		Short: "Take a drive away",
		Long: `Unmounts a drive and returns when it is gone. Files that are open on it keep it
from going: the command says who has them and fails. With --wait it waits until
they are closed, or until Ctrl-C. With --force the drive is taken away from
whoever uses it; what programs had not written yet is lost to them. What is not on
the remote yet is kept on this computer, and published when the drive is mounted
again.

A service that does not answer is not waited for: the drive is taken away without it,
unless programs have files of it open; --force takes it away from those, too.`,
		Example: `  moorage unmount go
  moorage unmount /mnt/photos
  moorage unmount notes --wait
  moorage unmount notes --force`,
		Args:              exactly(1, "moorage unmount go"),
		ValidArgsFunction: a.completeDrives(mountedDrive),
		RunE: func(cmd *cobra.Command, args []string) error {
			if force && wait {
				return usage("--force does not wait; give one of --force and --wait.")
			}
			err := a.whileItAnswers(cmd.Context(), func(ctx context.Context) error { return a.unmount(ctx, args[0], force, wait) })
			if errors.Is(err, errSilent) {
				return a.unmountAlone(cmd.Context(), args[0], force)
			}
			return err
		},
	}
	c.Flags().BoolVar(&force, "force", false, "take it away from programs that use it")
	c.Flags().BoolVar(&wait, "wait", false, "wait until its files are closed")
	return c
}

// be is amount with its verb.
func be(p api.Pending) string {
	if p.Files == 1 {
		return amount(p) + " is"
	}
	return amount(p) + " are"
}

// unmount has the service unmount a drive, with wait as soon as nobody uses it.
func (a *app) unmount(ctx context.Context, arg string, force, wait bool) error {
	d, err := a.find(ctx, arg)
	if err != nil {
		return err
	}
	if d.State == api.Stopped {
		return nothing(fmt.Sprintf("%s is not mounted.", d.Name), "")
	}
	for delay := firstRetry; ; {
		left, err := a.unmountOnce(ctx, d.Name, force)
		if err == nil {
			a.say("%s is unmounted", clean(d.Name))
			if left.Pending.Files > 0 {
				a.note("%s not on the remote yet. This computer keeps that, and publishes it when the drive is mounted again:", be(left.Pending))
				a.note("  moorage mount %s", clean(d.Name))
			}
			return nil
		}
		if !wait || !isCode(err, api.CodeBusy) {
			return err
		}
		if delay == firstRetry {
			_, what, _ := describe(err)
			a.note("%s Waiting; Ctrl-C stops it.", clean(what))
		}
		t := time.NewTimer(delay)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
		delay = min(2*delay, 5*time.Second)
	}
}

func (a *app) unmountOnce(ctx context.Context, name string, force bool) (api.Drive, error) {
	ctx, cancel := context.WithTimeout(ctx, mountTimeout)
	defer cancel()
	return a.client.Unmount(ctx, name, api.UnmountDrive{Force: force, Wait: true})
}
