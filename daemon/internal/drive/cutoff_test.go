package drive

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers/mem"
)

// When the remote does not have a large folder any more, nothing in it can be
// changed, although what was in it goes only little by little, and goes on to go
// after a restart.
func TestLargeFolderGoes(t *testing.T) {
	const n = 6000
	b := newBench(t, mem.New(mem.Options{}))
	b.o.Provider, b.o.Patience = b.mem, time.Minute
	for i := range n {
		b.put(fmt.Sprintf("large/below/%04d", i), "x")
	}
	b.put("other", "x")
	hold, going := make(chan struct{}), make(chan struct{}, 1)
	var held sync.Once
	b.o.Step = func(name string) {
		if name == "collect" {
			select {
			case going <- struct{}{}:
			default:
			}
			<-hold
		}
	}
	release := func() { held.Do(func() { close(hold) }) }
	defer release()
	b.open()
	large := b.find("large")
	below := b.find("large/below")
	if names, err := b.names(below.ID); err != nil || len(names) != n {
		t.Fatalf("%d names, %v", len(names), err)
	}
	last := b.find(fmt.Sprintf("large/below/%04d", n-1))
	for i := range n {
		b.remove(fmt.Sprintf("large/below/%04d", i))
	}
	for _, p := range []string{"large/below", "large"} {
		if err := b.mem.Rmdir(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	b.probe()
	b.list(b.d.Root(), "other")
	_, err := b.d.GetAttr(t.Context(), owner, large.ID)
	b.wantStatus("the folder", err, nfs.ErrStale)
	if _, err := b.d.store.Get(uint64(last.ID)); err != nil {
		t.Fatalf("nothing was left for later: %v", err)
	}
	_, _, err = b.d.Create(t.Context(), owner, below.ID, "new", nfs.CreateHow{})
	b.wantStatus("a new file in a folder that is gone", err, nfs.ErrStale)
	_, _, err = b.d.Write(t.Context(), owner, last.ID, []byte("y"), 0, nfs.FileSync)
	b.wantStatus("a file in a folder that is gone", err, nfs.ErrStale)

	release()
	b.reopen()
	b.await("all is gone", func() bool {
		_, err := b.d.store.Get(uint64(last.ID))
		return err != nil
	})
	b.list(b.d.Root(), "other")
}
