package single

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestSecondInstanceRaisesTheFirst(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	raised := make(chan struct{}, 8)
	first, err := Acquire(dir, func() { raised <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm()&0o077 != 0 {
		t.Errorf("others may look into the folder: %v, %v", st.Mode(), err)
	}
	for range 2 {
		if _, err := Acquire(dir, nil); !errors.Is(err, ErrRunning) {
			t.Fatalf("a second instance: %v", err)
		}
		if err := Raise(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		select {
		case <-raised:
		case <-time.After(10 * time.Second):
			t.Fatal("the first was not raised")
		}
	}
	first.Close()
	second, err := Acquire(dir, func() {})
	if err != nil {
		t.Fatalf("after the first has ended: %v", err)
	}
	second.Close()
}

func TestLeftoverSocketIsInNobodysWay(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, socketName))
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // as after kill -9
	l.Close()
	i, err := Acquire(dir, func() {})
	if err != nil {
		t.Fatal(err)
	}
	i.Close()
}

func TestRaiseOfNobodyEnds(t *testing.T) {
	start := time.Now()
	if err := Raise(t.Context(), t.TempDir()); err == nil {
		t.Error("nobody was raised")
	}
	if d := time.Since(start); d > 2*callTimeout {
		t.Errorf("it took %v", d)
	}
}
