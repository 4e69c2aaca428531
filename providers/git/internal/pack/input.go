package pack

import (
	"hash"
	"io"

	"github.com/moorage/moorage/providers/git/internal/object"
)

// input buffers a pack, and knows the offset and the checksum of what has been
// consumed of it. It is an io.ByteReader, so that inflating an entry takes not
// one byte of the next.
type input struct {
	r      io.Reader
	hash   hash.Hash
	buf    []byte
	pos    int   // next byte to give
	end    int   // end of what is buffered
	hashed int   // what of buf has gone into hash
	before int64 // bytes consumed and gone from buf
}

func newInput(r io.Reader, f object.Format) *input {
	return &input{r: r, hash: f.New(), buf: make([]byte, 64<<10)}
}

func (in *input) offset() int64 { return in.before + int64(in.pos) }

// sum is the checksum of everything consumed so far.
func (in *input) sum() []byte {
	in.hash.Write(in.buf[in.hashed:in.pos])
	in.hashed = in.pos
	return in.hash.Sum(nil)
}

func (in *input) fill() error {
	in.hash.Write(in.buf[in.hashed:in.pos])
	in.before += int64(in.pos)
	in.pos, in.end, in.hashed = 0, 0, 0
	for range 100 {
		n, err := in.r.Read(in.buf)
		in.end = n
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

func (in *input) ReadByte() (byte, error) {
	if in.pos == in.end {
		if err := in.fill(); err != nil {
			return 0, err
		}
	}
	b := in.buf[in.pos]
	in.pos++
	return b, nil
}

func (in *input) Read(b []byte) (int, error) {
	if in.pos == in.end {
		if err := in.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(b, in.buf[in.pos:in.end])
	in.pos += n
	return n, nil
}
