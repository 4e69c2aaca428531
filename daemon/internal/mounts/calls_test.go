package mounts_test

import (
	"testing"

	"github.com/moorage/moorage/daemon/api"
)

// TestCalls: a mounted drive tells what was asked of it, alone and not in the
// list of all, and starts anew with the next mount.
func TestCalls(t *testing.T) {
	w := newWorld(t)
	w.start()
	d := w.add(api.AddDrive{URL: "fake:one", Name: "one", Remember: true})
	get := func() api.Drive {
		t.Helper()
		d, err := w.m.Get("one")
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for range 2 {
		if d := get(); d.Calls != nil {
			t.Errorf("before it is mounted: %+v", d.Calls)
		}
		w.mount(d.Name)
		// The mounter of this test asks for MNT alone.
		got := get().Calls
		if len(got) != 1 || got[0].Procedure != "MOUNT MNT" || got[0].Calls != 1 || got[0].Failed != 0 || got[0].Received == 0 || got[0].Slowest <= 0 {
			t.Errorf("after mounting: %+v", got)
		}
		all, err := w.m.List()
		if err != nil || len(all) != 1 || all[0].Calls != nil {
			t.Errorf("in the list: %+v, %v", all, err)
		}
		if _, err := w.m.Unmount(t.Context(), "one", api.UnmountDrive{Wait: true}); err != nil {
			t.Fatal(err)
		}
	}
}
