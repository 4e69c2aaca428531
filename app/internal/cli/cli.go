// Package cli is the command line. It decides nothing about drives: it asks the
// service, starts it when it does not run, and shows what it says. Names, flags,
// JSON keys and exit statuses are a contract that other programs rely on.
package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
)

// Env is what the command line stands on.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Connect        func() (*client.Client, error)
	Start          func(ctx context.Context) error // makes sure that the service runs

	StdoutTerminal, StderrTerminal bool
	ReadPassword                   func(ctx context.Context) (string, error)                           // from the terminal, without echo; nil if stdin is none
	Replace                        func(ctx context.Context, argv []string, input string) (int, error) // becomes another program, or runs it to its end; input, if any, is its standard input
	Launch                         func(argv []string) error                                           // starts a program that outlives this one
	Local                          func(ctx context.Context, fix bool) ([]api.Check, error)            // the doctor's report without a service
}

// System is the real Env.
func System() Env {
	e := Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv,
		Connect: func() (*client.Client, error) {
			socket, err := client.DefaultSocket()
			if err != nil {
				return nil, err
			}
			return client.New(socket), nil
		},
		Start:          client.Start,
		StdoutTerminal: term.IsTerminal(int(os.Stdout.Fd())),
		StderrTerminal: term.IsTerminal(int(os.Stderr.Fd())),
		Replace:        replace,
		Launch:         launch,
		Local:          client.DoctorHere,
	}
	if term.IsTerminal(int(os.Stdin.Fd())) {
		e.ReadPassword = readPassword
	}
	return e
}

// Bounds of what a command waits for. The service has its own below them, so
// that its answer, which says more, comes first.
const (
	askTimeout   = 30 * time.Second
	mountTimeout = 3 * time.Minute // mounts, unmounts, and what includes one
)

// app is one run of the command line.
type app struct {
	Env
	client *client.Client
	began  bool // the command line was understood, and a command runs
	status int  // of a command that ended well but not with 0

	stdin     string // what is left of standard input, see readWord
	stdinRead bool
}

// Run runs one command and returns its exit status: 0 done, 1 failed, 2 usage, 3
// nothing to do or not found, 4 a needed part is missing. It ends early when ctx
// is done.
func Run(ctx context.Context, args []string, env Env) int {
	a := &app{Env: env}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	completionHelp(root)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !a.began {
		err = usageOf(err)
	}
	if err != nil {
		return a.report(cmd, err)
	}
	return a.status
}

// Command is the command line as a tree, to be described.
func Command(env Env) *cobra.Command { return (&app{Env: env}).root() }

func (a *app) root() *cobra.Command {
	var showVersion bool
	c := &cobra.Command{
		Use:   "moorage",
		Short: "Remote repositories as drives of this computer",
		Long: `Moorage shows a remote repository as a drive: every program can open what is in
it, and what you look at is fetched when you look.`,
		Example: `  moorage mount https://github.com/golang/go        mount a repository at ~/Moorage/go
  moorage mount /srv/photos /mnt/photos             mount a folder of this computer
  moorage status                                    see every drive
  moorage unmount go                                take it away
  moorage demo                                      try it with a drive in memory
  moorage doctor                                    see what works on this computer`,
		Args:          noSuchCommand,
		SilenceErrors: true,
		SilenceUsage:  true,

		PersistentPreRun: func(*cobra.Command, []string) { a.began = true },
		RunE: func(cmd *cobra.Command, args []string) error {
			if showVersion {
				return a.version(cmd.Context())
			}
			if err := cmd.Help(); err != nil {
				return err
			}
			return a.openWindow()
		},
	}
	c.Flags().BoolVar(&showVersion, "version", false, "print the version")
	c.AddGroup(
		&cobra.Group{ID: "drives", Title: "Drives:"},
		&cobra.Group{ID: "remembered", Title: "Drives that are remembered:"},
		&cobra.Group{ID: "more", Title: "More:"},
	)
	add := func(group string, cmds ...*cobra.Command) {
		for _, cmd := range cmds {
			cmd.GroupID = group
			c.AddCommand(cmd)
		}
	}
	add("drives", a.mountCommand(), a.unmountCommand(), a.statusCommand(), a.syncCommand(), a.pauseCommand(), a.resumeCommand(), a.pinCommand(), a.unpinCommand(), a.revisionsCommand(), a.showCommand(), a.openCommand(), a.demoCommand(), a.serveCommand())
	add("remembered", a.addCommand(), a.editCommand(), a.removeCommand(), a.listCommand(), a.secretsCommand())
	add("more", a.doctorCommand(), a.serviceCommand(), a.versionCommand())
	c.SetHelpCommand(helpCommand())
	c.SetHelpCommandGroupID("more")
	c.SetCompletionCommandGroupID("more")
	return c
}

// connect gives a client of a service that runs, starting it if need be.
func (a *app) connect(ctx context.Context) (*client.Client, error) {
	if a.client != nil {
		return a.client, nil
	}
	c, err := a.Connect()
	if err != nil {
		return nil, err
	}
	if err := a.Start(ctx); err != nil {
		return nil, err
	}
	a.client = c
	return c, nil
}

// ask gives a client and a context for short questions.
func (a *app) ask(ctx context.Context) (*client.Client, context.Context, context.CancelFunc, error) {
	c, err := a.connect(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	return c, ctx, cancel, nil
}

// say writes a line for a person to stdout.
func (a *app) say(format string, args ...any) {
	fmt.Fprintf(a.Stdout, format+"\n", args...)
}

// note writes a line to stderr: what is not the result.
func (a *app) note(format string, args ...any) {
	fmt.Fprintf(a.Stderr, format+"\n", args...)
}
