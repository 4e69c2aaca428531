package mounts_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/moorage/moorage/daemon/api"
)

// fullDisk puts a tiny file system at dir, and returns what fills it and what
// makes room again.
func fullDisk(t *testing.T, dir string) (fill, room func()) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=700"); err != nil {
		t.Skip("a small disk cannot be mounted here, which needs root:", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	fill = func() {
		f, err := os.Create(ballast)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for err == nil {
			_, err = f.Write(make([]byte, 4096))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	return fill, func() { os.Remove(ballast) }
}

func TestFullDisk(t *testing.T) {
	for _, part := range []string{"state", "cache"} {
		t.Run(part, func(t *testing.T) {
			w := newWorld(t)
			fill, room := fullDisk(t, filepath.Join(w.dir, part))
			w.start()
			w.add(api.AddDrive{URL: "fake:x", Remember: true})
			fill()
			_, err := w.m.Mount(t.Context(), "x", true)
			problem(t, err, api.CodeDiskFull, api.ExitFailed)
			if st := w.stateOf("x"); st.Mount != nil {
				t.Errorf("state tells of a mount: %+v", st)
			}
			if part == "state" {
				_, err = w.m.Add(t.Context(), api.AddDrive{URL: "fake:y", Remember: true, Secret: "s"})
				problem(t, err, api.CodeDiskFull, api.ExitFailed)
				if l, err := w.m.List(); err != nil || len(l) != 1 || w.secrets.len() != 0 {
					t.Errorf("after a failed Add: %+v, %v, %d secrets", l, err, w.secrets.len())
				}
			}
			room()
			w.mount("x")
		})
	}
}

// The file that was there stays whole when a new one does not fit.
func TestFullDiskOfTheConfig(t *testing.T) {
	w := newWorld(t)
	w.config = filepath.Join(w.dir, "conf", "config.toml")
	fill, room := fullDisk(t, filepath.Join(w.dir, "conf"))
	w.start()
	w.add(api.AddDrive{URL: "fake:x", Remember: true})
	before, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	fill()
	_, err = w.m.Add(t.Context(), api.AddDrive{URL: "fake:y", Remember: true})
	problem(t, err, api.CodeDiskFull, api.ExitFailed)
	yes := true
	_, err = w.m.Edit(t.Context(), "x", api.EditDrive{Auto: &yes})
	problem(t, err, api.CodeDiskFull, api.ExitFailed)
	if d, _ := w.m.Get("x"); d.Auto {
		t.Error("the change that failed is shown")
	}
	if after, err := os.ReadFile(w.config); err != nil || string(after) != string(before) {
		t.Errorf("the file is now %q, %v", after, err)
	}
	if l, err := os.ReadDir(filepath.Dir(w.config)); err != nil || len(l) != 2 {
		t.Errorf("left behind: %v", l)
	}
	room()
	w.add(api.AddDrive{URL: "fake:y", Remember: true})
}
