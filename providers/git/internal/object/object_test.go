package object

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestHashOf(t *testing.T) {
	// "git hash-object -t tree /dev/null" in both formats.
	if id := HashOf(SHA1, TypeTree, nil).String(); id != "4b825dc642cb6eb9a060e54bf8d69288fbee4904" {
		t.Error(id)
	}
	if id := HashOf(SHA256, TypeTree, nil).String(); id != "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321" {
		t.Error(id)
	}
}

func TestParseTree(t *testing.T) {
	raw := strings.Repeat("\x01", 20)
	for _, tc := range []struct {
		tree string
		mode uint32 // 0: malformed
	}{
		{"100644 a\x00" + raw, ModeFile}, {"100664 a\x00" + raw, ModeFile}, {"100755 a\x00" + raw, ModeExec}, {"100775 a\x00" + raw, ModeExec},
		{"40000 a\x00" + raw, ModeTree}, {"040000 a\x00" + raw, ModeTree}, {"120000 a\x00" + raw, ModeSymlink}, {"160000 a\x00" + raw, ModeSubmodule},
		{"10000 a\x00" + raw, 0}, {"200000 a\x00" + raw, 0}, {"999999 a\x00" + raw, 0}, {" a\x00" + raw, 0}, {"100644 \x00" + raw, 0},
		{"100644 a/b\x00" + raw, 0}, {"100644 a\x00" + raw[1:], 0}, {"100644 a", 0}, {"100644", 0}, {"x", 0},
		{"100644 a\x00" + raw + "100644 a\x00" + raw, 0}, {"100644 a\x00" + raw + "1", 0}, {"00000000100644 a\x00" + raw, 0},
	} {
		entries, err := ParseTree(SHA1, []byte(tc.tree))
		if tc.mode == 0 {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("%q: %v, %v", tc.tree, entries, err)
			}
		} else if err != nil || len(entries) != 1 || entries[0].Mode != tc.mode || entries[0].Name != "a" {
			t.Errorf("%q: %v, %v", tc.tree, entries, err)
		}
	}
}

func TestParseCommit(t *testing.T) {
	tree := strings.Repeat("a", 40)
	c, err := ParseCommit(SHA1, []byte("tree "+tree+"\nparent "+tree+"\nauthor A <a@b> 1 +0000\ncommitter B > <c@d> 1700000000 -0730\n\ncommitter X <x> 5 +0000\n"))
	if err != nil || c.Tree.String() != tree || !c.Time.Equal(time.Unix(1700000000, 0)) {
		t.Errorf("%+v, %v", c, err)
	}
	for _, s := range []string{"-1", "99999999999999999999", "x", ""} {
		if c, err := ParseCommit(SHA1, []byte("tree "+tree+"\ncommitter A <a> "+s+"\n\n")); err != nil || !c.Time.IsZero() {
			t.Errorf("time %q: %+v, %v", s, c, err)
		}
	}
	for _, s := range []string{"", "\n", "tree x\n", "parent " + tree + "\ntree " + tree + "\n", "tree " + tree, "tree " + strings.Repeat("a", 64) + "\n"} {
		if _, err := ParseCommit(SHA1, []byte(s)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestLogEntry(t *testing.T) {
	tree, a, b := strings.Repeat("a", 40), strings.Repeat("b", 40), strings.Repeat("c", 40)
	head := "tree " + tree + "\nparent " + a + "\nparent " + b + "\nauthor Zoë \x1b[31mQ <z@example.org> 1700000000 +0100\n" +
		"committer C <c@example.org> 1700000100 -0500\ngpgsig -----BEGIN\n parent " + a + "\n -----END\n\n"
	e, err := ParseLogEntry(SHA1, []byte(head+"\n  Fix the\tfirst\u202e thing \xff\n\nparent of all\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Parents) != 2 || e.Parents[0].String() != a || e.Parents[1].String() != b {
		t.Errorf("parents %v", e.Parents)
	}
	if e.Author != "Zoë [31mQ" || e.Subject != "Fix the first thing �" {
		t.Errorf("author %q, subject %q", e.Author, e.Subject)
	}
	if e.Authored.Unix() != 1700000000 || e.Time.Unix() != 1700000100 {
		t.Errorf("authored %v, committed %v", e.Authored, e.Time)
	}
	if e, err = ParseLogEntry(SHA1, []byte(head+strings.Repeat("ü", 5000))); err != nil || len(e.Subject) > maxSubject || !strings.HasSuffix(e.Subject, "ü…") {
		t.Errorf("a long subject: %q, %v", e.Subject, err)
	}
	if e, err = ParseLogEntry(SHA1, []byte(head)); err != nil || e.Subject != "" {
		t.Errorf("no message: %q, %v", e.Subject, err)
	}
	for _, bad := range []string{"", "tree x\n", "author A <a> 1 +0000\n", "tree " + tree + tree[:24] + "\n", "tree " + tree + "\nparent " + a[1:] + "\n",
		"tree " + tree + "\n" + strings.Repeat("parent "+a+"\n", maxParents+1)} {
		if e, err := ParseLogEntry(SHA1, []byte(bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%.60q: %+v, %v", bad, e, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	id := strings.Repeat("a", 40)
	f.Add([]byte("100644 a\x00" + strings.Repeat("\x01", 20) + "40000 b\x00" + strings.Repeat("\x02", 20)))
	f.Add([]byte("100755 a\x00" + strings.Repeat("\x01", 32)))
	f.Add([]byte("tree " + id + "\ncommitter A <a> 1700000000 +0100\n\nm\n"))
	f.Add([]byte("tree " + id + "\nparent " + id + "\nauthor Ä <a@b> 1700000000 +0100\ncommitter A <a> 1700000001 +0100\ngpgsig a\n b\n\n\n sub\x1b\u202eject\n\nbody\n"))
	f.Add([]byte("object " + id + "\ntype commit\ntag v\ntagger A <a> 1700000000 +0100\n\nm\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, format := range []Format{SHA1, SHA256} {
			if entries, err := ParseTree(format, b); err == nil {
				again := AppendTree(nil, entries)
				// Old modes and leading zeros are written as git writes them today.
				second, err := ParseTree(format, again)
				if err != nil || fmt.Sprint(second) != fmt.Sprint(entries) || (len(again) == len(b) && canonical(b, entries) && !bytes.Equal(again, b)) {
					t.Fatalf("%q → %v → %q, %v", b, entries, again, err)
				}
			}
			if c, err := ParseCommit(format, b); err == nil && c.Tree.Format() != format {
				t.Fatalf("%q: %v", b, c)
			} else if err == nil {
				if id, err := ParseID(c.Tree.String()); err != nil || id != c.Tree {
					t.Fatal(id, err)
				}
			}
			if e, err := ParseLogEntry(format, b); err == nil && (len(e.Subject) > maxSubject || len(e.Author) > maxAuthor || !utf8.ValidString(e.Subject+e.Author) ||
				strings.ContainsAny(e.Subject+e.Author, "\n\r\t\x1b\u202e") || len(e.Parents) > maxParents) {
				t.Fatalf("%q: %+v", b, e)
			}
			if tag, err := ParseTag(format, b); err == nil && (tag.Object.Format() != format || tag.Type == 0) {
				t.Fatalf("%q: %v", b, tag)
			}
		}
	})
}

// canonical tells whether b has only modes that git writes.
func canonical(b []byte, entries []TreeEntry) bool {
	for _, e := range entries {
		prefix := fmt.Sprintf("%o %s\x00", e.Mode, e.Name)
		if !bytes.HasPrefix(b, []byte(prefix)) {
			return false
		}
		b = b[len(prefix)+e.ID.Format().Size():]
	}
	return true
}
