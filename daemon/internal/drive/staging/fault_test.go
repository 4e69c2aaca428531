package staging_test

import (
	"bytes"
	"errors"
	"slices"
	"syscall"
	"testing"

	"github.com/moorage/moorage/daemon/internal/drive/disk/disktest"
	"github.com/moorage/moorage/daemon/internal/drive/staging"
)

// keep syncs a file and gives what a caller has recorded then.
func keep(t *testing.T, f *staging.File) *record {
	t.Helper()
	st, regions, err := f.Sync()
	if err != nil {
		t.Fatal(err)
	}
	r := &record{regions: map[uint32][]byte{}}
	r.apply(st, regions)
	return r
}

func write(t *testing.T, f *staging.File, off, n int64, b byte) {
	t.Helper()
	if _, err := f.WriteAt(bytes.Repeat([]byte{b}, int(n)), off); err != nil {
		t.Fatal(err)
	}
}

func wholly(t *testing.T, f *staging.File) []byte {
	t.Helper()
	size := f.State().Size
	return content(t, f.Pieces(0, size), size, f.ReadAt, 0)
}

// Whoever compares generations notices a write that was going on.
func TestGenerationDuringWrite(t *testing.T) {
	d := disktest.New(1)
	f := create(t, newStore(t, d), 1, 0)
	before := f.Generation()
	var during uint64
	d.Fail(func(op, _ string) error {
		if op == "write" {
			during = f.Generation()
		}
		return nil
	})
	write(t, f, 0, 10, 2)
	if after := f.Generation(); during == before || during == after {
		t.Errorf("generation %d, then %d, then %d", before, during, after)
	}
}

// What was not recorded does not come back behind the end either, if putting
// its absence on stable storage failed at first.
func TestFailedSyncAndGrowth(t *testing.T) {
	d := disktest.New(1)
	f := create(t, newStore(t, d), 1, 0)
	write(t, f, 0, 100, 2)
	kept := keep(t, f)
	write(t, f, 100, 3900, 4)
	keep(t, f) // but the power fails before that is recorded
	d = d.Crash(nil)
	s := newStore(t, d)
	load := func() *staging.File {
		f, err := kept.load(s, 1)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	f = load()
	d.Fail(func(op, _ string) error {
		if op == "sync" {
			return syscall.EIO
		}
		return nil
	})
	if _, _, err := f.Sync(); !errors.Is(err, staging.ErrSync) || !errors.Is(err, syscall.EIO) {
		t.Fatalf("sync: %v", err)
	}
	d.Fail(nil)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f = load()
	write(t, f, 8192, 10, 6)
	kept = keep(t, f)
	s = newStore(t, d.Crash(nil))
	all := wholly(t, load())
	if want := slices.Concat(bytes.Repeat([]byte{2}, 100), make([]byte, 8092), bytes.Repeat([]byte{6}, 10)); !bytes.Equal(all, want) {
		t.Errorf("%d bytes, %v behind the first 100", len(all), all[100])
	}
}

// The person's disk is full: nothing changes, and nothing shows afterwards.
func TestFullDisk(t *testing.T) {
	d := disktest.New(1)
	s := newStore(t, d)
	f := create(t, s, 1, 4*4096)
	if _, err := f.WriteAt(bytes.Repeat([]byte{2}, 4096), 4096); err != nil {
		t.Fatal(err)
	}
	was, pieces := f.State(), f.Pieces(0, math.MaxInt64)
	d.SetFree(2 * 4096)
	if n, err := f.WriteAt(bytes.Repeat([]byte{4}, 8*4096), 0); n != 0 || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("wrote %d, %v", n, err)
	}
	if n, err := f.WriteAt(bytes.Repeat([]byte{4}, 8*4096), 6*4096); n != 0 || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("wrote %d, %v", n, err)
	}
	if f.State() != was || !slices.Equal(f.Pieces(0, math.MaxInt64), pieces) {
		t.Errorf("%v of %v, %v of %v", f.State(), was, f.Pieces(0, math.MaxInt64), pieces)
	}
	d.SetFree(1 << 30)
	if err := f.Truncate(20 * 4096); err != nil {
		t.Fatal(err)
	}
	d.SetFree(2 * 4096)
	if n, err := f.WriteAt(bytes.Repeat([]byte{4}, 8*4096), 6*4096); n != 0 || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("wrote %d, %v", n, err)
	}
	if all := wholly(t, f); !bytes.Equal(all[4*4096:], make([]byte, 16*4096)) {
		t.Error("what did not fit shows behind the base")
	}
	kept := keep(t, f)
	after, err := kept.load(newStore(t, d.Crash(nil)), 1)
	if err != nil {
		t.Fatal(err)
	}
	if all := wholly(t, after); !bytes.Equal(all[4*4096:], make([]byte, 16*4096)) {
		t.Error("what did not fit shows behind the base after a crash")
	}
}
