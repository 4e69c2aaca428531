//go:build unix

package client

import "syscall"

const exeSuffix = ""

// detached puts the service into a session of its own, so that it does not end
// with the terminal.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
