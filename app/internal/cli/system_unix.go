//go:build unix

package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

const exeSuffix = ""

// absolute joins s to the working folder. It asks the kernel for its name alone,
// where os.Getwd looks at the folder too: that hangs inside a dead mount, and it is
// there that people want to unmount.
func absolute(s string) (string, error) {
	if filepath.IsAbs(s) {
		return filepath.Clean(s), nil
	}
	wd, err := syscall.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the working folder: %w", err)
	}
	return filepath.Join(wd, s), nil
}

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
