package s3

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
)

// uploadState is what it takes to go on with an upload.
type uploadState struct {
	bucket   string
	key      string
	id       string   // of the upload, as the store gave it; never ""
	options  string   // what the object is stored with
	size     uint64   // bytes of the file
	partSize uint64   // of all parts but the last; never 0
	parts    []string // ETags by number less one; "": not there yet. As many as size and partSize make
}

// The encoding: the magic, then the strings and numbers in order, then one
// ETag per part. Lengths and numbers are uvarints. An ETag is its length and
// bytes, or 255 and 16 bytes if it is the hexadecimal form of these.
const (
	stateMagic = "moorage s3 upload 1\n"
	maxID      = 4 << 10 // bytes
	maxOptions = 1 << 10
	maxETag    = 128
	maxParts   = 10_000
	maxFile    = 1 << 50
	etagMD5    = 255
)

var errState = errors.New("malformed state of an upload")

// numParts is how many parts a file has.
func numParts(size, partSize uint64) uint64 { return (size + partSize - 1) / partSize }

func (s *uploadState) encode() []byte {
	b := []byte(stateMagic)
	for _, t := range []string{s.bucket, s.key, s.id, s.options} {
		b = binary.AppendUvarint(b, uint64(len(t)))
		b = append(b, t...)
	}
	b = binary.AppendUvarint(b, s.size)
	b = binary.AppendUvarint(b, s.partSize)
	for _, e := range s.parts {
		if raw, ok := rawMD5(e); ok {
			b = append(b, etagMD5)
			b = append(b, raw...)
			continue
		}
		b = append(b, byte(len(e)))
		b = append(b, e...)
	}
	return b
}

// rawMD5 gives the bytes of an ETag that is a plain MD5 sum.
func rawMD5(etag string) ([]byte, bool) {
	if len(etag) != 32 || strings.Trim(etag, "0123456789abcdef") != "" {
		return nil, false
	}
	raw, err := hex.DecodeString(etag)
	return raw, err == nil
}

// decodeState reads what encode writes, and nothing else.
func decodeState(b []byte) (*uploadState, error) {
	rest, ok := bytes.CutPrefix(b, []byte(stateMagic))
	if !ok {
		return nil, errState
	}
	d := decoder{b: rest}
	s := &uploadState{bucket: d.text(255), key: d.text(maxKey), id: d.text(maxID), options: d.text(maxOptions)}
	s.size, s.partSize = d.number(maxFile), d.number(maxFile)
	if d.bad || s.id == "" || s.partSize == 0 {
		return nil, errState
	}
	n := numParts(s.size, s.partSize)
	if n == 0 || n > maxParts || n > uint64(len(d.b)) {
		return nil, errState
	}
	s.parts = make([]string, n)
	for i := range s.parts {
		s.parts[i] = d.etag()
	}
	if d.bad || len(d.b) != 0 || !bytes.Equal(s.encode(), b) {
		return nil, errState
	}
	return s, nil
}

// decoder takes values off the front of b. After something malformed, bad is
// set and everything is empty.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) number(most uint64) uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > most {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	t := d.b[:n]
	d.b = d.b[n:]
	return t
}

func (d *decoder) text(most uint64) string { return string(d.take(d.number(most))) }

func (d *decoder) etag() string {
	switch n := d.take(1); {
	case len(n) == 0:
		return ""
	case n[0] == etagMD5:
		return hex.EncodeToString(d.take(16))
	case n[0] > maxETag:
		d.bad, d.b = true, nil
		return ""
	default:
		return string(d.take(uint64(n[0])))
	}
}
