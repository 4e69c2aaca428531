//go:build unix

package client

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moorage/moorage/daemon/api"
)

// TestProgram: what mooraged prints is taken up, and so is what it complains of.
func TestProgram(t *testing.T) {
	bin := t.TempDir()
	script := `#!/bin/sh
case "$*" in
"doctor") echo '[{"id": "a", "name": "A", "state": "bad"}]' ;;
"doctor --fix") echo '[{"id": "a", "name": "A", "state": "ok", "done": "Made."}]' ;;
"service status --json") echo '{"at_login": true, "manager": "systemd", "running": false}' ;;
"service install") ;;
*) echo "no manager" >&2; exit 4 ;;
esac
`
	if err := os.WriteFile(filepath.Join(bin, "mooraged"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	ctx := t.Context()
	if c, err := DoctorHere(ctx, false); err != nil || len(c) != 1 || c[0].State != api.CheckBad {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := DoctorHere(ctx, true); err != nil || len(c) != 1 || c[0].Done != "Made." {
		t.Errorf("%+v, %v", c, err)
	}
	if can, on, err := AtLogin(ctx); !can || !on || err != nil {
		t.Errorf("%v, %v, %v", can, on, err)
	}
	if err := SetAtLogin(ctx, true); err != nil {
		t.Error(err)
	}
	if err := SetAtLogin(ctx, false); err == nil || !strings.Contains(err.Error(), "no manager") {
		t.Errorf("a failure is told as %v", err)
	}
}
