package control

import (
	"errors"
	"fmt"

	"github.com/moorage/moorage/daemon/internal/lockfile"
)

// RunningError says that another service listens already.
type RunningError struct {
	PID int // 0 if it is not known
}

// Error is a sentence for a person.
func (e *RunningError) Error() string {
	if e.PID == 0 {
		return "a Moorage service is already running"
	}
	return fmt.Sprintf("a Moorage service is already running, pid %d", e.PID)
}

// Held turns a lock that another service holds into a RunningError.
func Held(err error) error {
	var held *lockfile.HeldError
	if errors.As(err, &held) {
		return &RunningError{PID: held.PID}
	}
	return err
}
