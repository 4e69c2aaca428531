package s3

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// cursor says where a listing goes on.
type cursor struct {
	token string // of the store; never ""
	last  string // the last key of the page before
}

const maxToken = 8 << 10 // bytes of a store's token

var errCursor = errors.New("malformed cursor")

// encode writes a cursor as "1 LENGTH:TOKEN" and the key.
func (c cursor) encode() string {
	return "1 " + strconv.Itoa(len(c.token)) + ":" + c.token + c.last
}

// decodeCursor reads what encode writes, and nothing else.
func decodeCursor(s string) (cursor, error) {
	rest, ok := strings.CutPrefix(s, "1 ")
	length, rest, colon := strings.Cut(rest, ":")
	n, err := strconv.ParseUint(length, 10, 16)
	if !ok || !colon || err != nil || n == 0 || n > maxToken || uint64(len(rest)) < n || len(rest)-int(n) > maxKey {
		return cursor{}, errCursor
	}
	c := cursor{token: rest[:n], last: rest[n:]}
	if c.encode() != s {
		return cursor{}, fmt.Errorf("%w: not in its only form", errCursor)
	}
	return c, nil
}
