package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
)

// doctorTimeout is longer than the service takes to look, to mend and to look again.
const doctorTimeout = 2 * time.Minute

func (a *app) doctorCommand() *cobra.Command {
	var asJSON, fix bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Say what works on this computer, and what to do about what does not",
		Long: `Looks at what Moorage needs here: its service, the system's NFS client, the right
to mount, the keyring, its folders; and at each drive: whether its remote answers,
and whether it can be read through its mount. It changes nothing.

With --fix it does what is safe about what it finds, and says what it did: make
folders with the right modes, remove what a service that was killed has left, take
away mounts that nobody serves, have the service started at login.

Ends with status 4 if something needs you.`,
		Example: `  moorage doctor
  moorage doctor --fix
  moorage doctor --json | jq '.[] | select(.state == "bad")'`,
		Args: exactly(0, "moorage doctor"),
		RunE: func(cmd *cobra.Command, args []string) error {
			checks := a.doctor(cmd.Context(), fix)
			for _, c := range checks {
				if c.State == api.CheckBad {
					a.status = api.ExitMissing
				}
			}
			if asJSON {
				return a.writeJSON(notNull(checks))
			}
			a.showChecks(checks, fix)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON list of checks")
	c.Flags().BoolVar(&fix, "fix", false, "do what is safe about what is found, and say what was done")
	return c
}

func (a *app) doctor(ctx context.Context, fix bool) []api.Check {
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	program := api.Check{ID: "program", Name: "mooraged", State: api.CheckOK}
	p, err := client.Mooraged()
	if err != nil {
		program.State, program.Detail, program.Remedy = api.CheckBad, "The service's program is not beside moorage and not on PATH.", "Install Moorage again."
	} else {
		program.Detail = p
	}
	service, c := a.serviceCheck(ctx)
	checks := []api.Check{program, service}
	if c == nil {
		local, err := a.Local(ctx, fix)
		if err != nil {
			return append(checks, api.Check{ID: "report", Name: "report", State: api.CheckBad,
				Detail: fmt.Sprintf("The rest cannot be looked at: %v.", err), Remedy: "Install Moorage again."})
		}
		if !fix || !mended(local) {
			return append(checks, local...)
		}
		// What was mended may have been in the way.
		before := service
		if service, c = a.serviceCheck(ctx); c == nil {
			return append(checks, local...)
		}
		service.Done = "Started. Before: " + before.Detail
		for _, l := range local {
			if l.Done != "" {
				service.Done += " " + l.Done
			}
		}
		checks[1] = service
	}
	var more []api.Check
	if fix {
		more, err = c.Treat(ctx)
	} else {
		more, err = c.Doctor(ctx)
	}
	if err != nil {
		_, what, do := describe(err)
		return append(checks, api.Check{ID: "report", Name: "report", State: api.CheckBad, Detail: what, Remedy: do})
	}
	return append(checks, more...)
}

// serviceCheck asks the service how it is, and starts it if need be. The client is nil if
// there is none.
func (a *app) serviceCheck(ctx context.Context) (api.Check, *client.Client) {
	check := api.Check{ID: "service", Name: "service", State: api.CheckOK}
	c, err := a.connect(ctx)
	var s api.Service
	if err == nil {
		s, err = c.Service(ctx)
	}
	if err != nil {
		_, what, do := describe(err)
		check.State, check.Detail, check.Remedy = api.CheckBad, what, do
		return check, nil
	}
	check.Detail = "It runs, version " + s.Version + "."
	if v := moduleVersion(); v != s.Version && v != "" && v != devel {
		check.State = api.CheckNote
		check.Detail = "It runs, version " + s.Version + "; this is " + v + "."
		check.Remedy = "Have the installed version take its place; drives stay mounted: moorage service restart"
	}
	return check, c
}

func mended(checks []api.Check) bool {
	for _, c := range checks {
		if c.Done != "" {
			return true
		}
	}
	return false
}

func (a *app) showChecks(checks []api.Check, fixed bool) {
	colours := map[string]string{"ok": "32", "note": "33"}
	t := table{head: []string{"CHECK", "", "FOUND"}, tint: func(r []string, column int) string {
		if column != 1 {
			return ""
		}
		if c, ok := colours[r[1]]; ok {
			return c
		}
		return "31"
	}}
	bad, fixable := 0, false
	for _, c := range checks {
		t.add(c.Name, string(c.State), c.Detail)
		if c.State == api.CheckBad {
			bad++
		}
		fixable = fixable || c.Fix != ""
	}
	t.write(a)
	for _, c := range checks {
		if c.Done != "" {
			a.say("")
			a.say("%s: %s", clean(c.Name), clean(c.Done))
		}
		if c.State != api.CheckOK && c.Remedy != "" {
			a.say("")
			a.say("%s: %s", clean(c.Name), clean(c.Remedy))
		}
	}
	if fixable && !fixed {
		a.say("")
		a.say("Some of this can be done for you: moorage doctor --fix")
	}
	if bad == 0 {
		a.say("")
		a.say("All is well.")
	}
}
