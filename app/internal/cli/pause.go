package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/moorage/moorage/daemon/api"
)

func (a *app) pauseCommand() *cobra.Command {
	var length time.Duration
	var until string
	c := &cobra.Command{
		Use:   "pause",
		Short: "Upload nothing for a while; what is changed waits on this computer",
		Long: `Has nothing of any drive uploaded until "moorage resume", also after a restart of this
computer. Drives can be used as before: what is saved is safe on this computer, and
is uploaded afterwards. With --for or --until the pause ends by itself.`,
		Example: `  moorage pause
  moorage pause --for 2h
  moorage pause --until 18:30`,
		Args: exactly(0, "moorage pause"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			end, err := pauseEnd(time.Now(), length, until)
			if err != nil {
				return err
			}
			c, ctx, cancel, err := a.ask(cmd.Context())
			if err != nil {
				return err
			}
			defer cancel()
			s, err := c.Pause(ctx, end)
			if err != nil {
				return err
			}
			a.say("%s", pauseText(s.Paused))
			return nil
		},
	}
	c.Flags().DurationVar(&length, "for", 0, "how `long`, such as 90m or 2h")
	c.Flags().StringVar(&until, "until", "", "a `time`, such as 18:30 or \"2026-03-05 07:00\"")
	return c
}

func (a *app) resumeCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "resume",
		Short:   "Upload again after a pause",
		Long:    `Ends what "moorage pause" began. If transfers are not paused, its exit status is 3.`,
		Example: `  moorage resume`,
		Args:    exactly(0, "moorage resume"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, ctx, cancel, err := a.ask(cmd.Context())
			if err != nil {
				return err
			}
			defer cancel()
			s, err := c.Service(ctx)
			if err != nil {
				return err
			}
			if s.Paused == nil {
				return nothing("Transfers are not paused.", "")
			}
			if _, err := c.Resume(ctx); err != nil {
				return err
			}
			a.say("Transfers go on")
			return nil
		},
	}
}

// pauseEnd is when a pause ends; zero: never.
func pauseEnd(now time.Time, length time.Duration, until string) (time.Time, error) {
	switch {
	case length != 0 && until != "":
		return time.Time{}, usage("Give --for or --until, not both.")
	case length < 0:
		return time.Time{}, usage("A pause cannot be shorter than nothing.")
	case length > 0:
		return now.Add(length), nil
	case until == "":
		return time.Time{}, nil
	}
	if t, err := time.ParseInLocation("15:04", until, now.Location()); err == nil {
		end := time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), 0, 0, now.Location())
		if !end.After(now) {
			end = time.Date(now.Year(), now.Month(), now.Day()+1, t.Hour(), t.Minute(), 0, 0, now.Location())
		}
		return end, nil
	}
	end, err := time.ParseInLocation("2006-01-02 15:04", until, now.Location())
	if err != nil {
		return time.Time{}, usage("%q is no time; write it as 18:30 or \"2026-03-05 07:00\".", until)
	}
	return end, nil
}

// pauseText says that transfers are paused.
func pauseText(p *api.Pause) string {
	if p == nil {
		return "Transfers are not paused"
	}
	if p.Until.IsZero() {
		return "Transfers are paused; moorage resume ends that"
	}
	return fmt.Sprintf("Transfers are paused until %s; moorage resume ends that before", p.Until.Local().Format("2006-01-02 15:04"))
}

// showPause says below the drives that transfers are paused.
func (a *app) showPause(ctx context.Context) error {
	c, ctx, cancel, err := a.ask(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	s, err := c.Service(ctx)
	var e *api.Error
	if err != nil && !errors.As(err, &e) {
		return err
	}
	if s.Paused != nil {
		a.say("")
		a.say("%s", pauseText(s.Paused))
	}
	return nil
}
