package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
	"github.com/moorage/moorage/daemon/internal/autostart"
	"github.com/moorage/moorage/daemon/internal/problem"
)

// serviceState is what "service status" tells.
type serviceState struct {
	Running bool      `json:"running"`
	PID     int       `json:"pid,omitempty"`
	Version string    `json:"version,omitempty"`
	Started time.Time `json:"started,omitzero"`
	AtLogin bool      `json:"at_login"`
	Manager string    `json:"manager,omitempty"` // who starts it at login; "" if nobody could

	Restart *api.Problem `json:"restart,omitempty"` // why the last restart brought no new one
}

func serviceCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "service",
		Short: "Have the service started at login, start it, end it",
		Args:  usageArgs(cobra.NoArgs),
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	verb := func(use, short string, do func(ctx context.Context) error) {
		c.AddCommand(&cobra.Command{Use: use, Short: short, Args: usageArgs(cobra.NoArgs),
			RunE: func(c *cobra.Command, _ []string) error { return do(c.Context()) }})
	}
	verb("install", "Have it started at each login, and again after a crash; start it now", installService)
	verb("uninstall", "Have it started at login no more; one that runs goes on", func(context.Context) error {
		l, err := login()
		if err == nil {
			err = l.Uninstall()
		}
		return loginProblem(err)
	})
	verb("start", "Start it, if it does not run", client.Start)
	verb("restart", "Have the installed version take over; drives stay mounted", restartService)
	verb("stop", "Unmount all drives and end it", func(ctx context.Context) error { return endService(ctx, api.StopService{Unmount: true}) })
	var asJSON bool
	status := &cobra.Command{Use: "status", Short: "Say whether it runs, and whether it is started at login", Args: usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := lookAtService(c.Context())
			if err != nil {
				return err
			}
			return s.write(c.OutOrStdout(), asJSON)
		}}
	status.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	c.AddCommand(status)
	return c
}

func login() (*autostart.Login, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return autostart.New(self)
}

// installService lets a service that somebody started by hand make way for one
// that the system watches over. Drives stay mounted meanwhile.
func installService(ctx context.Context) error {
	l, err := login()
	if err != nil {
		return loginProblem(err)
	}
	before, err := l.Status()
	if err == nil {
		err = l.Install()
	}
	if err != nil {
		return loginProblem(err)
	}
	if !before.Running {
		if err := endService(ctx, api.StopService{}); err != nil {
			return err
		}
	}
	return client.Start(ctx)
}

// restartService has the service that runs hand over to a new one: what the service
// manager starts, if it started that one, else the program that this is.
func restartService(ctx context.Context) error {
	socket, err := client.DefaultSocket()
	if err != nil {
		return err
	}
	c := client.New(socket)
	before, err := c.Service(ctx)
	if errors.Is(err, client.ErrNoService) {
		return client.Start(ctx)
	}
	var r api.RestartService
	if err == nil && !managed() {
		r.Program, err = os.Executable()
	}
	if err == nil {
		err = c.Restart(ctx, r)
	}
	var e *api.Error
	switch {
	case errors.As(err, &e) && e.Problem.Code == api.CodeUnsupported:
		if err := endService(ctx, api.StopService{}); err != nil {
			return err
		}
		return client.Start(ctx)
	case err != nil:
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, endTime)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		now, err := c.Service(ctx)
		switch {
		case err == nil && now.PID != before.PID:
			return nil
		case err == nil && !now.Started.Equal(before.Started):
			if now.Restart != nil {
				return &api.Error{Problem: *now.Restart, Exit: api.ExitFailed}
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("wait for the new service: %w", ctx.Err()), client.Start(context.WithoutCancel(ctx)))
		case <-tick.C:
		}
	}
}

// managed reports whether the system's service manager has started the service.
func managed() bool {
	l, err := login()
	if err != nil {
		return false
	}
	st, err := l.Status()
	return err == nil && st.Running
}

// endTime bounds the wait for a service that was told to end.
const endTime = time.Minute

// endService ends the service if there is one, and waits until it has.
func endService(ctx context.Context, how api.StopService) error {
	socket, err := client.DefaultSocket()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, endTime)
	defer cancel()
	c := client.New(socket)
	if err := c.Stop(ctx, how); err != nil {
		if errors.Is(err, client.ErrNoService) {
			return nil
		}
		return err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := c.Service(ctx); errors.Is(err, client.ErrNoService) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("end the service: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

func lookAtService(ctx context.Context) (s serviceState, err error) {
	if l, err := login(); err == nil {
		// No user manager to ask is as good as none that starts it.
		if st, err := l.Status(); err == nil {
			s.AtLogin, s.Manager = st.AtLogin, st.Manager
		}
	}
	socket, err := client.DefaultSocket()
	if err != nil {
		return s, err
	}
	i, err := client.New(socket).Service(ctx)
	if errors.Is(err, client.ErrNoService) {
		return s, nil
	}
	if err == nil {
		s.Running, s.PID, s.Version, s.Started, s.Restart = true, i.PID, i.Version, i.Started, i.Restart
	}
	return s, err
}

func (s serviceState) write(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(s)
	}
	text := "The service does not run.\n"
	if s.Running {
		text = fmt.Sprintf("The service runs, version %s, process %d, since %s.\n", s.Version, s.PID, s.Started.Local().Format("2006-01-02 15:04"))
	}
	if s.Restart != nil {
		text += s.Restart.What + " " + s.Restart.Do + "\n"
	}
	switch {
	case s.AtLogin:
		text += fmt.Sprintf("It is started at login, by %s.\n", s.Manager)
	case s.Manager != "":
		text += "It is not started at login; \"moorage service install\" changes that.\n"
	default:
		text += "Nothing here could start it at login.\n"
	}
	_, err := io.WriteString(w, text)
	return err
}

func loginProblem(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, autostart.ErrUnsupported):
		return problem.New(api.ExitMissing, api.CodeUnsupported, "Nothing here starts services at login: there is no systemd of your own.", "Drives come back when you first use Moorage.",
			"Start \"mooraged\" from your session's autostart, if it has one.")
	}
	return problem.New(api.ExitFailed, api.CodeInternal, "The system's service manager refused: "+err.Error()+".", "", "See what \"systemctl --user status\" or \"launchctl list\" says.")
}
