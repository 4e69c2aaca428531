package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// buildVersion is the version that the Go toolchain stamped, and what it was
// built with and for.
func buildVersion() string {
	v := "(unknown version)"
	if bi, ok := debug.ReadBuildInfo(); ok && bi.Main.Version != "" {
		v = bi.Main.Version
	}
	return fmt.Sprintf("%s %s %s/%s", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
