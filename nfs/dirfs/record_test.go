package dirfs

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/moorage/moorage/nfs"
)

// FuzzDecode: what decodes encodes to the same bytes, nothing panics, and the
// whole log is read without trouble.
func FuzzDecode(f *testing.F) {
	p := place{parent: 7, name: "name", ino: 9, check: 11, handle: "\x01\x00\x00\x00inode"}
	f.Add(appendRecord(nil, &record{kind: kindSeen, id: 5, place: p}))
	f.Add(appendRecord(appendHeader(nil, [keySize]byte{1}), &record{kind: kindGone, id: 5}))
	f.Add(appendHeader(nil, [keySize]byte{2}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if key, err := decodeHeader(b); err == nil {
			if !bytes.Equal(appendHeader(nil, key), b[:headerSize]) {
				t.Error("header changes")
			}
		}
		r, n, err := decodeRecord(b)
		switch {
		case err == nil:
			if !bytes.Equal(appendRecord(nil, &r), b[:n]) {
				t.Errorf("record %+v changes", r)
			}
		case n != 0 || !errors.Is(err, errShort) && !errors.Is(err, errCorrupt):
			t.Errorf("%d, %v", n, err)
		}
		decodeHost(t, b)
	})
}

func TestRecordLimits(t *testing.T) {
	long := place{name: string(make([]byte, maxName)), handle: string(make([]byte, maxHandle))}
	b := appendRecord(nil, &record{kind: kindSeen, id: 1, place: long})
	if r, n, err := decodeRecord(b); err != nil || n != len(b) || r.name != long.name || r.handle != long.handle {
		t.Errorf("longest record: %d of %d bytes, %v", n, len(b), err)
	}
	for n := range b {
		if _, _, err := decodeRecord(b[:n]); !errors.Is(err, errShort) && !errors.Is(err, errCorrupt) {
			t.Fatalf("%d of %d bytes: %v", n, len(b), err)
		}
	}
	x := newTestIndex(t, "")
	x.put(2, place{name: string(make([]byte, maxName+1))})
	if _, ok, _ := x.get(2); ok {
		t.Error("a name beyond the limit was recorded")
	}
}

var update = flag.Bool("update", false, "write testdata")

// TestOldLogs reads the logs of every version there has been.
func TestOldLogs(t *testing.T) {
	golden := filepath.Join("testdata", "places-v1.hex")
	if *update {
		b := appendHeader(nil, [keySize]byte{0: 0xaa, 15: 0xbb})
		b = appendRecord(b, &record{kind: kindSeen, id: 11, place: place{parent: 10, name: "first", ino: 3, check: 4, handle: "handle"}})
		b = appendRecord(b, &record{kind: kindSeen, id: 12, place: place{parent: 11, name: "gone", ino: 5}})
		b = appendRecord(b, &record{kind: kindGone, id: 12})
		b = appendRecord(b, &record{kind: kindSeen, id: 11, place: place{parent: 10, name: "renamed", ino: 3, check: 4, handle: "handle"}})
		if err := os.WriteFile(golden, []byte(hex.EncodeToString(b)+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, logName), b, 0o600); err != nil {
		t.Fatal(err)
	}
	x := newTestIndex(t, dir)
	want := place{parent: 10, name: "renamed", ino: 3, check: 4, handle: "handle"}
	if p, ok, err := x.get(11); p != want || !ok || err != nil {
		t.Errorf("%+v, %v, %v", p, ok, err)
	}
	if _, ok, _ := x.get(12); ok {
		t.Error("a place that was taken away is there")
	}
	if x.key[0] != 0xaa || x.key[15] != 0xbb {
		t.Errorf("key %x", x.key)
	}
	if check, ok := x.known(nfs.ID(11)); check != 4 || !ok {
		t.Errorf("check %d, %v", check, ok)
	}
}
