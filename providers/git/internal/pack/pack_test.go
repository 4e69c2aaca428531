package pack

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/moorage/moorage/providers/git/internal/object"
)

// memory is a sink that keeps everything.
type memory struct {
	objects map[object.ID]*kept
	spools  int
}

type kept struct {
	*bytes.Reader
	t object.Type
	b []byte
}

func (k *kept) Type() object.Type { return k.t }
func (k *kept) Close() error      { return nil }

func newMemory() *memory { return &memory{objects: make(map[object.ID]*kept)} }

func (m *memory) Put(t object.Type, id object.ID, b []byte) error {
	m.objects[id] = &kept{bytes.NewReader(b), t, b}
	return nil
}

func (m *memory) Base(id object.ID) (Base, error) {
	if k := m.objects[id]; k != nil {
		return k, nil
	}
	return nil, ErrNotFound
}

type memBlob struct {
	bytes.Buffer
	m *memory
}

func (b *memBlob) Abort() {}
func (b *memBlob) Commit(id object.ID) error {
	return b.m.Put(object.TypeBlob, id, b.Bytes())
}

func (m *memory) NewBlob(int64) (BlobWriter, error) { return &memBlob{m: m}, nil }

type memSpool struct{ b []byte }

func (s *memSpool) Write(p []byte) (int, error) { s.b = append(s.b, p...); return len(p), nil }
func (s *memSpool) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(s.b).ReadAt(p, off)
}
func (s *memSpool) Close() error { return nil }

func (m *memory) Spool() (Spool, error) { m.spools++; return &memSpool{}, nil }

// writer writes packs by hand.
type writer struct {
	bytes.Buffer
	f object.Format
}

func newPack(f object.Format, count uint32) *writer {
	w := &writer{f: f}
	w.WriteString("PACK")
	binary.Write(w, binary.BigEndian, []uint32{2, count})
	return w
}

func (w *writer) head(kind byte, size int64) {
	b := kind<<4 | byte(size&15)
	for size >>= 4; size > 0; size >>= 7 {
		w.WriteByte(b | 0x80)
		b = byte(size & 0x7f)
	}
	w.WriteByte(b)
}

func (w *writer) deflate(b []byte) {
	z := zlib.NewWriter(w)
	z.Write(b)
	z.Close()
}

// object writes a whole object and returns its offset.
func (w *writer) object(t object.Type, content []byte) int {
	off := w.Len()
	w.head(byte(t), int64(len(content)))
	w.deflate(content)
	return off
}

func (w *writer) refDelta(base object.ID, delta []byte) {
	w.head(typeRefDelta, int64(len(delta)))
	w.Write(base.Bytes())
	w.deflate(delta)
}

func (w *writer) ofsDelta(back int64, delta []byte) {
	w.head(typeOfsDelta, int64(len(delta)))
	b := []byte{byte(back & 0x7f)}
	for back >>= 7; back > 0; back >>= 7 {
		back--
		b = append([]byte{0x80 | byte(back&0x7f)}, b...)
	}
	w.Write(b)
	w.deflate(delta)
}

func (w *writer) finish() []byte {
	h := w.f.New()
	h.Write(w.Bytes())
	w.Write(h.Sum(nil))
	return w.Bytes()
}

func size(n int64) []byte {
	var b []byte
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// insert is a delta that makes text of a base of n bytes, with insertions only.
func insert(n int, text string) []byte {
	d := append(size(int64(n)), size(int64(len(text)))...)
	for len(text) > 0 {
		k := min(len(text), 127)
		d = append(append(d, byte(k)), text[:k]...)
		text = text[k:]
	}
	return d
}

func smallLimits() Limits {
	return Limits{Objects: 1000, Object: 1 << 20, Blob: 4 << 20, Total: 16 << 20, Depth: 50, Spool: 1 << 20}
}

func TestPacksOfGit(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("git is missing, and CI=true")
		}
		t.Skip("git is not installed")
	}
	for _, f := range []object.Format{object.SHA1, object.SHA256} {
		dir := t.TempDir()
		git := func(stdin string, args ...string) []byte {
			cmd := exec.Command("git", args...)
			cmd.Dir = dir
			cmd.Stdin = strings.NewReader(stdin)
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("git %q: %v", args, err)
			}
			return out
		}
		git("", "init", "-q", "--bare", "--object-format="+f.String())
		rng := rand.New(rand.NewPCG(1, 1))
		base := make([]byte, 200_000)
		for i := range base {
			base[i] = byte(rng.UintN(256))
		}
		var ids, contents []string
		for i := range 40 {
			base[i*100] ^= 1
			contents = append(contents, string(base)+strings.Repeat("x", i))
			ids = append(ids, strings.TrimSpace(string(git(contents[i], "hash-object", "-w", "--stdin"))))
		}
		list := strings.Join(ids, "\n") + "\n"
		for _, args := range [][]string{{"--delta-base-offset"}, {}} {
			p := git(list, append([]string{"pack-objects", "--stdout", "--window=50", "--depth=50", "-q"}, args...)...)
			if len(p) > 1<<20 {
				t.Fatalf("%d bytes: not a pack with deltas", len(p))
			}
			lim := DefaultLimits()
			m := newMemory()
			if err := Read(bytes.NewReader(p), f, lim, m, nil); err != nil {
				t.Fatalf("%v %q: %v", f, args, err)
			}
			for i, s := range ids {
				id, _ := object.ParseID(s)
				if k := m.objects[id]; k == nil || string(k.b) != contents[i] {
					t.Errorf("%v %q: object %d differs", f, args, i)
				}
			}
			for cut := 0; cut < len(p); cut += 1 + len(p)/50 {
				if err := Read(bytes.NewReader(p[:cut]), f, lim, newMemory(), nil); !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("cut at %d: %v", cut, err)
				}
			}
			flipped := bytes.Clone(p)
			flipped[len(p)-1] ^= 1
			if err := Read(bytes.NewReader(flipped), f, lim, newMemory(), nil); !errors.Is(err, ErrMalformed) {
				t.Errorf("wrong checksum: %v", err)
			}
		}
	}
}

func TestDeltasBeforeTheirBase(t *testing.T) {
	a, b, c := "the base\n", "made of the base\n", "made of that\n"
	idA, idB := object.HashOf(object.SHA1, object.TypeBlob, []byte(a)), object.HashOf(object.SHA1, object.TypeBlob, []byte(b))
	w := newPack(object.SHA1, 3)
	w.refDelta(idB, insert(len(b), c))
	w.refDelta(idA, insert(len(a), b))
	w.object(object.TypeBlob, []byte(a))
	m := newMemory()
	if err := Read(bytes.NewReader(w.finish()), object.SHA1, smallLimits(), m, nil); err != nil {
		t.Fatal(err)
	}
	if k := m.objects[object.HashOf(object.SHA1, object.TypeBlob, []byte(c))]; k == nil || string(k.b) != c {
		t.Error("the last of the chain is not there")
	}
	if m.spools != 1 {
		t.Errorf("%d spools", m.spools)
	}
	// A thin pack: its base came long before.
	w = newPack(object.SHA1, 1)
	w.refDelta(idA, insert(len(a), "thin"))
	if err := Read(bytes.NewReader(w.finish()), object.SHA1, smallLimits(), m, nil); err != nil || m.objects[object.HashOf(object.SHA1, object.TypeBlob, []byte("thin"))] == nil {
		t.Errorf("thin pack: %v", err)
	}
}

func TestHostilePacks(t *testing.T) {
	blob := []byte("a blob")
	id := object.HashOf(object.SHA1, object.TypeBlob, blob)
	for _, tc := range []struct {
		name string
		want error
		make func() []byte
	}{
		{"no pack", ErrMalformed, func() []byte { return []byte("this is not a pack at all") }},
		{"version 9", ErrMalformed, func() []byte { return []byte("PACK\x00\x00\x00\x09\x00\x00\x00\x00") }},
		{"too many objects", ErrTooLarge, func() []byte { return newPack(object.SHA1, 1<<31).finish() }},
		{"fewer objects than it says", io.ErrUnexpectedEOF, func() []byte { w := newPack(object.SHA1, 3); w.object(object.TypeBlob, blob); return w.Bytes() }},
		{"type 5", ErrMalformed, func() []byte { w := newPack(object.SHA1, 1); w.head(5, 1); w.deflate(blob); return w.finish() }},
		{"type 0", ErrMalformed, func() []byte { w := newPack(object.SHA1, 1); w.head(0, 1); w.deflate(blob); return w.finish() }},
		{"giant blob", ErrTooLarge, func() []byte { w := newPack(object.SHA1, 1); w.head(3, 1<<50); return w.finish() }},
		{"giant tree", ErrTooLarge, func() []byte { w := newPack(object.SHA1, 1); w.head(2, 1<<40); return w.finish() }},
		{"endless size", ErrMalformed, func() []byte {
			w := newPack(object.SHA1, 1)
			w.WriteByte(0xbf)
			w.Write(bytes.Repeat([]byte{0xff}, 100))
			return w.finish()
		}},
		{"longer than it says", ErrMalformed, func() []byte { w := newPack(object.SHA1, 1); w.head(3, 2); w.deflate(blob); return w.finish() }},
		{"shorter than it says", io.ErrUnexpectedEOF, func() []byte { w := newPack(object.SHA1, 1); w.head(3, 60); w.deflate(blob); return w.finish() }},
		{"not compressed", ErrMalformed, func() []byte { w := newPack(object.SHA1, 1); w.head(3, 6); w.Write(blob); return w.finish() }},
		{"base before the pack", ErrMalformed, func() []byte { w := newPack(object.SHA1, 1); w.ofsDelta(1000, insert(6, "x")); return w.finish() }},
		{"base between entries", ErrMalformed, func() []byte {
			w := newPack(object.SHA1, 2)
			w.object(object.TypeBlob, blob)
			w.ofsDelta(3, insert(6, "x"))
			return w.finish()
		}},
		{"own base", ErrMalformed, func() []byte { w := newPack(object.SHA1, 1); w.ofsDelta(0, insert(6, "x")); return w.finish() }},
		{"base that is nowhere", ErrMalformed, func() []byte { w := newPack(object.SHA1, 1); w.refDelta(id, insert(6, "x")); return w.finish() }},
		{"circle", ErrMalformed, func() []byte {
			// What they would make is unknown, but each waits for what the other makes.
			w := newPack(object.SHA1, 2)
			w.refDelta(object.HashOf(object.SHA1, object.TypeBlob, []byte("b")), insert(1, "a"))
			w.refDelta(object.HashOf(object.SHA1, object.TypeBlob, []byte("a")), insert(1, "b"))
			return w.finish()
		}},
		{"base of another size", ErrMalformed, deltaPack(blob, insert(7, "x"))},
		{"delta makes less", ErrMalformed, deltaPack(blob, append(size(6), append(size(100), 1, 'x')...))},
		{"delta makes more", ErrMalformed, deltaPack(blob, append(size(6), append(size(1), 2, 'x', 'y')...))},
		{"delta copies too far", ErrMalformed, deltaPack(blob, append(size(6), append(size(100), 0x90, 100)...))},
		{"delta instruction 0", ErrMalformed, deltaPack(blob, append(size(6), append(size(1), 0)...))},
		{"delta cut off", io.ErrUnexpectedEOF, deltaPack(blob, append(size(6), append(size(1), 0x91)...))},
		{"delta bomb", ErrTooLarge, deltaPack(blob, append(size(6), size(1<<50)...))},
		{"delta size without end", ErrMalformed, deltaPack(blob, bytes.Repeat([]byte{0xff}, 30))},
		{"bomb of many", ErrTooLarge, func() []byte {
			// Each makes 3 MiB of a base of 64 KiB, in 200 bytes.
			base := bytes.Repeat([]byte("x"), 0x10000)
			w := newPack(object.SHA1, 20)
			first := w.object(object.TypeBlob, base)
			for i := range 19 {
				d := append(size(0x10000), size(48*0x10000+int64(i))...)
				d = append(d, bytes.Repeat([]byte{0x80}, 48)...)
				if i > 0 {
					d = append(append(d, byte(i)), bytes.Repeat([]byte("y"), i)...)
				}
				w.ofsDelta(int64(w.Len()-first), d)
			}
			return w.finish()
		}},
		{"chain without end", ErrTooLarge, func() []byte {
			w := newPack(object.SHA1, 100)
			last := w.object(object.TypeBlob, []byte("000"))
			for i := range 99 {
				at := w.Len()
				w.ofsDelta(int64(at-last), insert(3, fmt.Sprintf("%03d", i+1)))
				last = at
			}
			return w.finish()
		}},
		{"too much to spool", ErrTooLarge, func() []byte {
			w := newPack(object.SHA1, 3)
			for range 3 {
				w.refDelta(id, bytes.Repeat([]byte{1}, 1<<19))
			}
			return w.finish()
		}},
	} {
		m := newMemory()
		if err := Read(bytes.NewReader(tc.make()), object.SHA1, smallLimits(), m, nil); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
		for id, k := range m.objects {
			if object.HashOf(object.SHA1, k.t, k.b) != id {
				t.Errorf("%s: an object is not what its id says", tc.name)
			}
		}
	}
}

// deltaPack is a pack of a blob and a delta on it.
func deltaPack(blob, delta []byte) func() []byte {
	return func() []byte {
		w := newPack(object.SHA1, 2)
		first := w.object(object.TypeBlob, blob)
		w.ofsDelta(int64(w.Len()-first), delta)
		return w.finish()
	}
}

func FuzzRead(f *testing.F) {
	w := newPack(object.SHA1, 4)
	first := w.object(object.TypeBlob, []byte("a blob"))
	w.ofsDelta(int64(w.Len()-first), append(size(6), append(size(5), 0x90, 4, 1, 'x')...))
	w.refDelta(object.HashOf(object.SHA1, object.TypeTree, nil), insert(0, "0 x"))
	w.object(object.TypeTree, nil)
	f.Add(w.finish())
	f.Add(deltaPack([]byte("a blob"), insert(6, "x"))())
	f.Fuzz(func(t *testing.T, b []byte) {
		lim := Limits{Objects: 100, Object: 1 << 16, Blob: 1 << 16, Total: 1 << 20, Depth: 10, Spool: 1 << 16}
		for _, format := range []object.Format{object.SHA1, object.SHA256} {
			m := newMemory()
			err := Read(bytes.NewReader(b), format, lim, m, nil)
			for id, k := range m.objects {
				if object.HashOf(format, k.t, k.b) != id {
					t.Fatal("an object is not what its id says")
				}
			}
			if err != nil {
				continue
			}
			// What was read can be written whole, and reads the same.
			w := newPack(format, uint32(len(m.objects)))
			for _, k := range m.objects {
				w.object(k.t, k.b)
			}
			again := newMemory()
			if err := Read(bytes.NewReader(w.finish()), format, lim, again, nil); err != nil || len(again.objects) != len(m.objects) {
				t.Fatalf("written again: %v, %d objects, had %d", err, len(again.objects), len(m.objects))
			}
			for id := range m.objects {
				if again.objects[id] == nil {
					t.Fatal("an object got lost")
				}
			}
		}
	})
}
