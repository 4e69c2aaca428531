package nfs

import (
	"testing"
	"time"
)

// waits waits until n takers wait.
func (m *memory) waits(t *testing.T, n int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		m.mu.Lock()
		now := len(m.waiting)
		m.mu.Unlock()
		if now == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d wait, want %d", now, n)
		}
	}
}

// TestMemoryOrder: who waits is granted memory in the order of asking, those who
// get none are left alone, and those whose own share is used up are passed over.
func TestMemoryOrder(t *testing.T) {
	m := newMemory(800) // shares of 100
	s, other := share{m: m}, share{m: m}
	if !s.take(100) || !other.take(1) {
		t.Fatal("refused")
	}
	const n = 10
	order := make(chan int, n)
	for i := range n {
		go func() {
			if !s.take(10) {
				t.Error("refused")
			}
			order <- i
		}()
		m.waits(t, i+1)
	}
	if s.tryTake(1) {
		t.Error("taken beyond the share")
	}
	if !other.take(50) {
		t.Error("another share waits behind one that is used up")
	}
	for i := range n {
		s.give(10)
		if got := <-order; got != i {
			t.Fatalf("%d was granted before %d", got, i)
		}
		m.waits(t, n-1-i) // and nobody else was
	}
	s.give(100)
	other.give(51)
	if m.free != 800 || s.used != 0 || other.used != 0 {
		t.Errorf("%d of 800 are free", m.free)
	}
}

// TestMemoryClose: closing a share wakes all that wait in it, and nobody else.
func TestMemoryClose(t *testing.T) {
	m := newMemory(800)
	dead, live := share{m: m}, share{m: m}
	dead.take(100)
	live.take(100)
	took := make(chan bool, 20)
	for range 10 {
		go func() { took <- dead.take(10) }()
		go func() { took <- live.take(10) }()
	}
	m.waits(t, 20)
	dead.close()
	for range 10 {
		if <-took {
			t.Error("a closed share grants")
		}
	}
	m.waits(t, 10)
	if dead.take(0) || dead.tryTake(1) {
		t.Error("a closed share grants")
	}
	live.give(100)
	for range 10 {
		if !<-took {
			t.Error("refused")
		}
	}
	dead.give(100) // what it had still comes back
	live.give(100)
	if m.free != 800 {
		t.Errorf("%d of 800 are free", m.free)
	}
}
