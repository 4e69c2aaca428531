package linkfile

import (
	"encoding/binary"
	"unicode/utf16"
)

const binaryMagic = "bplist00"

// binaryList is a binary property list: objects, the table of their places, and a
// trailer of 32 bytes.
type binaryList struct {
	b      []byte
	places []byte // of the objects, width bytes each
	width  int
	refs   int // bytes of a reference to an object
}

// binaryURL reads the string of the key URL of the dictionary that a binary property
// list is; "" if it is no such.
func binaryURL(b []byte) string {
	const trailer = 32
	if len(b) < len(binaryMagic)+trailer {
		return ""
	}
	t := b[len(b)-trailer:]
	body := b[:len(b)-trailer]
	l := binaryList{b: body, width: int(t[6]), refs: int(t[7])}
	count, top, table := binary.BigEndian.Uint64(t[8:]), binary.BigEndian.Uint64(t[16:]), binary.BigEndian.Uint64(t[24:])
	if l.width < 1 || l.width > 8 || l.refs < 1 || l.refs > 8 || table > uint64(len(body)) || count > uint64(len(body)) {
		return ""
	}
	l.places = body[table:]
	if uint64(len(l.places)) < count*uint64(l.width) {
		return ""
	}
	l.places = l.places[:count*uint64(l.width)]
	kind, n, rest := l.object(top)
	if kind != 0xd || uint64(len(rest)) < 2*n*uint64(l.refs) {
		return ""
	}
	for i := range n {
		if l.text(number(rest[i*uint64(l.refs):][:l.refs])) == "URL" {
			return l.text(number(rest[(n+i)*uint64(l.refs):][:l.refs]))
		}
	}
	return ""
}

// object gives the kind of object i, its count, and what follows that; kind 0 for none.
func (l binaryList) object(i uint64) (kind byte, n uint64, rest []byte) {
	if i >= uint64(len(l.places)/l.width) {
		return 0, 0, nil
	}
	at := number(l.places[i*uint64(l.width):][:l.width])
	if at >= uint64(len(l.b)) {
		return 0, 0, nil
	}
	kind, n, rest = l.b[at]>>4, uint64(l.b[at]&0xf), l.b[at+1:]
	if n == 0xf { // a number follows that says how many
		if len(rest) == 0 || rest[0]>>4 != 1 || rest[0]&0xf > 3 {
			return 0, 0, nil
		}
		size := 1 << (rest[0] & 0xf)
		if len(rest) < 1+size {
			return 0, 0, nil
		}
		n, rest = number(rest[1:1+size]), rest[1+size:]
	}
	if n > uint64(len(rest)) {
		return 0, 0, nil
	}
	return kind, n, rest
}

// text is object i, if it is a string.
func (l binaryList) text(i uint64) string {
	switch kind, n, rest := l.object(i); kind {
	case 5:
		return string(rest[:n])
	case 6:
		if 2*n > uint64(len(rest)) {
			return ""
		}
		units := make([]uint16, n)
		for i := range units {
			units[i] = binary.BigEndian.Uint16(rest[2*i:])
		}
		return string(utf16.Decode(units))
	}
	return ""
}

func number(b []byte) (n uint64) {
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n
}
