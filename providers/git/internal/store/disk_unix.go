//go:build unix

package store

import (
	"errors"
	"syscall"
)

// isFull tells whether err says that the disk, or what we may have of it, is full.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
