package drive

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/mem"
	"github.com/moorage/moorage/providers/providertest"
)

// short is how long the server would let a call wait in these tests.
func short(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// A remote that hangs makes the client come again; the work goes on meanwhile.
func TestHang(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	b.put("d/f", "data")
	b.open()
	d := b.find("d")
	for _, c := range []struct {
		name string
		op   providertest.Op
		call func(ctx context.Context) error
	}{
		{"listing", providertest.OpList, func(ctx context.Context) error {
			_, err := b.d.Lookup(ctx, owner, d.ID, "f")
			return err
		}},
		{"opening", providertest.OpOpen, func(ctx context.Context) error {
			_, _, err := b.d.Read(ctx, owner, b.find("d/f").ID, make([]byte, 4), 0)
			return err
		}},
		{"reading", providertest.OpRead, func(ctx context.Context) error {
			_, _, err := b.d.Read(ctx, owner, b.find("d/f").ID, make([]byte, 4), 0)
			return err
		}},
	} {
		b.faults.Hang(c.op)
		began := time.Now()
		err := c.call(short(t))
		b.wantStatus(c.name+" from a remote that hangs", err, nfs.ErrJukebox)
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("%s waited %v", c.name, d)
		}
		calls := b.faults.Calls(c.op)
		b.wantStatus(c.name+" once more", c.call(short(t)), nfs.ErrJukebox)
		if n := b.faults.Calls(c.op); n != calls {
			t.Errorf("%s: the second client call went to the remote, too", c.name)
		}
		b.faults.Release()
		if c.op == providertest.OpOpen {
			continue // the case after it reads
		}
		if err := c.call(t.Context()); err != nil {
			t.Errorf("%s after the remote came back: %v", c.name, err)
		}
		if n := b.faults.Calls(c.op); n != calls {
			t.Errorf("%s was asked for anew, though it had gone on", c.name)
		}
	}
	if s := b.d.Status(); !s.Online {
		t.Errorf("a remote that was slow counts as away: %v", s.Err)
	}
}

// While news hang, what is known is answered after a moment.
func TestHangWithSomethingKnown(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	b.put("d/f", "data")
	b.open()
	f := b.find("d/f")
	b.put("d/f", "new data")
	b.probe()
	b.faults.Hang(providertest.OpList, providertest.OpStat)
	if a, err := b.d.GetAttr(short(t), owner, f.ID); err != nil || a.Size != 4 {
		t.Errorf("attributes while the remote hangs: %+v, %v", a, err)
	}
	b.faults.Release()
	b.await("the news", func() bool { return b.getattr(f.ID).Size == 8 })
}

func TestOffline(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	b.put("d/f", "data")
	b.put("d/unread", "far")
	b.put("other/x", "y")
	b.open()
	f, d := b.find("d/f"), b.find("d")
	other, unread := b.find("other"), b.find("d/unread")
	b.holds(f.ID, "data")
	since := b.d.Status().Since

	b.faults.Fail(providers.ErrOffline)
	b.remove("d/f")
	b.clock.advance(time.Hour)
	_, err := b.d.Lookup(t.Context(), owner, other.ID, "x")
	if s := nfs.StatusOf(err); s != nfs.ErrJukebox && s != nfs.ErrIO {
		t.Errorf("what is not known, from a remote that is away: %v", err)
	}
	b.await("the drive to be offline", func() bool { return !b.d.Status().Online })
	s := b.d.Status()
	if !errors.Is(s.Err, providers.ErrOffline) || !s.Since.After(since) {
		t.Errorf("status: %+v", s)
	}
	began := time.Now()
	b.holds(f.ID, "data")
	if a := b.find("d/f"); a.ID != f.ID {
		t.Errorf("offline the file became id %d", a.ID)
	}
	b.list(d.ID, "f", "unread")
	_, err = b.lookup("d/absent")
	b.wantStatus("a name that a whole listing does not have", err, nfs.ErrNoEnt)
	_, err = b.lookup("other/x")
	b.wantStatus("a name in a folder never listed", err, nfs.ErrIO)
	_, err = b.read(unread.ID)
	b.wantStatus("data never read", err, nfs.ErrIO)
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("offline the answers took %v", d)
	}

	b.reopen() // nothing is lost by a restart while the remote is away
	if a := b.find("d/f"); a.ID != f.ID || a.Size != 4 {
		t.Errorf("after a restart offline: %+v", a)
	}
	b.await("the drive to be offline again", func() bool { return !b.d.Status().Online })

	b.faults.Fail(nil)
	b.await("the drive to be online", func() bool { return b.d.Status().Online })
	if s := b.d.Status(); s.Err != nil {
		t.Errorf("online, but %v", s.Err)
	}
	b.probe()
	_, err = b.lookup("d/f")
	b.wantStatus("what the remote that is back does not have", err, nfs.ErrNoEnt)
	_, err = b.d.GetAttr(t.Context(), owner, f.ID)
	b.wantStatus("its id", err, nfs.ErrStale)
	b.holds(unread.ID, "far")
}

// A login that is refused is not tried with every call.
func TestRefusedLogin(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	b.put("d/f", "data")
	b.o.RetryMin = time.Hour
	b.open()
	d := b.find("d")
	b.faults.Fail(providers.ErrAuth)
	for range 10 {
		_, err := b.d.Lookup(t.Context(), owner, d.ID, "f")
		b.wantStatus("a name behind a refused login", err, nfs.ErrIO)
	}
	if n := b.faults.Calls(providertest.OpList); n > 2 {
		t.Errorf("the remote was asked %d times", n)
	}
	if s := b.d.Status(); s.Online || !errors.Is(s.Err, providers.ErrAuth) {
		t.Errorf("status: %+v", s)
	}
}

// Bytes that are missing are an error, never zeros and never the end.
func TestShortBody(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	data := strings.Repeat("0123456789", 300_000)
	b.put("f", data)
	b.open()
	f := b.find("f")
	b.faults.Short(1000)
	if got, err := b.read(f.ID); err == nil || got != "" {
		t.Errorf("a body that is cut gives %d bytes, %v", len(got), err)
	}
	b.faults.Short(-1)
	b.await("the remote to count as there", func() bool { return b.d.Status().Online })
	b.holds(f.ID, data)
}

// A failure that passes within one call does not reach the client.
func TestPassingFailure(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	b.put("d/f", "data")
	b.open()
	d := b.find("d")
	b.faults.Fail(providers.ErrOffline, providertest.OpList)
	go func() {
		for b.faults.Calls(providertest.OpList) < 2 {
			time.Sleep(time.Millisecond)
		}
		b.faults.Fail(nil)
	}()
	if _, err := b.d.Lookup(t.Context(), owner, d.ID, "f"); err != nil {
		t.Error(err)
	}
}

func TestPermissionIsAnAnswer(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	b.put("f", "data")
	b.open()
	f := b.find("f")
	b.faults.Fail(providers.ErrPermission, providertest.OpOpen)
	for range 5 {
		_, err := b.read(f.ID)
		b.wantStatus("a file that this login may not read", err, nfs.ErrAccess)
	}
	if s := b.d.Status(); !s.Online {
		t.Errorf("one forbidden file takes the drive offline: %v", s.Err)
	}
}

// Close returns while the remote hangs, and so do the calls that wait.
func TestCloseWhileHanging(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	b.put("d/f", "data")
	b.open()
	d := b.find("d")
	b.faults.Hang()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := b.d.Lookup(t.Context(), owner, d.ID, "f"); err == nil {
				t.Error("a name was found while the remote hung")
			}
		})
	}
	for b.faults.Calls(providertest.OpList) == 0 {
		time.Sleep(time.Millisecond)
	}
	began := time.Now()
	if err := b.d.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("Close took %v", d)
	}
	if _, err := b.d.GetAttr(t.Context(), owner, d.ID); !errors.Is(err, providers.ErrClosed) {
		t.Errorf("a call after Close: %v", err)
	}
}

// knowsRoot is a remote whose root is always there, so that its provider does not
// ask for it.
type knowsRoot struct{ providers.Provider }

func (k knowsRoot) Stat(ctx context.Context, p string) (providers.Entry, error) {
	if p == "" {
		return providers.Entry{Mode: fs.ModeDir | 0o755}, nil
	}
	return k.Provider.Stat(ctx, p)
}

// A remote is there again when it has answered, and not when its provider has.
func TestProviderThatKnowsTheRoot(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	b.o.Provider = knowsRoot{plain{b.faults}}
	b.put("d/f", "data")
	b.open()
	b.faults.Fail(providers.ErrOffline)
	b.await("the drive to be offline", func() bool {
		_, _ = b.lookup("d/f")
		return !b.d.Status().Online
	})
	tries := b.faults.Calls(providertest.OpList)
	b.await("the remote to be tried again", func() bool {
		if b.d.Status().Online {
			t.Fatal("a remote that does not answer counts as there")
		}
		return b.faults.Calls(providertest.OpList) > tries+3
	})
	b.faults.Fail(nil)
	b.await("the drive to be online", func() bool { return b.d.Status().Online })
	b.holds(b.find("d/f").ID, "data")
}
