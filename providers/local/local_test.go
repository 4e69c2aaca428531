package local_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/local"
	"github.com/moorage/moorage/providers/providertest"
)

func open(t *testing.T, dir string) *local.Remote {
	t.Helper()
	r, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestProvider(t *testing.T) {
	providertest.Run(t, func(t *testing.T) providers.Provider { return open(t, t.TempDir()) })
}

func TestNoWayOut(t *testing.T) {
	outside, inside := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(inside, "out")); err != nil {
		t.Skip("no symbolic links here: ", err)
	}
	r := open(t, inside)
	ctx := t.Context()
	if _, err := r.Stat(ctx, "out/secret"); !errors.Is(err, providers.ErrNotDir) {
		t.Errorf("stat through a link: %v", err)
	}
	if _, err := r.Open(ctx, "out/secret", ""); !errors.Is(err, providers.ErrNotDir) {
		t.Errorf("open through a link: %v", err)
	}
	if _, err := r.ReadDir(ctx, "out", ""); !errors.Is(err, providers.ErrNotDir) {
		t.Errorf("list through a link: %v", err)
	}
	if _, err := r.Put(ctx, "out/new", strings.NewReader("x"), providers.PutOptions{}); !errors.Is(err, providers.ErrNotDir) {
		t.Errorf("put through a link: %v", err)
	}
	if _, err := r.Stat(ctx, "../x"); err == nil {
		t.Error("stat above the folder")
	}
}

// A change beside us is never mixed into a read.
func TestChangeWhileOpen(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	if err := os.WriteFile(name, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := open(t, dir)
	o, err := r.Open(t.Context(), "f", "")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if err := os.WriteFile(name, []byte("after, and longer"), 0o600); err != nil {
		t.Fatal(err)
	}
	body, err := o.ReadRange(t.Context(), 0, 6)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := body.Read(make([]byte, 6)); !errors.Is(err, providers.ErrChanged) || n != 0 {
		t.Errorf("read of a file that changed: %d bytes, %v", n, err)
	}
}

func TestAbsentFolder(t *testing.T) {
	if _, err := local.Open(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, providers.ErrNotExist) {
		t.Errorf("open of an absent folder: %v", err)
	}
}
