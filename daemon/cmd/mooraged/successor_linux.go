package main

import (
	"os"
	"os/exec"
)

// successors is service.Options.Successor. The program's path is asked for now: after
// an update another file is there.
func successors(foreground bool) (func(program string) *exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return func(program string) *exec.Cmd {
		if program == "" {
			program = self
		}
		cmd := exec.Command(program, os.Args[1:]...)
		if foreground {
			cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		}
		return cmd
	}, nil
}
