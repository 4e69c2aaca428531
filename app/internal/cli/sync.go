package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moorage/moorage/daemon/api"
)

func (a *app) syncCommand() *cobra.Command {
	var wait bool
	c := &cobra.Command{
		Use:   "sync NAME|DIR",
		Short: "Publish what was changed on a drive now",
		Long: `Publishes what was changed on a drive now, also what could not be published before
and waits for you. It returns at once; with nothing to publish its exit status is 3.

With --wait it returns when everything is on the remote, with exit status 0 also if
that was so before. What could not be published is listed with the reason, and
the exit status is 1. While the remote cannot be reached it waits; Ctrl-C stops the
waiting, not the publishing.`,
		Example: `  moorage sync notes
  moorage sync notes --wait && systemctl poweroff`,
		Args:              exactly(1, "moorage sync notes"),
		ValidArgsFunction: a.completeDrives(mountedDrive),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := a.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if wait {
				return a.syncAndWait(cmd.Context(), d)
			}
			c, ctx, cancel, err := a.ask(cmd.Context())
			if err != nil {
				return err
			}
			defer cancel()
			s, err := c.Sync(ctx, d.Name, false)
			if err != nil {
				return err
			}
			if s.Pending.Files == 0 {
				return nothing(fmt.Sprintf("Nothing of %s waits to be published.", d.Name), "")
			}
			a.say("Publishing %s of %s", amount(s.Pending), clean(d.Name))
			return nil
		},
	}
	c.Flags().BoolVar(&wait, "wait", false, "wait until everything is on the remote")
	return c
}

func (a *app) syncAndWait(ctx context.Context, d api.Drive) error {
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	done := a.showPublishing(ctx, d.Name)
	s, err := c.Sync(ctx, d.Name, true)
	done()
	switch {
	case ctx.Err() != nil:
		return &failure{status: api.ExitFailed, what: "Interrupted.", do: fmt.Sprintf("The publishing goes on; see moorage status %s.", d.Name)}
	case err != nil:
		return err
	case len(s.Failed) == 0:
		a.say("Nothing of %s waits to be published", clean(d.Name))
		return nil
	}
	a.showReasons(s.Failed)
	what := fmt.Sprintf("%d changes of %s could not be published.", max(s.Pending.Parked, len(s.Failed)), d.Name)
	if s.Pending.Parked <= 1 && len(s.Failed) == 1 {
		what = fmt.Sprintf("A change of %s could not be published.", d.Name)
	}
	return &failure{status: api.ExitFailed, what: what, do: fmt.Sprintf("See moorage status %s.", d.Name)}
}

// showPublishing tells on a terminal how much is left, elsewhere only that the
// remote is away, until the returned function is called.
func (a *app) showPublishing(ctx context.Context, name string) (done func()) {
	terminal := a.StderrTerminal && a.Getenv("TERM") != "dumb"
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s, err := a.client.Events(ctx)
		if err != nil {
			return // it is only for show
		}
		defer s.Close()
		away := false
		for {
			e, err := s.Next(ctx)
			if err != nil {
				return
			}
			if e.Kind != api.DriveChanged || e.Drive == nil || e.Drive.Name != name {
				continue
			}
			offline := e.Drive.State == api.Degraded
			switch {
			case offline && !away:
				if terminal {
					fmt.Fprint(a.Stderr, "\r\x1b[K")
				}
				a.note("%s", clean(awayText(*e.Drive)))
			case terminal && !offline && e.Drive.Pending.Files > 0:
				fmt.Fprintf(a.Stderr, "\r\x1b[K%s: %s to publish…", clean(name), amount(e.Drive.Pending))
			}
			away = offline
		}
	}()
	return func() {
		cancel()
		<-ended
		if terminal {
			fmt.Fprint(a.Stderr, "\r\x1b[K")
		}
	}
}

// awayText is why nothing is being published.
func awayText(d api.Drive) string {
	what := "The remote cannot be reached."
	if d.Problem != nil && d.Problem.What != "" {
		what = d.Problem.What
	}
	return what + " Waiting; Ctrl-C stops that."
}

// amount is how much waits, in words.
func amount(p api.Pending) string {
	s := fmt.Sprintf("%d changes", p.Files)
	if p.Files == 1 {
		s = "1 change"
	}
	if b := size(p.Bytes); b != "" {
		s += " (" + b + ")"
	}
	return s
}

// showUploads shows what waits of a drive, and what became a conflict lately.
func (a *app) showUploads(d api.Drive) {
	var shown []api.Upload
	waits := 0
	for _, u := range d.Uploads {
		if u.State != api.UploadDone {
			shown = append(shown, u)
		}
		if u.Waits() {
			waits++
		}
	}
	if len(shown) == 0 {
		return
	}
	a.say("")
	t := table{head: []string{"UPLOAD", "STATE", "SIZE", "SINCE"}, tint: func(r []string, column int) string {
		if column == 1 && (r[1] == uploadText(api.Upload{State: api.UploadParked}) || r[1] == uploadText(api.Upload{State: api.UploadConflict})) {
			return "33"
		}
		return ""
	}}
	for _, u := range shown {
		t.add(u.Path, uploadText(u), size(u.Total), u.Since.Local().Format(time.DateTime))
	}
	t.write(a)
	if more := d.Pending.Files - waits; more > 0 {
		a.say("and %d more", more)
	}
	a.showReasons(shown)
}

// reasons is how many different ones are told.
const reasons = 10

// showReasons tells why uploads are where they are, the same reason once.
func (a *app) showReasons(l []api.Upload) {
	told := map[string]bool{}
	for _, u := range l {
		p := u.Problem
		if p == nil || u.State == api.UploadDone {
			continue
		}
		text := clean(strings.TrimSpace(p.What + " " + p.Means))
		if told[text] {
			continue
		}
		if len(told) == reasons {
			a.say("")
			a.say("There are more; moorage status NAME --json has all.")
			return
		}
		told[text] = true
		a.say("")
		a.say("%s: %s", clean(u.Path), text)
		if p.Do != "" {
			a.say("  %s", clean(p.Do))
		}
	}
}

// uploadText is what became of a change, in words.
func uploadText(u api.Upload) string {
	s := string(u.State)
	switch u.State {
	case api.UploadSaved:
		s = "waits"
	case api.UploadRunning:
		s = "uploading"
		if u.Removed {
			s = "removing"
		}
		if u.Total > 0 && u.Done > 0 {
			s += fmt.Sprintf(" %d%%", min(100*u.Done/u.Total, 100))
		}
		return s
	case api.UploadConflict:
		s = "conflict copy"
	case api.UploadParked:
		s = "needs you"
	}
	if u.Removed {
		s = "removal " + s
	}
	return s
}
