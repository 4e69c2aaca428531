package object

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The modes of a tree entry that git writes. Older versions wrote others, of
// which [TreeEntry] keeps what matters: the type and the owner's execute bit.
const (
	ModeTree      = 0o040000
	ModeFile      = 0o100644
	ModeExec      = 0o100755
	ModeSymlink   = 0o120000
	ModeSubmodule = 0o160000
)

// TreeEntry is one line of a tree.
type TreeEntry struct {
	Mode uint32 // one of the modes above
	Name string // not empty, without '/' and NUL; nothing else is sure
	ID   ID
}

// ParseTree reads a tree. Entries keep their order. A name that is given twice
// is an error, as it is for git fsck.
func ParseTree(f Format, b []byte) ([]TreeEntry, error) {
	// The shortest entry is "40000 x\0" and an id.
	entries := make([]TreeEntry, 0, min(len(b)/(f.Size()+8)+1, 1<<16))
	seen := make(map[string]struct{}, cap(entries))
	for len(b) > 0 {
		space := bytes.IndexByte(b[:min(len(b), 8)], ' ')
		if space < 1 {
			return nil, fmt.Errorf("%w: tree: no mode", ErrMalformed)
		}
		raw, err := strconv.ParseUint(string(b[:space]), 8, 32)
		if err != nil {
			return nil, fmt.Errorf("%w: tree: mode %q", ErrMalformed, b[:space])
		}
		mode, ok := canonicalMode(uint32(raw))
		if !ok {
			return nil, fmt.Errorf("%w: tree: mode %o", ErrMalformed, raw)
		}
		b = b[space+1:]
		end := bytes.IndexByte(b, 0)
		if end < 0 || len(b) < end+1+f.Size() {
			return nil, fmt.Errorf("%w: tree: cut off", ErrMalformed)
		}
		name := string(b[:end])
		if name == "" || strings.IndexByte(name, '/') >= 0 {
			return nil, fmt.Errorf("%w: tree: name %.80q", ErrMalformed, name)
		}
		if _, twice := seen[name]; twice {
			return nil, fmt.Errorf("%w: tree: %.80q is there twice", ErrMalformed, name)
		}
		seen[name] = struct{}{}
		id, err := IDFromBytes(b[end+1 : end+1+f.Size()])
		if err != nil {
			return nil, err
		}
		entries = append(entries, TreeEntry{Mode: mode, Name: name, ID: id})
		b = b[end+1+f.Size():]
	}
	return entries, nil
}

func canonicalMode(m uint32) (uint32, bool) {
	switch m & 0o170000 {
	case ModeTree:
		return ModeTree, true
	case ModeSymlink:
		return ModeSymlink, true
	case ModeSubmodule:
		return ModeSubmodule, true
	case 0o100000:
		if m&0o100 != 0 {
			return ModeExec, true
		}
		return ModeFile, true
	}
	return 0, false
}

// AppendTree writes entries as git does, in the order they have.
func AppendTree(b []byte, entries []TreeEntry) []byte {
	for _, e := range entries {
		b = strconv.AppendUint(b, uint64(e.Mode), 8)
		b = append(b, ' ')
		b = append(b, e.Name...)
		b = append(b, 0)
		b = e.ID.AppendTo(b)
	}
	return b
}

// Commit is what a read-only drive needs of a commit.
type Commit struct {
	Tree ID
	Time time.Time // the committer's, in UTC; zero if it makes no sense
}

// ParseCommit reads the header of a commit.
func ParseCommit(f Format, b []byte) (Commit, error) {
	var c Commit
	for first := true; ; first = false {
		line, rest, ok := bytes.Cut(b, []byte{'\n'})
		if !ok || len(line) == 0 {
			break
		}
		b = rest
		key, value, _ := strings.Cut(string(line), " ")
		switch {
		case first:
			id, err := ParseID(value)
			if key != "tree" || err != nil || id.Format() != f {
				return c, fmt.Errorf("%w: commit: first line %.80q", ErrMalformed, line)
			}
			c.Tree = id
		case key == "committer":
			c.Time = signatureTime(value)
			return c, nil
		}
	}
	if c.Tree.IsZero() {
		return c, fmt.Errorf("%w: commit: no tree", ErrMalformed)
	}
	return c, nil
}

// Tag is what a drive needs of an annotated tag.
type Tag struct {
	Object ID
	Type   Type
	Time   time.Time // the tagger's, in UTC; zero if there is none
}

// ParseTag reads the header of an annotated tag.
func ParseTag(f Format, b []byte) (Tag, error) {
	var t Tag
	for i := 0; ; i++ {
		line, rest, ok := bytes.Cut(b, []byte{'\n'})
		if !ok || len(line) == 0 {
			break
		}
		b = rest
		key, value, _ := strings.Cut(string(line), " ")
		switch {
		case i == 0:
			id, err := ParseID(value)
			if key != "object" || err != nil || id.Format() != f {
				return t, fmt.Errorf("%w: tag: first line %.80q", ErrMalformed, line)
			}
			t.Object = id
		case i == 1:
			for _, k := range []Type{TypeCommit, TypeTree, TypeBlob, TypeTag} {
				if key == "type" && value == k.String() {
					t.Type = k
				}
			}
			if t.Type == 0 {
				return t, fmt.Errorf("%w: tag: second line %.80q", ErrMalformed, line)
			}
		case key == "tagger":
			t.Time = signatureTime(value)
			return t, nil
		}
	}
	if t.Type == 0 {
		return t, fmt.Errorf("%w: tag: no object", ErrMalformed)
	}
	return t, nil
}

// signatureTime finds the time in "Name <mail> 1700000000 +0100". The zone does
// not change the moment. Times that NFS and Go cannot both hold count as none.
func signatureTime(s string) time.Time {
	s = s[strings.LastIndexByte(s, '>')+1:]
	fields := strings.Fields(s)
	if len(fields) == 0 {
		return time.Time{}
	}
	sec, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil || sec <= 0 || sec > 1<<40 {
		return time.Time{}
	}
	return time.Unix(sec, 0).UTC()
}
