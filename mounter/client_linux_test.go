package mounter

import (
	"errors"
	"path/filepath"
	"testing"
)

// Where the kernel has no NFS client, the failure says so, however it is asked.
func TestMountWithoutClient(t *testing.T) {
	switch {
	case kernelHasNFS() || moduleInstalled():
		t.Skip("this kernel has an NFS client")
	case !MayMount():
		t.Skip("needs root")
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, root := range [][]byte{nil, make([]byte, 32)} {
		s := spec
		s.Dir, s.Root = dir, root
		if err := new(Mounter).Mount(t.Context(), s); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%v", err)
		}
	}
}
