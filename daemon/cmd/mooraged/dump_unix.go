//go:build unix

package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// noCore keeps a crash from leaving a core dump.
func noCore() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbid core dumps: %w", err)
	}
	return nil
}
