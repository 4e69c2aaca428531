package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/nfstest"
)

// succession is a service with a mounted folder in which a file is open.
type succession struct {
	*home
	first  *process
	drive  api.Drive
	folder string
	open   nfstest.Handle
}

func newSuccession(t *testing.T) *succession {
	s := &succession{home: newHome(t), folder: t.TempDir()}
	if err := os.WriteFile(filepath.Join(s.folder, "file"), []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.first = s.service()
	t.Cleanup(func() { // of the successor, which is no process of this test's
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = s.client.Stop(ctx, api.StopService{}) // there is one only if the test failed
	})
	s.drive = s.mount(api.AddDrive{URL: s.folder, Name: "f"})
	l, err := kernel(t, s.drive.Address).Lookup(t.Context(), s.root(), "file")
	if err != nil || l.Status != 0 {
		t.Fatalf("LOOKUP: %+v, %v", l, err)
	}
	s.open = nfstest.Handle(l.Handle)
	return s
}

// goesOn writes and reads by the handle that was open from the beginning.
func (s *succession) goesOn(text string) {
	s.t.Helper()
	d, err := s.client.Drive(s.t.Context(), "f")
	for end := time.Now().Add(30 * time.Second); err == nil && d.State != api.Mounted && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		d, err = s.client.Drive(s.t.Context(), "f")
	}
	if err != nil || d.State != api.Mounted || d.Address != s.drive.Address {
		s.t.Fatalf("the drive is %+v, %v", d, err)
	}
	c := kernel(s.t, d.Address)
	w, err := c.Write(s.t.Context(), s.open, 0, []byte(text), nfs.FileSync)
	if err != nil || w.Status != 0 {
		s.t.Errorf("WRITE to a file that was open: %+v, %v", w, err)
	}
	if got := read(s.t, c, s.root(), "file"); got != text {
		s.t.Errorf("read %q, want %q", got, text)
	}
	if tab, err := s.table.List(s.t.Context()); err != nil || len(tab) != 1 {
		s.t.Errorf("mount table %+v, %v", tab, err)
	}
}

// stop ends whatever service runs.
func (s *succession) stop() {
	s.t.Helper()
	if err := endService(s.t.Context(), api.StopService{Unmount: true}); err != nil {
		s.t.Error(err)
	}
}

// A new program takes over: the mount stays, and handles that were given out.
func TestSuccessor(t *testing.T) {
	s := newSuccession(t)
	if err := restartService(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status := s.first.wait(); status != 0 {
		t.Errorf("the first service ended with status %d", status)
	}
	i, err := s.client.Service(t.Context())
	if err != nil || i.PID == s.first.cmd.Process.Pid || i.Restart != nil {
		t.Errorf("Service = %+v, %v", i, err)
	}
	s.goesOn("second")
	if err := restartService(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.goesOn("third!")
	s.stop()
}

// A new program that is broken costs a moment: the old one goes on, and says why.
func TestSuccessorThatDoesNotStart(t *testing.T) {
	s := newSuccession(t)
	for _, broken := range []string{"#!/bin/sh\necho it is broken >&2\nexit 3\n", "#!/bin/sh\n", "no program at all"} {
		program := filepath.Join(s.dir, "mooraged")
		if err := os.WriteFile(program, []byte(broken), 0o700); err != nil {
			t.Fatal(err)
		}
		before, err := s.client.Service(t.Context())
		if err == nil {
			err = s.client.Restart(t.Context(), api.RestartService{Program: program})
		}
		if err != nil {
			t.Fatal(err)
		}
		after := before
		for end := time.Now().Add(30 * time.Second); after.Started.Equal(before.Started) && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if i, err := s.client.Service(t.Context()); err == nil {
				after = i
			}
		}
		if after.PID != before.PID || after.Restart == nil || after.Restart.Code != api.CodeRestart || !strings.Contains(after.Restart.What, program) {
			t.Errorf("%q: Service = %+v, problem %+v", broken, after, after.Restart)
		}
		s.goesOn("before")
	}
	if err := s.client.Restart(t.Context(), api.RestartService{Program: "mooraged"}); code(err) != api.CodeBadRequest {
		t.Errorf("a program that could be anything: %v", err)
	}
	s.stop()
	if status := s.first.wait(); status != 0 {
		t.Errorf("exit status %d", status)
	}
}

// A log-out while a new program starts: the drives are unmounted.
func TestSIGTERMWhileASuccessorStarts(t *testing.T) {
	s := newSuccession(t)
	program, started := filepath.Join(s.dir, "mooraged"), filepath.Join(s.dir, "started")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n>"+started+"\nexec sleep 100\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.client.Restart(t.Context(), api.RestartService{Program: program}); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(started); err == nil {
			break
		}
	}
	if status := s.first.end(syscall.SIGTERM); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if tab, err := s.table.List(t.Context()); err != nil || len(tab) != 0 {
		t.Errorf("mount table %+v, %v", tab, err)
	}
}

// What lives in memory alone would be lost.
func TestNoSuccessorOfADriveInMemory(t *testing.T) {
	s := newSuccession(t)
	s.mount(api.AddDrive{URL: "mem:", Name: "notes"})
	if err := restartService(t.Context()); code(err) != api.CodeLost || !strings.Contains(err.Error(), "notes") {
		t.Errorf("restart: %v", err)
	}
	if i, err := s.client.Service(t.Context()); err != nil || i.PID != s.first.cmd.Process.Pid {
		t.Errorf("Service = %+v, %v", i, err)
	}
	s.stop()
}
