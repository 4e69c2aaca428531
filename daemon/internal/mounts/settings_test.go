package mounts_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/mounts"
)

func (w *world) edit(e api.EditSettings) api.Settings {
	w.t.Helper()
	s, err := w.m.EditSettings(w.t.Context(), e)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) unmount(name string) {
	w.t.Helper()
	if _, err := w.m.Unmount(w.t.Context(), name, api.UnmountDrive{Wait: true}); err != nil {
		w.t.Fatal(err)
	}
}

// A cache whose disk is not attached is not made elsewhere, and what the drive keeps
// for its remote, or has fetched, is where it was.
func TestCacheWhoseDiskIsAway(t *testing.T) {
	w := keepingWorld(t)
	w.add(api.AddDrive{URL: "fake:a", Remember: true})
	w.mount("a")
	w.change("a", "held")
	place := filepath.Join(w.dir, "disk", "cache")
	if s := w.edit(api.EditSettings{CacheDir: &place}); len(s.CacheLater) != 1 {
		t.Errorf("%+v", s)
	}
	w.unmount("a")
	if err := os.RemoveAll(filepath.Dir(place)); err != nil {
		t.Fatal(err)
	}
	_, err := w.m.Mount(t.Context(), "a", true)
	var e *api.Error
	if !errors.As(err, &e) || e.Problem.Code != api.CodeDirMissing || !strings.Contains(e.Problem.What, place) {
		t.Fatalf("Mount: %v", err)
	}
	if _, err := os.Stat(place); err == nil {
		t.Error("the cache was made on another disk")
	}
	if kept, err := filepath.Glob(filepath.Join(w.dir, "cache", "*", "block")); err != nil || len(kept) != 1 {
		t.Errorf("of what was fetched before there is %v, %v", kept, err)
	}
	if d, err := w.m.Get("a"); err != nil || d.Pending.Files != 1 {
		t.Errorf("what waits is %+v, %v", d.Pending, err)
	}
	usual := ""
	w.edit(api.EditSettings{CacheDir: &usual})
	if d := w.mount("a"); d.Pending.Files != 1 {
		t.Errorf("mounted again: %+v", d.Pending)
	}
}

// A place that a person has chosen for drives stays when it is empty.
func TestMountPlaceStays(t *testing.T) {
	w := newWorld(t)
	w.start()
	place := filepath.Join(w.dir, "chosen")
	w.edit(api.EditSettings{MountDir: &place})
	w.add(api.AddDrive{URL: "fake:a"})
	if d := w.mount("a"); d.Dir != filepath.Join(place, "a") {
		t.Errorf("mounted at %s", d.Dir)
	}
	w.unmount("a")
	if _, err := os.Stat(place); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(place, "a")); err == nil {
		t.Error("the folder of the drive is still there")
	}
}

// A config file that somebody has to mend has no settings; when it is mended they count.
func TestSettingsOfAFileThatIsMended(t *testing.T) {
	w := newWorld(t)
	if err := os.MkdirAll(filepath.Dir(w.config), 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(w.config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("[settings]\nupload_limit = -7\n")
	w.start()
	var e *api.Error
	if _, err := w.m.Settings(); !errors.As(err, &e) || e.Problem.Code != api.CodeConfig || !strings.Contains(e.Problem.What, "line 2") {
		t.Errorf("Settings: %v", err)
	}
	limit := int64(5 << 30)
	if _, err := w.m.EditSettings(t.Context(), api.EditSettings{CacheLimit: &limit}); !errors.As(err, &e) || e.Problem.Code != api.CodeConfig {
		t.Errorf("EditSettings: %v", err)
	}
	write("[settings]\nupload_limit = 70000\n")
	if s, err := w.m.Settings(); err != nil || s.UploadLimit != 70000 || s.CacheLimit != mounts.DefaultCacheLimit {
		t.Errorf("mended: %+v, %v", s, err)
	}
	w.edit(api.EditSettings{CacheLimit: &limit})
	w.leave()
	w.start()
	if s, err := w.m.Settings(); err != nil || s.UploadLimit != 70000 || s.CacheLimit != limit {
		t.Errorf("after a restart: %+v, %v", s, err)
	}
}
