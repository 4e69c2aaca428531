package drive

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers/mem"
)

// span reads a file as the server sends it: out of files of this computer, as
// far as they have it.
func (b *bench) span(id nfs.ID, size int) (string, int) {
	b.Helper()
	var out []byte
	spans := 0
	for {
		p := make([]byte, size)
		s, err := b.d.ReadFile(b.Context(), owner, id, uint64(len(out)), size)
		if err == nil {
			n, err := syscall.Pread(s.FD, p[:s.N], int64(len(out)))
			if err != nil || n != s.N || s.Attr.ID != id {
				b.Fatalf("%d of %d bytes of id %d in the file: %v", n, s.N, s.Attr.ID, err)
			}
			s.Release()
			spans++
			if out = append(out, p[:n]...); s.EOF {
				return string(out), spans
			}
			continue
		}
		if !errors.Is(err, nfs.ErrNotInFile) {
			b.Fatal(err)
		}
		n, eof, err := b.d.Read(b.Context(), owner, id, p, uint64(len(out)))
		if err != nil {
			b.Fatal(err)
		}
		if out = append(out, p[:n]...); eof {
			return string(out), spans
		}
	}
}

// inFile waits for bytes to be in a file: who reads gets them a little earlier.
func (b *bench) inFile(id nfs.ID, size int) (s nfs.FileSpan) {
	b.Helper()
	b.await("the bytes to be in a file", func() (ok bool) {
		var err error
		s, err = b.d.ReadFile(b.Context(), owner, id, 0, size)
		return err == nil
	})
	return s
}

// Cached bytes are sent out of the cache's file, and what was changed is not.
func TestCachedBytesAreSentFromTheirFile(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	b.o.Cache, b.o.Provider = newRoomy(t), b.mem
	data := noise(3<<20 + 7)
	b.put("f", data)
	b.put("g", strings.Repeat("g", 1<<20))
	b.open()
	f := b.find("f")
	b.holds(f.ID, data)
	b.inFile(f.ID, len(data)).Release()
	if got, n := b.span(f.ID, 256<<10); got != data || n != 13 {
		t.Errorf("%d of 13 reads were answered from the file; as it is: %v", n, got == data)
	}
	if _, err := b.d.ReadFile(t.Context(), &nfs.Caller{UID: uid + 1, GID: gid + 1}, f.ID, 0, 100); err != nil {
		t.Errorf("somebody who may read: %v", err)
	}
	if _, err := b.d.ReadFile(t.Context(), owner, b.d.Root(), 0, 100); !errors.Is(err, nfs.ErrNotInFile) {
		t.Errorf("a directory: %v", err)
	}
	if _, err := b.d.ReadFile(t.Context(), owner, f.ID, uint64(len(data)), 100); !errors.Is(err, nfs.ErrNotInFile) {
		t.Errorf("behind the end: %v", err)
	}
	if _, _, err := b.d.Write(t.Context(), owner, f.ID, []byte("new"), 100, nfs.Unstable); err != nil {
		t.Fatal(err)
	}
	want := data[:100] + "new" + data[103:]
	if got, n := b.span(f.ID, 256<<10); got != want || n != 0 {
		t.Errorf("after a change %d reads were answered from the file; as it is: %v", n, got == want)
	}
	b.holds(b.find("g").ID, strings.Repeat("g", 1<<20))
	s := b.inFile(b.find("g").ID, 1<<20)
	if err := b.d.Close(); err != nil { // while it is being sent
		t.Fatal(err)
	}
	b.d = nil
	p := make([]byte, s.N)
	if n, err := syscall.Pread(s.FD, p, 0); n != 1<<20 || err != nil || string(p) != strings.Repeat("g", 1<<20) {
		t.Errorf("after the end %d bytes, %v", n, err)
	}
	s.Release()
}

// What was written here and is not published is sent out of its file, too.
func TestStagedBytesAreSentFromTheirFile(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	b.o.Cache, b.o.Provider, b.o.Quiet = newRoomy(t), b.mem, time.Hour
	b.open()
	f := b.create("f")
	data := noise(1<<20 + 5)
	b.write(f, data, 0, nfs.Unstable)
	if got, n := b.span(f, 256<<10); got != data || n != 5 {
		t.Errorf("%d of 5 reads were answered from the file; as it is: %v", n, got == data)
	}
	b.write(f, "end", 2<<20, nfs.Unstable)
	want := data + strings.Repeat("\x00", 2<<20-len(data)) + "end"
	if got, _ := b.span(f, 256<<10); got != want {
		t.Error("with a hole it is not as it is")
	}
	s, err := b.d.ReadFile(t.Context(), owner, f, 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	// It is published, and goes, while it is being sent.
	if err := b.d.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.d.Close(); err != nil {
		t.Fatal(err)
	}
	b.d = nil
	p := make([]byte, s.N)
	if n, err := syscall.Pread(s.FD, p, 0); n != 1<<20 || err != nil || string(p) != data[:1<<20] {
		t.Errorf("after the end %d bytes, %v", n, err)
	}
	s.Release()
}
