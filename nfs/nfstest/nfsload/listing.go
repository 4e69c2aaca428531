package main

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/internal/wire"
	"github.com/moorage/moorage/nfs/internal/xdr"
)

// nameDigits is the number of digits at the end of all numbered names.
const nameDigits = 6

// appendName appends the name of file i, format and the number.
func appendName(b []byte, format string, i int) []byte {
	b = append(b, format...)
	for p := 100000; p > 0; p /= 10 {
		b = append(b, byte('0'+i/p%10))
	}
	return b
}

// nameNumber is the inverse of appendName; -1 for other names.
func nameNumber(b []byte, format string) int {
	if len(b) != len(format)+nameDigits || string(b[:len(format)]) != format {
		return -1
	}
	n := 0
	for _, x := range b[len(format):] {
		if x < '0' || x > '9' {
			return -1
		}
		n = n*10 + int(x-'0')
	}
	return n
}

// listJob lists a directory again and again, in one or more chains of calls.
// Each listing must have want names once, numbered 0 to limit-1, and no cookie
// twice.
type listJob struct {
	counter
	plus   bool
	dir    []byte
	format string
	want   int // negative: any number
	limit  int
	page   int // bytes of a reply
	chains []chain
	once   bool // one listing by each chain

	// A listing that was begun is ended, because the first page can cost as much
	// as all others; but not after patience.
	patience time.Time

	complete int // listings
}

// chain is one listing on its way.
type chain struct {
	cookie  uint64
	verf    [wire.VerfSize]byte
	begun   bool
	ended   bool
	found   int
	seen    []uint64 // one bit for each number
	cookies cookieSet
}

// init makes room for n chains.
func (j *listJob) init(n int) *listJob {
	j.chains = make([]chain, n)
	for i := range j.chains {
		j.chains[i].seen = make([]uint64, (j.limit+63)/64)
		j.chains[i].cookies.init(j.limit + 2)
	}
	return j
}

// numbers is what the first chain has found.
func (j *listJob) numbers() []int {
	var v []int
	for i := range j.limit {
		if j.chains[0].seen[i/64]>>(i%64)&1 != 0 {
			v = append(v, i)
		}
	}
	return v
}

func (j *listJob) proc() int {
	if j.plus {
		return wire.ProcReaddirplus
	}
	return wire.ProcReaddir
}

func (j *listJob) next(c *conn, s int, stop bool) bool {
	if s >= len(j.chains) {
		return false
	}
	h := &j.chains[s]
	if stop && (h.ended || !h.begun || time.Now().After(j.patience)) {
		return false
	}
	if h.ended {
		if j.once {
			return false
		}
		h.reset()
	}
	h.begun = true
	c.begin(s, j.proc())
	c.out = xdr.AppendUint64(xdr.AppendOpaque(c.out, j.dir), h.cookie)
	c.out = append(c.out, h.verf[:]...)
	c.out = xdr.AppendUint32(c.out, uint32(j.page))
	if j.plus {
		c.out = xdr.AppendUint32(c.out, uint32(j.page))
	}
	c.end(nil)
	return true
}

func (h *chain) reset() {
	h.cookie, h.verf, h.ended, h.found = 0, [wire.VerfSize]byte{}, false, 0
	clear(h.seen)
	h.cookies.reset()
}

func (j *listJob) done(_ *conn, s int, b []byte) error {
	h := &j.chains[s]
	if err := j.take(h, b); err != nil {
		return fmt.Errorf("%s: %w", procNames[j.proc()], err)
	}
	if h.ended {
		j.complete++
		if j.want >= 0 && h.found != j.want {
			return fmt.Errorf("%s: %w: %d of %d names", procNames[j.proc()], errWrong, h.found, j.want)
		}
	}
	return nil
}

// take reads one page. It is written out, because with package wire's decoder
// the client would cost more than some servers.
func (j *listJob) take(h *chain, b []byte) error {
	status, b, ok := word(b)
	if b, ok = skipAttr(b, ok); !ok {
		return errReply
	}
	if status != 0 {
		return nfs.Status(status)
	}
	if len(b) < wire.VerfSize {
		return errReply
	}
	b = b[copy(h.verf[:], b):]
	entries := 0
	for {
		var more, n uint32
		if more, b, ok = word(b); !ok || more > 1 {
			return errReply
		}
		if more == 0 {
			break
		}
		if len(b) < 12 {
			return errReply
		}
		n = binary.BigEndian.Uint32(b[8:])
		size := xdr.Padded(int(n))
		if b = b[12:]; n > 255 || len(b) < size+8 {
			return errReply
		}
		name := b[:n]
		h.cookie = binary.BigEndian.Uint64(b[size:])
		b = b[size+8:]
		if j.plus {
			if b, ok = skipAttr(b, true); ok {
				b, ok = skipHandle(b)
			}
			if !ok {
				return errReply
			}
		}
		// A cookie of 0 would begin the listing again; go-nfs gives "." this one.
		if h.cookie == 0 && string(name) != "." || h.cookie != 0 && !h.cookies.add(h.cookie) {
			return fmt.Errorf("%w: cookie %d again", errWrong, h.cookie)
		}
		entries++
		if string(name) == "." || string(name) == ".." {
			continue
		}
		i := nameNumber(name, j.format)
		if i < 0 || i >= j.limit {
			return fmt.Errorf("%w: name %q", errWrong, name)
		}
		if h.seen[i/64]>>(i%64)&1 != 0 {
			return fmt.Errorf("%w: name %q twice", errWrong, name)
		}
		h.seen[i/64] |= 1 << (i % 64)
		h.found++
		j.units++
	}
	eof, b, ok := word(b)
	if !ok || eof > 1 || len(b) != 0 {
		return errReply
	}
	if h.ended = eof == 1; !h.ended && entries == 0 {
		return fmt.Errorf("%w: an empty page", errWrong)
	}
	return nil
}

func word(b []byte) (uint32, []byte, bool) {
	if len(b) < 4 {
		return 0, nil, false
	}
	return binary.BigEndian.Uint32(b), b[4:], true
}

// skipAttr skips a post_op_attr.
func skipAttr(b []byte, ok bool) ([]byte, bool) {
	has, b, more := word(b)
	if !ok || !more || has > 1 || len(b) < int(has)*wire.AttrSize {
		return nil, false
	}
	return b[int(has)*wire.AttrSize:], true
}

// skipHandle skips a post_op_fh3.
func skipHandle(b []byte) ([]byte, bool) {
	has, b, ok := word(b)
	if !ok || has == 0 {
		return b, ok
	}
	n, b, ok := word(b)
	if !ok || has > 1 || n == 0 || n > wire.MaxHandle || len(b) < xdr.Padded(int(n)) {
		return nil, false
	}
	return b[xdr.Padded(int(n)):], true
}

// cookieSet is a set of cookies other than 0, of a bounded number.
type cookieSet struct {
	table []uint64
	n     int
}

func (s *cookieSet) init(n int) {
	size := 64
	for size < 2*n {
		size *= 2
	}
	s.table = make([]uint64, size)
}

func (s *cookieSet) reset() {
	clear(s.table)
	s.n = 0
}

// add reports false if v is there already, or if there are more than can be.
func (s *cookieSet) add(v uint64) bool {
	if s.n++; s.n > len(s.table)/2+1 {
		return false
	}
	mask := uint64(len(s.table) - 1)
	for i := v * 0x9e3779b97f4a7c15 >> 20 & mask; ; i = (i + 1) & mask {
		switch s.table[i] {
		case 0:
			s.table[i] = v
			return true
		case v:
			return false
		}
	}
}
