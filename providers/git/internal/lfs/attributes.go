package lfs

import (
	"path"
	"strings"
)

// Attributes are the lines of one .gitattributes file that say something about
// filters (gitattributes(5)).
type Attributes struct {
	rules  []rule
	macros map[string]string // attribute → filter that it stands for
}

type rule struct {
	pattern string
	base    bool // matched against the last element of a path
	attrs   []string
}

// MaxAttributes bounds a .gitattributes file, as git does, in bytes.
const MaxAttributes = 100 << 20

const (
	maxLine  = 2048 // longer lines are ignored, by git too
	maxRules = 100_000
)

// ParseAttributes reads a .gitattributes file. Lines that make no sense are
// passed over, as git does.
func ParseAttributes(b []byte) *Attributes {
	a := &Attributes{macros: make(map[string]string)}
	for line := range strings.Lines(string(b)) {
		line = strings.Trim(line, " \t\r\n")
		if line == "" || line[0] == '#' || len(line) > maxLine || len(a.rules) >= maxRules {
			continue
		}
		var pattern, rest string
		if line[0] == '"' {
			var ok bool
			if pattern, rest, ok = unquote(line); !ok {
				continue
			}
		} else if i := strings.IndexAny(line, " \t"); i > 0 {
			pattern, rest = line[:i], line[i:]
		} else {
			continue
		}
		attrs := strings.Fields(rest)
		if name, ok := strings.CutPrefix(pattern, "[attr]"); ok {
			for _, f := range attrs {
				if v, ok := strings.CutPrefix(f, "filter="); ok {
					a.macros[name] = v
				}
			}
			continue
		}
		if strings.HasPrefix(pattern, "!") || strings.HasSuffix(pattern, "/") {
			continue // forbidden, and about folders
		}
		r := rule{pattern: strings.TrimPrefix(pattern, "/"), base: !strings.Contains(pattern, "/"), attrs: attrs}
		a.rules = append(a.rules, r)
	}
	return a
}

// unquote reads a C-style string at the start of a line.
func unquote(line string) (pattern, rest string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(line); i++ {
		switch c := line[i]; c {
		case '"':
			return b.String(), line[i+1:], true
		case '\\':
			i++
			if i == len(line) {
				return "", "", false
			}
			if e := strings.IndexByte("abtnvfr", line[i]); e >= 0 {
				b.WriteByte("\a\b\t\n\v\f\r"[e])
			} else if line[i] >= '0' && line[i] <= '3' && i+2 < len(line) {
				b.WriteByte((line[i]-'0')<<6 | (line[i+1]-'0')&7<<3 | (line[i+2]-'0')&7)
				i += 2
			} else {
				b.WriteByte(line[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}

// Level is a .gitattributes file and the folder that it lies in ("" is the root).
type Level struct {
	Dir        string
	Attributes *Attributes
}

// Filter is the filter attribute of the file at p, "" if it has none. levels are
// the files of its folders, root first: the deeper one decides, and in a file the
// later line. Macros count where the root's file defines them.
func Filter(levels []Level, p string) string {
	filter := ""
	var macros map[string]string
	for _, l := range levels {
		if l.Dir == "" {
			macros = l.Attributes.macros
		}
	}
	for _, l := range levels {
		rel := p
		if l.Dir != "" {
			rel = strings.TrimPrefix(p, l.Dir+"/")
		}
		for _, r := range l.Attributes.rules {
			name := rel
			if r.base {
				name = path.Base(rel)
			}
			if !wildmatch(r.pattern, name) {
				continue
			}
			for _, a := range r.attrs {
				switch {
				case strings.HasPrefix(a, "filter="):
					filter = a[len("filter="):]
				case a == "-filter" || a == "!filter" || a == "filter":
					filter = ""
				case macros[a] != "":
					filter = macros[a]
				}
			}
		}
	}
	return filter
}

// wildmatch matches as git's wildmatch does with WM_PATHNAME: "*" and "?" stop at
// slashes, "**" as a whole element does not. Its effort is bounded: patterns and
// names come from outside, and the plain recursion takes exponential time.
func wildmatch(pattern, name string) bool {
	m := matcher{seen: make(map[[2]int]bool), p: pattern, s: name}
	return m.match(0, 0)
}

type matcher struct {
	p, s string
	seen map[[2]int]bool // positions that are known not to match
}

func (m *matcher) match(i, j int) bool {
	key := [2]int{i, j}
	if m.seen[key] {
		return false
	}
	ok := m.step(i, j)
	if !ok {
		m.seen[key] = true
	}
	return ok
}

func (m *matcher) step(i, j int) bool {
	for ; i < len(m.p); i++ {
		switch c := m.p[i]; c {
		case '?':
			if j == len(m.s) || m.s[j] == '/' {
				return false
			}
			j++
		case '*':
			return m.star(i, j)
		case '[':
			end, ok := m.class(i, j)
			if !ok {
				return false
			}
			i = end
			j++
		case '\\':
			if i++; i == len(m.p) {
				return false
			}
			if j == len(m.s) || m.s[j] != m.p[i] {
				return false
			}
			j++
		default:
			if j == len(m.s) || m.s[j] != c {
				return false
			}
			j++
		}
	}
	return j == len(m.s)
}

func (m *matcher) star(i, j int) bool {
	end := i
	for end < len(m.p) && m.p[end] == '*' {
		end++
	}
	whole := end-i == 2 && (i == 0 || m.p[i-1] == '/') && (end == len(m.p) || m.p[end] == '/')
	if whole && end < len(m.p) && m.match(end+1, j) {
		return true // "**/" is also nothing
	}
	for ; ; j++ {
		if m.match(end, j) {
			return true
		}
		if j == len(m.s) || (!whole && m.s[j] == '/') {
			return false
		}
	}
}

// class matches "[...]" at i with the byte at j, and returns where it ends.
func (m *matcher) class(i, j int) (end int, ok bool) {
	if j == len(m.s) || m.s[j] == '/' {
		return 0, false
	}
	c := m.s[j]
	k := i + 1
	negated := k < len(m.p) && (m.p[k] == '!' || m.p[k] == '^')
	if negated {
		k++
	}
	found := false
	for first := true; k < len(m.p); first = false {
		if m.p[k] == ']' && !first {
			return k, found != negated
		}
		if strings.HasPrefix(m.p[k:], "[:") {
			if e := strings.Index(m.p[k:], ":]"); e > 0 {
				found = found || posixClass(m.p[k+2:k+e], c)
				k += e + 2
				continue
			}
		}
		lo := m.p[k]
		if lo == '\\' && k+1 < len(m.p) {
			k++
			lo = m.p[k]
		}
		hi := lo
		k++
		if k+1 < len(m.p) && m.p[k] == '-' && m.p[k+1] != ']' {
			k++
			if hi = m.p[k]; hi == '\\' && k+1 < len(m.p) {
				k++
				hi = m.p[k]
			}
			k++
		}
		found = found || (lo <= c && c <= hi)
	}
	return 0, false
}

func posixClass(name string, c byte) bool {
	digit := c >= '0' && c <= '9'
	lower := c >= 'a' && c <= 'z'
	upper := c >= 'A' && c <= 'Z'
	switch name {
	case "digit":
		return digit
	case "lower":
		return lower
	case "upper":
		return upper
	case "alpha":
		return lower || upper
	case "alnum":
		return lower || upper || digit
	case "space":
		return strings.IndexByte(" \t\n\v\f\r", c) >= 0
	case "blank":
		return c == ' ' || c == '\t'
	case "xdigit":
		return digit || (c|0x20 >= 'a' && c|0x20 <= 'f')
	case "punct":
		return c > ' ' && c < 0x7f && !digit && !lower && !upper
	case "print":
		return c >= ' ' && c < 0x7f
	case "graph":
		return c > ' ' && c < 0x7f
	case "cntrl":
		return c < ' ' || c == 0x7f
	}
	return false
}
