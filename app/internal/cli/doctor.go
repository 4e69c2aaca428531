package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
)

func (a *app) doctorCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Say what works on this computer, and what to do about what does not",
		Long: `Looks at what Moorage needs here: its service, the system's NFS client, the right
to mount, the keyring. Ends with status 4 if something is missing.`,
		Example: `  moorage doctor
  moorage doctor --json | jq '.[] | select(.ok == false)'`,
		Args: exactly(0, "moorage doctor"),
		RunE: func(cmd *cobra.Command, args []string) error {
			checks := a.doctor(cmd.Context())
			for _, c := range checks {
				if !c.OK {
					a.status = api.ExitMissing
				}
			}
			if asJSON {
				return a.writeJSON(notNull(checks))
			}
			a.showChecks(checks)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON list of checks")
	return c
}

func (a *app) doctor(ctx context.Context) []api.Check {
	var checks []api.Check
	program := api.Check{Name: "mooraged", OK: true}
	if p, err := client.Mooraged(); err != nil {
		program.OK, program.Detail, program.Remedy = false, "The service's program is not beside moorage and not on PATH.", "Install Moorage again."
	} else {
		program.Detail = p
	}
	checks = append(checks, program)

	service := api.Check{Name: "service", OK: true}
	c, ctx, cancel, err := a.ask(ctx)
	if err == nil {
		defer cancel()
		var s api.Service
		if s, err = c.Service(ctx); err == nil {
			service.Detail = "It runs, version " + s.Version + "."
		}
	}
	if err != nil {
		_, what, do := describe(err)
		service.OK, service.Detail, service.Remedy = false, what, do
		return append(checks, service)
	}
	checks = append(checks, service)
	more, err := c.Doctor(ctx)
	if err != nil {
		_, what, do := describe(err)
		return append(checks, api.Check{Name: "report", Detail: what, Remedy: do})
	}
	return append(checks, more...)
}

func (a *app) showChecks(checks []api.Check) {
	bad := 0
	t := table{head: []string{"CHECK", "", "FOUND"}, tint: func(r []string, column int) string {
		switch {
		case column != 1:
			return ""
		case r[1] == "ok":
			return "32"
		}
		return "31"
	}}
	for _, c := range checks {
		word := "ok"
		if !c.OK {
			word = "missing"
			bad++
		}
		t.add(c.Name, word, c.Detail)
	}
	t.write(a)
	for _, c := range checks {
		if !c.OK && c.Remedy != "" {
			a.say("")
			a.say("%s: %s", clean(c.Name), clean(c.Remedy))
		}
	}
	if bad == 0 {
		a.say("")
		a.say("All is well.")
	}
}
