package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/moorage/moorage/daemon/api"
)

// ErrNoMooraged means that the service's program is not installed.
var ErrNoMooraged = errors.New("the program mooraged was not found beside this one or on PATH: install Moorage again")

// startTimeout bounds the wait for a service that was just started.
const startTimeout = 20 * time.Second

// Mooraged finds the service's program: beside the running one, else on PATH.
func Mooraged() (string, error) {
	if self, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(self); err == nil {
			self = real
		}
		p := filepath.Join(filepath.Dir(self), "mooraged"+exeSuffix)
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() {
			return p, nil
		}
	}
	p, err := exec.LookPath("mooraged")
	if err != nil {
		return "", ErrNoMooraged
	}
	return filepath.Abs(p)
}

// Start makes sure that a service answers at DefaultSocket: if none does, it
// starts one that outlives this process and waits, at most 20 seconds, until it
// answers. If it ends instead, the error carries what it wrote. Where the system
// starts the service at login, it is asked to do that now, so that it also starts
// it again after a crash.
func Start(ctx context.Context) error {
	socket, err := DefaultSocket()
	if err != nil {
		return err
	}
	c := New(socket)
	if _, err := c.Service(ctx); !errors.Is(err, ErrNoService) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	// Another socket is that of another service.
	if os.Getenv(SocketEnv) == "" && startManaged(ctx) {
		return c.await(ctx)
	}
	program, err := Mooraged()
	if err != nil {
		return err
	}

	// A file and no pipe: the service outlives this process and must be able to
	// write when nobody reads.
	out, err := os.CreateTemp("", "moorage-start-*")
	if err != nil {
		return fmt.Errorf("start the service: %w", err)
	}
	defer os.Remove(out.Name())
	defer out.Close()
	cmd := exec.Command(program)
	cmd.Stderr = out
	cmd.Dir = filepath.VolumeName(program) + string(filepath.Separator) // holds no folder busy
	cmd.SysProcAttr = detached()
	keepDescriptors()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the service: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // reaps it, if this process is still there then

	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("start the service: no answer in time: %w", ctx.Err())
		case err := <-ended:
			// Perhaps another program started one at the same moment.
			if _, serr := c.Service(ctx); serr == nil {
				return nil
			}
			if cmd.ProcessState.ExitCode() == api.ExitNotFound { // and it does not answer yet
				return c.await(ctx)
			}
			return startError(out, err)
		case <-tick.C:
			// If another one was first, ours ends soon. It is waited for, or it
			// might become the service after the other was told to end.
			if s, err := c.Service(ctx); err == nil && s.PID == cmd.Process.Pid {
				return nil
			}
		}
	}
}

// startError quotes the end of what the service wrote before it ended with err.
func startError(out io.ReadSeeker, err error) error {
	b := make([]byte, 2048)
	n := 0
	if _, serr := out.Seek(0, io.SeekStart); serr == nil {
		n, _ = io.ReadFull(out, b)
	}
	text := strings.TrimSpace(string(b[:n]))
	switch {
	case text != "":
		return fmt.Errorf("the service could not start: %s", text)
	case err != nil:
		return fmt.Errorf("the service could not start: %w", err)
	}
	return errors.New("the service ended as soon as it was started")
}

// await waits for a service to answer.
func (c *Client) await(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := c.Service(ctx)
		if !errors.Is(err, ErrNoService) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("start the service: no answer in time: %w", ctx.Err())
		case <-tick.C:
		}
	}
}
