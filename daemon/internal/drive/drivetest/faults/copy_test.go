package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/moorage/moorage/daemon/internal/drive/drivetest/rough"
	"github.com/moorage/moorage/nfs"
)

// noise is n bytes of which no 16 are anywhere else.
func noise(seed uint64, n int) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(b) // never fails
	return string(b)
}

// ops are operations of a disk at which it is cut off: all of the first, and then
// fewer and fewer.
func ops(n uint64) (out []uint64) {
	for at := uint64(1); at <= n; at += 1 + at/4 {
		out = append(out, at)
	}
	return out
}

// TestCrashDuringCopy ends the process, or the power, at operations of the disk
// while a client copies a file here without a COMMIT but at the end, as dd does. The
// client writes again what was not committed, as NFS clients do that find another
// write verifier.
func TestCrashDuringCopy(t *testing.T) {
	t.Parallel()
	const piece = 64 << 10
	content := noise(1, 12*piece)
	play := func(t *testing.T, at uint64, power bool) (n uint64) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, rough.Options{})
			w.open()
			w.create("f")
			id := w.attr("f").ID
			w.know(tree{"f": content})
			w.mu.Lock()
			w.torn, w.power = true, power
			w.mu.Unlock()
			began := w.disk.Ops()
			if at > 0 {
				w.disk.CrashAt(began+at, w.kill)
			}
			committed := 0
			copies := func() {
				for off := committed; off < len(content) && !w.isDead(); off += piece {
					err := patient(func(ctx context.Context) error {
						_, _, err := w.d.Write(ctx, owner, id, []byte(content[off:off+piece]), uint64(off), nfs.Unstable)
						return err
					})
					if off%(4*piece) != 3*piece || w.isDead() {
						if err != nil && !w.isDead() {
							t.Errorf("write at %d: %v", off, err)
						}
						continue
					}
					err = patient(func(ctx context.Context) error {
						_, err := w.d.Commit(ctx, owner, id, 0, 0)
						return err
					})
					if w.isDead() {
						break
					}
					if err != nil {
						t.Errorf("commit: %v", err)
					}
					committed = off + piece
				}
			}
			copies()
			n = w.disk.Ops() - began
			if at > 0 && !w.isDead() {
				return // it came to its end with fewer operations this time
			}
			if at > 0 {
				w.close()
				w.disk, w.cache = w.next, w.cached
				w.open()
				got := w.look()["f"]
				if len(got) < committed || got[:committed] != content[:committed] {
					t.Errorf("of %d bytes that were committed %d are there", committed, len(got))
				}
				copies()
			}
			if a := w.attr("f"); a.ID != id {
				t.Errorf("the file was %d and is %d", id, a.ID)
			}
			w.acked["f"] = content
			w.ends()
		})
		return n
	}
	whole := play(t, 0, false)
	for _, at := range ops(whole) {
		for _, power := range []bool{false, true} {
			t.Run(cutAt{"operation", int(at), power}.String(), func(t *testing.T) { play(t, at, power) })
		}
	}
}

// TestCrashWhileCaching ends the process, or the power, at operations of the disk
// that the cache is on, while it is filled, and while it makes room. What is read
// then is what the remote has, and no room is lost.
func TestCrashWhileCaching(t *testing.T) {
	t.Parallel()
	const size, limit = 2 << 20, 5 << 20
	files := tree{}
	for i := range 4 {
		files[fmt.Sprint("f", i)] = noise(uint64(i), size)
	}
	play := func(t *testing.T, evicts bool, at uint64, power bool) (n uint64) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, rough.Options{})
			w.has(files)
			if w.o.CacheLimit = 1 << 30; evicts {
				w.o.CacheLimit = limit
			}
			w.power = power
			w.open()
			began := w.cache.Ops()
			if at > 0 {
				w.cache.CrashAt(began+at, w.kill)
			}
			for range 2 {
				for p := range files {
					if !w.isDead() {
						w.reads(p)
					}
				}
			}
			if !w.isDead() {
				w.close() // which writes what was not written yet
				n = w.cache.Ops() - began
			}
			if at == 0 {
				return
			}
			if !w.isDead() {
				w.kill()
			}
			w.restart()
			w.restartsAgain()
			w.until("the cache to keep to its limit", func() bool { return w.d.Status().CacheUsed <= w.d.Status().CacheLimit })
		})
		return n
	}
	for _, what := range []string{"while it is filled", "while it makes room"} {
		evicts := strings.HasSuffix(what, "room")
		t.Run(what, func(t *testing.T) {
			whole := play(t, evicts, 0, false)
			for i, at := range ops(whole) {
				power := i%2 == 0
				t.Run(cutAt{"operation", int(at), power}.String(), func(t *testing.T) { play(t, evicts, at, power) })
			}
		})
	}
}

// reads reads a file in pieces while the process may end.
func (w *world) reads(p string) {
	w.t.Helper()
	var got string
	err := patient(func(ctx context.Context) error {
		if w.isDead() {
			return errGone
		}
		a, err := w.find(ctx, p)
		if err == nil {
			got, err = w.read(ctx, a.ID)
		}
		return err
	})
	if w.isDead() {
		return
	}
	if err != nil || got != w.acked[p] {
		w.t.Errorf("%s: %d bytes, %v, which are not those of the remote", p, len(got), err)
	}
}

// restartsAgain looks whether all is as well after another restart.
func (w *world) restartsAgain() {
	w.t.Helper()
	w.reopen()
	w.verify()
}
