package config

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

const header = `# The drives that Moorage remembers. You may edit this file; the service reads
# it when it starts. Secrets are not here: they are in the keyring.
version = 1
`

// block is the byte range of one [[drive]] with its keys and subtables,
// without the comments and blank lines that follow.
type block struct{ start, end int }

var (
	driveLine = regexp.MustCompile(`^\s*\[\[\s*("drive"|'drive'|drive)\s*\]\]`)
	subLine   = regexp.MustCompile(`^\s*\[{1,2}\s*("drive"|'drive'|drive)\s*\.`)
	tableLine = regexp.MustCompile(`^\s*\[`)
	idleLine  = regexp.MustCompile(`^\s*(#.*)?$`)
)

// split finds the blocks of text. It reads lines, not TOML: a multi-line
// string can mislead it, which write notices.
func split(text []byte) (blocks []block) {
	in := false
	pos := 0
	for line := range bytes.Lines(text) {
		bare := bytes.TrimRight(line, "\r\n")
		next := pos + len(line)
		switch {
		case driveLine.Match(bare):
			blocks = append(blocks, block{pos, next})
			in = true
		case in && subLine.Match(bare):
			blocks[len(blocks)-1].end = next
		case tableLine.Match(bare):
			in = false
		case in && !idleLine.Match(bare):
			blocks[len(blocks)-1].end = next
		}
		pos = next
	}
	return blocks
}

// edit returns text with its drives turned into drives: those with a known id are
// changed where they stand, others are taken out or appended.
func edit(text []byte, drives []Drive) ([]byte, error) {
	old, err := parse("", text)
	if err != nil {
		return nil, err
	}
	blocks := split(text)
	if len(blocks) != len(old) {
		return nil, ErrForm
	}
	if len(text) == 0 {
		text = []byte(header)
	}
	// The i-th drive of the old list stays if the new list still has it. A drive
	// that had no id is known by its name.
	var out bytes.Buffer
	pos, used := 0, 0
	for i, b := range blocks {
		out.Write(text[pos:b.start])
		pos = b.end
		if used < len(drives) && sameDrive(old[i], drives[used]) {
			s, err := editBlock(string(text[b.start:b.end]), old[i], drives[used])
			if err != nil {
				return nil, err
			}
			out.WriteString(s)
			used++
		}
	}
	out.Write(text[pos:])
	for _, d := range drives[used:] {
		if s := out.String(); s != "" && !strings.HasSuffix(s, "\n") {
			out.WriteString("\n")
		}
		s, err := editBlock("[[drive]]\n", Drive{}, d)
		if err != nil {
			return nil, err
		}
		out.WriteString("\n" + s)
	}
	return out.Bytes(), nil
}

func sameDrive(old, d Drive) bool {
	return old.ID == d.ID || old.Name == d.Name && old.URL == d.URL
}

// editBlock changes those lines of a block whose values change. A new key goes
// behind the header and the keys before it.
func editBlock(s string, old, d Drive) (string, error) {
	lines := strings.SplitAfter(s, "\n")
	at := 1
	for _, k := range []struct {
		key      string
		old, now any
		needed   bool
	}{
		{"id", old.ID, d.ID, true},
		{"name", old.Name, d.Name, true},
		{"url", old.URL, d.URL, true},
		{"dir", old.Dir, d.Dir, d.Dir != ""},
		{"read_only", old.ReadOnly, d.ReadOnly, d.ReadOnly},
		{"auto", old.Auto, d.Auto, d.Auto},
	} {
		found := findKey(lines, k.key)
		if found > 0 {
			at = found + 1
		}
		if k.old == k.now || found < 0 && !k.needed {
			continue
		}
		line, err := toml.Marshal(map[string]any{k.key: k.now})
		if err != nil {
			return "", fmt.Errorf("encode %s: %w", k.key, err)
		}
		if found > 0 {
			lines[found] = string(line)
			continue
		}
		if !strings.HasSuffix(lines[at-1], "\n") {
			lines[at-1] += "\n"
		}
		lines = append(lines[:at], append([]string{string(line)}, lines[at:]...)...)
		at++
	}
	return strings.Join(lines, ""), nil
}

// findKey returns the line of key before any subtable, or -1.
func findKey(lines []string, key string) int {
	for i, l := range lines[1:] {
		l = strings.TrimSpace(l)
		if strings.HasPrefix(l, "[") {
			break
		}
		k, _, ok := strings.Cut(l, "=")
		if ok && strings.Trim(strings.TrimSpace(k), `"'`) == key {
			return i + 1
		}
	}
	return -1
}
