package cli

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
)

// terminal makes a pseudo-terminal: what a person sees and types, and what the
// program has.
func terminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { person.Close() })
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

func echoes(t *testing.T, f *os.File) bool {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return s.Lflag&unix.ECHO != 0
}

// A person types a password at a real terminal, or Ctrl-C in its place.
func TestProgramAsksAtTheTerminal(t *testing.T) {
	dir := programs(t, lineProgram)
	for _, typed := range []string{"hunter2\n", "hunt\x03"} {
		f := newFake(t, notes)
		person, program := terminal(t)
		cmd := moorage(t, dir, "edit", "notes", "--secret")
		cmd.Env = append(cmd.Env, client.SocketEnv+"="+f.socket)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		program.Close() // so that reading ends with the program
		var seen strings.Builder
		b := make([]byte, 256)
		for asked := false; ; {
			n, err := person.Read(b)
			seen.Write(b[:n])
			if err != nil {
				t.Fatalf("after %q: %v", seen.String(), err)
			}
			if !asked && strings.Contains(seen.String(), "Password or token for notes: ") {
				asked = true
				for echoes(t, person) { // is turned off just after the question
				}
				if _, err := person.WriteString(typed); err != nil {
					t.Fatal(err)
				}
			}
			if strings.Contains(seen.String(), "Changed notes.") || strings.Contains(seen.String(), "Interrupted.") {
				break
			}
		}
		err := cmd.Wait()
		if typed == "hunter2\n" {
			if err != nil || f.secret("notes") != "hunter2" {
				t.Errorf("%v, secret %q", err, f.secret("notes"))
			}
		} else if exitStatus(err) != api.ExitFailed || f.secret("notes") != "" {
			t.Errorf("Ctrl-C: %v, secret %q", err, f.secret("notes"))
		}
		if strings.Contains(seen.String(), "hunt") || !echoes(t, person) {
			t.Errorf("seen %q, echo afterwards %v", seen.String(), echoes(t, person))
		}
	}
}

// On a terminal that shows colours, and where the service was started by nobody.
func TestProgramColoursOnATerminal(t *testing.T) {
	dir := programs(t, lineProgram)
	f := newFake(t, goDrive)
	person, program := terminal(t)
	cmd := exec.Command(filepath.Join(dir, "moorage"), "status")
	cmd.Env = []string{"HOME=" + t.TempDir(), "TERM=xterm", client.SocketEnv + "=" + f.socket}
	cmd.Stdout = program
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	n, err := person.Read(b)
	if err != nil || !strings.Contains(string(b[:n]), "\x1b[") {
		t.Errorf("%q, %v", b[:n], err)
	}
}
