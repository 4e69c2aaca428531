//go:build unix

package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

const exeSuffix = ""

// replace becomes another program: its signals and its exit status are then its
// own. It returns only if that failed.
func replace(_ context.Context, argv []string) (int, error) {
	return 0, fmt.Errorf("exec: %w", syscall.Exec(argv[0], argv, os.Environ()))
}

// launch starts a program in a session of its own, so that it outlives the
// terminal, and does not wait for it.
func launch(argv []string) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Process.Release()
}
