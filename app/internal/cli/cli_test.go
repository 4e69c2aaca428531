//go:build unix

package cli

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
)

var (
	goDrive = api.Drive{Name: "go", URL: "https://github.com/golang/go", Kind: "git", Dir: "/home/u/Moorage/go", ReadOnly: true, Auto: true,
		Remembered: true, State: api.Mounted, Revision: "0123456789abcdef0123456789abcdef01234567", Cache: api.Cache{Used: 5 << 20, Limit: 1 << 30}}
	notes = api.Drive{Name: "notes", URL: "git@github.com:me/notes.git", Kind: "git", Dir: "/home/u/notes", Remembered: true, State: api.NeedsYou,
		Problem: &api.Problem{Code: api.CodeAuth, What: "github.com refused the password.", Do: "Give a new one: moorage edit notes --secret"}}
	scratch = api.Drive{Name: "scratch", URL: "mem:", Kind: "mem", Dir: "/mnt/scratch", State: api.Stopped, Pending: api.Pending{Files: 2, Bytes: 2048}}
)

func TestStatus(t *testing.T) {
	f := newFake(t, goDrive, notes, scratch)
	r := f.run(t, nil, "status")
	want := `NAME     STATE        PLACE               REVISION      CACHE               WAITING
go       mounted      /home/u/Moorage/go  0123456789ab  5.0 MiB of 1.0 GiB
notes    needs you    /home/u/notes
scratch  not mounted  /mnt/scratch                                          2 changes (2.0 KiB)

notes: github.com refused the password.
  Give a new one: moorage edit notes --secret
`
	if r.status != 0 || r.out != want {
		t.Errorf("status %d\n got:\n%s\nwant:\n%s", r.status, r.out, want)
	}
	if r := f.run(t, nil, "status", "/mnt/scratch"); r.status != 0 || strings.Contains(r.out, "notes") || !strings.Contains(r.out, "scratch") {
		t.Errorf("one drive by its folder: %+v", r)
	}
	if r := f.run(t, nil, "status", "nosuch"); r.status != api.ExitNotFound || !strings.Contains(r.err, `"nosuch"`) {
		t.Errorf("unknown drive: %+v", r)
	}
	if r := newFake(t).run(t, nil, "status"); r.status != 0 || !strings.Contains(r.err, "moorage mount") {
		t.Errorf("no drives: %+v", r)
	}
}

func TestStatusCalls(t *testing.T) {
	f := newFake(t, goDrive)
	f.asked = []api.Calls{
		{Procedure: "GETATTR", Calls: 12345, Failed: 2, Received: 1 << 20, Sent: 2 << 20, P50: 23456, P90: 98765, P99: 1234567, Slowest: 12345678},
		{Procedure: "MOUNT MNT", Calls: 1, Received: 100, Sent: 50, P50: 1e9, P90: 1e9, P99: 1e9, Slowest: 1e9},
	}
	r := f.run(t, nil, "status", "go")
	want := `
CALL       COUNT  FAILED  RECEIVED  SENT     HALF IN  90% IN  99% IN  SLOWEST
GETATTR    12345  2       1.0 MiB   2.0 MiB  23µs     99µs    1.2ms   12ms
MOUNT MNT  1              100 B     50 B     1s       1s      1s      1s
`
	if r.status != 0 || !strings.HasSuffix(r.out, want) {
		t.Errorf("status %d\n got:\n%s\nwant at the end:\n%s", r.status, r.out, want)
	}
	r = f.run(t, nil, "status", "go", "--json")
	if !strings.Contains(r.out, `"procedure": "GETATTR"`) || !strings.Contains(r.out, `"p99_ns": 1234567`) {
		t.Errorf("as JSON: %s", r.out)
	}
	if r := f.run(t, nil, "status"); strings.Contains(r.out, "GETATTR") {
		t.Errorf("the calls of one drive are in the list of all: %s", r.out)
	}
}

func TestStatusColours(t *testing.T) {
	f := newFake(t, goDrive)
	terminal := func(e *Env) { e.StdoutTerminal = true }
	if r := f.run(t, terminal, "status"); !strings.Contains(r.out, "\x1b[32mmounted\x1b[0m") {
		t.Errorf("no colour on a terminal: %q", r.out)
	}
	r := f.run(t, func(e *Env) {
		terminal(e)
		e.Getenv = func(k string) string { return map[string]string{"NO_COLOR": "1"}[k] }
	}, "status")
	if strings.Contains(r.out, "\x1b") {
		t.Errorf("colour in spite of NO_COLOR: %q", r.out)
	}
}

// What a remote says must not command the terminal.
func TestTextsCannotCommandTheTerminal(t *testing.T) {
	d := notes
	d.Problem = &api.Problem{What: "\x1b]0;owned\x07 \u202ehello"}
	if r := newFake(t, d).run(t, nil, "status"); strings.ContainsAny(r.out, "\x1b\x07\u202e") {
		t.Errorf("%q", r.out)
	}
}

// The keys are a contract.
func TestJSONGolden(t *testing.T) {
	f := newFake(t, goDrive, scratch)
	f.checks = []api.Check{{ID: "nfs-client", Name: "nfs client", State: api.CheckBad, Detail: "None.", Remedy: "Load it."}}
	r := f.run(t, nil, "list", "--json")
	want := `[
  {
    "name": "go",
    "url": "https://github.com/golang/go",
    "kind": "git",
    "dir": "/home/u/Moorage/go",
    "read_only": true,
    "auto": true,
    "remembered": true,
    "state": "mounted",
    "since": "2026-01-02T03:04:05Z",
    "revision": "0123456789abcdef0123456789abcdef01234567",
    "cache": {
      "used": 5242880,
      "limit": 1073741824
    },
    "pending": {
      "files": 0,
      "bytes": 0,
      "parked": 0
    },
    "traffic": {
      "fetched": 0,
      "published": 0
    }
  }
]
`
	if r.status != 0 || r.out != want {
		t.Errorf("status %d, got:\n%s", r.status, r.out)
	}
	for _, args := range [][]string{{"status", "--json"}, {"list", "--json"}} {
		if r := newFake(t).run(t, nil, args...); r.out != "[]\n" || r.status != 0 {
			t.Errorf("%v of nothing: %+v", args, r)
		}
	}
	var all []api.Drive
	if err := json.Unmarshal([]byte(f.run(t, nil, "status", "--json").out), &all); err != nil || len(all) != 2 {
		t.Errorf("status --json: %d drives, %v", len(all), err)
	}
	r = f.run(t, nil, "doctor", "--json")
	var checks []api.Check
	if err := json.Unmarshal([]byte(r.out), &checks); err != nil || r.status != api.ExitMissing {
		t.Fatalf("doctor --json: status %d, %v", r.status, err)
	}
	if last := checks[len(checks)-1]; last != f.checks[0] {
		t.Errorf("doctor left out %+v", last)
	}
}

func TestList(t *testing.T) {
	r := newFake(t, goDrive, notes, scratch).run(t, nil, "list")
	want := `NAME   URL                           PLACE               OPTIONS
go     https://github.com/golang/go  /home/u/Moorage/go  auto, read-only
notes  git@github.com:me/notes.git   /home/u/notes
`
	if r.status != 0 || r.out != want {
		t.Errorf("got:\n%s", r.out)
	}
}

func TestAddEditRemove(t *testing.T) {
	f := newFake(t, goDrive)
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		args   []string
		stdin  string
		status int
		calls  []string
	}{
		{args: []string{"add", "https://h/r.git", "place", "--auto", "--read-only", "--name", "r"},
			calls: []string{`POST /v1/drives {"url":"https://h/r.git","name":"r","dir":"` + cwd + `/place","read_only":true,"auto":true,"remember":true}`}},
		{args: []string{"add", "."},
			calls: []string{`POST /v1/drives {"url":"` + cwd + `","remember":true}`}},
		{args: []string{"add", "https://h/p.git", "--secret"}, stdin: "s3cret\n",
			calls: []string{`POST /v1/drives {"url":"https://h/p.git","remember":true,"secret":"s3cret"}`}},
		{args: []string{"add", "bogus:x"}, status: api.ExitUsage, calls: []string{`POST /v1/drives {"url":"bogus:x","remember":true}`}},
		{args: []string{"edit", "go", "--auto=false", "--dir", "/mnt/go"}, calls: []string{`PATCH /v1/drives/go {"dir":"/mnt/go","auto":false}`}},
		{args: []string{"edit", "go", "--name", "golang", "--read-only"}, calls: []string{`PATCH /v1/drives/go {"name":"golang","read_only":true}`}},
		{args: []string{"edit", "go"}, status: api.ExitUsage},
		{args: []string{"edit", "nosuch", "--auto"}, status: api.ExitNotFound},
		{args: []string{"remove", "go"}, calls: []string{"DELETE /v1/drives/go"}},
		{args: []string{"remove", "go"}, status: api.ExitNotFound},
	} {
		r := f.run(t, func(e *Env) { e.Stdin = strings.NewReader(tc.stdin) }, tc.args...)
		if calls := f.said(); r.status != tc.status || !reflect.DeepEqual(calls, tc.calls) {
			t.Errorf("%v: status %d, %s\n got %q\nwant %q", tc.args, r.status, r.err, calls, tc.calls)
		}
		if (r.status == 0) != (r.err == "") || (r.status == 0) != (r.out != "") {
			t.Errorf("%v: stdout %q, stderr %q", tc.args, r.out, r.err)
		}
	}
}

func TestSecretIsAskedWithoutEcho(t *testing.T) {
	f := newFake(t, notes)
	r := f.run(t, func(e *Env) { e.ReadPassword = func(context.Context) (string, error) { return "hunter2", nil } }, "edit", "notes", "--secret")
	if r.status != 0 || f.secret("notes") != "hunter2" || strings.Contains(r.out+r.err, "hunter2") {
		t.Errorf("%+v, secret %q", r, f.secret("notes"))
	}
	if r := f.run(t, func(e *Env) {
		e.ReadPassword = func(context.Context) (string, error) { return "x", nil }
	}, "add", "https://u:pw@h/r.git", "--secret"); strings.Contains(r.err, "pw") {
		t.Errorf("the prompt shows a password: %q", r.err)
	}
}

func TestUsage(t *testing.T) {
	f := newFake(t, goDrive)
	for _, args := range [][]string{
		{"mount"}, {"mount", "a", "b", "c"}, {"mount", "--nosuch", "mem:"}, {"nosuch"}, {"mout", "mem:"}, {"status", "a", "b"}, {"list", "x"},
		{"unmount"}, {"unmount", "go", "--force", "--wait"}, {"open"}, {"serve"}, {"doctor", "x"}, {"mount", "go", "--auto"}, {"mount", "go", "/elsewhere"},
		{"add"}, {"remove"}, {"edit"}, {"mount", "mem:", "--read-only=perhaps"}, {"mount", "mem:", "--name"}, {"-x"}, {"help", "nosuch"},
		{"completion", "nosuch"}, {"completion", "bash", "x"},
	} {
		r := f.run(t, nil, args...)
		if r.status != api.ExitUsage || r.out != "" || !strings.HasPrefix(r.err, "moorage: ") || strings.Count(r.err, "\n") > 3 {
			t.Errorf("%v: %+v", args, r)
		}
	}
	if calls := f.said(); calls != nil {
		t.Errorf("a wrong command did %q", calls)
	}
	if r := f.run(t, nil, "mout", "mem:"); !strings.Contains(r.err, "mount") {
		t.Errorf("no suggestion: %s", r.err)
	}
}

func TestHelpTeachesByExample(t *testing.T) {
	f := newFake(t)
	r := f.run(t, nil)
	if r.status != 0 || !strings.Contains(r.out, "moorage mount https://") || r.err != "" || r.ran != nil {
		t.Errorf("%+v", r)
	}
	for _, cmd := range []string{"mount", "unmount", "status", "add", "edit", "remove", "list", "open", "doctor", "serve", "demo", "secrets", "version", "help"} {
		r := f.run(t, nil, cmd, "--help")
		if r.status != 0 || !strings.Contains(r.out, "Examples:\n  moorage "+cmd) || !strings.Contains(f.run(t, nil).out, "\n  "+cmd+" ") {
			t.Errorf("%s: %+v", cmd, r)
		}
	}
}

func TestVersion(t *testing.T) {
	f := newFake(t)
	for _, arg := range []string{"version", "--version"} {
		if r := f.run(t, nil, arg); r.status != 0 || !strings.HasPrefix(r.out, "moorage ") || !strings.Contains(r.out, "service v1.2.3, process 42") {
			t.Errorf("%+v", r)
		}
	}
	nobody := func(e *Env) {
		e.Connect = func() (*client.Client, error) { return client.New(filepath.Join(t.TempDir(), "none")), nil }
	}
	if r := f.run(t, nobody, "version"); r.status != 0 || strings.Contains(r.out, "service") {
		t.Errorf("without a service: %+v", r)
	}
}

func TestCompletion(t *testing.T) {
	f := newFake(t, goDrive, notes, scratch)
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if r := f.run(t, nil, "completion", shell); r.status != 0 || !strings.Contains(r.out, "moorage") {
			t.Errorf("%s: status %d", shell, r.status)
		}
	}
	never := func(e *Env) {
		e.Start = func(context.Context) error { t.Error("the Tab key started the service"); return nil }
	}
	for want, args := range map[string][]string{
		"go\tmounted, /home/u/Moorage/go\nnotes": {"unmount", ""},
		"scratch\tnot mounted":                   {"mount", ""},
		"notes\tneeds you":                       {"edit", "n"},
	} {
		if r := f.run(t, never, append([]string{"__complete"}, args...)...); !strings.Contains(r.out, want) {
			t.Errorf("%v: %q", args, r.out)
		}
	}
}

func TestServiceThatCannotStart(t *testing.T) {
	f := newFake(t)
	for err, status := range map[error]int{client.ErrNoMooraged: api.ExitMissing, client.ErrNoService: api.ExitFailed, context.DeadlineExceeded: api.ExitFailed} {
		r := f.run(t, func(e *Env) { e.Start = func(context.Context) error { return err } }, "status")
		if r.status != status || !strings.HasPrefix(r.err, "moorage: ") {
			t.Errorf("%v: %+v", err, r)
		}
	}
}
