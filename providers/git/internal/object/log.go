package object

import (
	"bytes"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// LogEntry is what a list of commits tells of one.
type LogEntry struct {
	Parents  []ID
	Author   string    // the name, in one line; "" if there is none
	Authored time.Time // in UTC; zero if it makes no sense
	Time     time.Time // the committer's, likewise
	Subject  string    // the first line of the message
}

// What is kept of a commit. Git knows no bounds; a merge of more than a thousand is
// none that anybody made by hand.
const (
	maxParents = 1024
	maxAuthor  = 128 // bytes
	maxSubject = 256 // bytes
)

// ParseLogEntry reads a commit for a list.
func ParseLogEntry(f Format, b []byte) (LogEntry, error) {
	var e LogEntry
	for i := 0; ; i++ {
		line, rest, ok := bytes.Cut(b, []byte{'\n'})
		if i == 0 {
			id, err := ParseID(strings.TrimPrefix(string(line), "tree "))
			if !bytes.HasPrefix(line, []byte("tree ")) || err != nil || id.Format() != f {
				return e, fmt.Errorf("%w: commit: first line %.80q", ErrMalformed, line)
			}
		}
		b = rest
		if !ok || len(line) == 0 {
			break
		}
		key, value, _ := bytes.Cut(line, []byte{' '})
		switch string(key) {
		case "parent":
			id, err := ParseID(string(value))
			if err != nil || id.Format() != f || len(e.Parents) == maxParents {
				return e, fmt.Errorf("%w: commit: parent %.80q", ErrMalformed, value)
			}
			e.Parents = append(e.Parents, id)
		case "author":
			name, _, _ := bytes.Cut(value, []byte{'<'})
			e.Author, e.Authored = oneLine(name, maxAuthor), signatureTime(string(value))
		case "committer":
			e.Time = signatureTime(string(value))
		}
	}
	for len(b) > 0 && e.Subject == "" {
		var line []byte
		line, b, _ = bytes.Cut(b, []byte{'\n'})
		e.Subject = oneLine(line, maxSubject)
	}
	return e, nil
}

// oneLine is b as text that may be shown: valid, without anything that moves the
// cursor or turns the direction of writing, of at most so many bytes.
func oneLine(b []byte, most int) string {
	cut := len(b) > 4*most
	if cut {
		b = b[:4*most]
	}
	s := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsGraphic(r):
			return -1 // control characters, and those of format (Cf), such as U+202E
		}
		return r
	}, strings.ToValidUTF8(string(b), "�"))
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= most && !cut {
		return s
	}
	s = s[:min(len(s), most-len("…"))]
	for len(s) > 0 && !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return strings.TrimRight(s, " ") + "…"
}
