package secrets

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"os"
	"testing"
)

// A file that the first version wrote must be read for ever.
func TestGolden(t *testing.T) {
	data, err := os.ReadFile("testdata/format1.sealed")
	if err != nil {
		t.Fatal(err)
	}
	b, err := decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if b.kdf != cost || !bytes.Equal(b.encode(), data) {
		t.Error("it would be written otherwise")
	}
	if _, err := b.unlock(b.derive("correct horse battery stable")); !errors.Is(err, ErrPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
	key, err := b.unlock(b.derive("correct horse battery staple"))
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{"0123456789abcdef": "a token", "fedcba9876543210": "AKIA:ä\n"} {
		if got, err := b.get(key, id); err != nil || got != want {
			t.Errorf("%s: %q, %v", id, got, err)
		}
	}
}

// sample is a file with two secrets, made as quickly as can be.
func sample(t testing.TB) (*box, []byte) {
	b, key, err := newBox(rand.Reader, kdf{time: 1, memory: 8, threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	b.lock(b.derive("pass"), key)
	for id, s := range map[string]string{"a": "first", "b": ""} {
		if err := b.set(key, id, s); err != nil {
			t.Fatal(err)
		}
	}
	return b, key
}

// Whatever happens to a file on disk is told from a wrong passphrase.
func TestDamage(t *testing.T) {
	b, key := sample(t)
	good := b.encode()
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if _, err := decode(bad); !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		if _, err := decode(good[:i]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut to %d bytes: %v", i, err)
		}
	}
	later := bytes.Clone(good)
	later[len(formatMagic)] = formatVersion + 1
	if _, err := decode(later); !errors.Is(err, ErrVersion) {
		t.Errorf("of a later version: %v", err)
	}
	// Somebody who makes the checksum right cannot give a drive another's secret.
	b.entries[0].sealed, b.entries[1].sealed = b.entries[1].sealed, b.entries[0].sealed
	swapped, err := decode(b.encode())
	if err != nil {
		t.Fatal(err)
	}
	if s, err := swapped.get(key, "a"); !errors.Is(err, ErrDamaged) {
		t.Errorf("a secret under another name: %q, %v", s, err)
	}
}

func FuzzDecode(f *testing.F) {
	b, _ := sample(f)
	whole := b.encode()
	f.Add(whole[:len(whole)-sha256.Size])
	f.Fuzz(func(t *testing.T, body []byte) {
		sum := sha256.Sum256(body)
		file := append(bytes.Clone(body), sum[:]...)
		b, err := decode(file)
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrVersion) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(b.encode(), file) {
			t.Error("what is read is not what is written")
		}
		if _, err := b.unlock(make([]byte, keySize)); !errors.Is(err, ErrPassphrase) {
			t.Errorf("unlock: %v", err)
		}
		for _, id := range b.ids() {
			if _, err := b.get(make([]byte, keySize), id); !errors.Is(err, ErrDamaged) {
				t.Errorf("get: %v", err)
			}
		}
	})
}
