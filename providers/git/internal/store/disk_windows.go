package store

import (
	"errors"

	"golang.org/x/sys/windows"
)

// isFull tells whether err says that the disk is full.
func isFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}
