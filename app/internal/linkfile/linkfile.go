// Package linkfile reads the files in which desktops keep a link: .url of Windows,
// .webloc of macOS and .desktop of Linux.
package linkfile

import (
	"encoding/xml"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// MaxSize is the number of bytes up to which a file can be one of a link.
const MaxSize = 64 << 10

// maxAddress is how long an address may be, in bytes.
const maxAddress = 4096

// ErrNone says that a file is none of a link.
var ErrNone = errors.New("no file of a link")

// Is reports whether a file can be one, by its name.
func Is(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".url", ".webloc", ".desktop":
		return true
	}
	return false
}

// Address gives the address that a file with that name and content leads to, in one
// line. The error is ErrNone.
func Address(name string, b []byte) (string, error) {
	if len(b) > MaxSize {
		return "", ErrNone
	}
	address := ""
	switch strings.ToLower(filepath.Ext(name)) {
	case ".url":
		address = keyIn(b, "InternetShortcut", "URL", nil)
	case ".desktop":
		address = keyIn(b, "Desktop Entry", "URL", func(keys map[string]string) bool { return keys["Type"] == "Link" })
	case ".webloc":
		if strings.HasPrefix(string(b), binaryMagic) {
			address = binaryURL(b)
		} else {
			address = xmlURL(b)
		}
	}
	if address = strings.TrimSpace(address); address == "" || len(address) > maxAddress || !utf8.ValidString(address) || strings.ContainsFunc(address, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", ErrNone
	}
	return address, nil
}

// keyIn reads a key of a section of a file of "[section]" and "key=value" lines; ok is
// asked whether the section is the right one.
func keyIn(b []byte, section, key string, ok func(keys map[string]string) bool) string {
	keys, in := map[string]string{}, false
	for line := range strings.Lines(strings.TrimPrefix(string(b), "\ufeff")) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			if in {
				break // what follows is about something else
			}
			in = strings.EqualFold(line, "["+section+"]")
			continue
		}
		name, value, found := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if _, twice := keys[name]; in && found && !twice {
			keys[name] = strings.TrimSpace(value)
		}
	}
	if ok != nil && !ok(keys) {
		return ""
	}
	return keys[key]
}

// xmlURL reads the string that follows the key URL in a property list.
func xmlURL(b []byte) string {
	d := xml.NewDecoder(strings.NewReader(string(b)))
	d.CharsetReader = func(string, io.Reader) (io.Reader, error) { return nil, ErrNone }
	last, element := "", ""
	for {
		t, err := d.Token()
		if err != nil {
			return ""
		}
		switch t := t.(type) {
		case xml.StartElement:
			element = t.Name.Local
			if element == "string" && last == "URL" {
				var s string
				if d.DecodeElement(&s, &t) != nil {
					return ""
				}
				return s
			}
		case xml.CharData:
			if element == "key" {
				last = strings.TrimSpace(string(t))
			}
		case xml.EndElement:
			element = ""
		}
	}
}
