// Package problem turns errors into what a person reads: what happened, what it
// means, what to do, with a stable code and the exit status of a command.
package problem

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/config"
	"github.com/moorage/moorage/providers"
)

// New makes an error with the given texts.
func New(exit int, code, what, means, do string) *api.Error {
	return &api.Error{Exit: exit, Problem: api.Problem{Code: code, What: what, Means: means, Do: do}}
}

// Transient reports whether err may pass without anybody doing anything.
func Transient(err error) bool {
	var e *api.Error
	if errors.As(err, &e) {
		return e.Problem.Code == api.CodeOffline || e.Problem.Code == api.CodeTimeout
	}
	var rate *providers.RateLimitedError
	return errors.Is(err, providers.ErrOffline) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &rate)
}

// NeedsPerson reports whether a drive that failed with e waits for a person.
func NeedsPerson(e *api.Error) bool {
	switch e.Problem.Code {
	case api.CodeAuth, api.CodeHostKey, api.CodeKeyring, api.CodeLocked, api.CodeSlowKeyring, api.CodePassphrase, api.CodeSecretFile:
		return true
	}
	return false
}

// Of explains err, which came up with the drive at url. An *api.Error stays as
// it is.
func Of(err error, url string) *api.Error {
	var e *api.Error
	if errors.As(err, &e) {
		return e
	}
	for _, explain := range []func(error, string) *api.Error{secret, remote, local} {
		if e := explain(err, url); e != nil {
			return e
		}
	}
	return New(api.ExitFailed, api.CodeInternal, fmt.Sprintf("The drive %s failed: %s.", url, detail(err)), "",
		"Try again; if it stays, look into the service's log and report this.")
}

// remote explains the errors that providers have in common.
func remote(err error, url string) *api.Error {
	var rate *providers.RateLimitedError
	switch {
	case errors.Is(err, providers.ErrURL):
		return New(api.ExitUsage, api.CodeBadURL, sentence(detail(err)), "", "")
	case errors.Is(err, providers.ErrComing):
		return New(api.ExitFailed, api.CodeComing, sentence(detail(err)), "", "")
	case errors.Is(err, providers.ErrHostKey):
		return New(api.ExitFailed, api.CodeHostKey, fmt.Sprintf("The server of %s is not the one that this computer knows%s.", url, because(err, providers.ErrHostKey)),
			"Somebody may stand between you and it, so nothing was sent.",
			"Compare its host key with one from its owner, then put that into ~/.ssh/known_hosts.")
	case errors.Is(err, providers.ErrAuth):
		return New(api.ExitFailed, api.CodeAuth, fmt.Sprintf("%s wants a sign-in, or refused the one it got%s.", url, because(err, providers.ErrAuth)),
			"The drive stays unmounted until it has one.",
			"Store a password or token for the drive, or sign in with the remote's own tool (git credential, ssh-agent), then mount it again.")
	case errors.Is(err, providers.ErrClock):
		return New(api.ExitFailed, api.CodeOffline, fmt.Sprintf("The clock of this computer and that of %s differ%s.", url, because(err, providers.ErrClock)),
			"No sign-in holds until they agree.", "Set the clock, best by a time server, then try again.")
	case errors.Is(err, providers.ErrNoRemote):
		return New(api.ExitNotFound, api.CodeNoRemote, fmt.Sprintf("There is nothing at %s, or this login may not see it%s.", url, because(err, providers.ErrNoRemote)),
			"", "Check the spelling; for a private repository sign in first.")
	case errors.Is(err, providers.ErrNoRevision):
		return New(api.ExitNotFound, api.CodeNoRevision, fmt.Sprintf("%s has no such branch, tag or commit%s.", url, because(err, providers.ErrNoRevision)),
			"", "Check the revision behind the @, or leave it out for the default branch.")
	case errors.As(err, &rate):
		return New(api.ExitFailed, api.CodeOffline, fmt.Sprintf("%s is busy: %s.", url, rate.Error()),
			"", "Wait a little, then try again.")
	case errors.Is(err, providers.ErrOffline):
		return New(api.ExitFailed, api.CodeOffline, fmt.Sprintf("%s cannot be reached%s.", url, because(err, providers.ErrOffline)),
			"", "Check the network and the address, then try again.")
	case errors.Is(err, providers.ErrProtocol):
		return New(api.ExitFailed, api.CodeOffline, fmt.Sprintf("%s gave an answer that makes no sense%s.", url, because(err, providers.ErrProtocol)),
			"", "Check that the address is one of a repository and not of a web page or a login portal.")
	case errors.Is(err, providers.ErrUnsupported):
		return New(api.ExitFailed, api.CodeInternal, fmt.Sprintf("%s cannot be opened by this version%s.", url, because(err, providers.ErrUnsupported)),
			"", "Give another address of the same repository, such as that for https.")
	case errors.Is(err, providers.ErrNotDir):
		return New(api.ExitNotFound, api.CodeNoRemote, fmt.Sprintf("A part of %s is a file and not a folder.", url), "", "Check the path behind the revision.")
	}
	return nil
}

// local explains what goes wrong on this computer.
func local(err error, url string) *api.Error {
	var bad *config.Error
	var path *fs.PathError
	switch {
	case errors.As(err, &bad):
		return Config(bad)
	case errors.Is(err, config.ErrForm):
		return New(api.ExitFailed, api.CodeConfig, "The config file is written in a way that Moorage cannot edit.",
			"It was not touched, and the change was not made.", "Write each drive as a [[drive]] table of its own.")
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, providers.ErrFull), errors.Is(err, errDiskQuota):
		where := ""
		if errors.As(err, &path) {
			where = " in " + filepath.Dir(path.Path)
		}
		return New(api.ExitFailed, api.CodeDiskFull, "This computer has no space left for the files of the drive"+where+".",
			"", "Free some space, then try again.")
	case errors.Is(err, context.DeadlineExceeded):
		return New(api.ExitFailed, api.CodeTimeout, fmt.Sprintf("%s did not answer in time.", url), "", "Check the network, then try again.")
	case errors.Is(err, context.Canceled):
		return New(api.ExitFailed, api.CodeStopping, "The work on the drive was called off.", "", "")
	case errors.As(err, &path):
		return New(api.ExitFailed, api.CodePermission, fmt.Sprintf("A file of this computer that is needed for %s cannot be used: %s.", url, detail(err)),
			"", "Check that its folder exists and that you may write there.")
	case errors.Is(err, fs.ErrPermission):
		return New(api.ExitFailed, api.CodePermission, fmt.Sprintf("%s may not be read or written: %s.", url, detail(err)),
			"", "Check the owner and the permissions.")
	case errors.Is(err, fs.ErrNotExist):
		return New(api.ExitNotFound, api.CodeNoRemote, fmt.Sprintf("%s does not exist%s.", url, because(err, fs.ErrNotExist)), "", "Check the spelling.")
	}
	return nil
}

// Config explains a malformed config file.
func Config(e *config.Error) *api.Error {
	return New(api.ExitFailed, api.CodeConfig, "The config file is damaged: "+e.Error()+".",
		"The drives in it cannot be used, and nothing is written to it meanwhile.",
		"Mend that line, or move the file away to start with an empty list.")
}

// detail is err's text without its last stop, in one line.
func detail(err error) string {
	s := strings.Join(strings.Fields(err.Error()), " ")
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "…"
	}
	return strings.TrimRight(s, ".")
}

// because is what err's text says behind that of the error it wraps, with a
// colon before it; a person has no use for the operations in front.
func because(err, wrapped error) string {
	s := detail(err)
	if i := strings.LastIndex(s, wrapped.Error()); i >= 0 {
		s = s[i+len(wrapped.Error()):]
		if !strings.HasPrefix(s, ": ") {
			return ""
		}
		return s
	}
	return ": " + s
}

// sentence begins s with a capital and ends it with a stop.
func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}
