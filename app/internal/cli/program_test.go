//go:build unix

package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
)

// The programs as the Go command knows them from here.
const (
	lineProgram    = "../../cmd/moorage"
	serviceProgram = "../../../daemon/cmd/mooraged"
)

// built is where programs are built, once for all tests, and taken away at the end.
var built string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "moorage-cli-programs-")
	if err != nil {
		panic(err)
	}
	built = dir
	status := m.Run()
	os.RemoveAll(dir)
	os.Exit(status)
}

// programs puts real programs into a folder of the test's own.
func programs(t *testing.T, of ...string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the programs; not with -short")
	}
	dir := t.TempDir()
	for _, pkg := range of {
		name := filepath.Base(pkg)
		if _, err := os.Stat(filepath.Join(built, name)); err != nil {
			build := exec.Command("go", "build", "-o", built+"/", pkg)
			build.Env = append(os.Environ(), "CGO_ENABLED=0")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("build: %v\n%s", err, out)
			}
		}
		if err := os.Link(filepath.Join(built, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// moorage is a command of the real program, killed at the latest after a minute.
func moorage(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "moorage"), args...)
	cmd.WaitDelay = 5 * time.Second
	home := t.TempDir()
	if err := os.Chmod(home, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd.Env = []string{"HOME=" + home, "PATH=/usr/bin:/bin", "XDG_RUNTIME_DIR=" + home, client.SocketEnv + "=" + filepath.Join(home, "s")}
	return cmd
}

func TestProgramServes(t *testing.T) {
	dir := programs(t, lineProgram, serviceProgram)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		cmd := moorage(t, dir, "serve", "mem:", "--export", "/demo")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		var ready struct{ Address, Export, Mount string }
		if err := json.Unmarshal([]byte(line), &ready); err != nil || ready.Export != "/demo" || !strings.Contains(ready.Mount, "/demo") {
			t.Errorf("first line %q: %v", line, err)
		}
		c, err := net.DialTimeout("tcp", ready.Address, 5*time.Second)
		if err != nil {
			t.Errorf("nothing answers there: %v", err)
		} else {
			c.Close()
		}
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v", sig, err)
		}
	}
	if err := moorage(t, dir, "serve", "bogus:x").Run(); exitStatus(err) != api.ExitUsage {
		t.Errorf("a wrong URL: %v", err)
	}
}

func exitStatus(err error) int {
	if e, ok := err.(*exec.ExitError); ok {
		return e.ExitCode()
	}
	return -1
}

func TestProgramWithoutService(t *testing.T) {
	dir := programs(t, lineProgram)
	for _, args := range [][]string{{"status"}, {"serve", "mem:"}, {"mount", "mem:"}, {"doctor"}, {"demo"}} {
		if err := moorage(t, dir, args...).Run(); exitStatus(err) != api.ExitMissing {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func TestProgramOpensTheWindow(t *testing.T) {
	dir := programs(t, lineProgram)
	mark := filepath.Join(dir, "opened")
	window := "#!/bin/sh\ntouch '" + mark + ".new' && mv '" + mark + ".new' '" + mark + "'\n"
	if err := os.WriteFile(filepath.Join(dir, "moorage-desktop"), []byte(window), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := moorage(t, dir)
	cmd.Env = append(cmd.Env, "DISPLAY=:99")
	if out, err := cmd.Output(); err != nil || !strings.Contains(string(out), "Usage:") {
		t.Errorf("%s, %v", out, err)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(mark); err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the window was not started")
		}
	}
}
