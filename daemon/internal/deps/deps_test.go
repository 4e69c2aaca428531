package deps

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"testing"
)

func TestImportRules(t *testing.T) {
	// The graph differs between systems: a forbidden import in a file for
	// Windows counts as well.
	for _, goos := range []string{"linux", "darwin", "windows"} {
		t.Run(goos, func(t *testing.T) {
			for _, b := range Check(Rules(), list(t, goos)) {
				t.Errorf("%s must not depend on %s: %s", b.Package, b.On, b.Why)
			}
		})
	}
}

func list(t *testing.T, goos string) []Package {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-deps", "-json=ImportPath,Imports,Deps", module+"...")
	cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	var pkgs []Package
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p Package
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) < 10 {
		t.Fatalf("go list told of %d packages only", len(pkgs))
	}
	return pkgs
}

func TestCheckFindsBreaks(t *testing.T) {
	const m = module
	pkgs := []Package{
		{ImportPath: m + "nfs", Imports: []string{"net"}, Deps: []string{"net", "golang.org/x/sys/unix"}},
		{ImportPath: m + "nfs/dirfs", Imports: []string{m + "mounter"}, Deps: []string{m + "mounter", "github.com/x/y"}},
		{ImportPath: m + "daemon/internal/config", Imports: []string{m + "nfs", "expvar"}, Deps: []string{m + "nfs", "expvar"}},
		{ImportPath: m + "app/internal/ui", Deps: []string{"fyne.io/fyne/v2", m + "daemon/client"}},
		{ImportPath: m + "daemon/client", Deps: []string{"fyne.io/fyne/v2"}},
		{ImportPath: "fyne.io/fyne/v2", Deps: []string{m + "nfs"}},
	}
	got := map[string]bool{}
	for _, b := range Check(Rules(), pkgs) {
		got[b.Package+" "+b.On] = true
	}
	want := []string{
		m + "nfs/dirfs " + m + "mounter", m + "nfs/dirfs github.com/x/y",
		m + "daemon/internal/config " + m + "nfs", m + "daemon/internal/config expvar", m + "daemon/client fyne.io/fyne/v2",
	}
	for _, w := range want {
		if !got[w] {
			t.Errorf("not found: %s", w)
		}
		delete(got, w)
	}
	for g := range got {
		t.Errorf("found, but allowed: %s", g)
	}
}
