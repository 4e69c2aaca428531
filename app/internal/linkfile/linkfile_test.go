package linkfile

import (
	"errors"
	"strings"
	"testing"
)

const xmlLink = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>
	<key>Title</key><string>no</string>
	<key>URL</key>
	<string>https://h/r?a=b&amp;c</string>
</dict></plist>
`

// bplist is a binary property list of one dictionary with the key URL.
func bplist(kind byte, url []byte, n int) []byte {
	b := []byte("bplist00\xd1\x01\x02\x53URL")
	at := len(b)
	b = append(b, kind<<4|0xf, 0x10, byte(n))
	b = append(b, url...)
	table := len(b)
	b = append(b, 8, 11, byte(at))
	trailer := make([]byte, 32)
	trailer[6], trailer[7], trailer[15], trailer[31] = 1, 1, 3, byte(table)
	return append(b, trailer...)
}

func TestAddress(t *testing.T) {
	const url = "https://github.com/o/r"
	wide := []byte{}
	for _, c := range []byte(url) {
		wide = append(wide, 0, c)
	}
	for _, c := range []struct{ name, text, want string }{
		{"a.url", "[InternetShortcut]\r\nURL=" + url + "\r\nIconIndex=0\r\n", url},
		{"a.URL", "\ufeff[{000214A0-0000-0000-C000-000000000046}]\nURL=x\n[internetshortcut]\nURL = " + url + "\n[Other]\nURL=y\n", url},
		{"b.url", "[DEFAULT]\nBASEURL=x\n[InternetShortcut]\nURL=" + url, url},
		{"c.url", "URL=" + url, ""},
		{"a.desktop", "#!/usr/bin/env xdg-open\n[Desktop Entry]\nType=Link\nURL=" + url + "\nName=x\n", url},
		{"b.desktop", "[Desktop Entry]\nType=Application\nExec=sh\nURL=" + url + "\n", ""},
		{"a.webloc", xmlLink, "https://h/r?a=b&c"},
		{"b.webloc", "<plist><dict><key>url</key><string>x</string></dict></plist>", ""},
		{"c.webloc", string(bplist(5, []byte(url), len(url))), url},
		{"d.webloc", string(bplist(6, wide, len(url))), url},
		{"e.webloc", string(bplist(6, wide, 200)), ""},
		{"a.txt", "[InternetShortcut]\nURL=" + url, ""},
		{"d.url", "[InternetShortcut]\nURL=a\x01b\n", ""},
		{"e.url", "[InternetShortcut]\nURL=" + strings.Repeat("x", 5000), ""},
		{"f.url", strings.Repeat("\n", MaxSize) + "[InternetShortcut]\nURL=x", ""},
	} {
		got, err := Address(c.name, []byte(c.text))
		if got != c.want || (err == nil) != (c.want != "") || err != nil && !errors.Is(err, ErrNone) {
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.want)
		}
	}
}

func FuzzAddress(f *testing.F) {
	f.Add("a.url", []byte("[InternetShortcut]\r\nURL=https://h\r\n"))
	f.Add("a.desktop", []byte("[Desktop Entry]\nType=Link\nURL=https://h\n"))
	f.Add("a.webloc", []byte(xmlLink))
	f.Add("a.webloc", bplist(5, []byte("https://h"), 9))
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		s, err := Address(name, b)
		if (err == nil) != (s != "") || len(s) > maxAddress || strings.ContainsAny(s, "\n\r\x00") {
			t.Errorf("%q, %v", s, err)
		}
	})
}
