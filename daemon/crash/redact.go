package crash

import (
	"log/slog"
	"regexp"
	"strings"
)

// hidden stands where something was that might be a secret.
const hidden = "(hidden)"

var (
	// userInfo is what stands before the host of a URL, query what stands after its path.
	userInfo = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^\s/@"']+@`)
	query    = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://[^\s?"']*)\?[^\s"']+`)
	// named is a value behind a name that says what it is.
	named = regexp.MustCompile(`(?i)\b(authorization|password|passwd|secret|token|api[-_]?key|cookie|bearer|basic)\b(["']?\s*[:=]\s*|\s+)(?:(?:bearer|basic)\s+)?["']?[^\s"',;)}\]]+`)
	// random is a word that only a program can have made up.
	random = regexp.MustCompile(`[A-Za-z0-9+/_=-]{20,}`)
	// firstStack begins the part of a crash in which there are no strings.
	firstStack = regexp.MustCompile(`(?m)^goroutine [0-9]+ .*\[.*\]:$`)
)

// Redact hides what a text may hold of secrets: logins and parameters of URLs, and values
// behind names like "password".
func Redact(text string) string {
	text = userInfo.ReplaceAllString(text, "${1}"+hidden+"@")
	text = query.ReplaceAllString(text, "${1}?"+hidden)
	return named.ReplaceAllString(text, "${1}${2}"+hidden)
}

// redactTrace redacts what the runtime writes. A value that was thrown can be any text, so
// that words which look random are hidden, too. The stacks have names of functions,
// files and numbers only.
func redactTrace(trace string) string {
	value, stacks := trace, ""
	if at := firstStack.FindStringIndex(trace); at != nil {
		value, stacks = trace[:at[0]], trace[at[0]:]
	}
	value = random.ReplaceAllStringFunc(Redact(value), func(word string) string {
		if strings.ContainsAny(word, "0123456789") && strings.ContainsFunc(word, isLetter) {
			return hidden
		}
		return word
	})
	return value + stacks
}

func isLetter(r rune) bool { return 'a' <= r|0x20 && r|0x20 <= 'z' }

// RedactAttr is for the handler of a log (slog.HandlerOptions.ReplaceAttr).
func RedactAttr(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindString:
		if s := a.Value.String(); strings.Contains(s, "://") {
			a.Value = slog.StringValue(Redact(s))
		}
	case slog.KindAny:
		if err, ok := a.Value.Any().(error); ok && err != nil {
			a.Value = slog.StringValue(Redact(err.Error()))
		}
	}
	return a
}
