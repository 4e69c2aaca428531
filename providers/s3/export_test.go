package s3

import (
	"time"

	"github.com/moorage/moorage/providers"
)

// SetSizes makes the sizes small at which uploads and copies go in parts.
func SetSizes(r *Remote, single, part, copy, copyPart int64) {
	r.limits.single, r.limits.part, r.limits.copy, r.limits.copyPart = single, part, copy, copyPart
}

// The decoders of what comes from outside.
var (
	DecodeCursor = func(s string) (string, error) {
		c, err := decodeCursor(s)
		return c.encode(), err
	}
	DecodeState = func(b []byte) ([]byte, error) {
		s, err := decodeState(b)
		if err != nil {
			return nil, err
		}
		return s.encode(), nil
	}
	DecodePage = func(b []byte) error {
		_, err := decodePage(b)
		return err
	}
	FormatTime = formatTime
	ParseTime  = parseTime
	ParseMode  = parseMode
)

// State is an upload's state, for fuzzing from something good.
func State(size, part uint64, etags ...string) []byte {
	s := uploadState{bucket: "bucket", key: "a/b", id: "upload", options: "1 100644", size: size, partSize: part, parts: etags}
	return s.encode()
}

// Cursor is a cursor, for the same.
func Cursor(token, last string, names ...string) string {
	c := cursor{token: token, last: last}
	for i, name := range names {
		c.held = append(c.held, held{name, providers.Entry{Mode: fileMode, Version: "etag", Size: int64(i), ModTime: time.Unix(int64(i), 1)}})
	}
	return c.encode()
}

// NewNetworkClient is the HTTP client that watches over t.
var NewNetworkClient = client

// StallTimeout is how long it waits for a byte.
const StallTimeout = stallTimeout

// SetPageSize is Options.PageSize for a Remote that is open.
func SetPageSize(r *Remote, n int) { r.o.PageSize = n }

// Texts are the names and texts of all elements of a document that have no
// elements, one after the other.
func Texts(b []byte) (all []string, err error) {
	r := newXMLReader(b)
	var name string
	var text []byte
	leaf := false
	for {
		switch r.token() {
		case xmlOver:
			return all, r.err
		case xmlBegin:
			name, text, leaf = string(r.name), nil, true
		case xmlText:
			text = append(text, r.piece...)
		case xmlEnd:
			if leaf {
				all = append(all, name, string(text))
			}
			text, leaf = nil, false
		}
	}
}
