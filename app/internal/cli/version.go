package cli

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
)

// buildVersion is the version that the Go toolchain stamped, and what it was
// built with and for.
func buildVersion() string {
	return fmt.Sprintf("%s %s %s/%s", cmp.Or(moduleVersion(), "(unknown version)"), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// devel is the version of what was built from a folder that says none.
const devel = "(devel)"

// moduleVersion is the version that the Go command recorded; "" if there is none.
func moduleVersion() string {
	bi, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	return bi.Main.Version
}
