package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
	"github.com/moorage/moorage/daemon/internal/problem"
	"github.com/moorage/moorage/daemon/internal/secrets"
)

const (
	startTime  = 20 * time.Second // for a successor to answer
	answerTime = 2 * time.Second  // for a service that runs
)

// successor is a service that takes over.
type successor struct {
	*exec.Cmd
	trusted bool // it is what this service was started from, and not what a client named
}

// keyEnv names the descriptor from which a successor reads the key of the file of
// secrets, so that drives go on though nobody is there to give the passphrase.
const keyEnv = "MOORAGE_KEY_FD"

// giveKey has successor find key. The caller closes what it returns, when successor is
// started.
func giveKey(successor *exec.Cmd, key []byte) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	_, err = w.Write(key) // a pipe has room for that
	if err = errors.Join(err, w.Close()); err != nil {
		r.Close()
		return nil, err
	}
	successor.ExtraFiles = []*os.File{r}
	successor.Env = append(successor.Environ(), keyEnv+"=3")
	return r, nil
}

// takeKey opens the file of secrets with the key that the service before has given.
func takeKey(s *secrets.Store) error {
	v, ok := os.LookupEnv(keyEnv)
	if !ok {
		return nil
	}
	_ = os.Unsetenv(keyEnv) // not for programs that this one starts
	fd, err := strconv.ParseUint(v, 10, 16)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), "key")
	defer f.Close()
	key, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return err
	}
	return s.OpenWith(key)
}

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
func handOver(ctx context.Context, o Options, successor *successor) error {
	said, err := os.CreateTemp("", "moorage-start-*")
	if err != nil {
		return err
	}
	defer os.Remove(said.Name())
	defer said.Close()
	if successor.Stderr == nil {
		successor.Stderr = said // a file and no pipe: it outlives this process
	}
	if successor.trusted {
		if key := o.Secrets.Key(); key != nil {
			r, err := giveKey(successor.Cmd, key)
			if err != nil {
				return err
			}
			defer r.Close()
		}
	}
	ended, err := start(successor.Cmd)
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
