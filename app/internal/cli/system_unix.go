//go:build unix

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
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
func replace(_ context.Context, argv []string, input string) (int, error) {
	if input != "" {
		if err := giveInput(input); err != nil {
			return 0, err
		}
	}
	return 0, fmt.Errorf("exec: %w", syscall.Exec(argv[0], argv, os.Environ()))
}

// maxInput is what a pipe takes without anybody reading.
const maxInput = 16 << 10

// giveInput makes input the standard input of this process, and so of the one that it
// becomes.
func giveInput(input string) error {
	if len(input) > maxInput {
		return fmt.Errorf("the address is longer than %d bytes", maxInput)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	_, err = w.WriteString(input)
	if err = errors.Join(err, w.Close()); err == nil {
		err = unix.Dup2(int(r.Fd()), 0)
	}
	if err != nil {
		return fmt.Errorf("fill a pipe: %w", err)
	}
	return nil // r is closed by exec
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
