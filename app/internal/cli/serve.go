package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
)

func (a *app) serveCommand() *cobra.Command {
	var listen, export, cache, portmap string
	var readOnly, trace, stats, askSecret bool
	c := &cobra.Command{
		Use:   "serve URL",
		Short: "Serve a drive over NFS, without the service and without mounting it",
		Long: `Serves one drive over NFSv3 to any client of this computer until Ctrl-C. The first
line on standard output is one JSON object: "address" (host and port), "export",
and "mount", the command that mounts it here. Logs go to standard error.

Clients that cannot be told a port, such as Windows', ask a portmapper on port 111
of the same address: --portmap 127.0.0.1:111 runs one for this drive.

With --cache, what the drive keeps lies in DIR, and a second run with the same
DIR, port and URL continues the first: clients just go on, and what was changed and
not published yet is published then. Without it, Ctrl-C waits a little for that, and
says where the rest is.`,
		Example: `  moorage serve mem:
  moorage serve https://github.com/golang/go --listen 127.0.0.1:2049
  moorage serve /srv/shared --portmap 127.0.0.1:111
  moorage serve /srv/photos --read-only --cache ~/.cache/photos
  moorage serve mem: | head -1 | jq -r .mount`,
		Args:              exactly(1, "moorage serve mem:"),
		ValidArgsFunction: completeURLAndDir,
		RunE: func(cmd *cobra.Command, args []string) error {
			u, err := absURL(args[0])
			if err != nil {
				return err
			}
			a.warnOfPassword(u)
			argv, input := []string{"serve", u}, ""
			if askSecret || strings.Contains(u, "@") && strings.Contains(u, "://") {
				// What everybody sees of a program is its arguments.
				argv[1], input = "-", u+"\n"
			}
			if askSecret {
				word, err := a.readSecret(cmd.Context(), u)
				if err != nil {
					return err
				}
				input += word + "\n"
			}
			for _, f := range []struct{ name, value string }{{"listen", listen}, {"export", export}, {"cache", cache}, {"portmap", portmap}} {
				if !cmd.Flags().Changed(f.name) {
					continue
				}
				if f.name == "cache" {
					if f.value, err = absDir(f.value); err != nil {
						return err
					}
				}
				argv = append(argv, "--"+f.name+"="+f.value)
			}
			if readOnly {
				argv = append(argv, "--read-only")
			}
			if trace {
				argv = append(argv, "--trace")
			}
			if stats {
				argv = append(argv, "--stats")
			}
			return a.serve(cmd.Context(), argv, input)
		},
	}
	f := c.Flags()
	f.StringVar(&listen, "listen", "127.0.0.1:0", "loopback `ADDRESS:PORT`; port 0 takes a free one")
	f.StringVar(&export, "export", "", "export `PATH` that clients mount (default /NAME)")
	f.BoolVar(&askSecret, "secret", false, "ask for a password or token, which is not kept; without a terminal it is read from standard input")
	f.BoolVar(&readOnly, "read-only", false, "nobody can change anything")
	f.StringVar(&cache, "cache", "", "`DIR` where the drive keeps its state (default: none is kept)")
	f.StringVar(&portmap, "portmap", "", "loopback `ADDRESS:PORT` of a portmapper for clients that know no port (default: none)")
	f.BoolVar(&trace, "trace", false, "write each call and its result to standard error, with names of files")
	f.BoolVar(&stats, "stats", false, "write a table of all calls to standard error at the end")
	return c
}

// serve becomes mooraged, which takes the signals and gives the exit status.
func (a *app) serve(ctx context.Context, args []string, input string) error {
	program, err := client.Mooraged()
	if err != nil {
		return err
	}
	if a.status, err = a.Replace(ctx, append([]string{program}, args...), input); err != nil {
		return fmt.Errorf("run %s: %w", program, err)
	}
	return nil
}

// demoName is the drive of moorage demo.
const demoName = "demo"

func (a *app) demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Try it: a writable drive in memory, mounted",
		Long: `Mounts a writable drive in memory named "demo" and prints where it is. It stays
until moorage unmount demo; its files are gone with it. Where this computer cannot
mount, the drive is served instead, and the command says why and how to mount it
by hand; Ctrl-C ends that.`,
		Example: `  moorage demo`,
		Args:    exactly(0, "moorage demo"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.demo(cmd.Context())
		},
	}
}

func (a *app) demo(ctx context.Context) error {
	known, err := a.known(ctx, demoName)
	if err != nil {
		return err
	}
	var d api.Drive
	switch {
	case known == nil:
		d, err = a.addAndMount(ctx, api.AddDrive{URL: "mem:", Name: demoName}, false)
	case known.Kind != "mem":
		return &failure{status: api.ExitFailed, what: "There is another drive named demo.", do: "Rename it: moorage edit demo --name NEW"}
	case known.State == api.Mounted:
		d = *known
	default:
		d, err = a.mount(ctx, *known, false)
	}
	if err == nil {
		a.sayMounted(d)
		a.say("It is in memory and yours to write. When you are done: moorage unmount %s", demoName)
		return nil
	}
	status, what, do := describe(err)
	if status != api.ExitMissing || ctx.Err() != nil {
		return err
	}
	if _, merr := client.Mooraged(); merr != nil {
		return err
	}
	a.note("The demo drive cannot be mounted here: %s", clean(what))
	if do != "" {
		a.note("  %s", clean(do))
	}
	a.note("It is served instead until Ctrl-C. The line below says where; its \"mount\" is the command that mounts it by hand.")
	return a.serve(ctx, []string{"serve", "mem:", "--export=/" + demoName}, "")
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version, and that of the service if it runs",
		Example: `  moorage version`,
		Args:    exactly(0, "moorage version"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.version(cmd.Context()) },
	}
}

func (a *app) version(ctx context.Context) error {
	a.say("moorage %s", buildVersion())
	c, err := a.Connect()
	if err != nil {
		return nil // no service to ask
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if s, err := c.Service(ctx); err == nil {
		a.say("service %s, process %d, since %s", clean(s.Version), s.PID, s.Started.Local().Format("2006-01-02 15:04"))
	}
	return nil
}
