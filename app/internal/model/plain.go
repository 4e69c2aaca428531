package model

import (
	"strings"
	"unicode"
)

// Bounds of what is sent as a notification, in characters.
const (
	newsTitle = 64
	newsText  = 240
)

// Plain is n with nothing in it that a desktop could take for more than text.
// Names of files come from remotes, where others write too, and the toolkit puts
// them into a script of PowerShell on Windows, in which $(…) is run, and into
// markup on Linux.
func (n News) Plain() News {
	return News{plainText(n.Title, newsTitle), plainText(n.Text, newsText)}
}

func plainText(s string, most int) string {
	return cut(strings.Map(func(r rune) rune {
		switch {
		case r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)), strings.ContainsRune(" .,:;!?'()[]/@#%*+=_-~…–—·", r):
			return r
		case strings.ContainsRune("\"“”„‟", r):
			return '\''
		case r == '\\':
			return '/'
		case unicode.IsSpace(r):
			return ' '
		case r > unicode.MaxASCII && r != unicode.ReplacementChar && (unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)):
			return r
		}
		return '_'
	}, s), most)
}
