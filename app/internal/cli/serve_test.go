//go:build unix

package cli

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/moorage/moorage/daemon/api"
)

// onPath puts a program of that name, which is never run, on PATH.
func onPath(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	p := filepath.Join(dir, name+exeSuffix)
	if err := os.WriteFile(p, []byte("#!/bin/sh\nexit 9\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	return p
}

func TestServeRunsTheServiceProgram(t *testing.T) {
	program := onPath(t, "mooraged")
	f := newFake(t)
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ args, want []string }{
		{[]string{"mem:"}, []string{"serve", "mem:"}},
		{[]string{".", "--listen", "127.0.0.1:2049", "--export", "/x", "--read-only", "--cache", "c", "--portmap", "127.0.0.1:111", "--stats", "--trace"},
			[]string{"serve", cwd, "--listen=127.0.0.1:2049", "--export=/x", "--cache=" + cwd + "/c", "--portmap=127.0.0.1:111", "--read-only", "--trace", "--stats"}},
	} {
		r := f.run(t, func(e *Env) {
			e.Start = func(context.Context) error { t.Error("serve needs no service"); return nil }
		}, append([]string{"serve"}, tc.args...)...)
		if want := [][]string{append([]string{program}, tc.want...)}; r.status != 0 || !reflect.DeepEqual(r.ran, want) {
			t.Errorf("%v: ran %q, %s", tc.args, r.ran, r.err)
		}
	}
	r := f.run(t, func(e *Env) { e.Replace = func(context.Context, []string, string) (int, error) { return 1, nil } }, "serve", "mem:")
	if r.status != 1 {
		t.Errorf("the exit status became %d", r.status)
	}
	t.Setenv("PATH", t.TempDir())
	if r := f.run(t, nil, "serve", "mem:"); r.status != api.ExitMissing || !strings.Contains(r.err, "mooraged") {
		t.Errorf("without mooraged: %+v", r)
	}
}

func TestDemo(t *testing.T) {
	program := onPath(t, "mooraged")
	f := newFake(t)
	for range 2 { // the second time it is there already
		r := f.run(t, nil, "demo")
		if r.status != 0 || !strings.HasPrefix(r.out, "demo is mounted at /home/u/Moorage/demo\n") || r.ran != nil {
			t.Errorf("%+v", r)
		}
	}
	if d := f.drives["demo"]; d.URL != "mem:" || d.Remembered {
		t.Errorf("made %+v", d)
	}

	// Where mounting is not possible, it is served, and nothing stays behind.
	f = newFake(t)
	f.mount = append(f.mount, fail(api.CodeRights, "Only root may mount.", api.ExitMissing))
	r := f.run(t, nil, "demo")
	if want := [][]string{{program, "serve", "mem:", "--export=/demo"}}; r.status != 0 || !reflect.DeepEqual(r.ran, want) {
		t.Errorf("%+v", r)
	}
	if r.out != "" || !strings.Contains(r.err, "Only root may mount.\n  Do this.\n") || f.count() != 0 {
		t.Errorf("%+v, %v stays", r, f.drives)
	}

	// Other failures are failures.
	f = newFake(t)
	f.mount = append(f.mount, fail(api.CodeDirNotEmpty, "The folder is not empty.", api.ExitFailed))
	if r := f.run(t, nil, "demo"); r.status != api.ExitFailed || r.ran != nil {
		t.Errorf("%+v", r)
	}
	other := scratch
	other.Name, other.Kind = "demo", "git"
	if r := newFake(t, other).run(t, nil, "demo"); r.status != api.ExitFailed || r.ran != nil {
		t.Errorf("another drive of that name: %+v", r)
	}
}
