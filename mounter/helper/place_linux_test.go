package helper

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/mounter/helper/protocol"
)

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// home is a folder of a user whom nobody else knows.
func home(t *testing.T) (*Kernel, Caller, string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("opening folders as another user needs root")
	}
	top, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for p := top; p != "/" && p != os.TempDir(); p = filepath.Dir(p) { // made 0700 for root by the test
		if err := os.Chmod(p, 0o755); err != nil {
			break
		}
	}
	c := Caller{UID: 54321, Groups: []uint32{54321}}
	dir := filepath.Join(top, "home")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, int(c.UID), int(c.UID))); err != nil {
		t.Fatal(err)
	}
	return &Kernel{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)}, c, dir
}

func (c Caller) mkdir(t *testing.T, path string) string {
	t.Helper()
	if err := errors.Join(os.Mkdir(path, 0o700), os.Chown(path, int(c.UID), int(c.UID))); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRule08PlaceIsTheCallersFolder(t *testing.T) {
	k, c, home := home(t)
	own := c.mkdir(t, filepath.Join(home, "own"))
	inner := c.mkdir(t, filepath.Join(own, "inner"))
	link := filepath.Join(home, "link")
	file := filepath.Join(home, "file")
	writeFile(t, file, "")
	closed := filepath.Join(filepath.Dir(home), "closed")
	if err := errors.Join(os.Symlink(own, link), os.Mkdir(closed, 0o700), os.Mkdir(filepath.Join(closed, "in"), 0o755),
		os.Chown(filepath.Join(closed, "in"), int(c.UID), -1)); err != nil {
		t.Fatal(err)
	}
	for dir, says := range map[string]string{
		"/etc":                         "not yours",
		filepath.Dir(home):             "not yours",
		link:                           "symbolic link",
		filepath.Join(link, "inner"):   "symbolic link",
		file:                           "no folder",
		filepath.Join(home, "nowhere"): "does not exist",
		filepath.Join(closed, "in"):    "not yours", // she owns it, but cannot reach it
		filepath.Join(closed, "guess"): "not yours", // and is not told what is there
	} {
		p, err := k.Open(c, dir)
		if err == nil {
			p.Close()
		}
		var e *protocol.Error
		if !errors.As(err, &e) || e.Kind != protocol.BadDir || !strings.Contains(e.What, says) {
			t.Errorf("%s: %v, want %q", dir, err, says)
		}
	}
	p, err := k.Open(c, inner)
	if err != nil {
		t.Fatalf("her own: %v", err)
	}
	defer p.Close()
	if p.Name != "inner" {
		t.Errorf("name %q", p.Name)
	}

	// The place is the folder, not its path.
	moved := filepath.Join(home, "moved")
	if err := errors.Join(os.Rename(own, moved), os.Symlink("/etc", own)); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Fstatat(p.parent, "inner", &st, unix.AT_SYMLINK_NOFOLLOW); err != nil || st.Uid != c.UID {
		t.Errorf("the place after a rename: %+v, %v", st, err)
	}
	r := Record{UID: c.UID, Parent: p.ParentID, Name: p.Name}
	again, err := k.Reopen(c, r, filepath.Join(moved, "inner"))
	if err != nil {
		t.Fatalf("the place where it is now: %v", err)
	}
	again.Close()
	if _, err := k.Reopen(c, r, filepath.Join(own, "inner")); kindOf(err) != protocol.BadDir {
		t.Errorf("by a link: %v", err)
	}
	c.mkdir(t, filepath.Join(home, "other"))
	if _, err := k.Reopen(c, r, filepath.Join(home, "other", "inner")); kindOf(err) != protocol.Busy {
		t.Errorf("another folder that has the same name: %v", err)
	}
}

// What a thread did as somebody else is gone with it.
func TestThreadsAreThrownAway(t *testing.T) {
	_, c, _ := home(t)
	for range 20 {
		if err := asUser(c, func() error {
			if now, _ := unix.SetfsuidRetUid(-1); now != int(c.UID) {
				t.Errorf("works as %d", now)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if now, _ := unix.SetfsuidRetUid(-1); now != 0 {
			t.Fatalf("this thread is %d's", now)
		}
	}
}
