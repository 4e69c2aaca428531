package nfs

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs/internal/wire"
)

func TestWireTime(t *testing.T) {
	for _, tc := range []struct {
		in   time.Time
		want wire.Time
	}{
		{time.Time{}, wire.Time{}},
		{time.Unix(0, 0), wire.Time{}},
		{time.Unix(-1, 5), wire.Time{}},
		{time.Unix(1, 999_999_999), wire.Time{Sec: 1, Nsec: 999_999_999}},
		{time.Unix(1<<31, 1), wire.Time{Sec: 1 << 31, Nsec: 1}},
		{time.Unix(math.MaxUint32, 7), wire.Time{Sec: math.MaxUint32, Nsec: 7}},
		{time.Unix(1<<32, 0), wire.Time{Sec: math.MaxUint32}},
	} {
		if got := wireTime(tc.in); got != tc.want {
			t.Errorf("%v: %v, want %v", tc.in, got, tc.want)
		}
	}
	at := time.Unix(1_700_000_000, 123)
	if !goTime(wireTime(at)).Equal(at) {
		t.Error("a time does not come back")
	}
}

func TestCleanPath(t *testing.T) {
	for in, want := range map[string]string{
		"": "/", "/": "/", "//": "/", "/.": "/", "a": "/a", "/a": "/a", "/a/": "/a", "//a//b/./c/": "/a/b/c", "/a/../b": "/a/../b",
	} {
		if got := cleanPath(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestRootExport(t *testing.T) {
	var table exportTable
	table.init()
	all, deep := &export{idle: make(chan struct{})}, &export{idle: make(chan struct{})}
	table.paths["/"], table.paths["/a/b"] = all, deep
	for path, want := range map[string]struct {
		x     *export
		below string
	}{"/": {all, ""}, "/x": {all, "x"}, "/a": {all, "a"}, "/a/b": {deep, ""}, "/a/b/c/d": {deep, "c d"}, "/a/bc": {all, "a bc"}} {
		x, below, ok := table.find(path)
		if !ok || x != want.x || strings.Join(below, " ") != want.below {
			t.Errorf("%s: %v, %q", path, ok, below)
		}
	}
}

func TestCallContext(t *testing.T) {
	parent, stop := context.WithCancel(context.Background())
	lazy := &callContext{Context: parent, deadline: time.Now().Add(10 * time.Millisecond)}
	if lazy.Err() != nil {
		t.Error("over before it began")
	}
	for lazy.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	if !errors.Is(lazy.Err(), context.DeadlineExceeded) {
		t.Error(lazy.Err())
	}
	<-lazy.Done()
	watched := &callContext{Context: parent, deadline: time.Now().Add(time.Hour)}
	child, cancel := context.WithTimeout(watched, time.Hour)
	defer cancel()
	stop()
	<-child.Done()
	if !errors.Is(watched.Err(), context.Canceled) {
		t.Error(watched.Err())
	}
	watched.end()
	(&callContext{Context: parent}).end()
}

func TestMemoryShares(t *testing.T) {
	m := newMemory(800) // shares of 100
	a, b := share{m: m}, share{m: m}
	if !a.take(5000) {
		t.Fatal("the first piece is always granted")
	}
	if !b.take(50) {
		t.Fatal("nothing is left, but b has nothing yet")
	}
	took := make(chan bool)
	go func() { took <- b.take(10) }()
	select {
	case <-took:
		t.Fatal("taken beyond the total")
	case <-time.After(20 * time.Millisecond):
	}
	a.give(5000)
	if !<-took {
		t.Fatal("refused")
	}
	go func() { took <- b.take(41) }()
	select {
	case <-took:
		t.Fatal("taken beyond the share")
	case <-time.After(20 * time.Millisecond):
	}
	b.close()
	if <-took {
		t.Fatal("a closed share grants")
	}
	b.give(60)
	if m.free != 800 {
		t.Errorf("%d of 800 are free", m.free)
	}
}

func TestRotateAlwaysChanges(t *testing.T) {
	x := &export{rand: strings.NewReader("")}
	seen := map[uint64]bool{}
	for range 10 {
		x.rotate()
		if v := x.verifier.Load(); seen[v] {
			t.Errorf("%#x again", v)
		} else {
			seen[v] = true
		}
	}
}

func TestEveryStatusHasWords(t *testing.T) {
	for st := range statusText {
		if strings.HasPrefix(st.Error(), "nfs status") {
			t.Errorf("%d", st)
		}
	}
	if Status(4711).Error() != "nfs status 4711" {
		t.Error(Status(4711))
	}
}
