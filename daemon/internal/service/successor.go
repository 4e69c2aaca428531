package service

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
	"github.com/moorage/moorage/daemon/client"
	"github.com/moorage/moorage/daemon/internal/problem"
)

const (
	startTime  = 20 * time.Second // for a successor to answer
	answerTime = 2 * time.Second  // for a service that runs
)

// replace is asked by a client.
func (s *Service) replace(r api.RestartService) error {
	switch {
	case s.o.Successor == nil:
		return problem.New(api.ExitFailed, api.CodeUnsupported, "This service cannot start another one in its place.", "", "End it, and start the other.")
	case r.Program != "" && !filepath.IsAbs(r.Program):
		return problem.New(api.ExitUsage, api.CodeBadRequest, "The new service's program is no absolute path.", "", "")
	}
	if name := s.m.Volatile(); name != "" {
		return problem.New(api.ExitFailed, api.CodeLost, fmt.Sprintf("The drive %q lives in the service's memory, and would be empty afterwards.", name),
			"The service goes on as it is.", fmt.Sprintf("Copy what you want to keep and unmount it: moorage unmount %s. Then restart.", name))
	}
	select {
	case s.restart <- r.Program:
	default:
	}
	return nil
}

// handOver starts a successor, waits until it answers, and tells the service manager
// that it is the one to watch over now. Nothing of this service is open any more.
// After an error the successor has ended. Meanwhile calls of mounted drives wait in
// the queues of their listeners, or the system's client knocks again.
func handOver(ctx context.Context, o Options, successor *exec.Cmd) error {
	said, err := os.CreateTemp("", "moorage-start-*")
	if err != nil {
		return err
	}
	defer os.Remove(said.Name())
	defer said.Close()
	if successor.Stderr == nil {
		successor.Stderr = said // a file and no pipe: it outlives this process
	}
	ended, err := start(successor)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	c := client.New(o.Socket)
	for {
		select {
		case err := <-ended:
			return startError(said, err)
		case <-ctx.Done():
			_ = successor.Process.Kill() // it is no service yet; if it has become one, it may be killed at any time
			<-ended
			return fmt.Errorf("no answer in time: %w", ctx.Err())
		case <-tick.C:
		}
		if s, err := c.Service(ctx); err == nil && s.PID == successor.Process.Pid {
			o.Logger.Info("another service has taken over", "pid", s.PID, "version", s.Version)
			notifyMain(s.PID)
			return nil
		}
	}
}

// startError quotes what a service wrote before it ended with err.
func startError(said io.ReaderAt, err error) error {
	b := make([]byte, 2048)
	n, _ := said.ReadAt(b, 0)
	text := strings.TrimSpace(strings.ToValidUTF8(string(b[:n]), "?"))
	if err == nil {
		err = errors.New("it ended as soon as it was started")
	}
	if text != "" {
		return fmt.Errorf("%w: %s", err, text)
	}
	return err
}

// notStarted explains that a successor did not start.
func notStarted(program string, err error) *api.Problem {
	return &api.Problem{Code: api.CodeRestart, What: fmt.Sprintf("The new service, %s, did not start: %s.", program, strings.TrimSuffix(err.Error(), ".")),
		Means: "The one before goes on, and no drive was unmounted.", Do: "Install Moorage again, then: moorage service restart.", Time: time.Now()}
}
