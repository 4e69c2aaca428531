// Package pack reads packs (gitformat-pack(5)) as they arrive: one pass, no
// seek, and memory that does not grow with the size of the objects. Every
// object gets its id computed, so what a [Sink] receives is what its id says.
package pack

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sort"

	"github.com/moorage/moorage/providers/git/internal/object"
)

// What can be wrong with a pack. A pack that ends early is io.ErrUnexpectedEOF.
var (
	ErrMalformed = errors.New("malformed pack")
	ErrTooLarge  = errors.New("pack beyond the limits")
)

// Limits bound what a pack may make us do. All of them must be set.
type Limits struct {
	Objects int   // entries of one pack
	Object  int64 // bytes of one commit, tree or tag; these are held in memory
	Blob    int64 // bytes of one blob
	Total   int64 // bytes of all objects together, unpacked
	Depth   int   // length of a chain of deltas
	Spool   int64 // bytes of deltas that came before their base
}

// DefaultLimits fit the largest repositories that are known; git itself makes
// no chain of deltas longer than 4095.
func DefaultLimits() Limits {
	return Limits{Objects: 2 << 20, Object: 64 << 20, Blob: 64 << 30, Total: 256 << 30, Depth: 4095, Spool: 1 << 30}
}

// Sink takes the objects of a pack.
type Sink interface {
	// NewBlob begins a blob of that many bytes.
	NewBlob(size int64) (BlobWriter, error)
	// Put stores a commit, tree or tag. It may keep content.
	Put(t object.Type, id object.ID, content []byte) error
	// Base opens an object that came earlier, in this pack or before it, as
	// the base of a delta. An error that is ErrNotFound means it is not there.
	Base(id object.ID) (Base, error)
	// Spool opens a temporary file, for deltas whose base comes later.
	Spool() (Spool, error)
}

// ErrNotFound is what Sink.Base returns for an object that is not there.
var ErrNotFound = errors.New("object not found")

// BlobWriter takes the content of a blob, then exactly one of Commit and Abort.
type BlobWriter interface {
	io.Writer
	Commit(id object.ID) error
	Abort()
}

// Base is an object to apply a delta to.
type Base interface {
	io.ReaderAt
	io.Closer
	Type() object.Type
	Size() int64
}

// Spool is a temporary file that vanishes when it is closed.
type Spool interface {
	io.Writer
	io.ReaderAt
	io.Closer
}

const (
	typeOfsDelta = 6
	typeRefDelta = 7
)

// Read reads a pack from r up to its checksum, and no byte more than it needs
// to know that (r is read in blocks, though: give it nothing that follows).
// header, if not nil, is told the number of objects, then the type and size in
// the header of each entry; its error ends the reading.
func Read(r io.Reader, f object.Format, lim Limits, sink Sink, header func(count int, t object.Type, size int64) error) error {
	p := &parser{in: newInput(r, f), format: f, lim: lim, sink: sink}
	defer p.close()
	return p.run(header)
}

type parser struct {
	in     *input
	format object.Format
	lim    Limits
	sink   Sink
	zr     io.ReadCloser
	total  int64

	entries []entry // by offset, as they came
	byID    map[object.ID]int32
	waiting []waiting
	spool   Spool
	spooled int64
}

type entry struct {
	off   int64
	id    object.ID // zero as long as it waits for its base
	depth int
}

// waiting is a delta in the spool.
type waiting struct {
	entry   int32
	baseOff int64     // of an ofs-delta, else -1
	base    object.ID // of a ref-delta
	at, n   int64     // where in the spool, unpacked
}

func (p *parser) close() {
	if p.spool != nil {
		p.spool.Close()
	}
}

func (p *parser) run(header func(int, object.Type, int64) error) error {
	var head [12]byte
	if _, err := io.ReadFull(p.in, head[:]); err != nil {
		return truncated(err)
	}
	version := binary.BigEndian.Uint32(head[4:])
	if string(head[:4]) != "PACK" || (version != 2 && version != 3) {
		return fmt.Errorf("%w: no pack of version 2 or 3", ErrMalformed)
	}
	count := binary.BigEndian.Uint32(head[8:])
	if int64(count) > int64(p.lim.Objects) {
		return fmt.Errorf("%w: %d objects", ErrTooLarge, count)
	}
	p.byID = make(map[object.ID]int32, min(count, 1<<16))
	for range count {
		err := p.entry(func(t object.Type, size int64) error {
			if header == nil {
				return nil
			}
			return header(int(count), t, size)
		})
		if err != nil {
			return truncated(err)
		}
	}
	sum := p.in.sum()
	got := make([]byte, len(sum))
	if _, err := io.ReadFull(p.in, got); err != nil {
		return truncated(err)
	}
	if !bytes.Equal(sum, got) {
		return fmt.Errorf("%w: checksum differs", ErrMalformed)
	}
	return p.resolveWaiting()
}

func (p *parser) entry(header func(object.Type, int64) error) error {
	off := p.in.offset()
	b, err := p.in.ReadByte()
	if err != nil {
		return err
	}
	kind := b >> 4 & 7
	size := int64(b & 15)
	for shift := 4; b&0x80 != 0; shift += 7 {
		if b, err = p.in.ReadByte(); err != nil {
			return err
		}
		if shift > 56 {
			return fmt.Errorf("%w: size of an entry", ErrMalformed)
		}
		size |= int64(b&0x7f) << shift
	}
	if size < 0 {
		return fmt.Errorf("%w: size of an entry", ErrMalformed)
	}
	self := int32(len(p.entries))
	p.entries = append(p.entries, entry{off: off})
	switch kind {
	case byte(object.TypeCommit), byte(object.TypeTree), byte(object.TypeBlob), byte(object.TypeTag):
		t := object.Type(kind)
		if err := header(t, size); err != nil {
			return err
		}
		return p.whole(self, t, size)
	case typeOfsDelta:
		back, err := p.baseDistance()
		if err != nil {
			return err
		}
		if back <= 0 || back > off {
			return fmt.Errorf("%w: delta without a base", ErrMalformed)
		}
		return p.delta(self, size, waiting{entry: self, baseOff: off - back})
	case typeRefDelta:
		raw := make([]byte, p.format.Size())
		if _, err := io.ReadFull(p.in, raw); err != nil {
			return err
		}
		id, err := object.IDFromBytes(raw)
		if err != nil {
			return err
		}
		return p.delta(self, size, waiting{entry: self, baseOff: -1, base: id})
	}
	return fmt.Errorf("%w: entry of type %d", ErrMalformed, kind)
}

// baseDistance reads the offset encoding of gitformat-pack(5).
func (p *parser) baseDistance() (int64, error) {
	b, err := p.in.ReadByte()
	if err != nil {
		return 0, err
	}
	v := int64(b & 0x7f)
	for n := 0; b&0x80 != 0; n++ {
		if b, err = p.in.ReadByte(); err != nil {
			return 0, err
		}
		if n > 7 {
			return 0, fmt.Errorf("%w: offset of a base", ErrMalformed)
		}
		v = (v+1)<<7 | int64(b&0x7f)
	}
	return v, nil
}

// inflate starts to unpack the entry at the current position.
func (p *parser) inflate() (io.Reader, error) {
	var err error
	if p.zr == nil {
		p.zr, err = zlib.NewReader(p.in)
	} else {
		err = p.zr.(zlib.Resetter).Reset(p.in, nil)
	}
	if err != nil {
		return nil, zlibError(err)
	}
	return p.zr, nil
}

// inflated checks that exactly what the header promised has been read.
func inflated(z io.Reader) error {
	var one [1]byte
	for {
		n, err := z.Read(one[:])
		if n > 0 {
			return fmt.Errorf("%w: entry longer than it says", ErrMalformed)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return zlibError(err)
		}
	}
}

func zlibError(err error) error {
	if errors.Is(err, zlib.ErrHeader) || errors.Is(err, zlib.ErrChecksum) || errors.Is(err, zlib.ErrDictionary) {
		return fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	return truncated(err)
}

func (p *parser) whole(self int32, t object.Type, size int64) error {
	out, err := p.begin(t, size)
	if err != nil {
		return err
	}
	defer out.abort()
	z, err := p.inflate()
	if err != nil {
		return err
	}
	if _, err := io.CopyN(out, z, size); err != nil {
		return zlibError(err)
	}
	if err := inflated(z); err != nil {
		return err
	}
	return p.commit(self, out, 0)
}

func (p *parser) delta(self int32, size int64, w waiting) error {
	if size > p.lim.Blob {
		return fmt.Errorf("%w: a delta of %d bytes", ErrTooLarge, size)
	}
	z, err := p.inflate()
	if err != nil {
		return err
	}
	id, depth, known, err := p.baseOf(w)
	if err != nil {
		return err
	}
	if known {
		base, err := p.sink.Base(id)
		if err == nil {
			defer base.Close()
			limited := &exactReader{r: z, left: size}
			if err := p.resolve(self, base, depth, limited); err != nil {
				return zlibError(err)
			}
			if limited.left > 0 {
				return fmt.Errorf("%w: entry shorter than it says", ErrMalformed)
			}
			return inflated(z)
		}
		if !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	if p.spooled+size > p.lim.Spool {
		return fmt.Errorf("%w: too many deltas before their base", ErrTooLarge)
	}
	if p.spool == nil {
		if p.spool, err = p.sink.Spool(); err != nil {
			return err
		}
	}
	if _, err := io.CopyN(p.spool, z, size); err != nil {
		return zlibError(err)
	}
	w.at, w.n = p.spooled, size
	p.spooled += size
	p.waiting = append(p.waiting, w)
	return inflated(z)
}

// baseOf finds the id of a base, and how long its chain is, if that is known.
func (p *parser) baseOf(w waiting) (object.ID, int, bool, error) {
	if w.baseOff < 0 {
		depth := 0
		if i, ok := p.byID[w.base]; ok {
			depth = p.entries[i].depth
		}
		return w.base, depth, true, nil
	}
	i := sort.Search(len(p.entries), func(i int) bool { return p.entries[i].off >= w.baseOff })
	if i == len(p.entries) || p.entries[i].off != w.baseOff {
		return object.ID{}, 0, false, fmt.Errorf("%w: no entry at the offset of a base", ErrMalformed)
	}
	e := p.entries[i]
	return e.id, e.depth, !e.id.IsZero(), nil
}

func (p *parser) resolve(self int32, base Base, depth int, delta io.Reader) error {
	if depth+1 > p.lim.Depth {
		return fmt.Errorf("%w: %d deltas on one another", ErrTooLarge, depth+1)
	}
	limit := p.lim.Object
	if base.Type() == object.TypeBlob {
		limit = p.lim.Blob
	}
	var out *output
	err := applyDelta(bufio.NewReader(delta), base, base.Size(), limit, func(size int64) (io.Writer, error) {
		var err error
		out, err = p.begin(base.Type(), size)
		return out, err
	})
	if out != nil {
		defer out.abort()
	}
	if err != nil {
		return err
	}
	return p.commit(self, out, depth+1)
}

// resolveWaiting applies the deltas that came before their base, each as soon as
// its base is there. If some remain, bases are missing, or they form a circle.
func (p *parser) resolveWaiting() error {
	byOffset := make(map[int64][]int)
	byID := make(map[object.ID][]int)
	var ready []int
	for i, w := range p.waiting {
		id, _, known, err := p.baseOf(w)
		if err != nil {
			return err
		}
		switch {
		case !known:
			byOffset[w.baseOff] = append(byOffset[w.baseOff], i)
		case p.has(id):
			ready = append(ready, i)
		default:
			byID[id] = append(byID[id], i)
		}
	}
	done := 0
	for ; len(ready) > 0; done++ {
		w := p.waiting[ready[len(ready)-1]]
		ready = ready[:len(ready)-1]
		id, depth, _, err := p.baseOf(w)
		if err != nil {
			return err
		}
		base, err := p.sink.Base(id)
		if err != nil {
			return err
		}
		err = p.resolve(w.entry, base, depth, io.NewSectionReader(p.spool, w.at, w.n))
		base.Close()
		if err != nil {
			return truncated(err)
		}
		e := p.entries[w.entry]
		ready = append(ready, byOffset[e.off]...)
		ready = append(ready, byID[e.id]...)
		delete(byOffset, e.off)
		delete(byID, e.id)
	}
	if done < len(p.waiting) {
		return fmt.Errorf("%w: %d deltas without a base", ErrMalformed, len(p.waiting)-done)
	}
	return nil
}

// has tells whether an object came in this pack, so that the sink has it.
func (p *parser) has(id object.ID) bool {
	_, ok := p.byID[id]
	return ok
}

// output is an object on its way: through the hash, into memory or a blob.
type output struct {
	t    object.Type
	hash interface {
		io.Writer
		Size() int
		Sum([]byte) []byte
	}
	sum  func() object.ID
	mem  *bytes.Buffer
	blob BlobWriter
}

func (p *parser) begin(t object.Type, size int64) (*output, error) {
	limit := p.lim.Object
	if t == object.TypeBlob {
		limit = p.lim.Blob
	}
	if size > limit {
		return nil, fmt.Errorf("%w: a %v of %d bytes", ErrTooLarge, t, size)
	}
	if p.total += size; p.total > p.lim.Total {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, p.lim.Total)
	}
	h := object.NewHash(p.format, t, size)
	out := &output{t: t, hash: h, sum: func() object.ID { return object.SumID(h) }}
	if t == object.TypeBlob {
		w, err := p.sink.NewBlob(size)
		if err != nil {
			return nil, err
		}
		out.blob = w
		return out, nil
	}
	// Grown as bytes come: a header alone must not make us allocate.
	out.mem = bytes.NewBuffer(make([]byte, 0, min(size, 64<<10)))
	return out, nil
}

func (o *output) Write(b []byte) (int, error) {
	o.hash.Write(b)
	if o.blob != nil {
		return o.blob.Write(b)
	}
	return o.mem.Write(b)
}

func (o *output) abort() {
	if o.blob != nil {
		o.blob.Abort()
		o.blob = nil
	}
}

func (p *parser) commit(self int32, o *output, depth int) error {
	id := o.sum()
	if o.blob != nil {
		w := o.blob
		o.blob = nil
		if err := w.Commit(id); err != nil {
			return err
		}
	} else if err := p.sink.Put(o.t, id, o.mem.Bytes()); err != nil {
		return err
	}
	e := &p.entries[self]
	e.id, e.depth = id, depth
	p.byID[id] = self
	return nil
}

// exactReader reads at most left bytes, and finds more than that no error:
// inflated does.
type exactReader struct {
	r    io.Reader
	left int64
}

func (e *exactReader) Read(b []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	if int64(len(b)) > e.left {
		b = b[:e.left]
	}
	n, err := e.r.Read(b)
	e.left -= int64(n)
	if err == io.EOF && e.left > 0 {
		err = io.ErrUnexpectedEOF
	} else if err == io.EOF {
		err = nil
	}
	return n, err
}
