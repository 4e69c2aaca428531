package secrets

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// memory is a keyring in memory that can fail and hang, which a real one cannot be
// made to.
type memory struct {
	mu   sync.Mutex
	m    map[string]string
	err  error
	hang chan struct{} // Set waits for it to be closed; nil: it does not
	done chan string   // gets what Set and Delete have done
}

func newMemory() *memory { return &memory{m: map[string]string{}, done: make(chan string, 16)} }

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

func (m *memory) Get(_ context.Context, id string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s, ok := m.m[id]; ok || m.err != nil {
		return s, m.err
	}
	return "", ErrNotFound
}

func (m *memory) Set(_ context.Context, id, secret string) error {
	if m.hang != nil {
		<-m.hang
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.m[id] = secret
		m.done <- "set"
	}
	return m.err
}

func (m *memory) Delete(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.m[id]; !ok && m.err == nil {
		return ErrNotFound
	}
	if m.err == nil {
		delete(m.m, id)
		m.done <- "delete"
	}
	return m.err
}

func (m *memory) List(context.Context) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Keys(m.m)), m.err
}

func (m *memory) Unlock(context.Context) error { return m.err }
func (m *memory) Limit() int                   { return 100 }

func storeIn(t *testing.T, k Keyring, dir string) *Store {
	s := New(Options{Keyring: k, Dir: dir, Timeout: 20 * time.Second, Rand: rand.Reader})
	s.file.cost = kdf{time: 1, memory: 64, threads: 1} // the test waits for it often
	t.Cleanup(s.Close)
	return s
}

// Where there is no keyring, a file with a passphrase takes its place.
func TestPassphraseFile(t *testing.T) {
	ctx := t.Context()
	k := newMemory()
	dir := filepath.Join(t.TempDir(), "secrets")
	s := storeIn(t, k, dir)
	if err := s.Set(ctx, "old", "from the keyring"); err != nil {
		t.Fatal(err)
	}
	k.fail(ErrNoBus)
	if err := s.Set(ctx, "a", "x"); !errors.Is(err, ErrNoBus) {
		t.Fatalf("without a file: %v", err)
	}
	if err := s.UnlockFile("a passphrase"); !errors.Is(err, ErrNoFile) {
		t.Errorf("unlock without a file: %v", err)
	}
	if err := s.CreateFile("short"); !errors.Is(err, ErrWeak) {
		t.Errorf("a short passphrase: %v", err)
	}
	if err := s.CreateFile("a passphrase"); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateFile("another one"); !errors.Is(err, ErrFileExists) {
		t.Errorf("a second file: %v", err)
	}
	big := strings.Repeat("b", 500)
	for id, word := range map[string]string{"a": "hunter2-canary", "big": big} {
		if err := s.Set(ctx, id, word); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Get(ctx, id); err != nil || got != word {
			t.Fatalf("Get: %q, %v", got, err)
		}
	}
	if err := s.Set(ctx, "vast", strings.Repeat("b", MaxSecret+1)); !errors.Is(err, ErrTooBig) {
		t.Errorf("beyond the limit: %v", err)
	}
	for path, perm := range map[string]os.FileMode{dir: 0o700, s.file.path: 0o600} {
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != perm && os.PathSeparator == '/' {
			t.Errorf("%s: %v, %v", path, fi.Mode(), err)
		}
	}
	if l, err := os.ReadDir(dir); err != nil || len(l) != 1 {
		t.Errorf("in the folder: %v, %v", l, err)
	}
	if b, err := os.ReadFile(s.file.path); err != nil || bytes.Contains(b, []byte("hunter2")) {
		t.Errorf("the file has the secret as it is, or %v", err)
	}

	// The next process has to be told the passphrase.
	s = storeIn(t, k, dir)
	if _, err := s.Get(ctx, "a"); !errors.Is(err, ErrFileLocked) {
		t.Fatalf("locked: %v", err)
	}
	if err := s.Set(ctx, "c", "x"); !errors.Is(err, ErrFileLocked) {
		t.Errorf("Set while it is locked: %v", err)
	}
	if st := s.Status(ctx); !errors.Is(st.File, ErrFileLocked) || len(st.Kept) != 2 || !st.Kept[0].File {
		t.Errorf("Status: %+v", st)
	}
	if err := s.UnlockFile("a passphrasf"); !errors.Is(err, ErrPassphrase) || errors.Is(err, ErrDamaged) {
		t.Fatalf("wrong passphrase: %v", err)
	}
	if err := s.ChangePassphrase("wrong one", "a new passphrase"); !errors.Is(err, ErrPassphrase) {
		t.Errorf("change with a wrong one: %v", err)
	}
	if err := s.ChangePassphrase("a passphrase", "a new passphrase"); err != nil {
		t.Fatal(err)
	}
	s = storeIn(t, k, dir)
	if err := s.UnlockFile("a passphrase"); !errors.Is(err, ErrPassphrase) {
		t.Errorf("the old passphrase: %v", err)
	}
	if err := s.UnlockFile("a new passphrase"); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(ctx, "a"); err != nil || got != "hunter2-canary" {
		t.Errorf("after the change: %q, %v", got, err)
	}
}

// One can be forgotten without the passphrase. When the keyring is back, each is
// found where it is, and a new one goes to the keyring.
func TestKeyringComesBack(t *testing.T) {
	ctx := t.Context()
	k := newMemory()
	dir := t.TempDir()
	s := storeIn(t, k, dir)
	if err := s.Set(ctx, "old", "from the keyring"); err != nil {
		t.Fatal(err)
	}
	k.fail(ErrNoBus)
	if err := s.CreateFile("a passphrase"); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "b"} {
		if err := s.Set(ctx, id, "of the file"); err != nil {
			t.Fatal(err)
		}
	}
	s = storeIn(t, k, dir)
	if err := s.Delete(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	k.fail(nil)
	if _, err := s.Get(ctx, "b"); !errors.Is(err, ErrNotFound) {
		t.Errorf("forgotten: %v", err)
	}
	if got, err := s.Get(ctx, "old"); err != nil || got != "from the keyring" {
		t.Errorf("of the keyring: %q, %v", got, err)
	}
	if err := s.Set(ctx, "a", "new"); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(ctx, "a"); err != nil || got != "new" {
		t.Errorf("stored again: %q, %v", got, err)
	}
	if st := s.Status(ctx); len(st.Kept) != 2 || st.Kept[0].File || st.Kept[1].File || st.Keyring != nil {
		t.Errorf("Status: %+v", st)
	}

	// A file that is damaged hides nothing that is in the keyring.
	if err := os.WriteFile(s.file.path, []byte("MOORSEC\x01 and nonsense that is as long as a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(ctx, "a"); err != nil || got != "new" {
		t.Errorf("beside a damaged file: %q, %v", got, err)
	}
	if _, err := s.Get(ctx, "none"); !errors.Is(err, ErrDamaged) {
		t.Errorf("what may have been in it: %v", err)
	}
	if err := s.UnlockFile("a passphrase"); !errors.Is(err, ErrDamaged) || errors.Is(err, ErrPassphrase) {
		t.Errorf("unlock of a damaged file: %v", err)
	}
	if err := s.CreateFile("a passphrase"); !errors.Is(err, ErrFileExists) {
		t.Errorf("a new file over a damaged one: %v", err)
	}
}

// What a caller was told to have failed is not stored when the keyring answers late.
func TestLateSetIsUndone(t *testing.T) {
	k := newMemory()
	k.hang = make(chan struct{})
	s := New(Options{Keyring: k, Dir: t.TempDir(), Timeout: time.Millisecond, Rand: rand.Reader})
	defer s.Close()
	if err := s.Set(t.Context(), "a", "x"); !errors.Is(err, ErrTimeout) {
		t.Fatal(err)
	}
	close(k.hang)
	for _, want := range []string{"set", "delete"} {
		if got := <-k.done; got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
}
