package rpc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/moorage/moorage/nfs/internal/xdr"
)

func mark(n uint32, last bool) []byte {
	if last {
		n |= LastFragment
	}
	return binary.BigEndian.AppendUint32(nil, n)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

const limit = 64

func readAll(in []byte) ([][]byte, error) {
	r := NewRecordReader(bytes.NewReader(in), limit)
	var all [][]byte
	for {
		size, last, err := r.Next()
		if err != nil {
			return all, err
		}
		room := size
		if !last {
			room = limit
		}
		b, err := r.Body(make([]byte, 0, room), size, last)
		if err != nil {
			return all, err
		}
		all = append(all, b)
	}
}

func TestRecords(t *testing.T) {
	ones := bytes.Repeat(join(mark(1, false), []byte("x")), limit-1)
	for _, tc := range []struct {
		name string
		in   []byte
		want []string
		err  error
	}{
		{"one", join(mark(3, true), []byte("abc")), []string{"abc"}, io.EOF},
		{"two", join(mark(1, true), []byte("a"), mark(1, true), []byte("b")), []string{"a", "b"}, io.EOF},
		{"fragments", join(mark(1, false), []byte("a"), mark(0, false), mark(2, true), []byte("bc")), []string{"abc"}, io.EOF},
		{"bytes", join(ones, mark(1, true), []byte("y")), []string{string(bytes.Repeat([]byte("x"), limit-1)) + "y"}, io.EOF},
		{"empty last", join(mark(1, false), []byte("a"), mark(0, true)), []string{"a"}, io.EOF},
		{"longest", join(mark(limit, true), make([]byte, limit)), []string{string(make([]byte, limit))}, io.EOF},
		{"too long", mark(limit+1, true), nil, ErrRecordSize},
		{"2 GiB", mark(1<<31-1, false), nil, ErrRecordSize},
		{"a browser", []byte("GET / HTTP/1.1\r\n"), nil, ErrRecordSize},
		{"too long in parts", join(mark(limit, false), make([]byte, limit), mark(1, true), []byte("x")), nil, ErrRecordSize},
		{"empty", mark(0, true), nil, ErrFragments},
		{"nothing but empty", bytes.Repeat(mark(0, false), 100), nil, ErrFragments},
		{"empty ones then an empty last", join(mark(0, false), mark(0, true)), nil, ErrFragments},
		{"cut in the mark", []byte{0x80, 0}, nil, io.ErrUnexpectedEOF},
		{"cut in the body", join(mark(3, true), []byte("ab")), nil, io.ErrUnexpectedEOF},
		{"cut between fragments", join(mark(1, false), []byte("a")), nil, io.ErrUnexpectedEOF},
	} {
		got, err := readAll(tc.in)
		if !errors.Is(err, tc.err) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.err)
		}
		if len(got) != len(tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
			continue
		}
		for i := range got {
			if string(got[i]) != tc.want[i] {
				t.Errorf("%s: %q, want %q", tc.name, got[i], tc.want[i])
			}
		}
	}
}

func header(edit func(*Call)) []byte {
	c := Call{XID: 1, RPCVersion: 2, Prog: 100003, Vers: 3, Proc: 0}
	edit(&c)
	return c.Append(nil)
}

func TestCallHeaders(t *testing.T) {
	long := make([]byte, MaxAuthBody+4)
	for _, tc := range []struct {
		name string
		in   []byte
		want error // nil, ErrNotCall or *HeaderError
	}{
		{"good", header(func(*Call) {}), nil},
		{"longest bodies", header(func(c *Call) { c.Cred.Body, c.Verf.Body = long[:400], long[:400] }), nil},
		{"credential over 400", header(func(c *Call) { c.Cred.Body = long }), &HeaderError{Auth: AuthBadCred}},
		{"verifier over 400", header(func(c *Call) { c.Verf.Body = long }), &HeaderError{Auth: AuthBadVerf}},
		{"RPC version 3", header(func(c *Call) { c.RPCVersion = 3 }), &HeaderError{Mismatch: true}},
		{"a reply", AppendAccepted(nil, 1, Success), ErrNotCall},
		{"nothing", nil, ErrNotCall},
		{"an xid", make([]byte, 4), ErrNotCall},
		{"xid and type", make([]byte, 8), &HeaderError{}},
		{"cut in the verifier", header(func(*Call) {})[:36], &HeaderError{}},
	} {
		d := xdr.NewDecoder(tc.in)
		var c Call
		err := c.Decode(&d)
		var got, want *HeaderError
		if errors.As(tc.want, &want) {
			if !errors.As(err, &got) || *got != *want {
				t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
			}
		} else if err != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
}

func TestSysCredBounds(t *testing.T) {
	good := SysCred{Stamp: 1, Machine: make([]byte, MaxMachineName), UID: 2, GID: 3, NGroups: MaxGroups}
	b := good.Append(nil)
	var c SysCred
	if err := c.Decode(b); err != nil || c.NGroups != MaxGroups || c.UID != 2 {
		t.Errorf("the largest credential: %v", err)
	}
	if c.Decode(append(b, 0, 0, 0, 0)) == nil {
		t.Error("trailing bytes are taken")
	}
	if c.Decode(b[:len(b)-4]) == nil {
		t.Error("a missing group is not noticed")
	}
	long := SysCred{Machine: make([]byte, MaxMachineName+1)}
	if c.Decode(long.Append(nil)) == nil {
		t.Error("a name of 256 bytes is taken")
	}
	many := xdr.AppendUint32((&SysCred{}).Append(nil)[:16], MaxGroups+1)
	if c.Decode(append(many, make([]byte, 4*(MaxGroups+1))...)) == nil {
		t.Error("17 groups are taken")
	}
}

func TestPoolGivesWhatIsAskedFor(t *testing.T) {
	var p Pool
	for _, n := range []int{0, 1, 1 << 10, 1<<10 + 1, 1 << 20, 1<<20 + 8<<10, 2 << 20} {
		b := p.Get(n)
		if len(b.B) != 0 || cap(b.B) < n {
			t.Errorf("Get(%d): length %d, capacity %d", n, len(b.B), cap(b.B))
		}
		b.B = append(b.B, make([]byte, n+1)...)
		p.Put(b)
		if b = p.Get(n); len(b.B) != 0 || cap(b.B) < n {
			t.Errorf("Get(%d) again: length %d, capacity %d", n, len(b.B), cap(b.B))
		}
	}
	p.Put(nil)
}

// FuzzRecords checks that what the reader takes apart is what was sent: the
// same bytes, however they are cut.
func FuzzRecords(f *testing.F) {
	f.Add(join(mark(3, true), []byte("abc")))
	f.Add(join(mark(1, false), []byte("a"), mark(0, false), mark(2, true), []byte("bc"), mark(1, true), []byte("d")))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		records, err := readAll(in)
		if err == nil {
			t.Fatal("no end")
		}
		var again []byte
		for _, r := range records {
			if len(r) == 0 || len(r) > limit {
				t.Fatalf("a record of %d bytes", len(r))
			}
			b := append(make([]byte, 4), r...)
			PutMark(b)
			again = append(again, b...)
		}
		if got, err := readAll(again); !errors.Is(err, io.EOF) || !equal(got, records) {
			t.Errorf("sent again: %q, %v, want %q", got, err, records)
		}
	})
}

func equal(a, b [][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

// FuzzHeaders checks call headers, credentials and reply headers: what decodes
// is encoded to the same bytes.
func FuzzHeaders(f *testing.F) {
	sys := SysCred{Stamp: 9, Machine: []byte("host"), UID: 1, GID: 2, NGroups: 2, Groups: [16]uint32{3, 4}}
	f.Add(header(func(c *Call) { c.Cred = Auth{AuthSys, sys.Append(nil)} }))
	f.Add(header(func(c *Call) { c.RPCVersion = 4 }))
	f.Add(AppendAccepted(nil, 1, GarbageArgs))
	f.Add(xdr.AppendUint64(AppendAccepted(nil, 1, ProgMismatch), 3))
	f.Add(AppendRPCMismatch(nil, 5))
	f.Add(AppendAuthError(nil, 5, AuthTooWeak))
	f.Fuzz(func(t *testing.T, in []byte) {
		var c Call
		d := xdr.NewDecoder(in)
		if c.Decode(&d) == nil && d.Canonical() {
			used := in[:len(in)-len(d.Rest())]
			if got := c.Append(nil); !bytes.Equal(got, used) {
				t.Errorf("call %x becomes %x", used, got)
			}
			var s SysCred
			cd := xdr.NewDecoder(c.Cred.Body)
			if s.decode(&cd); cd.Done() == nil && cd.Canonical() {
				if got := s.Append(nil); !bytes.Equal(got, c.Cred.Body) {
					t.Errorf("credential %x becomes %x", c.Cred.Body, got)
				}
			}
		}
		var r Reply
		d = xdr.NewDecoder(in)
		if r.Decode(&d) == nil && d.Canonical() {
			used := in[:len(in)-len(d.Rest())]
			if got := r.Append(nil); !bytes.Equal(got, used) {
				t.Errorf("reply %x becomes %x", used, got)
			}
			if err := r.Err(); err != nil && err.Error() == "" {
				t.Error("an error without words")
			}
		}
	})
}
