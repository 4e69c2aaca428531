package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// hideMemory keeps what is in memory, where logins are, from other programs of this
// user and from core dumps: a limit alone does not hold for a system that pipes dumps
// to a program.
func hideMemory() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("hide the memory: %w", err)
	}
	return noCore()
}
