//go:build unix

package main

import (
	"os"
	"os/exec"
	"syscall"
)

// setGroup has a program run in a process group of its own, so that the helpers
// it starts can be ended with it.
func setGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// endGroup ends what setGroup has started.
func endGroup(p *os.Process, hard bool) {
	sig := syscall.SIGTERM
	if hard {
		sig = syscall.SIGKILL
	}
	syscall.Kill(-p.Pid, sig)
}
