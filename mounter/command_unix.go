//go:build unix

package mounter

import (
	"os/exec"
	"syscall"
)

func commandEnv() []string {
	return []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
}

func commandDir() string { return "/" }

// detach puts cmd into a process group of its own: a Ctrl-C meant for us must not
// stop it half-way. When it is killed, so are its children.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
