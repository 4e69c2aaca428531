package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
)

// failure is an error of the command line itself: two sentences and a status.
type failure struct {
	status   int
	what, do string
}

func (f *failure) Error() string { return strings.TrimSpace(f.what + " " + f.do) }

// usage is a command that was given wrongly.
func usage(format string, args ...any) error {
	return &failure{status: api.ExitUsage, what: fmt.Sprintf(format, args...)}
}

// usageOf is what cobra says of a command line.
func usageOf(err error) error {
	var f *failure
	if errors.As(err, &f) {
		return err
	}
	return usage("%s.", sentence(err.Error()))
}

// nothing is a command that has nothing to do, or did not find its drive.
func nothing(what, do string) error {
	return &failure{status: api.ExitNotFound, what: what, do: do}
}

// report tells a person what went wrong and returns the exit status.
func (a *app) report(cmd *cobra.Command, err error) int {
	status, what, do := describe(err)
	a.note("moorage: %s", clean(what))
	if do != "" {
		a.note("  %s", clean(do))
	}
	var f *failure
	if status == api.ExitUsage && cmd != nil && errors.As(err, &f) {
		a.note("  See %s --help.", cmd.CommandPath())
	}
	return status
}

// describe gives the exit status of err, what happened, and what to do.
func describe(err error) (status int, what, do string) {
	var f *failure
	var e *api.Error
	switch {
	case errors.As(err, &f):
		return f.status, f.what, f.do
	case errors.As(err, &e):
		status = e.Exit
		if status < api.ExitFailed || status > api.ExitMissing {
			status = api.ExitFailed
		}
		return status, strings.TrimSpace(e.Problem.What + " " + e.Problem.Means), e.Problem.Do
	case errors.Is(err, client.ErrNoMooraged):
		return api.ExitMissing, sentence(err.Error()) + ".", ""
	case errors.Is(err, client.ErrNoService):
		return api.ExitFailed, "The service ended.", "Try again; moorage doctor says what is wrong."
	case errors.Is(err, context.Canceled):
		return api.ExitFailed, "Interrupted.", ""
	case errors.Is(err, context.DeadlineExceeded):
		return api.ExitFailed, "The service did not answer in time.", "See moorage status, and try again."
	}
	return api.ExitFailed, sentence(err.Error()) + ".", ""
}

// sentence makes s one line with a capital letter and no full stop.
func sentence(s string) string {
	s = strings.TrimRight(strings.Join(strings.Fields(s), " "), ".")
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

// clean takes out what could command a terminal: names and texts come from
// remotes too.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == utf8.RuneError {
			return '�'
		}
		return r
	}, s)
}

// exactly, between and noSuchCommand check the number of arguments.
func exactly(n int, example string) cobra.PositionalArgs { return between(n, n, example) }

func between(low, high int, example string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < low:
			return usage("%s takes %s, as in: %s", cmd.CommandPath(), strings.TrimPrefix(cmd.Use, cmd.Name()+" "), example)
		case len(args) > high:
			return usage("%q is too much for %s, as in: %s", args[high], cmd.CommandPath(), example)
		}
		return nil
	}
}

func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if s := cmd.SuggestionsFor(args[0]); len(s) > 0 {
		return usage("There is no command %q. Did you mean %s?", args[0], strings.Join(s, " or "))
	}
	return usage("There is no command %q. To mount it as a drive: moorage mount %s", args[0], args[0])
}
