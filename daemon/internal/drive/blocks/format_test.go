package blocks

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/moorage/moorage/daemon/internal/drive/disk/disktest"
)

// A header in the form that caches on people's disks have.
func TestHeaderBytes(t *testing.T) {
	b := appendHeader(nil, Key{Object: 0x1122334455667788, Version: "W/\"v1\""}, 0x0102030405)
	want := "moorblks" + "\x01\x00\x00\x00" + "\x00\x00\x01\x00" + "\x88\x77\x66\x55\x44\x33\x22\x11" +
		"\x05\x04\x03\x02\x01\x00\x00\x00" + "W/\"v1\"" + "\x06\x00\x00\x00"
	if got := string(b[:len(b)-4]); got != want {
		t.Errorf("header %q, not %q", got, want)
	}
	l := layoutOf(Key{Version: "W/\"v1\""}, 3*Unit+1)
	if l.sumsAt != 3*Unit+4096 || l.headerAt != l.sumsAt+16 || l.total != l.headerAt+int64(len(b)) {
		t.Errorf("layout %+v", l)
	}
	name := id{0x1122334455667788, hashVersion("W/\"v1\"")}.name()
	if name != "66/77/1122334455667788-62ef86cd35bab8b0" {
		t.Errorf("name %s", name)
	}
}

func TestNames(t *testing.T) {
	for _, i := range []id{{}, {1, 2}, {1<<64 - 1, 1<<64 - 1}, {0xabcdef, 0xfedcba}} {
		if got, ok := parseBase(i.base()); !ok || got != i {
			t.Errorf("%v is called %s, which is %v", i, i.base(), got)
		}
	}
	for _, s := range []string{"", "-", "0-0", strings.Repeat("0", 33), "000000000000000A-0000000000000000",
		"0000000000000000-000000000000000g", "0000000000000000-0000000000000000 ", "0000000000000000-00000000-0000000"} {
		if i, ok := parseBase(s); ok {
			t.Errorf("%q is the name of %v", s, i)
		}
	}
}

func FuzzHeader(f *testing.F) {
	f.Add(appendHeader(nil, Key{1, "v"}, 5))
	f.Add(appendHeader(nil, Key{1 << 63, ""}, maxSize))
	f.Add(appendHeader(nil, Key{0, strings.Repeat("\xff", 300)}, 1))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, size, err := decodeHeader(b)
		if err != nil {
			if !errors.Is(err, errHeader) {
				t.Error(err)
			}
			// The same with a sum that matches, or few get past it.
			if len(b) < 4 {
				return
			}
			b = bytes.Clone(b)
			binary.LittleEndian.PutUint32(b[len(b)-4:], crc32.Checksum(b[:len(b)-4], castagnoli))
			if k, size, err = decodeHeader(b); err != nil {
				return
			}
		}
		if got := appendHeader(nil, k, size); !bytes.Equal(got, b) {
			t.Errorf("%x is decoded as %v, %d, which is %x", b, k, size, got)
		}
		if l := layoutOf(k, size); l.total <= size || l.extents() == 0 || l.extentUnits(l.extents()-1) < 1 {
			t.Errorf("layout %+v of %d bytes", l, size)
		}
	})
}

// FuzzFile has a cache find any bytes in place of a version's file. The last of
// them is a header, made to match, so that what is before it is looked at.
func FuzzFile(f *testing.F) {
	whole := func(size int64) []byte {
		d := disktest.New(1)
		c := openCache(f, d, Options{}, manual())
		put(f, openFileOf(f, c, Key{1, "v"}, size), 0, 1)
		c.Close()
		file, err := d.Open(id{1, hashVersion("v")}.name(), false)
		if err != nil {
			f.Fatal(err)
		}
		b := make([]byte, layoutOf(Key{1, "v"}, size).total)
		if _, err := file.ReadAt(b, 0); err != nil {
			f.Fatal(err)
		}
		return b
	}
	f.Add(whole(10), int64(10), true)
	f.Add(whole(Unit+5), int64(Unit+5), false)
	f.Add([]byte{}, int64(Unit), true)
	f.Add(bytes.Repeat([]byte{0xff}, 5000), int64(1<<40), true)
	f.Fuzz(func(t *testing.T, b []byte, size int64, match bool) {
		k := Key{1, "v"}
		if size <= 0 || size > 64<<20 {
			size = 1 + (size&(1<<62-1))%(64<<20)
		}
		d := disktest.New(1)
		file, err := d.Open(id{1, hashVersion("v")}.name(), true)
		if err != nil {
			t.Fatal(err)
		}
		if match {
			l := layoutOf(k, size)
			b = b[:min(int64(len(b)), l.total)]
			if err := file.Truncate(l.total); err != nil {
				t.Fatal(err)
			}
			// Where sums are.
			if _, err := file.WriteAt(b[:min(int64(len(b)), l.headerAt-l.sumsAt)], l.sumsAt); err != nil {
				t.Fatal(err)
			}
			_, err = file.WriteAt(appendHeader(nil, k, size), l.headerAt)
		} else {
			_, err = file.WriteAt(b, 0)
		}
		if err := errors.Join(err, file.Close()); err != nil {
			t.Fatal(err)
		}
		c := openCache(t, d, Options{}, manual())
		g := openFileOf(t, c, k, size)
		for _, r := range g.Have(0, size) {
			p := make([]byte, min(r.N, 3*Unit))
			n, err := g.ReadAt(p, r.Off)
			if err != nil && !errors.Is(err, ErrMissing) {
				t.Fatal(err)
			}
			// Only what matches its sum, though that may be anything.
			if n > 0 && match {
				sum := binary.LittleEndian.Uint32(b[4*(r.Off/Unit):])
				if got := sumOf(p[:min(n, Unit)]); got != sum {
					t.Errorf("%d bytes at %d have the sum %x, not %x", n, r.Off, got, sum)
				}
			}
		}
		put(t, g, 0, 1)
		if !get(t, g, 0, min(size, Unit)) {
			t.Error("what is put is missing")
		}
		for c.evict() {
		}
	})
}
