// Package pktline reads and writes the frames of git's wire protocol
// (gitprotocol-common(5)), and the side-band that carries packs
// (gitprotocol-pack(5)).
package pktline

import (
	"errors"
	"fmt"
	"io"
)

// MaxPayload is the longest payload of a frame: 65520 with its length.
const MaxPayload = 65516

// ErrMalformed is wrapped by errors about frames that break the format.
var ErrMalformed = errors.New("malformed pkt-line")

// Kind tells what a frame is.
type Kind uint8

// The kinds of frames.
const (
	Data        Kind = iota
	Flush            // 0000
	Delim            // 0001
	ResponseEnd      // 0002
)

// RemoteError is what a server said was wrong: an ERR line, or side-band 3.
// Its text comes from outside and is cut to a line of 300 printable characters.
type RemoteError struct{ Message string }

func (e *RemoteError) Error() string { return "the server says: " + e.Message }

func newRemoteError(b []byte) *RemoteError {
	out := make([]rune, 0, 300)
	for _, r := range string(b) {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			r = ' '
		}
		if out = append(out, r); len(out) == 300 {
			break
		}
	}
	for len(out) > 0 && out[len(out)-1] == ' ' {
		out = out[:len(out)-1]
	}
	return &RemoteError{string(out)}
}

// Reader reads frames. It is not safe for concurrent use.
type Reader struct {
	r   io.Reader
	buf []byte
}

// NewReader reads frames from r, which does well to be buffered.
func NewReader(r io.Reader) *Reader { return &Reader{r: r} }

// Next reads a frame. The payload is valid until the next call. A line that
// starts with "ERR " is returned as a *RemoteError. At the end of the input,
// between frames, the error is io.EOF.
func (r *Reader) Next() (Kind, []byte, error) {
	k, b, err := r.NextRaw()
	if err == nil && len(b) >= 4 && string(b[:4]) == "ERR " {
		return 0, nil, newRemoteError(b[4:])
	}
	return k, b, err
}

// NextRaw is Next without a meaning for ERR: for frames of a side-band.
func (r *Reader) NextRaw() (Kind, []byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		return 0, nil, err
	}
	n := 0
	for _, c := range head {
		var d byte
		switch {
		case c >= '0' && c <= '9':
			d = c - '0'
		case c >= 'a' && c <= 'f':
			d = c - 'a' + 10
		case c >= 'A' && c <= 'F':
			d = c - 'A' + 10
		default:
			return 0, nil, fmt.Errorf("%w: length %q", ErrMalformed, head[:])
		}
		n = n<<4 | int(d)
	}
	switch {
	case n == 0:
		return Flush, nil, nil
	case n == 1:
		return Delim, nil, nil
	case n == 2:
		return ResponseEnd, nil, nil
	case n < 4 || n-4 > MaxPayload:
		return 0, nil, fmt.Errorf("%w: length %d", ErrMalformed, n)
	}
	n -= 4
	if cap(r.buf) < n {
		r.buf = make([]byte, max(n, 1024))
	}
	b := r.buf[:n]
	if _, err := io.ReadFull(r.r, b); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	return Data, b, nil
}

// Append appends a frame with that payload to b. A payload longer than
// [MaxPayload] is a mistake of the caller and panics.
func Append(b []byte, payload string) []byte {
	if len(payload) > MaxPayload {
		panic("pktline: payload too long")
	}
	return append(fmt.Appendf(b, "%04x", len(payload)+4), payload...)
}

// AppendFlush appends a flush frame.
func AppendFlush(b []byte) []byte { return append(b, "0000"...) }

// AppendDelim appends a delimiter frame.
func AppendDelim(b []byte) []byte { return append(b, "0001"...) }

// A server that works on a pack sends an empty frame every few seconds
// (uploadpack.keepAlive, 5 s) and may send progress. More of either in a row
// than this is no work but a way to keep us waiting.
const (
	maxKeepAlives = 240
	maxProgress   = 10_000
)

// Sideband gives the bytes of band 1 as a stream, up to the flush frame. Band 2
// (progress) is passed over, band 3 is a *RemoteError.
type Sideband struct {
	r     *Reader
	rest  []byte
	err   error
	empty int // frames of band 1 without a byte since the last with one
	talk  int // frames of band 2 since then
}

// NewSideband demultiplexes the frames of r.
func NewSideband(r *Reader) *Sideband { return &Sideband{r: r} }

func (s *Sideband) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		kind, b, err := s.r.NextRaw()
		switch {
		case err == io.EOF:
			s.err = io.ErrUnexpectedEOF
		case err != nil:
			s.err = err
		case kind == Flush || kind == ResponseEnd:
			s.err = io.EOF
		case kind != Data || len(b) == 0:
			s.err = fmt.Errorf("%w: no band", ErrMalformed)
		case b[0] == 1 && len(b) > 1:
			s.rest = b[1:]
			s.empty, s.talk = 0, 0
		case b[0] == 1:
			if s.empty++; s.empty > maxKeepAlives {
				s.err = fmt.Errorf("%w: nothing but keep-alives", ErrMalformed)
			}
		case b[0] == 2:
			if s.talk++; s.talk > maxProgress {
				s.err = fmt.Errorf("%w: nothing but progress", ErrMalformed)
			}
		case b[0] == 3:
			s.err = newRemoteError(b[1:])
		default:
			s.err = fmt.Errorf("%w: band %d", ErrMalformed, b[0])
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}
