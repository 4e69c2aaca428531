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
	driveLine    = regexp.MustCompile(`^\s*\[\[\s*("drive"|'drive'|drive)\s*\]\]`)
	subLine      = regexp.MustCompile(`^\s*\[{1,2}\s*("drive"|'drive'|drive)\s*\.`)
	tableLine    = regexp.MustCompile(`^\s*\[`)
	settingsLine = regexp.MustCompile(`^\s*\[\s*("settings"|'settings'|settings)\s*\]`)
	idleLine     = regexp.MustCompile(`^\s*(#.*)?$`)
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
	doc, err := parse("", text)
	if err != nil {
		return nil, err
	}
	old := doc.Drive
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
		s, err := editBlock("[[drive]]\n", Drive{}, d)
		if err != nil {
			return nil, err
		}
		appendBlock(&out, s)
	}
	return out.Bytes(), nil
}

// appendBlock puts a block behind out, with an empty line between them.
func appendBlock(out *bytes.Buffer, s string) {
	if b := out.Bytes(); len(b) > 0 && b[len(b)-1] != '\n' {
		out.WriteString("\n")
	}
	out.WriteString("\n" + s)
}

// settingsBlock finds the table of the settings with its keys.
func settingsBlock(text []byte) (b block, found bool) {
	pos := 0
	for line := range bytes.Lines(text) {
		bare := bytes.TrimRight(line, "\r\n")
		next := pos + len(line)
		switch {
		case !found && settingsLine.Match(bare):
			b, found = block{pos, next}, true
		case found && tableLine.Match(bare):
			return b, found
		case found && !idleLine.Match(bare):
			b.end = next
		}
		pos = next
	}
	return b, found
}

// editSettings returns text with other settings, in the table that is there or a new one.
func editSettings(text []byte, was, s Settings) ([]byte, error) {
	if len(text) == 0 {
		text = []byte(header)
	}
	var out bytes.Buffer
	if b, ok := settingsBlock(text); ok {
		table, err := editValues(string(text[b.start:b.end]), s.values(was))
		if err != nil {
			return nil, err
		}
		out.Write(text[:b.start])
		out.WriteString(table)
		out.Write(text[b.end:])
		return out.Bytes(), nil
	}
	table, err := editValues("[settings]\n", s.values(Settings{}))
	if err != nil {
		return nil, err
	}
	out.Write(text)
	appendBlock(&out, table)
	return out.Bytes(), nil
}

func sameDrive(old, d Drive) bool {
	return old.ID == d.ID || old.Name == d.Name && old.URL == d.URL
}

// value is a key of a table. Only if it is needed a key is written that is not there.
type value struct {
	key      string
	old, now any
	needed   bool
}

func editBlock(s string, old, d Drive) (string, error) {
	return editValues(s, []value{
		{"id", old.ID, d.ID, true},
		{"name", old.Name, d.Name, true},
		{"url", old.URL, d.URL, true},
		{"dir", old.Dir, d.Dir, d.Dir != ""},
		{"read_only", old.ReadOnly, d.ReadOnly, d.ReadOnly},
		{"auto", old.Auto, d.Auto, d.Auto},
	})
}

// editValues changes those lines of a block whose values change. A new key goes
// behind the header and the keys before it.
func editValues(s string, values []value) (string, error) {
	lines := strings.SplitAfter(s, "\n")
	at := 1
	for _, k := range values {
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
			lines[found] = keep(lines[found], string(line))
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

// keep is line, which takes the place of old, with what old has around its key and
// value: its indentation and its comment.
func keep(old, line string) string {
	indent := old[:len(old)-len(strings.TrimLeft(old, " \t"))]
	bare := strings.TrimRight(old, "\r\n")
	return indent + strings.TrimRight(line, "\n") + comment(bare) + old[len(bare):]
}

// comment is the comment behind the value of a line, with the space before it.
func comment(line string) string {
	quote := rune(0)
	escaped := false
	for i, r := range line {
		switch {
		case escaped:
			escaped = false
		case quote == '"' && r == '\\':
			escaped = true
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '"' || r == '\'':
			quote = r
		case r == '#':
			return line[len(strings.TrimRight(line[:i], " \t")):]
		}
	}
	return ""
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
