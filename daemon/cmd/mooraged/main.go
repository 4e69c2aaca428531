// Command mooraged is the Moorage service: it keeps drives, serves them on
// loopback and mounts them. "mooraged serve URL" serves one drive in the
// foreground instead, without mounting it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/crash"
	"github.com/moorage/moorage/daemon/internal/mounts/serve"
	"github.com/moorage/moorage/daemon/internal/secrets"
	"github.com/moorage/moorage/providers"
)

func main() {
	limitMemory()
	if err := hideMemory(); err != nil {
		fmt.Fprintln(os.Stderr, "mooraged:", err)
		os.Exit(api.ExitFailed)
	}
	os.Exit(run())
}

// memoryLimit is what all memory of the program is kept below, in bytes, by
// collecting garbage earlier than usual; what is needed it still gets.
const memoryLimit = 256 << 20

// limitMemory sets the limit, unless the Go runtime's own variable does.
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
}

// run returns the exit status: 0 done, 1 failed, 2 usage, 3 a service runs already, 4 a needed part is
// missing.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), endSignals...)
	defer stop()
	err := command().ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var e *api.Error
	if errors.As(err, &e) {
		// As the moorage command says it, which becomes this program to serve.
		fmt.Fprintln(os.Stderr, "mooraged:", strings.TrimSpace(e.Problem.What+" "+e.Problem.Means))
		if e.Problem.Do != "" {
			fmt.Fprintln(os.Stderr, " ", e.Problem.Do)
		}
		if e.Exit == api.ExitNotFound && e.Problem.Code != api.CodeRunning { // a word of the service's clients
			return api.ExitFailed
		}
		return e.Exit
	}
	var u usageError
	if errors.As(err, &u) {
		fmt.Fprintf(os.Stderr, "mooraged: %v\nTry mooraged --help.\n", err)
		return api.ExitUsage
	}
	fmt.Fprintln(os.Stderr, "mooraged:", err)
	return api.ExitFailed
}

// usageError is what cobra says of a command line.
type usageError struct{ error }

func command() *cobra.Command {
	var foreground bool
	root := &cobra.Command{
		Use:   "mooraged",
		Short: "The Moorage service",
		Long: `mooraged keeps drives, serves them on loopback and mounts them. The moorage
command and the desktop app start it when they need it.

It stays in the terminal and logs to a file, or to standard error with
--foreground. SIGINT and SIGTERM end it after all drives are unmounted, in the
end by force, since a mount without a server hangs whoever touches it. A
service that was killed leaves its mounts; the next one takes them up.

The environment variable MOORAGE_SOCKET moves its control socket.`,
		Args:          usageArgs(cobra.NoArgs),
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(c *cobra.Command, _ []string) error { return runService(c.Context(), foreground) },
	}
	root.Flags().BoolVar(&foreground, "foreground", false, "log to standard error instead of the log file")
	root.SetVersionTemplate("mooraged {{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(serveCommand(), serviceCommand(), unmountCommand(), doctorCommand(), lookCommand(), listCommand(), keepCommand())
	return root
}

func usageArgs(f cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := f(c, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}

func serveCommand() *cobra.Command {
	var trace, stats bool
	o := serve.Options{Opener: newOpener(providers.Network{}), Secret: storedSecret, Stdout: os.Stdout}
	c := &cobra.Command{
		Use:   "serve URL",
		Short: "Serve one drive in the foreground, for any NFS client of this computer",
		Long: `Serve one drive over NFSv3 until SIGINT or SIGTERM. The first line on standard
output is a JSON object with "address", "export" and "mount", the command that
mounts it; logs go to standard error.

With --portmap 127.0.0.1:111 a portmapper (and rpcbind) tells clients that cannot
be given a port, such as Windows', where the drive is; "portmap" in the first line
is its address. It answers over TCP and UDP, for this drive alone.

With --cache DIR a later run with the same DIR, address and URL continues this
one: the same file handles, the same cache, and changes that were not published
yet. Without it everything goes into a temporary folder that is removed at the
end, after what was changed was published; if that takes longer than 15 seconds,
the folder stays, and the last line says how to go on.

With - for URL, it is the first line of standard input, and a second line is a
password or token: all users of this computer see the arguments of a program.`,
		Example: `  mooraged serve mem:
  mooraged serve /some/folder --listen 127.0.0.1:2049 --portmap 127.0.0.1:111
  mooraged serve https://github.com/golang/example --cache ~/.cache/example
  mooraged serve - <login      its first line is the address, its second the password`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			o.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{ReplaceAttr: crash.RedactAttr}))
			o.URL = args[0]
			if o.URL == "-" {
				var err error
				if o.URL, o.Login, err = readLogin(os.Stdin); err != nil {
					return err
				}
			} else if loc, err := o.Opener.Parse(o.URL); err == nil && loc.Secret != "" {
				o.Logger.Warn("all users of this computer see the password in the address while this runs; give - instead, and the address on standard input")
			}
			if trace {
				o.Trace = os.Stderr
			}
			if stats {
				o.Stats = os.Stderr
			}
			return serve.Run(c.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Listen, "listen", "127.0.0.1:0", "loopback `address` to listen on; port 0 takes a free one")
	f.StringVar(&o.Export, "export", "", "export `path` (default: a slash and a name from the URL)")
	f.BoolVar(&o.ReadOnly, "read-only", false, "refuse all changes")
	f.StringVar(&o.Cache, "cache", "", "`folder` for cache and journal, to continue there later")
	f.StringVar(&o.Portmap, "portmap", "", "loopback `address` of a portmapper for clients that know no port, such as 127.0.0.1:111 (default: none)")
	f.BoolVar(&trace, "trace", false, "write each call and its result to standard error, with names of files")
	f.BoolVar(&stats, "stats", false, "write a table of all calls to standard error at the end")
	return c
}

// maxLogin bounds an address and a password on standard input.
const maxLogin = providers.MaxURL + secrets.MaxSecret + 4

// readLogin reads a URL, and the line after it, if there is one.
func readLogin(in io.Reader) (url, secret string, err error) {
	b, err := io.ReadAll(io.LimitReader(in, maxLogin+1))
	if err != nil {
		return "", "", fmt.Errorf("read the address: %w", err)
	}
	if len(b) > maxLogin {
		return "", "", usageError{errors.New("the address on standard input is too long")}
	}
	url, rest, _ := strings.Cut(string(b), "\n")
	secret, _, _ = strings.Cut(rest, "\n")
	return strings.TrimSuffix(url, "\r"), strings.TrimSuffix(secret, "\r"), nil
}

// version is the module's version that the Go command recorded.
func version() string {
	b, ok := debug.ReadBuildInfo()
	if !ok || b.Main.Version == "" {
		return "unknown"
	}
	return b.Main.Version
}
