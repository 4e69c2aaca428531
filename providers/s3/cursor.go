package s3

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/moorage/moorage/providers"
)

// cursor says where a listing goes on.
type cursor struct {
	token string // of the store; never ""
	last  string // the last key of the page before
	held  []held
}

// held is an entry of an earlier page, of which a later one may tell that a
// directory hides it.
type held struct {
	rel string // as names gives it
	e   providers.Entry
}

const (
	maxToken    = 8 << 10 // bytes of a store's token
	maxHeld     = 8       // entries in a cursor
	cursorMagic = "3"
)

var errCursor = errors.New("malformed cursor")

// holdable reports whether an entry of a listing can be in a cursor.
func holdable(e providers.Entry) bool {
	return len(e.Version) <= maxETag && (e.ModTime.IsZero() || e.ModTime.UnixNano() > 0) && e.ModTime.Year() < 2200
}

// encode writes a cursor: the token, the last key, and of each entry that is
// held its path, version, size, time (nanoseconds since 1970, 0 for none) and
// kind (1 for a symbolic link). Texts have their length in front, numbers are
// varints.
func (c cursor) encode() string {
	b := []byte(cursorMagic)
	text := func(s string) { b = append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	text(c.token)
	text(c.last)
	for _, h := range c.held {
		text(h.rel)
		text(string(h.e.Version))
		b = binary.AppendUvarint(b, uint64(h.e.Size))
		nano, link := uint64(0), uint64(0)
		if !h.e.ModTime.IsZero() {
			nano = uint64(h.e.ModTime.UnixNano())
		}
		if h.e.Mode == linkMode {
			link = 1
		}
		b = binary.AppendUvarint(binary.AppendUvarint(b, nano), link)
	}
	return string(b)
}

// decodeCursor reads what encode writes, and nothing else.
func decodeCursor(s string) (cursor, error) {
	if len(s) == 0 || s[:1] != cursorMagic {
		return cursor{}, errCursor
	}
	d := decoder{b: []byte(s[1:])}
	c := cursor{token: d.text(maxToken), last: d.text(maxKey)}
	for len(d.b) > 0 && len(c.held) < maxHeld {
		h := held{rel: d.text(maxKey)}
		_, name := split(h.rel)
		h.e = providers.Entry{Name: name, Mode: fileMode, Version: providers.Version(d.text(maxETag)), Size: int64(d.number(1<<63 - 1))}
		if nano := d.number(1<<63 - 1); nano != 0 {
			h.e.ModTime = time.Unix(0, int64(nano)).UTC()
		}
		if d.number(1) == 1 {
			h.e.Mode = linkMode
		}
		if !shown(h.rel) || !holdable(h.e) {
			d.bad = true
		}
		c.held = append(c.held, h)
	}
	if d.bad || len(d.b) > 0 || c.token == "" || c.encode() != s {
		return cursor{}, errCursor
	}
	return c, nil
}
