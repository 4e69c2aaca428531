//go:build unix

package mounter

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestMountPointIsChecked(t *testing.T) {
	top, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	mk := func(name string) string {
		p := filepath.Join(top, name)
		if err := os.Mkdir(p, 0o755); err != nil {
			t.Fatal(err)
		}
		return p
	}
	full := mk("full")
	file := filepath.Join(full, "letter.txt")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(top, "link")
	if err := os.Symlink(mk("target"), link); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		dir, says string
		cause     error
	}{
		"missing":       {filepath.Join(top, "nowhere"), "does not exist", fs.ErrNotExist},
		"relative":      {"some/folder", "not an absolute path", nil},
		"file":          {file, "is a file", syscall.ENOTDIR},
		"not empty":     {full, `"letter.txt"`, syscall.ENOTEMPTY},
		"symlink":       {link, "symbolic link", syscall.ELOOP},
		"mounted":       {"/dev", "mounted here already", syscall.EBUSY},
		"mounted slash": {"/dev/", "mounted here already", syscall.EBUSY},
	} {
		s := spec
		s.Dir = tc.dir
		err := new(Mounter).Mount(t.Context(), s)
		var e *Error
		if !errors.Is(err, ErrDir) || !errors.As(err, &e) {
			t.Errorf("%s: %v is no ErrDir", name, err)
			continue
		}
		if tc.cause != nil && !errors.Is(err, tc.cause) {
			t.Errorf("%s: %v is no %v", name, err, tc.cause)
		}
		if !strings.Contains(e.What, tc.says) || e.Do == "" {
			t.Errorf("%s: says %q, remedy %q", name, e.What, e.Do)
		}
	}
}

func TestUnmountOfWhatIsNotMounted(t *testing.T) {
	for _, dir := range []string{t.TempDir(), "/", "/nowhere/at/all"} {
		for _, force := range []bool{false, true} {
			if err := new(Mounter).Unmount(t.Context(), dir, force); !errors.Is(err, ErrNotMounted) {
				t.Errorf("%s: %v", dir, err)
			}
		}
	}
}

func TestCommandIsKilledWithItsChildren(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, _, err := new(Mounter).run(ctx, command{path: "/bin/sh", args: []string{"-c", "sleep 60 & sleep 60"}})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 5*time.Second {
		t.Errorf("%v after %s", err, time.Since(start))
	}
}

func TestCommandRunsInACleanEnvironment(t *testing.T) {
	t.Setenv("MOORAGE_CANARY", "1")
	said, status, err := new(Mounter).run(t.Context(), command{path: "/bin/sh", args: []string{"-c", "env; pwd; exit 3"}})
	if err != nil || status != 3 {
		t.Fatalf("status %d, %v", status, err)
	}
	if strings.Contains(said, "MOORAGE_CANARY") || !strings.Contains(said, "LC_ALL=C") || !strings.HasSuffix(said, " /") {
		t.Errorf("ran with %s", said)
	}
	said, _, err = new(Mounter).run(t.Context(), command{path: "/bin/sh", args: []string{"-c", "head -c 1000000 /dev/zero | tr '\\0' x"}})
	if err != nil || len(said) > maxOutput {
		t.Errorf("kept %d bytes, %v", len(said), err)
	}
}

// An operation that does not come back is left alone after its time and the grace.
func TestBoundedGivesUp(t *testing.T) {
	block := make(chan struct{})
	defer close(block)
	start := time.Now()
	err := bounded(t.Context(), 50*time.Millisecond, func(context.Context) error { <-block; return nil })
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 2*grace {
		t.Errorf("%v after %s", err, time.Since(start))
	}
}

func TestProbeSaysWhatIsMissing(t *testing.T) {
	checks := new(Mounter).Probe(t.Context())
	if len(checks) == 0 {
		t.Fatal("nothing was looked at")
	}
	for _, c := range checks {
		t.Logf("%s: %v, %s %s", c.Name, c.OK, c.Detail, c.Remedy)
		if c.Detail == "" || !c.OK && c.Remedy == "" {
			t.Errorf("%s does not say enough", c.Name)
		}
	}
}

// An export's path holds the token of a drive: neither the log nor an error tells it,
// whatever the system's command says.
func TestRule14CommandsAreNotToldInFull(t *testing.T) {
	dir := t.TempDir()
	mount := filepath.Join(dir, "mount")
	if err := os.WriteFile(mount, []byte("#!/bin/sh\nprintf 'mounting %s failed\\n' \"$*\" >&2; exit 32\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	const token = "0123456789abcdef0123456789abcdef"
	var log bytes.Buffer
	m := &Mounter{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	for _, c := range []command{
		linuxMountNFS(mount, Spec{Address: "127.0.0.1", Export: "/" + token + "/My  Drive"}),
		darwinMountNFS(Spec{Address: "127.0.0.1", Export: "/" + token + "/x"}),
		windowsMount("", Spec{Address: "127.0.0.1", Export: "/" + token + "/x"}),
	} {
		c.path = mount
		said, status, err := m.run(t.Context(), c)
		if err != nil || status != 32 {
			t.Fatal(status, err)
		}
		if err := saidError(c, said, status); strings.Contains(err.Error(), token) || !strings.Contains(err.Error(), "(the drive's export)") {
			t.Errorf("the error is %v", err)
		}
	}
	if text := log.String(); strings.Contains(text, token) || !strings.Contains(text, mount) {
		t.Errorf("the log is %s", text)
	}
}
