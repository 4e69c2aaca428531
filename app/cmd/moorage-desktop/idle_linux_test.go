package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
)

// idle is an app to which nothing happens, and then one to which much does: it
// takes next to no time of the processor, and no more memory from change to change.
func idle(t *testing.T, program string) {
	s := newSession(t, true)
	service := s.service()
	app, ended := s.start(program)
	tray := s.trayOf(app.Process.Pid)
	tray.await("Add drive…")
	s.until("the window is there", func() bool { return s.window() != "" })
	s.until("the service runs", func() bool {
		_, err := service.Service(s.ctx)
		return err == nil
	})
	for i := range 12 {
		if _, err := service.Add(s.ctx, api.AddDrive{URL: s.home, Name: fmt.Sprintf("drive%d", i), Remember: true}); err != nil {
			t.Fatal(err)
		}
	}
	tray.await("All drives (12)…")
	s.shoot("idle")
	s.quiet("with its window", app.Process.Pid)
	s.hide()
	s.quiet("in the tray", app.Process.Pid)

	s.changes(service, tray, 600) // whatever is kept of each drive is there then
	before := resident(t, app.Process.Pid)
	const n = 3000
	s.changes(service, tray, n)
	after := resident(t, app.Process.Pid)
	t.Logf("%d MiB resident, after %d changes %d MiB", before>>20, n, after>>20)
	if after > before+before/4 {
		t.Errorf("%d changes took the app's memory from %d MiB to %d MiB", n, before>>20, after>>20)
	}
	tray.quit(ended)
}

// changes has the app told n times of a change, of each drive in turn.
func (s *session) changes(service *client.Client, tray *trayMenu, n int) {
	s.t.Helper()
	for i := range n {
		auto := i/12%2 == 0
		if _, err := service.Edit(s.ctx, fmt.Sprintf("drive%d", i%12), api.EditDrive{Auto: &auto}); err != nil {
			s.t.Fatal(err)
		}
	}
	// The last one shows in the tray, and after it nothing is under way.
	name := fmt.Sprintf("after%d", n)
	if _, err := service.Add(s.ctx, api.AddDrive{URL: s.home, Name: name, Remember: true}); err != nil {
		s.t.Fatal(err)
	}
	tray.await("All drives (13)…")
	if err := service.Remove(s.ctx, name); err != nil {
		s.t.Fatal(err)
	}
	tray.await("All drives (12)…")
}

// quiet waits for five seconds in which a process takes less than 3 percent of a
// processor.
func (s *session) quiet(how string, pid int) {
	s.t.Helper()
	const stretch, most = 5 * time.Second, 150 * time.Millisecond
	for {
		before := spent(s.t, pid)
		select {
		case <-time.After(stretch):
		case <-s.ctx.Done():
			s.t.Fatalf("the app is never quiet %s", how)
		}
		took := spent(s.t, pid) - before
		s.t.Logf("the app %s took %v in %v", how, took, stretch)
		if took < most {
			return
		}
	}
}

// spent is the time of processors that a process has had (proc(5), stat).
func spent(t *testing.T, pid int) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:]) // from the third field on
	user, err1 := strconv.Atoi(string(f[11]))
	system, err2 := strconv.Atoi(string(f[12]))
	if err1 != nil || err2 != nil {
		t.Fatalf("%s", b)
	}
	return time.Duration(user+system) * (time.Second / 100) // USER_HZ
}

// resident is how much memory a process has (proc(5), statm), in bytes.
func resident(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(string(bytes.Fields(b)[1]))
	if err != nil {
		t.Fatalf("%s", b)
	}
	return pages * os.Getpagesize()
}
