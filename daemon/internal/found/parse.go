package found

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// maxSections bounds what is taken of one file.
const maxSections = 1000

// section is a part of a configuration file, as those of the AWS tools and of rclone.
type section struct {
	name string
	keys map[string]string
}

// secretKeys are those whose values are not even taken over.
var secretKeys = []string{"aws_secret_access_key", "aws_session_token", "secret_access_key", "session_token", "pass", "password", "token", "client_secret", "sse_customer_key"}

// parseINI reads "[section]" and "key = value" lines. Lines that are neither, or are
// indented, are left out; a file that rclone has encrypted has no sections then.
func parseINI(b []byte) []section {
	if !utf8.Valid(b) {
		return nil
	}
	var all []section
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, "\r\n \t")
		switch {
		case line == "", strings.ContainsAny(line[:1], "#; \t"):
		case line[0] == '[':
			name, _, ok := strings.Cut(line[1:], "]")
			if !ok || len(all) == maxSections {
				return all
			}
			all = append(all, section{strings.TrimSpace(name), map[string]string{}})
		default:
			key, value, ok := strings.Cut(line, "=")
			key = strings.ToLower(strings.TrimSpace(key))
			if ok && len(all) > 0 && !slices.Contains(secretKeys, key) {
				all[len(all)-1].keys[key] = strings.TrimSpace(value)
			}
		}
	}
	return all
}

// remote is a remote of a clone.
type remote struct{ name, url string }

// gitRemotes reads the [remote "name"] sections of a git configuration file, as
// git-config(1) describes it, as far as they have an address. What they include is
// not read.
func gitRemotes(b []byte) []remote {
	if !utf8.Valid(b) {
		return nil
	}
	var all []remote
	name, in := "", false
	lines := slices.Collect(strings.Lines(string(b)))
	for i := 0; i < len(lines) && len(all) < maxSections; i++ {
		line := strings.TrimSpace(lines[i])
		if strings.HasPrefix(line, "[") {
			name, line, in = gitSection(line)
			line = strings.TrimSpace(line)
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || !in || !strings.EqualFold(strings.TrimSpace(key), "url") {
			continue
		}
		for strings.HasSuffix(value, `\`) && i+1 < len(lines) {
			i++
			value = strings.TrimSuffix(value, `\`) + strings.TrimRight(lines[i], "\r\n")
		}
		if v, ok := gitValue(value); ok && v != "" && !slices.ContainsFunc(all, func(r remote) bool { return r.name == name }) {
			all = append(all, remote{name, v}) // the first one is fetched from
		}
	}
	return all
}

// gitSection reads [remote "name"]; in is false for all others. rest is what follows.
func gitSection(line string) (name, rest string, in bool) {
	head, rest, ok := cutOutside(line[1:], ']')
	if !ok {
		return "", "", false
	}
	kind, sub, ok := strings.Cut(strings.TrimSpace(head), `"`)
	if !ok || !strings.EqualFold(strings.TrimSpace(kind), "remote") || !strings.HasSuffix(sub, `"`) {
		return "", rest, false
	}
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(strings.TrimSuffix(sub, `"`)), rest, true
}

// cutOutside cuts s at the first sep that is not in quotes.
func cutOutside(s string, sep byte) (before, after string, found bool) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

// gitValue takes quotes, escapes and comments out of a value.
func gitValue(s string) (string, bool) {
	var b strings.Builder
	quoted, kept := false, 0 // bytes before blanks at the end
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '"':
			quoted = !quoted
			continue
		case !quoted && (c == '#' || c == ';'):
			return b.String()[:kept], true
		case !quoted && (c == ' ' || c == '\t'):
			if b.Len() > 0 {
				b.WriteByte(c)
			}
			continue
		case c == '\\':
			if i++; i == len(s) {
				return "", false
			}
			switch s[i] {
			case 'n':
				c = '\n'
			case 't':
				c = '\t'
			case 'b':
				c = '\b'
			case '\\', '"':
				c = s[i]
			default:
				return "", false
			}
		}
		b.WriteByte(c)
		kept = b.Len()
	}
	return b.String()[:kept], !quoted
}
