package providers

import (
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// What can go wrong with any remote. Providers wrap these with %w.
var (
	ErrNotExist    = fs.ErrNotExist                                  // no such object, said by a remote that answered
	ErrExist       = fs.ErrExist                                     // the object exists
	ErrPermission  = fs.ErrPermission                                // this login may not
	ErrClosed      = fs.ErrClosed                                    // the provider was closed
	ErrNotDir      = errors.New("not a directory")                   //
	ErrIsDir       = errors.New("is a directory")                    //
	ErrNotEmpty    = errors.New("directory not empty")               //
	ErrChanged     = errors.New("changed on the remote")             // the version asked for is not there (any more)
	ErrAuth        = errors.New("sign-in needed")                    // no login, or the remote refused it
	ErrHostKey     = errors.New("host key not trusted")              // the server is not the one that is known
	ErrOffline     = errors.New("remote not reachable")              // no connection, a time-out, or a broken answer; trying again may help
	ErrNoRemote    = errors.New("no such repository")                // host there, remote not (or hidden from this login)
	ErrNoRevision  = errors.New("no such revision")                  //
	ErrUnsupported = errors.New("not supported by this remote")      //
	ErrFull        = errors.New("no space left")                     // quota or disk
	ErrTooLarge    = errors.New("too large for this remote")         // a file; no space would help
	ErrClock       = errors.New("clocks differ")                     // this computer's and the remote's, so that no sign-in holds
	ErrProtocol    = errors.New("the remote broke its own protocol") // a malformed answer
)

// RateLimitedError says that the remote asks for a pause.
type RateLimitedError struct {
	After time.Duration // at least this long; 0 if the remote did not say
}

// Error says how long to wait.
func (e *RateLimitedError) Error() string {
	if e.After <= 0 {
		return "the remote asks for fewer requests"
	}
	return fmt.Sprintf("the remote asks for no request within %v", e.After)
}
