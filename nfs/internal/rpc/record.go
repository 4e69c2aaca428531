package rpc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// LastFragment is the bit of a record mark that ends the record; the others are
// the fragment's length in bytes.
const LastFragment = 1 << 31

// A record of many small fragments costs the reader more than its sender, so
// their numbers are bounded; real clients send one to a few hundred.
const (
	maxFragments = 4096
	maxEmpty     = 16
)

var (
	// ErrRecordSize means that a record is longer than the server takes.
	ErrRecordSize = errors.New("rpc: record too long")
	// ErrFragments means that a record is cut into too many fragments, or is empty.
	ErrFragments = errors.New("rpc: senseless fragments")
)

// RecordReader takes records apart (record marking, RFC 5531 §11). A record is
// read in two steps, so that the caller finds the memory in between: Next tells
// how much, Body fills it.
type RecordReader struct {
	r    io.Reader
	max  int
	mark [4]byte
}

// NewRecordReader reads records of at most limit bytes from r.
func NewRecordReader(r io.Reader, limit int) *RecordReader {
	return &RecordReader{r: r, max: limit}
}

// Next reads the first mark of a record: the size of its first fragment, and
// whether that is all. A size over the limit is an error before anything is
// read of it. io.EOF means that the stream ended between records.
func (r *RecordReader) Next() (size int, last bool, err error) {
	size, last, err = r.readMark(0)
	if err == nil && last && size == 0 {
		err = ErrFragments
	}
	return size, last, err
}

func (r *RecordReader) readMark(have int) (size int, last bool, err error) {
	if _, err := io.ReadFull(r.r, r.mark[:]); err != nil {
		return 0, false, err
	}
	m := binary.BigEndian.Uint32(r.mark[:])
	n := m &^ LastFragment
	if uint64(n) > uint64(r.max-have) {
		return 0, false, fmt.Errorf("%w: at least %d bytes, %d allowed", ErrRecordSize, uint64(have)+uint64(n), r.max)
	}
	return int(n), m&LastFragment != 0, nil
}

// Body reads the rest of a record whose first mark said size and last. buf is
// the memory to use: its capacity must be size if last, and the limit otherwise.
func (r *RecordReader) Body(buf []byte, size int, last bool) ([]byte, error) {
	buf = buf[:0]
	empty := 0
	for fragments := 1; ; fragments++ {
		if size == 0 {
			empty++
		}
		if fragments > maxFragments || empty > maxEmpty {
			return nil, ErrFragments
		}
		have := len(buf)
		buf = buf[:have+size]
		if _, err := io.ReadFull(r.r, buf[have:]); err != nil {
			return nil, unexpected(err)
		}
		if last {
			break
		}
		var err error
		if size, last, err = r.readMark(len(buf)); err != nil {
			return nil, unexpected(err)
		}
	}
	if len(buf) == 0 {
		return nil, ErrFragments
	}
	return buf, nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// PutMark writes into b[:4] the mark of a record that is one fragment: b[4:].
func PutMark(b []byte) { PutMarkBefore(b, 0) }

// PutMarkBefore is PutMark for a record of which further bytes follow b.
func PutMarkBefore(b []byte, more int) {
	binary.BigEndian.PutUint32(b, uint32(len(b)-4+more)|LastFragment)
}
