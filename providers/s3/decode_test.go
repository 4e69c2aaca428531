package s3_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/s3"
)

func FuzzCursor(f *testing.F) {
	f.Add("")
	f.Add(s3.Cursor("token", "a/b"))
	f.Add(s3.Cursor("with:colon 7", ""))
	f.Add(s3.Cursor("token", "a/c", "a/b", "a/c"))
	f.Add("3\x01xkey")
	f.Add("3\xff\xff\xff\xff\xff\x01x")
	f.Fuzz(func(t *testing.T, s string) {
		if again, err := s3.DecodeCursor(s); err == nil && again != s {
			t.Errorf("%q decodes and encodes to %q", s, again)
		}
	})
}

func FuzzUploadState(f *testing.F) {
	const md5 = "0123456789abcdef0123456789abcdef"
	f.Add([]byte{})
	f.Add(s3.State(10, 4, "", md5, "other-1"))
	f.Add(s3.State(1<<50, 1<<40))
	f.Add(bytes.Replace(s3.State(10, 4, "", "", ""), []byte{10, 4}, []byte{0xff, 0xff, 0xff, 0xff, 0x7f, 1}, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		if again, err := s3.DecodeState(b); err == nil && !bytes.Equal(again, b) {
			t.Errorf("%x decodes and encodes to %x", b, again)
		}
	})
}

func TestUploadState(t *testing.T) {
	good := s3.State(10, 4, "", "0123456789abcdef0123456789abcdef", "other-1")
	if b, err := s3.DecodeState(good); err != nil || !bytes.Equal(b, good) {
		t.Errorf("a good state: %v", err)
	}
	for i := range good {
		if _, err := s3.DecodeState(good[:i]); err == nil {
			t.Errorf("%d bytes of a state are taken for one", i)
		}
	}
	if _, err := s3.DecodeState(append(bytes.Clone(good), 0)); err == nil {
		t.Error("a state with more behind it is taken for one")
	}
}

func TestTimes(t *testing.T) {
	for _, tt := range []struct {
		text string
		time time.Time
	}{
		{"0", time.Unix(0, 0)}, {"1", time.Unix(1, 0)}, {"1614834367.123456789", time.Unix(1614834367, 123456789)},
		{"1614834367.5", time.Unix(1614834367, 5e8)}, {"-0.5", time.Unix(-1, 5e8)}, {"-1", time.Unix(-1, 0)},
		{"-1.000000001", time.Unix(-2, 999999999)}, {"1614834367.000000001", time.Unix(1614834367, 1)},
	} {
		if got := s3.FormatTime(tt.time); got != tt.text {
			t.Errorf("%v is written %q, want %q", tt.time, got, tt.text)
		}
		if got, ok := s3.ParseTime(tt.text); !ok || !got.Equal(tt.time) {
			t.Errorf("%q is read as %v, %v, want %v", tt.text, got, ok, tt.time)
		}
	}
	if got, ok := s3.ParseTime("1.1234567899999"); !ok || !got.Equal(time.Unix(1, 123456789)) {
		t.Errorf("more decimals than a time has: %v, %v", got, ok)
	}
	for _, s := range []string{"", "-", ".", "1.", ".5", "+1", "1e9", "0x1", "1 ", "1.-5", "99999999999999999999", "--1", "1." + strings.Repeat("0", 40), "٣"} {
		if got, ok := s3.ParseTime(s); ok {
			t.Errorf("%q is read as %v", s, got)
		}
	}
	for s, want := range map[string]uint32{"100644": 0o644, "644": 0o644, "0100755": 0o755, "104755": 0o755} {
		if m, ok := s3.ParseMode(s); !ok || uint32(m) != want {
			t.Errorf("mode %q is read as %v, %v", s, m, ok)
		}
	}
	for _, s := range []string{"", "0", "100000", "8", "-1", "77777777777"} {
		if m, ok := s3.ParseMode(s); ok {
			t.Errorf("mode %q is read as %v", s, m)
		}
	}
}

// texts is what s3.Texts gives, by encoding/xml.
func texts(b []byte) (all []string, err error) {
	d := xml.NewDecoder(bytes.NewReader(b))
	var name string
	var text []byte
	leaf := false
	for {
		token, err := d.Token()
		if err != nil {
			if err == io.EOF {
				err = nil
			}
			return all, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			name, text, leaf = token.Name.Local, nil, true
		case xml.CharData:
			text = append(text, token...)
		case xml.EndElement:
			if leaf {
				all = append(all, name, string(text))
			}
			text, leaf = nil, false
		}
	}
}

const aPage = `<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix>a%2F</Prefix><EncodingType>url</EncodingType>` +
	`<NextContinuationToken>1&amp;=</NextContinuationToken><KeyCount>2</KeyCount><IsTruncated>true</IsTruncated><Delimiter/>` +
	`<Contents><Key>a%2Fx+y</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>&quot;0&#x30;&quot;</ETag><Size>7</Size></Contents>` +
	`<CommonPrefixes><Prefix>a%2Fd%2F</Prefix></CommonPrefixes></ListBucketResult>`

func FuzzPage(f *testing.F) {
	f.Add([]byte(aPage))
	f.Add([]byte("<a:b c='>'><!-- - --><![CDATA[<x>&amp;]]>\r\n&lt;</a:b>\n"))
	f.Add([]byte("<a><b/>x<b></b ></a>"))
	f.Add([]byte("<ListBucketResult><Contents><Size>-1</Size></Contents></ListBucketResult>"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := s3.DecodePage(b); err != nil && !errors.Is(err, providers.ErrProtocol) {
			t.Errorf("%q: %v", b, err)
		}
		got, err := s3.Texts(b)
		want, xerr := texts(b)
		if err == nil && xerr == nil && !slices.Equal(got, want) {
			t.Errorf("%q is read as %q, and by encoding/xml as %q", b, got, want)
		}
	})
}

func TestPageThatIsNone(t *testing.T) {
	if err := s3.DecodePage([]byte(aPage)); err != nil {
		t.Fatal(err)
	}
	for name, page := range map[string]string{
		"nothing":          "",
		"cut off":          aPage[:len(aPage)-1],
		"half":             aPage[:len(aPage)/2],
		"more":             aPage + "<x/>",
		"text behind":      aPage + "x",
		"another document": "<html></html>",
		"an error":         s3Error("InternalError", "x"),
		"not UTF-8":        strings.Replace(aPage, "a%2Fx", "\xff", 1),
		"another encoding": strings.Replace(aPage, "UTF-8", "UTF-16", 1),
		"type declaration": "<!DOCTYPE x [<!ENTITY a 'b'>]>" + strings.TrimPrefix(aPage, `<?xml version="1.0" encoding="UTF-8"?>`),
		"unknown entity":   strings.Replace(aPage, "&amp;", "&a;", 1),
		"crossed elements": strings.Replace(aPage, "</Size></Contents>", "</Contents></Size>", 1),
		"no size":          strings.Replace(aPage, "<Size>7", "<Size>x", 1),
		"no time":          strings.Replace(aPage, "2026-01", "2026-21", 1),
		"too deep":         "<ListBucketResult>" + strings.Repeat("<a>", 100) + strings.Repeat("</a>", 100) + "</ListBucketResult>",
	} {
		if err := s3.DecodePage([]byte(page)); !errors.Is(err, providers.ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
