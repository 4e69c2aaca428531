package drive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/disk/disktest"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/mem"
	"github.com/moorage/moorage/providers/providertest"
)

// newDiskBench is a bench whose state is on a disk that fails on demand.
func newDiskBench(t *testing.T) (*bench, *disktest.Disk) {
	b := newBench(t, mem.New(mem.Options{}))
	d := disktest.New(1)
	b.o.Provider, b.o.Quiet, b.o.StateDir = b.mem, time.Hour, "state"
	b.o.Disk, b.o.Nodes, b.o.Cache = d, d.Pebble(), disktest.New(2)
	b.open()
	return b, d
}

func (b *bench) create(name string) nfs.ID {
	b.Helper()
	a, _, err := b.d.Create(b.Context(), owner, b.d.Root(), name, nfs.CreateHow{Mode: nfs.Guarded})
	if err != nil {
		b.Fatal(err)
	}
	return a.ID
}

func (b *bench) write(id nfs.ID, data string, off int, want nfs.Stable) {
	b.Helper()
	if _, _, err := b.d.Write(b.Context(), owner, id, []byte(data), uint64(off), want); err != nil {
		b.Fatal(err)
	}
}

// failing fails what changes files of some names.
func failing(cause error, names string) func(op, name string) error {
	return func(op, name string) error {
		switch op {
		case "create", "write", "truncate", "sync", "rename", "link", "syncdir":
			if strings.HasPrefix(name, names) {
				return cause
			}
		}
		return nil
	}
}

// While the drive's state cannot be stored, what is known is served, changes are
// refused, and the drive says why. All goes on by itself when the disk does.
func TestStateCannotBeStored(t *testing.T) {
	for _, c := range []struct {
		cause error
		want  nfs.Status
	}{{syscall.EIO, nfs.ErrIO}, {syscall.ENOSPC, nfs.ErrNoSpace}} {
		b, d := newDiskBench(t)
		f := b.create("f")
		b.write(f, "saved", 0, nfs.FileSync)
		d.Fail(failing(c.cause, "state/nodes"))
		_, _, err := b.d.Mkdir(t.Context(), owner, b.d.Root(), "dir", nfs.SetAttr{})
		if c.want == nfs.ErrIO {
			b.wantStatus("a change while it may pass", err, nfs.ErrJukebox)
			b.await("trouble", func() bool { return b.d.Status().Disk != nil })
			b.clock.advance(diskPasses)
			_, _, err = b.d.Mkdir(t.Context(), owner, b.d.Root(), "other", nfs.SetAttr{})
		}
		b.wantStatus("a change that cannot be stored", err, c.want)
		if s := b.d.Status(); !errors.Is(s.Disk, ErrDisk) || !errors.Is(s.Disk, c.cause) || !s.Online {
			t.Errorf("status: %+v", s)
		}
		b.holds(f, "saved")
		b.find("f")
		// What is written is not acknowledged, and not lost either.
		if _, _, err := b.d.Write(t.Context(), owner, f, []byte("more"), 5, nfs.Unstable); err != nil {
			t.Error(err)
		}
		_, err = b.d.Commit(t.Context(), owner, f, 0, 0)
		b.wantStatus("a commit that cannot be recorded", err, c.want)
		d.Fail(nil)
		b.await("the disk to be well", func() bool { return b.d.Status().Disk == nil })
		if _, err := b.d.Commit(t.Context(), owner, f, 0, 0); err != nil {
			t.Error(err)
		}
		b.holds(f, "savedmore")
		if err := b.d.Sync(t.Context()); err != nil {
			t.Error(err)
		}
		crash := d.Crash(nil)
		_ = b.d.Close()
		b.o.Disk, b.o.Nodes = crash, crash.Pebble()
		b.open()
		b.holds(f, "savedmore")
		b.d.Close()
		b.d = nil
	}
}

// When bytes could not be put on stable storage, a commit says so, what was
// committed before counts, and clients are made to send the rest again.
func TestFailedSync(t *testing.T) {
	b, d := newDiskBench(t)
	f := b.create("f")
	b.write(f, strings.Repeat("a", 10000), 0, nfs.FileSync)
	b.write(f, "lost", 20000, nfs.Unstable)
	before := b.d.Losses()
	d.Fail(failing(syscall.EIO, "staging"))
	_, err := b.d.Commit(t.Context(), owner, f, 0, 0)
	b.wantStatus("a commit that fails", err, nfs.ErrJukebox)
	if b.d.Losses() == before {
		t.Error("clients are not told to send again what may be lost")
	}
	if s := b.d.Status(); !errors.Is(s.Disk, syscall.EIO) {
		t.Errorf("status: %+v", s)
	}
	d.Fail(nil)
	if _, err := b.d.Commit(t.Context(), owner, f, 0, 0); err != nil {
		t.Errorf("a commit when there is nothing to lose: %v", err)
	}
	b.holds(f, strings.Repeat("a", 10000))
	// The client sends it again, and it fails again.
	b.write(f, "lost", 20000, nfs.Unstable)
	d.Fail(failing(syscall.EIO, "staging"))
	_, err = b.d.Commit(t.Context(), owner, f, 0, 0)
	b.wantStatus("a commit that fails again", err, nfs.ErrIO)
	d.Fail(nil)
	b.write(f, "lost", 20000, nfs.Unstable)
	if _, err := b.d.Commit(t.Context(), owner, f, 0, 0); err != nil {
		t.Error(err)
	}
	want := strings.Repeat("a", 10000) + strings.Repeat("\x00", 10000) + "lost"
	b.holds(f, want)
	b.clock.advance(2 * diskForgotten)
	b.await("the trouble to be forgotten", func() bool { return b.d.Status().Disk == nil })
	crash := d.Crash(nil)
	_ = b.d.Close()
	b.o.Disk, b.o.Nodes = crash, crash.Pebble()
	b.open()
	b.holds(f, want)
}

// A failure that no client's call has seen makes clients send again, too.
func TestFailedSyncOfThePublisher(t *testing.T) {
	b, d := newDiskBench(t)
	f := b.create("f")
	b.write(f, "one", 0, nfs.FileSync)
	b.write(f, "two", 3, nfs.Unstable)
	before := b.d.Losses()
	var failed atomic.Bool
	d.Fail(func(op, name string) error {
		if op == "sync" && strings.HasPrefix(name, "staging") && !failed.Swap(true) {
			return syscall.EIO
		}
		return nil
	})
	if err := b.d.Sync(t.Context()); err != nil {
		t.Error(err)
	}
	if b.d.Losses() == before || !failed.Load() {
		t.Error("clients are not told to send again what may be lost")
	}
	b.holds(f, "one")
	b.write(f, "two", 3, nfs.FileSync)
	if err := b.d.Sync(t.Context()); err != nil {
		t.Error(err)
	}
	b.holds(f, "onetwo")
}

// A file that is read or written while it is loaded again is not mixed up.
func TestFailedSyncWhileInUse(t *testing.T) {
	b, d := newDiskBench(t)
	f := b.create("f")
	b.write(f, "one", 0, nfs.FileSync)
	b.write(f, "two", 3, nfs.Unstable)
	e, err := b.d.stage(t.Context(), uint64(f), false) // somebody reads
	if err != nil {
		t.Fatal(err)
	}
	d.Fail(failing(syscall.EIO, "staging"))
	_, err = b.d.Commit(t.Context(), owner, f, 0, 0)
	b.wantStatus("a commit that fails", err, nfs.ErrJukebox)
	d.Fail(nil)
	_, _, err = b.d.Write(t.Context(), owner, f, []byte("two"), 3, nfs.FileSync)
	b.wantStatus("a write before it is loaded again", err, nfs.ErrJukebox)
	b.d.staged.release(e)
	b.holds(f, "one")
	b.write(f, "two", 3, nfs.FileSync)
	b.holds(f, "onetwo")
}

func TestNoRoomForWrites(t *testing.T) {
	b, d := newDiskBench(t)
	f := b.create("f")
	d.SetFree(journalReserve - 1)
	_, _, err := b.d.Write(t.Context(), owner, f, []byte("x"), 0, nfs.Unstable)
	b.wantStatus("a write to a disk that is full", err, nfs.ErrNoSpace)
	if s := b.d.Status(); !errors.Is(s.Disk, syscall.ENOSPC) {
		t.Errorf("status: %+v", s)
	}
	d.SetFree(1 << 40)
	b.await("the trouble to end by itself", func() bool { return b.d.Status().Disk == nil })
	b.write(f, "x", 0, nfs.FileSync)
}

func TestTooLargeIsSaid(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	b.put("f", "data")
	b.open()
	f := b.find("f")
	b.faults.Fail(providers.ErrTooLarge, providertest.OpOpen)
	_, err := b.read(f.ID)
	b.wantStatus("a file beyond what the remote does", err, nfs.ErrFBig)
}

// picky is a remote that cannot have some names.
type picky struct{ *mem.Remote }

func (p picky) Put(ctx context.Context, at string, src providers.Source, o providers.PutOptions) (providers.Entry, error) {
	if strings.HasSuffix(at, ".bad") {
		return providers.Entry{}, fmt.Errorf("%w: no such names here", fs.ErrInvalid)
	}
	return p.Remote.Put(ctx, at, src, o)
}

// What the remote cannot hold is parked, with the reason, and nothing else waits.
func TestNameThatCannotBe(t *testing.T) {
	b, _ := newDiskBench(t)
	b.d.Close()
	b.o.Provider = picky{b.mem}
	b.open()
	b.write(b.create("x.bad"), "x", 0, nfs.FileSync)
	b.write(b.create("good"), "x", 0, nfs.FileSync)
	if err := b.d.Sync(t.Context()); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("Sync: %v", err)
	}
	l := b.d.Ledger(1)
	if s := b.d.Status(); s.Pending != 1 || s.Parked != 1 || len(l) != 1 || l[0].Path != "x.bad" || l[0].State != Parked || !errors.Is(l[0].Err, fs.ErrInvalid) {
		t.Errorf("%+v, %+v", s, l)
	}
}

// The ledger knows what there is to send before it is sent, and who waits for
// news hears of the first change.
func TestLedgerBeforeAnythingIsSent(t *testing.T) {
	b, _ := newDiskBench(t)
	b.put("gone", "x")
	b.probe()
	b.find("gone")
	for len(b.d.Changes()) > 0 {
		<-b.d.Changes()
	}
	f := b.create("f")
	<-b.d.Changes()
	b.write(f, strings.Repeat("x", 1000), 0, nfs.FileSync)
	b.clock.advance(time.Second)
	if _, err := b.d.Remove(t.Context(), owner, b.d.Root(), "gone"); err != nil {
		t.Fatal(err)
	}
	check := func(l []LedgerEntry) {
		t.Helper()
		if len(l) != 2 || l[0].Path != "f" || l[0].Total != 1000 || l[0].Done != 0 || l[0].State != Saved || l[1].Path != "gone" || !l[1].Removed {
			t.Errorf("%+v", l)
		}
	}
	b.await("what was removed to wait for nothing but its removal", func() bool { return b.d.Status().Pending == 2 })
	check(b.d.Ledger(10))
	b.o.ReadOnly = true
	b.reopen()
	check(b.d.Ledger(10))
	if s := b.d.Status(); s.Pending != 2 || s.Saved == 0 || s.Writable {
		t.Errorf("opened for reading only, with changes that wait: %+v", s)
	}
	b.o.ReadOnly = false
	b.reopen()
	b.d.Publish()
	b.await("all to be published", func() bool { return b.d.Status().Pending == 0 })
	d := b.d
	d.Close()
	if l := d.Ledger(10); l != nil {
		t.Errorf("the ledger of a closed drive: %+v", l)
	}
}
