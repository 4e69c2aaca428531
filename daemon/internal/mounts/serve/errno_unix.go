//go:build unix

package serve

import "syscall"

// What listening fails with if another has the port, or only root may.
const (
	errTaken     = syscall.EADDRINUSE
	errForbidden = syscall.EACCES
)
