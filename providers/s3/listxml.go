package s3

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/moorage/moorage/providers"
)

// rawPage is a ListBucketResult as it came: keys and prefixes in the encoding that
// it names.
type rawPage struct {
	name, prefix, encoding, next string
	truncated                    bool
	objects                      []listedObject
	dirs                         []string
}

// decodePage decodes a whole ListBucketResult. The AWS SDK takes longer for it,
// by encoding/xml, than a fast link does for its bytes, and keeps the processor
// from asking for the next page meanwhile. Errors: ErrProtocol.
func decodePage(b []byte) (*rawPage, error) {
	r, p := newXMLReader(b), &rawPage{}
	if !r.next(0) || string(r.name) != "ListBucketResult" {
		r.fail("no ListBucketResult")
	}
	for r.next(1) {
		switch string(r.name) {
		case "Name":
			p.name = r.text()
		case "Prefix":
			p.prefix = r.text()
		case "EncodingType":
			p.encoding = r.text()
		case "NextContinuationToken":
			p.next = r.text()
		case "IsTruncated":
			p.truncated = valueOf(r, strconv.ParseBool)
		case "Contents":
			p.objects = append(p.objects, decodeListed(r))
		case "CommonPrefixes":
			for r.next(2) {
				if string(r.name) == "Prefix" {
					p.dirs = append(p.dirs, r.text())
				}
			}
		}
	}
	for r.token() != xmlOver { // there must be nothing behind it
	}
	if r.err != nil {
		return nil, fmt.Errorf("%w: %w", providers.ErrProtocol, r.err)
	}
	return p, nil
}

// listed is the page as the answer to q. Errors: ErrProtocol.
func (p *rawPage) listed(q listing) (*listed, error) {
	decode := func(s string) (string, bool) {
		if p.encoding != string(types.EncodingTypeUrl) {
			return s, true
		}
		d, err := url.QueryUnescape(s)
		return d, err == nil
	}
	bad := func(what string) (*listed, error) { return nil, fmt.Errorf("%w: %s", providers.ErrProtocol, what) }
	if prefix, ok := decode(p.prefix); p.name == "" || !ok || prefix != q.prefix {
		return bad("the answer is no listing of this bucket")
	}
	l := &listed{objects: p.objects, dirs: p.dirs}
	if p.truncated {
		if p.next == "" || len(p.next) > maxToken || p.next == q.token {
			return bad("a listing that cannot go on")
		}
		l.next = p.next
	}
	for i := range l.objects {
		key, ok := decode(l.objects[i].key)
		if !ok || len(key) > maxKey || !strings.HasPrefix(key, q.prefix) {
			return bad("a listing with a key that was not asked for")
		}
		l.objects[i].key = key
	}
	for i := range l.dirs {
		key, ok := decode(l.dirs[i])
		if !ok || len(key) > maxKey || !strings.HasPrefix(key, q.prefix) || !strings.HasSuffix(key, "/") {
			return bad("a listing with a prefix that was not asked for")
		}
		l.dirs[i] = key
	}
	return l, nil
}

func decodeListed(r *xmlReader) listedObject {
	o := listedObject{size: -1}
	for r.next(2) {
		switch string(r.name) {
		case "Key":
			o.key = r.text()
		case "ETag":
			o.etag = r.text()
		case "Size":
			o.size = valueOf(r, func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) })
		case "LastModified":
			o.modified = valueOf(r, func(s string) (time.Time, error) { return time.Parse(time.RFC3339, s) }).UTC()
		}
	}
	return o
}

// valueOf is the text of the element that was begun last as a value.
func valueOf[T any](r *xmlReader, parse func(string) (T, error)) T {
	v, err := parse(strings.TrimSpace(r.text()))
	if err != nil {
		r.fail("no such value")
	}
	return v
}
