//go:build unix

package main

import (
	"syscall"

	"golang.org/x/sys/unix"
)

const errNotDir = syscall.ENOTDIR

// writable reports whether this user may put something into a folder.
func writable(dir string) bool { return unix.Access(dir, unix.W_OK) == nil }
