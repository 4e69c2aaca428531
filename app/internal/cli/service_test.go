//go:build unix

package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
)

// session runs commands of the real programs against one real service, which the
// first of them starts.
type session struct {
	t   *testing.T
	dir string
	env []string
}

func newSession(t *testing.T) *session {
	s := &session{t: t, dir: programs(t, lineProgram, serviceProgram)}
	s.env = moorage(t, s.dir).Env
	socket := strings.TrimPrefix(s.env[len(s.env)-1], client.SocketEnv+"=")
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		c := client.New(socket)
		before, err := c.Service(ctx)
		if err != nil {
			return // it never ran
		}
		if err := c.Stop(ctx, api.StopService{Unmount: true}); err != nil {
			t.Errorf("stop the service: %v", err)
		}
		for syscall.Kill(before.PID, 0) == nil { // it writes into a folder that is about to go
			select {
			case <-ctx.Done():
				t.Error("the service does not end")
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	return s
}

func (s *session) command(args ...string) *exec.Cmd {
	cmd := moorage(s.t, s.dir, args...)
	cmd.Env = s.env
	return cmd
}

// run runs one command and checks its exit status and a part of what it says.
func (s *session) run(status int, says string, args ...string) string {
	s.t.Helper()
	var out, stderr strings.Builder
	cmd := s.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != status || !strings.Contains(out.String()+stderr.String(), says) {
		s.t.Errorf("moorage %s: status %d (%v), not %d and %q:\n%s%s", strings.Join(args, " "), got, err, status, says, out.String(), stderr.String())
	}
	if status != 0 && strings.Contains(stderr.String(), "Usage:") {
		s.t.Errorf("moorage %s dumps its usage", strings.Join(args, " "))
	}
	return out.String()
}

func TestProgramKeepsDrives(t *testing.T) {
	s := newSession(t)
	s.run(0, "no drive yet", "status")
	s.run(0, "Added m.", "add", "mem:", "--name", "m")
	s.run(api.ExitFailed, "already", "add", "mem:", "--name", "m")
	s.run(api.ExitUsage, "URL", "add", "bogus:x")
	s.run(0, "Changed m.", "edit", "m", "--auto", "--read-only")
	var all []api.Drive
	if err := json.Unmarshal([]byte(s.run(0, "", "list", "--json")), &all); err != nil || len(all) != 1 {
		t.Fatalf("%d drives, %v", len(all), err)
	}
	if d := all[0]; d.Name != "m" || !d.Auto || !d.ReadOnly || !d.Remembered || d.State != api.Stopped || d.URL != "mem:" {
		t.Errorf("%+v", d)
	}
	s.run(api.ExitNotFound, "not mounted", "unmount", "m")
	s.run(api.ExitNotFound, "no drive", "remove", "nosuch")
	s.run(api.ExitFailed, "does not exist", "mount", "/nowhere/at/all")
	s.run(api.ExitFailed, "does not exist", "mount", "mem:", "/nowhere/at/all")
	s.run(api.ExitFailed, "not empty", "mount", "mem:", "/usr")
	s.run(0, "Removed m.", "remove", "m")
	if out := s.run(0, "", "status", "--json"); out != "[]\n" {
		t.Errorf("failed mounts stay: %s", out)
	}
	s.run(0, "service ", "version")
}

// The demo mounts where that is possible, and serves where it is not.
func TestProgramDemo(t *testing.T) {
	s := newSession(t)
	cmd := s.command("demo")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("%v\n%v\n%s", err, cmd.Wait(), stderr.String())
	}
	if strings.HasPrefix(line, "demo is mounted at ") {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		s.run(0, "demo is unmounted", "unmount", "demo")
		return
	}
	var ready struct{ Export string }
	if err := json.Unmarshal([]byte(line), &ready); err != nil || ready.Export != "/demo" {
		t.Errorf("first line %q: %v", line, err)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("Ctrl-C: %v", err)
	}
	if !strings.Contains(stderr.String(), "cannot be mounted here") {
		t.Errorf("does not say why: %s", stderr.String())
	}
	if out := s.run(0, "", "status", "--json"); out != "[]\n" {
		t.Errorf("the drive that could not be mounted stays: %s", out)
	}
}

// TestServiceInheritsNothing gives the first command a descriptor that a shell
// would have opened. If the service kept it, the reader would wait for ever.
func TestServiceInheritsNothing(t *testing.T) {
	s := newSession(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := s.command("status")
	cmd.ExtraFiles = []*os.File{w}
	out, err := cmd.CombinedOutput()
	w.Close()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := r.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the service holds a descriptor of whoever started it: %v", err)
	}
}
