package drive

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/drivetest/rough"
	"github.com/moorage/moorage/nfs"
)

// names are those that a directory shows.
func (s *sender) names(dir string) (all []string) {
	s.Helper()
	if _, err := s.d.ReadDir(s.Context(), owner, s.find(dir).ID, 0, false, func(e nfs.DirEntry) bool {
		all = append(all, e.Name)
		return true
	}); err != nil {
		s.Fatalf("list %q: %v", dir, err)
	}
	slices.Sort(all)
	return all
}

// fresh are those that it shows after the remote was asked.
func (s *sender) fresh(dir string) []string {
	s.Helper()
	if err := s.d.list(s.Context(), uint64(s.find(dir).ID)); err != nil {
		s.Fatalf("list %q: %v", dir, err)
	}
	return s.names(dir)
}

// soon waits for what the drive has to learn from the remote.
func (s *sender) soon(what string, is func() bool) {
	s.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			s.Fatalf("%s: not within a minute; the root shows %v", what, s.names(""))
		}
	}
}

// showsSoon waits until a directory shows these names.
func (s *sender) showsSoon(dir string, want ...string) {
	s.Helper()
	s.soon(fmt.Sprintf("%q shows %v", dir, want), func() bool { return slices.Equal(s.names(dir), want) })
}

// A folder that somebody else removed stays away, though a file in it was removed here a
// moment ago.
func TestFolderThatAFileWasRemovedFromIsGone(t *testing.T) {
	s := newSender(t, rough.Full, map[string]string{"d/f": "one", "d/g": "two"}, nil)
	s.names("d")
	s.delete("d/f")
	s.publish()
	s.wantRemote(map[string]string{"d/": "", "d/g": "two"})
	for _, p := range []string{"d/g", "d"} {
		if err := s.remote.Delete(p); err != nil {
			t.Fatal(err)
		}
	}
	s.showsSoon("")
	s.publish()
	s.wantRemote(map[string]string{})
}

// A folder that somebody else removed is made anew for what was put into it here. What
// else was in it is gone, and what they put into theirs shows.
func TestFolderMadeAnewShowsWhatIsThere(t *testing.T) {
	for _, also := range []bool{false, true} {
		s := newSender(t, rough.Full, map[string]string{"d/old": "old", "d/older": "older"}, nil)
		s.names("d")
		f, _, err := s.d.Create(t.Context(), owner, s.find("d").ID, "new", nfs.CreateHow{})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.d.Write(t.Context(), owner, f.ID, []byte("new"), 0, nfs.FileSync); err != nil {
			t.Fatal(err)
		}
		for _, p := range []string{"d/old", "d/older", "d"} {
			if err := s.remote.Delete(p); err != nil {
				t.Fatal(err)
			}
		}
		want := map[string]string{"d/": "", "d/new": "new"}
		shown := []string{"new"}
		if also {
			s.remote.Mkdir("d")
			s.edit("d/theirs", "theirs")
			want["d/theirs"] = "theirs"
			shown = append(shown, "theirs")
		}
		s.publish()
		s.wantRemote(want)
		s.showsSoon("d", shown...)
	}
}

// What somebody else put into a folder of the same name shows as soon as both are one,
// however long listings count.
func TestFolderThatWasThereShowsWhatIsInIt(t *testing.T) {
	s := newSender(t, rough.Objects, nil, nil)
	o := s.d.o
	if err := s.d.Close(); err != nil {
		t.Fatal(err)
	}
	o.TTL = time.Hour
	var err error
	if s.d, err = Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.d.Mkdir(t.Context(), owner, s.d.Root(), "d", nfs.SetAttr{}); err != nil {
		t.Fatal(err)
	}
	s.remote.Mkdir("d")
	s.edit("d/theirs", "theirs")
	s.publish()
	if got := s.names("d"); !slices.Equal(got, []string{"theirs"}) {
		t.Errorf("it shows %v", got)
	}
}
