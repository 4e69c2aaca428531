package state

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestSaveLoadRemove(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "drives"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := New(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	d.Name, d.URL, d.Port = "n", "mem:", 1234
	d.Mount = &Mount{Dir: "/m/n", Export: "/t/n", Made: true}
	if err := s.Save(d); err != nil {
		t.Fatal(err)
	}
	got, err := s.Load(d.ID)
	if err != nil || !reflect.DeepEqual(got, d) {
		t.Fatalf("got %+v, %v, want %+v", got, err, d)
	}
	if ids, err := s.IDs(); err != nil || len(ids) != 1 || ids[0] != d.ID {
		t.Errorf("IDs = %v, %v", ids, err)
	}
	if err := s.Remove(d.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(d.ID); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Remove: %v", err)
	}
	if _, err := os.Stat(s.Dir(d.ID)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("folder after Remove: %v", err)
	}
}

func TestLoadsVersion1(t *testing.T) {
	s := &Store{root: filepath.Join("testdata", "v1")}
	d, err := s.Load("00112233445566aa")
	if err != nil {
		t.Fatal(err)
	}
	if d.Name != "hello" || d.Port != 40123 || d.Mount == nil || !d.Mount.Made || d.Key[31] != 31 {
		t.Errorf("got %+v", d)
	}
}

func TestDamagedStateIsKept(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const id = "00112233445566aa"
	for _, content := range []string{"", "{", `{"version":2}`, `{"version":1,"id":"00112233445566aa","key":"AA=="}`,
		`{"version":1,"id":"00112233445566ab","fsid":1,"key":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}`} {
		if err := os.MkdirAll(s.Dir(id), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(s.Dir(id), fileName), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Load(id); !errors.Is(err, ErrFormat) {
			t.Errorf("%q: got %v, want ErrFormat", content, err)
		}
		bad, err := s.SetAside(id)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(bad); err != nil || string(b) != content {
			t.Errorf("kept %q, %v, want %q", b, err, content)
		}
	}
}

func TestIDsThatArePathsAreRefused(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", ".", "../x", "00112233445566AA", "00112233445566", "../../../../../.."} {
		if s.Remove(id) == nil || s.Save(Drive{ID: id}) == nil {
			t.Errorf("id %q was taken", id)
		}
	}
}
