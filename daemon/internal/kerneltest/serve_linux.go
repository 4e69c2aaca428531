package kerneltest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Server is a "moorage serve" that a test's own binary runs in the guest.
type Server struct {
	Address netip.AddrPort // NFS and MOUNT
	Export  string
	cmd     *exec.Cmd
}

// Serve serves url as the user as; nil is who calls. The server's messages go to
// stderr. env are more variables of its environment.
func Serve(url string, as *syscall.Credential, stderr io.Writer, env ...string) (*Server, error) {
	return ServeWith([]string{url}, as, stderr, env...)
}

// ServeWith is Serve with all words that follow "moorage serve".
func ServeWith(args []string, as *syscall.Credential, stderr io.Writer, env ...string) (*Server, error) {
	s := &Server{cmd: exec.Command("moorage", append([]string{"serve"}, args...)...)}
	if as != nil {
		s.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
		env = append(env, "HOME=/tmp")
	}
	s.cmd.Env, s.cmd.Stderr = append(os.Environ(), env...), stderr
	stdout, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("start moorage serve: %w", err)
	}
	var ready struct{ Address, Export string }
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &ready)
	}
	if err == nil {
		s.Address, err = netip.ParseAddrPort(ready.Address)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("moorage serve said %q: %w", line, err), s.Stop())
	}
	s.Export = ready.Export
	return s, nil
}

// PID is the server's process.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Stop ends the server, which must end in order and soon.
func (s *Server) Stop() error { return s.End(syscall.SIGTERM) }

// End ends the server by a signal. A status other than 0 is an error.
func (s *Server) End(by syscall.Signal) error {
	kill := time.AfterFunc(15*time.Second, func() { s.cmd.Process.Kill() })
	defer kill.Stop()
	if err := s.cmd.Process.Signal(by); err != nil {
		return err
	}
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("moorage serve: %w", err)
	}
	return nil
}
