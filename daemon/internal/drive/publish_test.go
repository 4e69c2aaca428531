package drive

import (
	"context"
	"errors"
	"maps"
	"path"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/drivetest/rough"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
)

// sender is a drive whose changes are published when a test says so, and the
// remote that they go to.
type sender struct {
	*testing.T
	remote *rough.Remote
	d      *Drive
}

// newSender opens a drive of a remote. wrap, if not nil, comes in between.
func newSender(t *testing.T, kind rough.Kind, files map[string]string, wrap func(*rough.Session) providers.Provider) *sender {
	s := &sender{T: t, remote: rough.New(1, rough.Options{Kind: kind})}
	for _, p := range slices.Sorted(maps.Keys(files)) {
		for i, c := range p {
			if c == '/' {
				s.remote.Mkdir(p[:i])
			}
		}
		s.edit(p, files[p])
	}
	session := s.remote.Connect()
	o := Options{
		Provider: session, StateDir: t.TempDir(), UID: uid, GID: gid, Quiet: time.Hour,
		TTL: time.Nanosecond, RefreshInterval: time.Hour, ProbeInterval: time.Nanosecond,
	}
	if wrap != nil {
		o.Provider = wrap(session)
	}
	var err error
	if s.d, err = Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.d.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// edit has somebody else store a file.
func (s *sender) edit(p, content string) {
	s.Helper()
	if err := s.remote.Edit(p, []byte(content)); err != nil {
		s.Fatal(err)
	}
}

func (s *sender) find(p string) nfs.Attr {
	s.Helper()
	a, err := walk(s.Context(), s.d, p)
	if err != nil {
		s.Fatalf("find %q: %v", p, err)
	}
	return a
}

// parent finds the directory that a path is in.
func (s *sender) parent(p string) nfs.ID {
	s.Helper()
	if dir := path.Dir(p); dir != "." {
		return s.find(dir).ID
	}
	return s.d.Root()
}

func (s *sender) rename(from, to string) {
	s.Helper()
	_, _, err := s.d.Rename(s.Context(), owner, s.parent(from), path.Base(from), s.parent(to), path.Base(to))
	if err != nil {
		s.Fatalf("rename %q to %q: %v", from, to, err)
	}
}

// publish has all changes published, and nothing left of them.
func (s *sender) publish() {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 2*time.Minute)
	defer cancel()
	for {
		if err := s.d.Sync(ctx); err != nil {
			s.Fatal(err)
		}
		if s.d.Status().Pending == 0 {
			return
		}
		select {
		case <-s.d.Changes():
		case <-ctx.Done():
			s.Fatalf("not published: %+v", s.d.Ledger(10))
		}
	}
}

// wantRemote compares what the remote has with files, and folders whose names
// end in a slash.
func (s *sender) wantRemote(want map[string]string) {
	s.Helper()
	got, err := s.remote.Tree("")
	if err != nil {
		s.Fatal(err)
	}
	if !maps.Equal(got, want) {
		s.Errorf("the remote has %q, not %q", got, want)
	}
}

// holds wants the drive to show a file, as soon as it has looked.
func (s *sender) holds(p, want string) {
	s.Helper()
	var got string
	for range 200 {
		a, err := walk(s.Context(), s.d, p)
		if err == nil {
			b := make([]byte, 100)
			var n int
			n, _, err = s.d.Read(s.Context(), owner, a.ID, b, 0)
			got = string(b[:n])
		}
		if err != nil {
			got = err.Error()
		}
		if got == want {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.Errorf("%q holds %q, not %q", p, got, want)
}

// deaf loses the answers to the first moves of files.
type deaf struct {
	*rough.Session
	mu   sync.Mutex
	left int
}

func (p *deaf) Move(ctx context.Context, from, to string, c providers.Cond) (providers.Entry, error) {
	e, err := p.Session.Move(ctx, from, to, c)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil && p.left > 0 {
		p.left--
		return providers.Entry{}, providers.ErrOffline
	}
	return e, err
}

// Remove is deaf, too: a remote that moves nothing is copied on, and taken away
// from.
func (p *deaf) Remove(ctx context.Context, at string, c providers.Cond) error {
	err := p.Session.Remove(ctx, at, c)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil && p.left > 0 {
		p.left--
		return providers.ErrOffline
	}
	return err
}

// A folder that is moved piece by piece arrives whole, and goes from where it was,
// though the answer to one of the moves is lost.
func TestFolderMovedThoughAnAnswerIsLost(t *testing.T) {
	for _, kind := range []rough.Kind{rough.Objects, rough.Still} {
		t.Run(kind.String(), func(t *testing.T) {
			s := newSender(t, kind, map[string]string{"a/x": "one", "a/y": "two", "a/d/z": "three"}, func(s *rough.Session) providers.Provider {
				return &deaf{Session: s, left: 1}
			})
			x := s.find("a/x").ID
			s.find("a/d/z")
			s.rename("a", "b")
			s.publish()
			s.wantRemote(map[string]string{"b/": "", "b/x": "one", "b/y": "two", "b/d/": "", "b/d/z": "three"})
			if _, _, err := s.d.Write(t.Context(), owner, x, []byte("O"), 0, nfs.FileSync); err != nil {
				t.Fatal(err)
			}
			s.publish()
			s.wantRemote(map[string]string{"b/": "", "b/x": "One", "b/y": "two", "b/d/": "", "b/d/z": "three"})
		})
	}
}

// Somebody else makes a folder of a file that is renamed here, over another one
// that somebody else replaces: what that is shows.
func TestRenamedFileBecomesAFolder(t *testing.T) {
	s := newSender(t, rough.Objects, map[string]string{"f": "mine", "g": "old"}, nil)
	s.find("f")
	s.find("g")
	s.rename("f", "g")
	if err := s.remote.Delete("f"); err != nil {
		t.Fatal(err)
	}
	s.remote.Mkdir("f")
	s.edit("g", "new")
	s.publish()
	s.wantRemote(map[string]string{"f/": "", "g": "new"})
	s.holds("g", "new")
}

// A folder can be removed that something was in on the remote which has become a
// side file here, and so stays on this computer.
func TestRemovedFolderHadASideFile(t *testing.T) {
	s := newSender(t, rough.Full, map[string]string{"d/f": "bytes"}, nil)
	s.find("d/f")
	s.rename("d/f", "._f")
	if _, err := s.d.Rmdir(t.Context(), owner, s.d.Root(), "d"); err != nil {
		t.Fatal(err)
	}
	s.publish()
	s.wantRemote(map[string]string{})
	s.holds("._f", "bytes")
}

// hooked has a test come in between the drive and its remote.
type hooked struct {
	*rough.Session
	mkdir func(error) error
	put   func(func() (providers.Entry, error)) (providers.Entry, error)
	open  func()
	move  func()
	moved func()
	list  func() // after the remote has said what is there

	noVersions bool // of files
}

func (h *hooked) Info() providers.Info {
	i := h.Session.Info()
	if h.noVersions {
		i.StrongVersion, i.TreeVersion = false, false
	}
	return i
}

// plain is what is told of an entry.
func (h *hooked) plain(e providers.Entry) providers.Entry {
	if h.noVersions {
		e.Version = ""
	}
	return e
}

func (h *hooked) Stat(ctx context.Context, p string) (providers.Entry, error) {
	e, err := h.Session.Stat(ctx, p)
	return h.plain(e), err
}

func (h *hooked) ReadDir(ctx context.Context, p, cursor string) (providers.Page, error) {
	page, err := h.Session.ReadDir(ctx, p, cursor)
	if h.list != nil {
		h.list()
	}
	for i, e := range page.Entries {
		page.Entries[i] = h.plain(e)
	}
	return page, err
}

func (h *hooked) Move(ctx context.Context, from, to string, c providers.Cond) (providers.Entry, error) {
	if h.move != nil {
		h.move()
	}
	e, err := h.Session.Move(ctx, from, to, c)
	if h.moved != nil {
		h.moved()
	}
	return h.plain(e), err
}

func (h *hooked) Mkdir(ctx context.Context, p string) (providers.Entry, error) {
	e, err := h.Session.Mkdir(ctx, p)
	if h.mkdir != nil {
		err = h.mkdir(err)
	}
	return e, err
}

func (h *hooked) Put(ctx context.Context, p string, src providers.Source, o providers.PutOptions) (providers.Entry, error) {
	put := func() (providers.Entry, error) { return h.Session.Put(ctx, p, src, o) }
	if h.put == nil {
		return put()
	}
	return h.put(put)
}

func (h *hooked) Open(ctx context.Context, p string, v providers.Version) (providers.Object, error) {
	if h.open != nil {
		h.open()
	}
	return h.Session.Open(ctx, p, v)
}

func newHooked(t *testing.T, kind rough.Kind, files map[string]string) (*sender, *hooked) {
	h := &hooked{}
	return newSender(t, kind, files, func(s *rough.Session) providers.Provider {
		h.Session = s
		return h
	}), h
}

func (s *sender) write(p, data string, off uint64) {
	s.Helper()
	if _, _, err := s.d.Write(s.Context(), owner, s.find(p).ID, []byte(data), off, nfs.FileSync); err != nil {
		s.Fatalf("write %q: %v", p, err)
	}
}

func (s *sender) delete(p string) {
	s.Helper()
	remove := s.d.Remove
	if s.find(p).Type == nfs.TypeDirectory {
		remove = s.d.Rmdir
	}
	if _, err := remove(s.Context(), owner, s.parent(p), path.Base(p)); err != nil {
		s.Fatalf("remove %q: %v", p, err)
	}
}

// What was in a folder can take the folder's place.
func TestContentTakesItsFoldersPlace(t *testing.T) {
	for _, kind := range []rough.Kind{rough.Full, rough.Objects, rough.Still} {
		t.Run(kind.String(), func(t *testing.T) {
			s := newSender(t, kind, map[string]string{"d/f": "file", "e/e/f": "deeper", "e/e/e/g": "deepest"}, nil)
			for _, p := range []string{"d/f", "e/e"} {
				s.find(p)
				s.rename(p, "t")
				s.delete(path.Dir(p))
				s.rename("t", path.Dir(p))
			}
			s.publish()
			s.wantRemote(map[string]string{"d": "file", "e/": "", "e/f": "deeper", "e/e/": "", "e/e/g": "deepest"})
			s.holds("d", "file")
			s.holds("e/e/g", "deepest")
		})
	}
}

// A folder that was made on the remote, though the answer said otherwise, goes with
// the one that was made here.
func TestFolderMadeUnseen(t *testing.T) {
	s, h := newHooked(t, rough.Objects, nil)
	h.mkdir = func(error) error { return providers.ErrPermission }
	if _, _, err := s.d.Mkdir(t.Context(), owner, s.d.Root(), "d", nfs.SetAttr{}); err != nil {
		t.Fatal(err)
	}
	if err := s.d.Sync(t.Context()); err == nil {
		t.Fatal("it was published")
	}
	s.wantRemote(map[string]string{"d/": ""})
	s.delete("d")
	s.publish()
	s.wantRemote(map[string]string{})
}

// A file that goes before it could replace another one takes that with it.
func TestReplacedAndRemoved(t *testing.T) {
	s, h := newHooked(t, rough.Objects, map[string]string{"f": "old"})
	h.put = func(func() (providers.Entry, error)) (providers.Entry, error) {
		return providers.Entry{}, providers.ErrPermission
	}
	s.find("f")
	if _, _, err := s.d.Create(t.Context(), owner, s.d.Root(), "new", nfs.CreateHow{}); err != nil {
		t.Fatal(err)
	}
	s.rename("new", "f")
	if err := s.d.Sync(t.Context()); err == nil {
		t.Fatal("it was published")
	}
	s.delete("f")
	s.publish()
	s.wantRemote(map[string]string{})
}

// A file that gets its old name back while it is on its way to another one, which
// is not seen to end, is no conflict with itself.
func TestRenamedBackWhileOnItsWay(t *testing.T) {
	s, h := newHooked(t, rough.Full, map[string]string{"f": "old"})
	s.find("f")
	s.rename("f", "g")
	s.write("g", "new", 0)
	first := true
	h.put = func(put func() (providers.Entry, error)) (providers.Entry, error) {
		e, err := put()
		if first {
			first, err = false, providers.ErrOffline
		}
		return e, err
	}
	h.open = func() {
		h.open = nil
		s.rename("g", "f")
	}
	s.publish()
	if h.open != nil {
		t.Fatal("it was not looked whether the upload came through")
	}
	s.wantRemote(map[string]string{"f": "new"})
	s.holds("f", "new")
}

// What cannot be had any more is an error, and nothing to wait for.
func TestReadOfAFileWhoseRestIsGone(t *testing.T) {
	s := newSender(t, rough.Still, map[string]string{"f": "0123456789"}, nil)
	s.write("f", "x", 0)
	s.edit("f", "something else")
	if err := s.d.Sync(t.Context()); !errors.Is(err, ErrBaseGone) {
		t.Fatalf("sync: %v", err)
	}
	_, _, err := s.d.Read(t.Context(), owner, s.find("f").ID, make([]byte, 10), 0)
	if nfs.StatusOf(err) != nfs.ErrIO {
		t.Errorf("read: %v", err)
	}
}

// Two that go into each other's place arrive, whatever holds the other.
func TestPlacesThatWaitForEachOther(t *testing.T) {
	for _, kind := range []rough.Kind{rough.Full, rough.Objects, rough.Still} {
		t.Run(kind.String(), func(t *testing.T) {
			s := newSender(t, kind, map[string]string{"f": "file", "d/x": "one", "a/y": "two", "b/z": "three", "p": "four", "q": "five"}, nil)
			for _, p := range []string{"f", "d/x", "a/y", "b/z", "p", "q"} {
				s.find(p)
			}
			s.rename("f", "d/f") // a file into the folder that takes its place
			s.rename("d", "f")
			s.rename("a", "b/a") // likewise a folder
			s.rename("b", "a")
			s.rename("p", "t") // names are swapped
			s.rename("q", "p")
			s.rename("t", "q")
			s.publish()
			s.wantRemote(map[string]string{
				"f/": "", "f/x": "one", "f/f": "file", "a/": "", "a/z": "three", "a/a/": "", "a/a/y": "two", "p": "five", "q": "four",
			})
			s.holds("f/f", "file")
			s.holds("a/a/y", "two")
		})
	}
}

// A folder goes with a file that arrived in it unseen, before it was removed here.
func TestRemovedFolderHadAnUpload(t *testing.T) {
	s, h := newHooked(t, rough.Full, map[string]string{"d/old": "old"})
	h.put = func(put func() (providers.Entry, error)) (providers.Entry, error) {
		if _, err := put(); err != nil {
			return providers.Entry{}, err
		}
		return providers.Entry{}, providers.ErrPermission
	}
	d := s.find("d").ID
	s.delete("d/old")
	if _, _, err := s.d.Create(t.Context(), owner, d, "new", nfs.CreateHow{}); err != nil {
		t.Fatal(err)
	}
	if err := s.d.Sync(t.Context()); err == nil {
		t.Fatal("it was published")
	}
	s.wantRemote(map[string]string{"d/": "", "d/new": ""})
	s.delete("d/new")
	s.delete("d")
	s.publish()
	s.wantRemote(map[string]string{})
}

// A folder does not step aside while a file is on its way into it.
func TestFolderWaitsForAnUpload(t *testing.T) {
	s, h := newHooked(t, rough.Full, map[string]string{"a/f": "old", "b/z": "other"})
	s.find("b/z")
	s.write("a/f", "new", 0)
	sending, send := make(chan struct{}), make(chan struct{})
	var mu sync.Mutex
	var once sync.Once
	busy, moved := false, false
	h.put = func(put func() (providers.Entry, error)) (providers.Entry, error) {
		mu.Lock()
		busy = true
		mu.Unlock()
		once.Do(func() { close(sending) })
		<-send
		e, err := put()
		mu.Lock()
		defer mu.Unlock()
		busy = false
		return e, err
	}
	h.move = func() {
		mu.Lock()
		defer mu.Unlock()
		moved = moved || busy
	}
	var wg sync.WaitGroup
	wg.Go(func() { s.d.Sync(t.Context()) })
	<-sending
	s.rename("a", "b/a")
	s.rename("b", "a")
	wg.Go(func() { s.d.Sync(t.Context()) })
	time.Sleep(200 * time.Millisecond) // a move that is wrong would come now
	close(send)
	wg.Wait()
	s.publish()
	if moved {
		t.Error("a folder was moved with a file on its way into it")
	}
	s.wantRemote(map[string]string{"a/": "", "a/z": "other", "a/a/": "", "a/a/f": "new"})
}

// A file that is put in another's place stays the one that it was, though the
// remote still has what it was, because somebody else changed that.
func TestRenamedFileStaysItself(t *testing.T) {
	s := newSender(t, rough.Full, map[string]string{"g": "old", "a/h": "other"}, nil)
	g := s.find("g").ID
	s.find("a/h")
	s.write("g", "mine", 0)
	s.rename("g", "a/h")
	s.edit("g", "theirs")
	s.publish()
	s.wantRemote(map[string]string{"a/": "", "a/h": "mine", "g": "theirs"})
	s.holds("g", "theirs")
	s.holds("a/h", "mine")
	if id := s.find("a/h").ID; id != g {
		t.Errorf("it has become object %d, from %d", id, g)
	}
}
