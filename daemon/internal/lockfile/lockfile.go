// Package lockfile keeps a second process away from what one process owns. The
// lock is the operating system's and ends with the process, however it ends;
// the file stays, since taking it away would open a race.
package lockfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// HeldError says that another process holds the lock.
type HeldError struct {
	PID int // 0 if it is not known
}

// Error names the process.
func (e *HeldError) Error() string {
	if e.PID == 0 {
		return "held by another process"
	}
	return fmt.Sprintf("held by process %d", e.PID)
}

var errHeld = errors.New("held")

// Lock is a held lock.
type Lock struct{ f *os.File }

// Acquire takes the lock at path, whose folder exists, without waiting. The
// error is a *HeldError if another process (or another call) has it.
func Acquire(path string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := lock(f); err != nil {
		defer f.Close()
		if errors.Is(err, errHeld) {
			b, _ := io.ReadAll(io.LimitReader(f, 32))
			pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
			return nil, &HeldError{PID: pid}
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	// The number only helps a person who reads an error message, so a full
	// disk does not stop anybody here.
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return &Lock{f: f}, nil
}

// Release gives the lock back.
func (l *Lock) Release() error { return l.f.Close() }
