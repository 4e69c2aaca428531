package kerneltest

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

//go:embed testdata/xstate.c
var xstateSource []byte

// xstate returns the environment that makes linux.uml start on this processor:
// nothing, or a library to preload, compiled into dir. See testdata/xstate.c.
func xstate(t *testing.T, dir string) []string {
	t.Helper()
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Fatal(err)
	}
	flags := strings.Fields(string(info))
	if !slices.Contains(flags, "amx_tile") && !slices.Contains(flags, "apx") {
		return nil
	}
	cc, err := exec.LookPath("cc")
	if err != nil {
		missing(t, "this processor has AMX or APX, for which linux.uml needs a small library, and there is no C compiler (cc) to make it")
	}
	source, library := filepath.Join(dir, "xstate.c"), filepath.Join(dir, "xstate.so")
	if err := os.WriteFile(source, xstateSource, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), cc, "-O2", "-shared", "-fPIC", "-o", library, source, "-ldl").CombinedOutput(); err != nil {
		t.Fatal(fmt.Errorf("%s: %w\n%s", cc, err, out))
	}
	return []string{"LD_PRELOAD=" + library}
}
