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
	base    bool     // matched against the last element of a path
	plain   bool     // without wildcards
	attrs   []string // those that may say something about filters
}

// MaxAttributes bounds a .gitattributes file, in bytes.
const MaxAttributes = 1 << 20

const (
	maxLine  = 2048     // longer lines are ignored, by git too
	maxRules = 10_000   // that say something about filters
	maxWild  = 32 << 10 // bytes of all patterns with wildcards, which take time to match
)

// ParseAttributes reads a .gitattributes file. Lines that make no sense are
// passed over, as git does.
func ParseAttributes(b []byte) *Attributes {
	a := &Attributes{macros: make(map[string]string)}
	wild := 0
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
		r := rule{pattern: strings.TrimPrefix(pattern, "/"), base: !strings.Contains(pattern, "/")}
		for _, f := range attrs {
			// A word without a value may be a macro that the root's file defines.
			if strings.HasPrefix(strings.TrimLeft(f, "-!"), "filter") || !strings.ContainsAny(f, "=-!") {
				r.attrs = append(r.attrs, f)
			}
		}
		if r.plain = !strings.ContainsAny(r.pattern, `*?[\`); !r.plain {
			wild += len(r.pattern)
		}
		if len(r.attrs) > 0 && wild <= maxWild {
			a.rules = append(a.rules, r)
		}
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
			if r.plain && r.pattern != name || !r.plain && !wildmatch(r.pattern, name) {
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
// slashes, "**" as a whole element does not. It follows all ways to match at once,
// since patterns come from outside and trying one after the other may take for
// ever: the effort is the product of the lengths.
func wildmatch(p, s string) bool {
	at := make([]bool, len(s)+1) // the prefixes of s that p up to i matches
	next := make([]bool, len(s)+1)
	at[0] = true
	for i := 0; i < len(p); {
		clear(next)
		n := 1
		switch c := p[i]; c {
		case '*':
			for i+n < len(p) && p[i+n] == '*' {
				n++
			}
			deep := n == 2 && (i == 0 || p[i-1] == '/') && (i+n == len(p) || p[i+n] == '/')
			folders := deep && i+n < len(p)
			if folders {
				n++ // "**/" is any number of folders, also none
			}
			begun := false
			for j := range next {
				switch {
				case folders:
					next[j] = at[j] || (begun && s[j-1] == '/')
				case j > 0 && (deep || s[j-1] != '/'):
					next[j] = at[j] || next[j-1]
				default:
					next[j] = at[j]
				}
				begun = begun || at[j]
			}
		case '?':
			for j := range len(s) {
				next[j+1] = at[j] && s[j] != '/'
			}
		case '[':
			in, end, ok := class(p, i+1)
			if !ok {
				return false
			}
			n = end + 1 - i
			for j := range len(s) {
				next[j+1] = at[j] && s[j] != '/' && in(s[j])
			}
		default:
			if c == '\\' {
				if n = 2; i+1 == len(p) {
					return false
				}
				c = p[i+1]
			}
			for j := range len(s) {
				next[j+1] = at[j] && s[j] == c
			}
		}
		i += n
		at, next = next, at
	}
	return at[len(s)]
}

// class reads what follows "[" at i, and returns the test for a byte and the index
// of the closing bracket.
func class(p string, i int) (in func(byte) bool, end int, ok bool) {
	var set [256]bool
	negated := i < len(p) && (p[i] == '!' || p[i] == '^')
	if negated {
		i++
	}
	for first := true; i < len(p); first = false {
		if p[i] == ']' && !first {
			return func(c byte) bool { return set[c] != negated }, i, true
		}
		if strings.HasPrefix(p[i:], "[:") {
			if e := strings.Index(p[i:], ":]"); e > 0 {
				for c := range set {
					set[c] = set[c] || posixClass(p[i+2:i+e], byte(c))
				}
				i += e + 2
				continue
			}
		}
		lo := p[i]
		if lo == '\\' && i+1 < len(p) {
			i++
			lo = p[i]
		}
		hi := lo
		i++
		if i+1 < len(p) && p[i] == '-' && p[i+1] != ']' {
			i++
			if hi = p[i]; hi == '\\' && i+1 < len(p) {
				i++
				hi = p[i]
			}
			i++
		}
		for c := int(lo); c <= int(hi); c++ {
			set[c] = true
		}
	}
	return nil, 0, false
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
