package helper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/mounter/helper/protocol"
	"github.com/moorage/moorage/mounter/internal/linuxnfs"
)

// system is a kernel without namespaces and mounts, and the polkit of it. It opens
// folders for real.
type system struct {
	Kernel
	mu       sync.Mutex
	table    []linuxnfs.Entry
	released []uint32
	denied   map[uint32]bool
	asked    int
	mountErr error
	flags    []int // of Unmount
}

func (s *system) Allow(_ context.Context, c Caller) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.denied[c.UID] {
		return &protocol.Error{Kind: protocol.Denied, What: "No."}
	}
	return nil
}

func (s *system) Listen(_ uint32, port uint16) (int, uint16, error) {
	fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if port == 0 {
		port = 700
	}
	return fd, port, err
}

func (s *system) Release(uid uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.released = append(s.released, uid)
}

func (s *system) Open(_ Caller, dir string) (*Place, error) {
	if strings.Contains(dir, "foreign") {
		return nil, &protocol.Error{Kind: protocol.BadDir, What: "The folder is not yours."}
	}
	return &Place{parent: -1, target: -1, Name: filepath.Base(dir)}, nil
}

func (s *system) Reopen(_ Caller, r Record, _ string) (*Place, error) {
	return &Place{parent: -1, target: -1, Name: r.Name}, nil
}

func (s *system) Mount(_ bool, p *Place, r Record, _ []byte, _ bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mountErr == nil {
		s.table = append(s.table, linuxnfs.Entry{ID: len(s.table) + 100, Point: "/home/" + p.Name, FSType: "nfs", Source: r.Source})
	}
	return s.mountErr
}

func (s *system) Unmount(_ Caller, p *Place, flags int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flags = append(s.flags, flags)
	s.table = slices.DeleteFunc(s.table, func(e linuxnfs.Entry) bool { return filepath.Base(e.Point) == p.Name })
	return nil
}

func (s *system) Table() ([]linuxnfs.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.table), nil
}

func newHelper(t *testing.T, s *system, dir string) *Helper {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	h, err := New(Options{System: s, Authority: s, Logger: log, Records: &Records{Dir: dir, Logger: log}})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

const (
	one = "00000000000000a1"
	two = "00000000000000a2"
)

var alice, bob = Caller{UID: 1000, Name: ":1.1"}, Caller{UID: 2000, Name: ":1.2"}

func spec(drive, dir string) protocol.Spec {
	return protocol.Spec{Drive: drive, Dir: dir, Export: "/" + strings.Repeat(drive, 2) + "/name", Root: []byte("root")}
}

func kindOf(err error) protocol.Kind {
	var e *protocol.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return protocol.Kind(fmt.Sprint(err))
}

func listen(t *testing.T, h *Helper, c Caller, drive string, port uint16) uint16 {
	t.Helper()
	fd, got, err := h.Listen(t.Context(), c, drive, port)
	if err != nil {
		t.Fatalf("Listen: %v", err)
	}
	unix.Close(fd)
	return got
}

func TestMountAndUnmount(t *testing.T) {
	s, dir := &system{}, t.TempDir()
	h := newHelper(t, s, dir)
	if got := listen(t, h, alice, one, 0); got != 700 {
		t.Errorf("port %d", got)
	}
	if err := h.Mount(t.Context(), alice, spec(one, "/home/d")); err != nil {
		t.Fatal(err)
	}
	if s.asked != 2 {
		t.Errorf("polkit was asked %d times", s.asked)
	}
	l, err := h.List(t.Context(), alice)
	if err != nil || len(l) != 1 || l[0] != (protocol.Mounted{Drive: one, Dir: "/home/d", Port: 700}) {
		t.Errorf("List: %+v, %v", l, err)
	}
	if l, err := h.List(t.Context(), bob); err != nil || len(l) != 0 {
		t.Errorf("List of somebody else: %+v, %v", l, err)
	}
	if err := h.Mount(t.Context(), alice, spec(one, "/home/e")); kindOf(err) != protocol.BadDir {
		t.Errorf("mounted twice: %v", err)
	}
	if err := h.Unmount(t.Context(), bob, "/home/d", true); kindOf(err) != protocol.NotMounted {
		t.Errorf("somebody else's: %v", err)
	}
	if err := h.Unmount(t.Context(), alice, "/home", true); kindOf(err) != protocol.NotMounted {
		t.Errorf("what is no drive: %v", err)
	}
	if err := h.Unmount(t.Context(), alice, "/home/d", false); err != nil {
		t.Error(err)
	}
	if len(s.table) != 0 || !slices.Equal(s.released, []uint32{1000}) || !slices.Equal(s.flags, []int{0}) {
		t.Errorf("left %v, released %v, flags %v", s.table, s.released, s.flags)
	}
	if all, err := h.o.Records.Load(); err != nil || len(all) != 0 {
		t.Errorf("records left: %v, %v", all, err)
	}
}

// The service dies and asks again, also of a helper that was started anew: the same
// port, and polkit, which may say no by now, is not asked.
func TestRule02ListenerStaysWithTheHelper(t *testing.T) {
	s, dir := &system{denied: map[uint32]bool{}}, t.TempDir()
	h := newHelper(t, s, dir)
	listen(t, h, alice, one, 4000)
	if err := h.Mount(t.Context(), alice, spec(one, "/home/d")); err != nil {
		t.Fatal(err)
	}
	s.denied[alice.UID] = true
	h.Gone(alice.Name)
	again := Caller{UID: alice.UID, Name: ":1.9"}
	for range 2 {
		if got := listen(t, h, again, one, 1); got != 4000 {
			t.Errorf("port %d", got)
		}
		if _, _, err := h.Listen(t.Context(), bob, one, 4000); err != nil {
			t.Errorf("another user's drive with the same name: %v", err)
		}
		h = newHelper(t, s, dir)
	}
	if err := h.Unmount(t.Context(), again, "/home/d", true); err != nil {
		t.Error(err)
	}
	if want := []int{unix.MNT_FORCE | unix.MNT_DETACH}; !slices.Equal(s.flags, want) {
		t.Errorf("flags %v", s.flags)
	}
	if _, _, err := h.Listen(t.Context(), again, one, 4000); kindOf(err) != protocol.Denied {
		t.Errorf("once it is unmounted: %v", err)
	}
}

// What another one took away is not the caller's any more.
func TestMountTakenAwayByRoot(t *testing.T) {
	s, dir := &system{denied: map[uint32]bool{}}, t.TempDir()
	h := newHelper(t, s, dir)
	listen(t, h, alice, one, 0)
	if err := h.Mount(t.Context(), alice, spec(one, "/home/d")); err != nil {
		t.Fatal(err)
	}
	s.table = nil
	if err := h.Unmount(t.Context(), alice, "/home/d", true); kindOf(err) != protocol.NotMounted {
		t.Errorf("Unmount: %v", err)
	}
	if all, _ := newHelper(t, s, dir).List(t.Context(), alice); len(all) != 0 {
		t.Errorf("a helper that starts now lists %v", all)
	}
	listen(t, h, alice, one, 0)
	if err := h.Mount(t.Context(), alice, spec(one, "/home/d")); err != nil {
		t.Errorf("mounted again: %v", err)
	}
}

// Something that root has mounted over a drive is not unmounted in its place.
func TestMountOverADrive(t *testing.T) {
	s := &system{}
	h := newHelper(t, s, t.TempDir())
	listen(t, h, alice, one, 0)
	if err := h.Mount(t.Context(), alice, spec(one, "/home/d")); err != nil {
		t.Fatal(err)
	}
	s.table = append(s.table, linuxnfs.Entry{ID: 7, Parent: s.table[0].ID, Point: "/home/d", FSType: "tmpfs", Source: "x"})
	if err := h.Unmount(t.Context(), alice, "/home/d", true); kindOf(err) != protocol.Busy || len(s.flags) != 0 {
		t.Errorf("%v, flags %v", err, s.flags)
	}
}

func TestDrivesOfAConnectionThatIsGone(t *testing.T) {
	s := &system{}
	h := newHelper(t, s, t.TempDir())
	listen(t, h, alice, one, 0)
	listen(t, h, alice, two, 0)
	if err := h.Mount(t.Context(), alice, spec(two, "/home/d")); err != nil {
		t.Fatal(err)
	}
	h.Gone(bob.Name)
	if len(h.drives) != 2 {
		t.Error("somebody else's connection ended, and a drive is gone")
	}
	h.Gone(alice.Name)
	if len(h.drives) != 1 || h.drives[key{1000, two}] == nil || len(s.released) != 0 {
		t.Errorf("drives %v, released %v", h.drives, s.released)
	}
}

func TestRule13HelperRefuses(t *testing.T) {
	s := &system{denied: map[uint32]bool{bob.UID: true}}
	h := newHelper(t, s, t.TempDir())
	listen(t, h, alice, one, 0)
	for name, tc := range map[string]struct {
		c      Caller
		change func(*protocol.Spec)
		want   protocol.Kind
	}{
		"root":            {Caller{Name: ":1.3"}, func(*protocol.Spec) {}, protocol.Denied},
		"no listener":     {alice, func(s *protocol.Spec) { s.Drive = two }, protocol.BadRequest},
		"drive":           {alice, func(s *protocol.Spec) { s.Drive = "../../etc" }, protocol.BadRequest},
		"no root":         {alice, func(s *protocol.Spec) { s.Root = nil }, protocol.BadRequest},
		"long root":       {alice, func(s *protocol.Spec) { s.Root = make([]byte, 65) }, protocol.BadRequest},
		"export, token":   {alice, func(s *protocol.Spec) { s.Export = "/x/name" }, protocol.BadRequest},
		"export, options": {alice, func(s *protocol.Spec) { s.Export += "\nsuid" }, protocol.BadRequest},
		"export, path":    {alice, func(s *protocol.Spec) { s.Export += "/../x" }, protocol.BadRequest},
		"relative":        {alice, func(s *protocol.Spec) { s.Dir = "d" }, protocol.BadDir},
		"dots":            {alice, func(s *protocol.Spec) { s.Dir = "/home/../etc" }, protocol.BadDir},
		"slash":           {alice, func(s *protocol.Spec) { s.Dir = "/" }, protocol.BadDir},
		"nul":             {alice, func(s *protocol.Spec) { s.Dir = "/home/\x00" }, protocol.BadDir},
		"foreign":         {alice, func(s *protocol.Spec) { s.Dir = "/foreign" }, protocol.BadDir},
	} {
		p := spec(one, "/home/d")
		tc.change(&p)
		if err := h.Mount(t.Context(), tc.c, p); kindOf(err) != tc.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := h.Listen(t.Context(), bob, one, 0); kindOf(err) != protocol.Denied {
		t.Errorf("polkit says no: %v", err)
	}
	if len(s.table) != 0 || len(h.drives) != 1 || !slices.Equal(s.released, []uint32{2000}) {
		t.Errorf("mounts %v, drives %v, released %v", s.table, h.drives, s.released)
	}
	s.mountErr = unix.ENODEV
	if err := h.Mount(t.Context(), alice, spec(one, "/home/d")); kindOf(err) != protocol.Unsupported {
		t.Errorf("no client: %v", err)
	}
	if all, err := h.o.Records.Load(); err != nil || len(all) != 0 {
		t.Errorf("records left: %v, %v", all, err)
	}
}

func TestBoundsOfAUser(t *testing.T) {
	h := newHelper(t, &system{}, t.TempDir())
	for i := range maxDrives {
		listen(t, h, alice, fmt.Sprintf("%016x", i), 0)
	}
	if _, _, err := h.Listen(t.Context(), alice, "ffffffffffffffff", 0); kindOf(err) != protocol.Busy {
		t.Errorf("one drive more: %v", err)
	}
	listen(t, h, bob, one, 0)
	for range maxCalls {
		if _, err := h.enter(alice); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.List(t.Context(), alice); kindOf(err) != protocol.Busy {
		t.Errorf("one call more: %v", err)
	}
	if _, err := h.List(t.Context(), bob); err != nil {
		t.Error(err)
	}
}

// What hangs in the kernel counts when its call has been given up.
func TestWhatHangsCounts(t *testing.T) {
	h := newHelper(t, &system{}, t.TempDir())
	wake := make(chan struct{})
	taken := make(chan bool, maxCalls)
	for range maxCalls {
		_, err := within(time.Millisecond, h.counts(alice.UID), func() (int, error) { <-wake; return 1, nil }, func(int) { taken <- true })
		if kindOf(err) != protocol.Timeout {
			t.Errorf("%v", err)
		}
	}
	if _, err := h.List(t.Context(), alice); kindOf(err) != protocol.Busy {
		t.Errorf("one more: %v", err)
	}
	close(wake)
	for range maxCalls {
		<-taken
	}
	for { // the last one ends right after that
		if _, err := h.List(t.Context(), alice); err == nil {
			return
		}
		runtime.Gosched()
	}
}

func TestRecords(t *testing.T) {
	dir := t.TempDir()
	s := &Records{Dir: dir, Logger: slog.New(slog.DiscardHandler)}
	r := Record{UID: 1000, Drive: one, Port: 7, Source: "127.0.0.1:/x", Parent: FileID{1, 2}, Name: "d"}
	if err := s.Save(r); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"new-1": "half", "2000-" + one + ".json": "{half", "1000-" + two + ".json": `{"UID":0}`} {
		writeFile(t, filepath.Join(dir, name), text)
	}
	all, err := s.Load()
	if err != nil || len(all) != 1 || all[0] != r {
		t.Errorf("%+v, %v", all, err)
	}
}
