//go:build !linux

package service

import "os/exec"

// start starts a successor; the channel gets a value when it ends.
func start(successor *exec.Cmd) (<-chan error, error) {
	if err := successor.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- successor.Wait() }()
	return ended, nil
}
