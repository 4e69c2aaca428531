package dirfs

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/moorage/moorage/nfs"
)

func newTestIndex(t testing.TB, dir string) *index {
	t.Helper()
	x, err := openIndex(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.close() })
	return x
}

// TestCompaction renames the same objects again and again, from several sides,
// and expects the log to stay small and every place to be the last one.
func TestCompaction(t *testing.T) {
	for _, dir := range []string{t.TempDir(), ""} {
		x, err := openIndex(dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		const objects, rounds, sides = 200, 100, 4
		var wg sync.WaitGroup
		for side := range nfs.ID(sides) {
			wg.Go(func() {
				for round := range rounds {
					for i := range nfs.ID(objects) {
						id := 1 + side*objects + i
						want := place{parent: 1, name: fmt.Sprintf("%d-%d", id, round), ino: uint64(id), check: uint32(id)}
						x.put(id, want)
						if got, ok, err := x.get(id); got != want || !ok || err != nil {
							t.Errorf("%d: %+v, %v, %v", id, got, ok, err)
							return
						}
						if i%16 == 0 {
							x.flush()
						}
					}
				}
			})
		}
		wg.Wait()
		x.flush()
		x.compacting.Wait()
		for id := nfs.ID(1); id <= objects*sides; id++ {
			if got, ok, err := x.get(id); got.name != fmt.Sprintf("%d-%d", id, rounds-1) || !ok || err != nil {
				t.Fatalf("%d: %+v, %v, %v", id, got, ok, err)
			}
		}
		if x.records > 2*objects*sides+compactSlack+1000 {
			t.Errorf("%d records for %d objects", x.records, objects*sides)
		}
		if err := x.close(); err != nil {
			t.Fatal(err)
		}
		if dir == "" {
			continue
		}
		if st, err := os.Stat(filepath.Join(dir, logName)); err != nil || st.Size() > 64*(2*objects*sides+compactSlack) {
			t.Errorf("log of %d bytes, %v", st.Size(), err)
		}
		y := newTestIndex(t, dir)
		for id := nfs.ID(1); id <= objects*sides; id++ {
			if got, ok, _ := y.get(id); !ok || got.name != fmt.Sprintf("%d-%d", id, rounds-1) {
				t.Fatalf("after opening again, %d: %+v, %v", id, got, ok)
			}
		}
	}
}

// TestSameHash: two objects whose identities hash to one id get two.
func TestSameHash(t *testing.T) {
	x := newTestIndex(t, "")
	k := identity{volume: 1, ino: 2, typ: nfs.TypeRegular}
	id, check := x.idOf(&k)
	x.put(id, place{parent: 1, name: "other", check: check + 1})
	second, _ := x.idOf(&k)
	if second == id {
		t.Error("one id for two objects")
	}
	x.put(second, place{parent: 1, name: "ours", check: check})
	if again, _ := x.idOf(&k); again != second {
		t.Errorf("id %d, then %d", second, again)
	}
}

func TestGoneIsRemembered(t *testing.T) {
	x := newTestIndex(t, "")
	for i := nfs.ID(1); i <= goneLimit+10; i++ {
		x.drop(i)
	}
	if x.isGone(5) || !x.isGone(11) || !x.isGone(goneLimit+10) || len(x.gone) != goneLimit {
		t.Errorf("%d ids are remembered as gone", len(x.gone))
	}
	x.put(11, place{name: "back"})
	if x.isGone(11) {
		t.Error("an object that was seen again is gone")
	}
}

func BenchmarkPut(b *testing.B) {
	x := newTestIndex(b, b.TempDir())
	for i := range b.N {
		x.put(nfs.ID(i+1), place{parent: 1, name: "a name of 20 bytes..", ino: uint64(i), handle: "12345678"})
		if i%100 == 0 {
			x.flush()
		}
	}
}

// slowStore is a log whose Close and Sync wait, as a busy disk makes them.
type slowStore struct {
	store
	closing chan struct{} // closed when Close has begun
	release chan struct{}
}

func (s *slowStore) Close() error {
	close(s.closing)
	<-s.release
	return s.store.Close()
}

// TestCompactionDoesNotWaitForTheDisk: calls go on while the old log goes away.
func TestCompactionDoesNotWaitForTheDisk(t *testing.T) {
	x := newTestIndex(t, t.TempDir())
	slow := &slowStore{x.store, make(chan struct{}), make(chan struct{})}
	x.store = slow
	id, n := nfs.ID(1), 0
	move := func() {
		n++
		x.put(id, place{parent: 1, name: fmt.Sprint(n)})
	}
	for range 2*compactSlack + 10 {
		move()
	}
	x.flush()
	<-slow.closing
	for range 100 {
		move()
		x.flush()
		if p, ok, err := x.get(id); p.name != fmt.Sprint(n) || !ok || err != nil {
			t.Fatalf("%+v, %v, %v", p, ok, err)
		}
	}
	close(slow.release)
	x.compacting.Wait()
}
