package store

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moorage/moorage/providers/git/internal/object"
)

func open(t testing.TB, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	s.scan.Wait()
	t.Cleanup(func() { s.Close() })
	return s
}

func put(t testing.TB, s *Store, content string) object.ID {
	t.Helper()
	id := object.HashOf(object.SHA1, object.TypeTree, []byte(content))
	if err := s.Put(object.TypeTree, id, []byte(content)); err != nil {
		t.Fatal(err)
	}
	return id
}

func blob(t testing.TB, s *Store, content string) Key {
	t.Helper()
	w, err := s.NewBlob(int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(w, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	k := Key{ID: object.HashOf(object.SHA1, object.TypeBlob, []byte(content))}
	if err := w.Commit(k.ID); err != nil {
		t.Fatal(err)
	}
	return k
}

func read(s *Store, k Key) (string, error) {
	b, err := s.OpenFile(k)
	if err != nil {
		return "", err
	}
	defer b.Close()
	out, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
	return string(out), err
}

func TestRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	s := open(t, dir, Options{})
	tree := put(t, s, "a tree")
	small, big := blob(t, s, "small"), blob(t, s, strings.Repeat("big", 1<<19))
	onlySize := Key{ID: object.HashOf(object.SHA1, object.TypeBlob, []byte("x"))}
	large := LFSKey(sha256.Sum256([]byte("x")))
	s.SetSize(onlySize, 7)
	s.SetSize(onlySize, 8)
	s.SetSize(large, 9)
	if err := s.SaveState([]byte("state")); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(dir)
	if err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
	// No Close: as after kill -9. Many restarts make many segments, then few.
	for i := range maxSegments + 3 {
		s = open(t, dir, Options{})
		put(t, s, fmt.Sprint("tree ", i))
	}
	s = open(t, dir, Options{})
	if names, _ := filepath.Glob(filepath.Join(dir, "log", "*")); len(names) > maxSegments {
		t.Errorf("%d segments", len(names))
	}
	if kind, b, err := s.Get(tree); err != nil || kind != object.TypeTree || string(b) != "a tree" {
		t.Errorf("%v %q %v", kind, b, err)
	}
	for i := range maxSegments + 3 {
		if !s.Has(object.HashOf(object.SHA1, object.TypeTree, fmt.Append(nil, "tree ", i))) {
			t.Errorf("tree %d is lost", i)
		}
	}
	if got, err := read(s, small); got != "small" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := read(s, big); len(got) != 3<<19 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if n, ok := s.Size(onlySize); n != 8 || !ok {
		t.Errorf("size %d %v", n, ok)
	}
	if n, ok := s.Size(large); n != 9 || !ok {
		t.Errorf("size %d %v", n, ok)
	}
	if b, err := s.LoadState(); string(b) != "state" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestDamage cuts and flips what is on disk at every place, as a power cut or a
// bad disk would: what is given out is right, or is not there.
func TestDamage(t *testing.T) {
	first := t.TempDir()
	s := open(t, first, Options{})
	var ids []object.ID
	for i := range 5 {
		ids = append(ids, put(t, s, fmt.Sprint("tree ", i)))
		s.SetSize(Key{ID: ids[i]}, int64(i))
	}
	k := blob(t, s, "content")
	names, _ := filepath.Glob(filepath.Join(first, "log", "*.log"))
	good, err := os.ReadFile(names[0])
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	check := func(what string, log []byte) {
		t.Helper()
		dir := t.TempDir()
		os.MkdirAll(filepath.Join(dir, "log"), 0o700)
		os.WriteFile(filepath.Join(dir, "log", "00000001-x.log"), log, 0o600)
		s := open(t, dir, Options{})
		for i, id := range ids {
			if _, b, err := s.Get(id); err == nil && string(b) != fmt.Sprint("tree ", i) {
				t.Errorf("%s: tree %d is %q", what, i, b)
			} else if err != nil && !errors.Is(err, ErrNotFound) {
				t.Errorf("%s: %v", what, err)
			}
			if n, ok := s.Size(Key{ID: id}); ok && n != int64(i) {
				t.Errorf("%s: size %d is %d", what, i, n)
			}
		}
		put(t, s, "after")
		s.Close()
	}
	for i := range good {
		check(fmt.Sprint("cut at ", i), good[:i])
		flipped := bytes.Clone(good)
		flipped[i] ^= 0x10
		check(fmt.Sprint("flipped at ", i), flipped)
	}
	path := s.filePath(k)
	for _, content := range []string{"", "conten", "c0ntent", "contentx"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		again := open(t, first, Options{})
		if got, err := read(again, k); !errors.Is(err, ErrNotFound) {
			t.Errorf("damaged file %q: %q, %v", content, got, err)
		}
		if again.HasFile(k) {
			t.Error("a damaged file is still there")
		}
		blob(t, again, "content")
		if got, _ := read(again, k); got != "content" {
			t.Errorf("not mended: %q", got)
		}
	}
}

func TestAborted(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	w, _ := s.NewBlob(1 << 20)
	w.Write(make([]byte, 1<<19))
	if err := w.Commit(object.HashOf(object.SHA1, object.TypeBlob, nil)); err == nil {
		t.Error("half a file was taken")
	}
	w, _ = s.NewBlob(1 << 20)
	w.Write(make([]byte, 1<<19))
	w.Abort()
	if left, _ := os.ReadDir(filepath.Join(dir, "tmp")); len(left) != 0 {
		t.Errorf("%d temporary files left", len(left))
	}
	old := filepath.Join(dir, "tmp", "old")
	os.WriteFile(old, nil, 0o600)
	os.Chtimes(old, time.Time{}, time.Now().Add(-2*staleTemp))
	open(t, dir, Options{})
	if _, err := os.Stat(old); err == nil {
		t.Error("what a dead process left is still there")
	}
}

func TestEviction(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s := open(t, t.TempDir(), Options{Limit: 10_000, Clock: func() time.Time { return now }})
	tree := put(t, s, strings.Repeat("t", 20_000))
	content := func(i int) string { return fmt.Sprint(i, strings.Repeat("x", 1000)) }
	var keys []Key
	for i := range 9 {
		keys = append(keys, blob(t, s, content(i)))
		now = now.Add(time.Minute)
	}
	held, err := s.OpenFile(keys[1])
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := read(s, keys[0]); got != content(0) { // used: not the oldest any more
		t.Error(got)
	}
	now = now.Add(time.Minute)
	done := s.Receive()
	for i := 9; i < 12; i++ {
		keys = append(keys, blob(t, s, content(i)))
	}
	s.Evict()
	if s.Used() < 12_000 {
		t.Error("evicted while a pack is coming in")
	}
	done()
	if s.Used() > 10_000 {
		t.Errorf("%d bytes used", s.Used())
	}
	for i, want := range []bool{true, true, false, false, false, false, true} {
		if s.HasFile(keys[i]) != want {
			t.Errorf("file %d: there %v, want %v", i, !want, want)
		}
	}
	if got, err := read(s, keys[2]); !errors.Is(err, ErrNotFound) {
		t.Errorf("%.10q, %v", got, err)
	}
	if n, ok := s.Size(keys[2]); !ok || n != int64(len(content(2))) {
		t.Error("the size went with the file")
	}
	b := make([]byte, 3)
	if _, err := held.ReadAt(b, 0); err != nil || string(b) != "1xx" {
		t.Errorf("an open file: %q, %v", b, err)
	}
	held.Close()
	held.Close()
	if !s.Has(tree) {
		t.Error("a tree was evicted")
	}
}

func TestArrival(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	id := object.HashOf(object.SHA1, object.TypeTree, []byte("later"))
	k := Key{ID: object.HashOf(object.SHA1, object.TypeBlob, []byte("later"))}
	tree, file := s.Arrival(Key{ID: id}), s.Arrival(k)
	select {
	case <-tree:
		t.Error("too early")
	case <-file:
		t.Error("too early")
	default:
	}
	put(t, s, "later")
	blob(t, s, "later")
	<-tree
	<-file
	<-s.Arrival(Key{ID: id})
	<-s.Arrival(k)
}

func FuzzLog(f *testing.F) {
	b := []byte(logMagic)
	b = appendRecord(b, record{kind: byte(object.TypeTree), id: object.HashOf(object.SHA1, object.TypeTree, nil), content: []byte("x")})
	b = appendRecord(b, record{kind: kindBlobSize, id: object.HashOf(object.SHA256, object.TypeTree, nil), size: 77})
	f.Add(b[len(logMagic):])
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		var again []byte
		for {
			rec, n, err := readRecord(r)
			if err != nil {
				break
			}
			again = appendRecord(again, rec)
			if len(again) != len(b)-r.Len() || n == 0 || !bytes.Equal(again, b[:len(again)]) {
				t.Fatalf("%q became %q", b, again)
			}
		}
	})
}

// A file that is fetched anew while its old copy is still open is evicted like
// any other, once.
func TestLimitThatChanges(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s := open(t, t.TempDir(), Options{Limit: 10_000, Clock: func() time.Time { return now }})
	var keys []Key
	for i := range 9 {
		keys = append(keys, blob(t, s, fmt.Sprint(i, strings.Repeat("x", 1000))))
		now = now.Add(time.Minute)
	}
	s.SetLimit(20_000)
	if !s.HasFile(keys[0]) {
		t.Error("a larger limit took something away")
	}
	now = now.Add(time.Hour)
	s.SetLimit(5000)
	if s.Used() > 5000 || s.HasFile(keys[0]) || !s.HasFile(keys[8]) {
		t.Errorf("%d bytes used; the oldest is there: %v, the newest: %v", s.Used(), s.HasFile(keys[0]), s.HasFile(keys[8]))
	}
}

func TestEvictAfterRefetch(t *testing.T) {
	now := time.Now()
	s := open(t, t.TempDir(), Options{Limit: 1000, Clock: func() time.Time { return now }})
	first := blob(t, s, strings.Repeat("a", 600))
	held, err := s.OpenFile(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(s.filePath(first)); err != nil { // somebody cleans up
		t.Fatal(err)
	}
	if _, err := s.OpenFile(first); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	blob(t, s, strings.Repeat("a", 600))
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Minute)
	second := blob(t, s, strings.Repeat("b", 600))
	s.Evict()
	if s.HasFile(first) || !s.HasFile(second) {
		t.Errorf("first there %v, second there %v, %d bytes", s.HasFile(first), s.HasFile(second), s.Used())
	}
}
