package drive

import (
	"testing"

	"github.com/moorage/moorage/daemon/internal/drive/drivetest/rough"
	"github.com/moorage/moorage/nfs"
)

// A folder gets its old name back while it is moved piece by piece, and a file the
// name that it was to have: neither is taken for somebody else's.
func TestFolderRenamedBackWhileOnItsWay(t *testing.T) {
	for _, files := range []map[string]string{{"d/x": "one", "d/y": "two"}, {}} {
		s, h := newHooked(t, rough.Still, files)
		s.remote.Mkdir("d")
		for p := range files {
			s.find(p)
		}
		id := s.find("d").ID
		s.rename("d", "e")
		h.mkdir = func(err error) error {
			h.mkdir = nil
			s.rename("e", "d")
			if _, _, err := s.d.Create(s.Context(), owner, s.d.Root(), "e", nfs.CreateHow{}); err != nil {
				s.Error(err)
			}
			s.write("e", "file", 0)
			return err
		}
		s.publish()
		if h.mkdir != nil {
			t.Fatal("the folder was not moved")
		}
		want := map[string]string{"d/": "", "e": "file"}
		for p, content := range files {
			want[p] = content
		}
		s.wantRemote(want)
		if got := s.find("d").ID; got != id {
			t.Errorf("the folder has another id, %d and not %d", got, id)
		}
		s.holds("e", "file")
	}
}

// A file that is to be moved into a folder which somebody else has removed goes
// there all the same.
func TestMovedIntoAFolderThatIsGone(t *testing.T) {
	for _, kind := range []rough.Kind{rough.Full, rough.Objects, rough.Still} {
		t.Run(kind.String(), func(t *testing.T) {
			s := newSender(t, kind, map[string]string{"f": "mine", "d/x": "other"}, nil)
			id := s.find("f").ID
			s.find("d/x")
			s.rename("f", "d/f")
			for _, p := range []string{"d/x", "d"} {
				if err := s.remote.Delete(p); err != nil {
					t.Fatal(err)
				}
			}
			s.publish()
			s.wantRemote(map[string]string{"d/": "", "d/f": "mine"})
			if got := s.find("d/f").ID; got != id {
				t.Errorf("the file has another id, %d and not %d", got, id)
			}
		})
	}
}
