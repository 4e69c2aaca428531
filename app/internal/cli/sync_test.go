//go:build unix

package cli

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
)

var bucket = api.Drive{Name: "bucket", URL: "s3://bucket", Kind: "s3", Dir: "/home/u/Moorage/bucket", State: api.Mounted,
	Pending: api.Pending{Files: 3, Bytes: 5 << 20, Parked: 1},
	Uploads: []api.Upload{
		{Path: "big.iso", State: api.UploadRunning, Since: since, Done: 1 << 20, Total: 4 << 20},
		{Path: "old\x1b.txt", State: api.UploadSaved, Removed: true, Since: since},
		{Path: "secret/plan", State: api.UploadParked, Since: since, Total: 1 << 20, Problem: &api.Problem{Code: api.CodePermission,
			What: "s3://bucket does not let this login change secret/plan.", Means: "The change is kept on this computer.", Do: "Get the right to write there."}},
		{Path: "done", State: api.UploadDone, Since: since, Total: 5},
	}}

func TestStatusUploads(t *testing.T) {
	f := newFake(t, bucket)
	r := f.run(t, nil, "status", "bucket")
	at := since.Local().Format(time.DateTime)
	want := `
UPLOAD       STATE          SIZE     SINCE
big.iso      uploading 25%  4.0 MiB  ` + at + `
old�.txt     removal waits           ` + at + `
secret/plan  needs you      1.0 MiB  ` + at + `

secret/plan: s3://bucket does not let this login change secret/plan. The change is kept on this computer.
  Get the right to write there.
`
	if r.status != 0 || !strings.HasSuffix(r.out, want) {
		t.Errorf("status %d\n got:\n%s\nwant at the end:\n%s", r.status, r.out, want)
	}
	r = f.run(t, nil, "status", "bucket", "--json")
	want = `    "uploads": [
      {
        "path": "big.iso",
        "state": "uploading",
        "since": "2026-01-02T03:04:05Z",
        "done": 1048576,
        "total": 4194304
      },
      {
        "path": "old\u001b.txt",
        "state": "saved",
        "removed": true,
        "since": "2026-01-02T03:04:05Z",
        "done": 0,
        "total": 0
      },
      {
        "path": "secret/plan",
        "state": "parked",
        "problem": {
          "code": "permission",
          "what": "s3://bucket does not let this login change secret/plan.",
          "means": "The change is kept on this computer.",
          "do": "Get the right to write there."
        },
        "since": "2026-01-02T03:04:05Z",
`
	if !strings.Contains(r.out, want) {
		t.Errorf("as JSON:\n%s", r.out)
	}
}

func TestSyncCommand(t *testing.T) {
	failed := bucket.Uploads[2:3]
	for name, tt := range map[string]struct {
		args        []string
		answer      api.Synced
		fails       *api.Error
		status      int
		out, stderr string
	}{
		"begin":       {[]string{"sync", "bucket"}, api.Synced{Pending: api.Pending{Files: 3, Bytes: 2048}}, nil, 0, "Publishing 3 changes (2.0 KiB) of bucket", ""},
		"nothing":     {[]string{"sync", "bucket"}, api.Synced{}, nil, api.ExitNotFound, "", "Nothing of bucket waits"},
		"wait":        {[]string{"sync", "bucket", "--wait"}, api.Synced{}, nil, 0, "Nothing of bucket waits", ""},
		"by folder":   {[]string{"sync", bucket.Dir, "--wait"}, api.Synced{}, nil, 0, "Nothing of bucket waits", ""},
		"refused":     {[]string{"sync", "bucket", "--wait"}, api.Synced{Pending: api.Pending{Files: 1, Parked: 1}, Failed: failed}, nil, 1, "secret/plan: s3://bucket does not let", "A change of bucket could not be published"},
		"not mounted": {[]string{"sync", "bucket", "--wait"}, api.Synced{}, &api.Error{Exit: 1, Problem: api.Problem{Code: api.CodeNotMounted, What: "It is not mounted."}}, 1, "", "It is not mounted."},
		"no such":     {[]string{"sync", "none"}, api.Synced{}, nil, api.ExitNotFound, "", `"none"`},
		"which":       {[]string{"sync"}, api.Synced{}, nil, api.ExitUsage, "", "moorage sync notes"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, bucket)
			f.sync = func(context.Context, bool) (api.Synced, *api.Error) { return tt.answer, tt.fails }
			r := f.run(t, nil, tt.args...)
			if r.status != tt.status || !strings.Contains(r.out, tt.out) || !strings.Contains(r.err, tt.stderr) || (tt.out == "") != (r.out == "") {
				t.Errorf("%+v", r)
			}
		})
	}
}

// While it waits it tells how much is left, and that the remote is away; Ctrl-C
// ends the waiting.
func TestSyncProgress(t *testing.T) {
	for _, terminal := range []bool{true, false} {
		f := newFake(t, bucket)
		f.sync = func(ctx context.Context, _ bool) (api.Synced, *api.Error) {
			<-ctx.Done()
			return api.Synced{}, nil
		}
		away := bucket
		away.State, away.Problem = api.Degraded, &api.Problem{What: "s3://bucket does not answer."}
		f.watcher <- api.Event{Kind: api.DriveChanged, Drive: &bucket}
		f.watcher <- api.Event{Kind: api.DriveChanged, Drive: &away}
		f.watcher <- api.Event{Kind: api.DriveChanged, Drive: &away}
		ctx, interrupt := context.WithCancel(t.Context())
		seen := &watched{want: "does not answer. Waiting", found: interrupt}
		status := Run(ctx, []string{"sync", "bucket", "--wait"}, Env{
			Stdin: strings.NewReader(""), Stdout: new(bytes.Buffer), Stderr: seen, StderrTerminal: terminal, Getenv: func(string) string { return "" },
			Connect: func() (*client.Client, error) { return client.New(f.socket), nil }, Start: func(context.Context) error { return nil },
		})
		interrupt()
		got := seen.b.String()
		if status != api.ExitFailed || !strings.Contains(got, "The publishing goes on") || strings.Count(got, "Waiting") != 1 {
			t.Errorf("terminal %v: status %d, %q", terminal, status, got)
		}
		if strings.Contains(got, "bucket: 3 changes (5.0 MiB) to publish…") != terminal || strings.Contains(got, "\x1b") != terminal {
			t.Errorf("terminal %v: %q", terminal, got)
		}
	}
}

// watched calls found when want was written.
type watched struct {
	want  string
	found func()

	mu sync.Mutex
	b  bytes.Buffer
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.b.Write(p)
	if strings.Contains(w.b.String(), w.want) {
		w.found()
	}
	return len(p), nil
}

func TestUnmountAndRemoveWithChanges(t *testing.T) {
	f := newFake(t, bucket)
	r := f.run(t, nil, "unmount", "bucket")
	if r.status != 0 || !strings.Contains(r.err, "3 changes (5.0 MiB) are not on the remote yet") || !strings.Contains(r.err, "moorage mount bucket") {
		t.Errorf("unmount: %+v", r)
	}
	if r := f.run(t, nil, "remove", "bucket"); r.status != api.ExitFailed || !strings.Contains(r.err, "not on the remote") || f.count() != 1 {
		t.Errorf("remove: %+v", r)
	}
	if r := f.run(t, nil, "remove", "bucket", "--force"); r.status != 0 || f.count() != 0 {
		t.Errorf("remove --force: %+v", r)
	}
}
