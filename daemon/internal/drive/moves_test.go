package drive

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/drivetest/rough"
	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
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

// Files are moved out of a folder that somebody else then removes: what was written here
// stays, and nothing waits for ever.
func TestMovedOutOfAFolderThatIsGone(t *testing.T) {
	for _, kind := range []rough.Kind{rough.Full, rough.Objects, rough.Still} {
		t.Run(kind.String(), func(t *testing.T) {
			s := newSender(t, kind, map[string]string{"d/f": "mine", "d/g": "theirs", "d/e/x": "deep"}, nil)
			for _, p := range []string{"d/f", "d/g", "d/e/x"} {
				s.find(p)
			}
			s.names("d")
			s.names("d/e")
			s.write("d/f", "MINE", 0)
			s.rename("d/f", "f")
			s.rename("d/g", "g")
			s.rename("d/e", "e")
			for _, p := range []string{"d/f", "d/g", "d/e/x", "d/e", "d"} {
				if err := s.remote.Delete(p); err != nil {
					t.Fatal(err)
				}
			}
			s.soon("the folder is gone", func() bool { return !slices.Contains(s.names(""), "d") })
			s.publish()
			s.wantRemote(map[string]string{"f": "MINE", "e/": ""})
			s.soon("what was taken away does not show", func() bool { return slices.Equal(s.names(""), []string{"e", "f"}) && len(s.names("e")) == 0 })
			s.holds("f", "MINE")

			// Of this one, the rest cannot be had any more.
			s.remote.Mkdir("d")
			s.edit("d/part", "0123456789")
			s.soon("the file is there", func() bool {
				_, err := walk(t.Context(), s.d, "d/part")
				return err == nil
			})
			s.write("d/part", "x", 0)
			s.rename("d/part", "part")
			for _, p := range []string{"d/part", "d"} {
				if err := s.remote.Delete(p); err != nil {
					t.Fatal(err)
				}
			}
			s.soon("the folder is gone", func() bool { return !slices.Contains(s.names(""), "d") })
			if err := s.d.Sync(t.Context()); !errors.Is(err, ErrBaseGone) {
				t.Errorf("sync: %v", err)
			}
		})
	}
}

// A file that is removed, or gets another name, while it is on its way to the remote
// is not shown at its old name when it arrives there.
func TestRemovedWhileItIsPublished(t *testing.T) {
	for _, kind := range []rough.Kind{rough.Full, rough.Objects, rough.Still} {
		for _, to := range []string{"", "g", "d/g"} {
			t.Run(kind.String()+" "+to, func(t *testing.T) {
				s, h := newHooked(t, kind, map[string]string{"f": "old", "d/x": "other"})
				s.names("")
				s.write("f", "new", 0)
				h.put = func(put func() (providers.Entry, error)) (providers.Entry, error) {
					h.put = nil
					e, err := put()
					want := []string{"d"}
					switch to {
					case "":
						s.delete("f")
					case "g":
						s.rename("f", "g")
						want = append(want, "g")
					default:
						s.rename("f", to)
						s.delete(to)
					}
					if got := s.fresh(""); !slices.Equal(got, want) {
						t.Errorf("the folder shows %q, not %q", got, want)
					}
					return e, err
				}
				s.publish()
				want := map[string]string{"d/": "", "d/x": "other"}
				if to == "g" {
					want["g"] = "new"
				}
				s.wantRemote(want)
			})
		}
	}
}

// What the remote moves, and gives no versions, is not somebody else's at its new name
// if it has got another one here meanwhile.
func TestMovedOnWhileItIsMoved(t *testing.T) {
	s, h := newHooked(t, rough.Full, map[string]string{"f": "one"})
	h.noVersions = true
	s.names("")
	s.rename("f", "g")
	h.moved = func() {
		h.moved = nil
		s.rename("g", "h")
		if got := s.fresh(""); !slices.Equal(got, []string{"h"}) {
			t.Errorf("the folder shows %q", got)
		}
	}
	s.publish()
	if h.moved != nil {
		t.Fatal("nothing was moved")
	}
	s.wantRemote(map[string]string{"h": "one"})
}

// A folder that is removed here while it is moved there does not come back with a
// listing that the remote gave before.
func TestFolderRemovedWhileItIsMoved(t *testing.T) {
	s, h := newHooked(t, rough.Full, map[string]string{"f": "file"})
	s.remote.Mkdir("d")
	s.names("")
	s.names("d")
	said, goOn := make(chan struct{}), make(chan struct{})
	var l *listing
	h.move = func() {
		h.move = nil
		h.list = func() {
			close(said)
			<-goOn
		}
		var err error
		if l, err = s.d.beginList(t.Context(), nodes.Root); err != nil {
			t.Error(err)
			return
		}
		<-said
		h.list = nil
		s.delete("e")
	}
	s.rename("d", "e")
	s.publish()
	s.wantRemote(map[string]string{"f": "file"})
	if l == nil {
		t.Fatal("nothing was moved")
	}
	close(goOn)
	if err := l.wait(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.d.store.Child(nodes.Root, "d"); !errors.Is(err, nodes.ErrNotFound) {
		t.Errorf("the folder is back: %v", err)
	}
}

// A link that gets another name when it is about to be made on the remote is made where
// it is said to be.
func TestLinkRenamedBeforeItIsMade(t *testing.T) {
	s := newSender(t, rough.Full, map[string]string{"d/x": "other"}, nil)
	s.names("d")
	a, _, err := s.d.Symlink(t.Context(), owner, s.d.Root(), "l", "target", nfs.SetAttr{})
	if err != nil {
		t.Fatal(err)
	}
	n, err := s.d.store.Get(uint64(a.ID))
	if err != nil {
		t.Fatal(err)
	}
	s.rename("l", "d/m")
	if err := s.d.publishLink(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	s.rename("d/m", "k")
	s.publish()
	s.wantRemote(map[string]string{"d/": "", "d/x": "other", "k": "-> target"})
	if got := s.fresh("d"); !slices.Equal(got, []string{"x"}) {
		t.Errorf("the folder shows %q", got)
	}
}

// A file that is removed while it is looked whether it has arrived is not sent again.
func TestRemovedWhileItIsLookedFor(t *testing.T) {
	s, h := newHooked(t, rough.Full, nil)
	if _, _, err := s.d.Create(t.Context(), owner, s.d.Root(), "f", nfs.CreateHow{}); err != nil {
		t.Fatal(err)
	}
	s.write("f", "content", 0)
	sent := 0
	h.put = func(put func() (providers.Entry, error)) (providers.Entry, error) {
		sent++
		e, err := put()
		if err == nil && sent == 1 {
			err = providers.ErrPermission
		}
		return e, err
	}
	if err := s.d.Sync(t.Context()); err == nil {
		t.Fatal("it was published")
	}
	h.open = func() {
		h.open = nil
		s.delete("f")
	}
	s.publish()
	if h.open != nil || sent != 1 {
		t.Errorf("it was sent %d times", sent)
	}
	s.wantRemote(map[string]string{})
}

// A link can be read while the remote moves it, and it has another name here again.
func TestLinkReadWhileItIsMoved(t *testing.T) {
	s, h := newHooked(t, rough.Full, map[string]string{"d/x": "other"})
	a, _, err := s.d.Symlink(t.Context(), owner, s.d.Root(), "l", "target", nfs.SetAttr{})
	if err != nil {
		t.Fatal(err)
	}
	s.publish()
	s.rename("l", "d/m")
	looked := make(chan struct{})
	enough := sync.OnceFunc(func() { close(looked) })
	var got string
	var wg sync.WaitGroup
	h.moved = func() {
		h.moved = nil
		s.rename("d/m", "n")
		opened := 0
		h.open = func() {
			if opened++; opened == 4 { // it looks where it was and is, and once more
				enough()
			}
		}
		wg.Go(func() {
			defer enough()
			if got, err = s.d.Readlink(t.Context(), owner, a.ID); err != nil {
				t.Error(err)
			}
		})
		<-looked
	}
	s.publish()
	wg.Wait()
	if got != "target" {
		t.Errorf("it leads to %q", got)
	}
}

// What a file was to replace is not on the remote any more, and it has got the name of
// another one meanwhile: it replaces that.
func TestRenamedWhileItReplacesNothing(t *testing.T) {
	s, h := newHooked(t, rough.Full, map[string]string{"f": "old", "g": "other"})
	s.names("")
	s.delete("f")
	if _, _, err := s.d.Create(t.Context(), owner, s.d.Root(), "f", nfs.CreateHow{}); err != nil {
		t.Fatal(err)
	}
	s.write("f", "new", 0)
	if err := s.remote.Delete("f"); err != nil {
		t.Fatal(err)
	}
	h.put = func(put func() (providers.Entry, error)) (providers.Entry, error) {
		h.put = nil
		e, err := put()
		s.rename("f", "g")
		return e, err
	}
	s.publish()
	if h.put != nil {
		t.Fatal("it was not sent")
	}
	s.wantRemote(map[string]string{"g": "new"})
	s.holds("g", "new")
}

// What is in a folder that is moved can be asked for in that moment.
func TestFolderListedWhileItIsMoved(t *testing.T) {
	s, h := newHooked(t, rough.Full, map[string]string{"d/x": "one", "d/e/y": "two"})
	d := s.find("d")
	s.rename("d", "f")
	var wg sync.WaitGroup
	h.moved = func() {
		h.moved = nil
		wg.Go(func() {
			var names []string
			_, err := s.d.ReadDir(t.Context(), owner, d.ID, 0, false, func(e nfs.DirEntry) bool {
				names = append(names, e.Name)
				return true
			})
			slices.Sort(names)
			if err != nil || !slices.Equal(names, []string{"e", "x"}) {
				t.Errorf("the folder shows %q, %v", names, err)
			}
		})
		time.Sleep(100 * time.Millisecond) // while it would be told to come again
	}
	s.publish()
	wg.Wait()
	if h.moved != nil {
		t.Fatal("nothing was moved")
	}
}
