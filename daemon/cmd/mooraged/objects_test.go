package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// objects is a store of as many objects as there have to be: what it has of each
// is made up from its number. It can be listed and read, and checks no signature.
type objects struct {
	keys  int
	key   func(i int) string // in their order
	size  func(i int) int64
	lists atomic.Int64  // how often it was listed
	delay time.Duration // before an object is answered
}

// objectTime is when all objects came.
var objectTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// address starts the store and gives the drive's URL.
func (b *objects) address(t *testing.T) string {
	srv := httptest.NewServer(b)
	t.Cleanup(srv.Close)
	return "s3://id:secret@bucket?endpoint=" + url.QueryEscape(srv.URL)
}

// ServeHTTP answers ListObjectsV2, HeadObject and GetObject, in path style.
func (b *objects) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	key, ok := strings.CutPrefix(q.URL.Path, "/bucket")
	switch key = strings.TrimPrefix(key, "/"); {
	case !ok || q.Method != http.MethodGet && q.Method != http.MethodHead:
		w.WriteHeader(http.StatusNotImplemented)
	case key == "":
		b.list(w, q.URL.Query())
	default:
		i := b.find(key)
		if i == b.keys || b.key(i) != key {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		time.Sleep(b.delay)
		w.Header().Set("ETag", etag(i))
		w.Header().Set("Content-Type", "binary/octet-stream")
		http.ServeContent(w, q, "", objectTime, &made{b: b, i: i})
	}
}

// find is the number of the first key that is not before key.
func (b *objects) find(key string) int {
	return sort.Search(b.keys, func(i int) bool { return b.key(i) >= key })
}

func etag(i int) string { return fmt.Sprintf("%q", fmt.Sprintf("%032x", i)) }

type objectsList struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	Name, Prefix          string
	KeyCount, MaxKeys     int
	Delimiter             string
	EncodingType          string
	IsTruncated           bool
	NextContinuationToken string `xml:",omitempty"`
	Contents              []listedObject
	CommonPrefixes        []listedPrefix
}

type listedObject struct {
	Key, LastModified, ETag string
	Size                    int64
	StorageClass            string
}

type listedPrefix struct{ Prefix string }

func (b *objects) list(w http.ResponseWriter, q url.Values) {
	b.lists.Add(1)
	l := objectsList{Name: "bucket", Prefix: q.Get("prefix"), MaxKeys: 1000, Delimiter: q.Get("delimiter"), EncodingType: "url"}
	if n, err := strconv.Atoi(q.Get("max-keys")); err == nil {
		l.MaxKeys = n
	}
	i := b.find(l.Prefix)
	if token := q.Get("continuation-token"); token != "" {
		i, _ = strconv.Atoi(token)
	}
	for i < b.keys && l.KeyCount < l.MaxKeys {
		key := b.key(i)
		rest, ok := strings.CutPrefix(key, l.Prefix)
		if !ok {
			i = b.keys
			break
		}
		l.KeyCount++
		if n := strings.Index(rest, l.Delimiter); l.Delimiter != "" && n >= 0 {
			dir := l.Prefix + rest[:n+1]
			l.CommonPrefixes = append(l.CommonPrefixes, listedPrefix{url.QueryEscape(dir)})
			i = b.find(dir + "\xff")
			continue
		}
		l.Contents = append(l.Contents, listedObject{url.QueryEscape(key), objectTime.Format(time.RFC3339), etag(i), b.size(i), "STANDARD"})
		i++
	}
	if i < b.keys && strings.HasPrefix(b.key(i), l.Prefix) {
		l.IsTruncated, l.NextContinuationToken = true, strconv.Itoa(i)
	}
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(l) // who asked may be gone
}

// made is the content of an object: at each place a byte that both tell.
type made struct {
	b   *objects
	i   int
	off int64
}

func madeByte(i int, off int64) byte { return byte(i*7) ^ byte(off) ^ byte(off>>8) ^ byte(off>>16) }

func (m *made) Read(p []byte) (int, error) {
	left := m.b.size(m.i) - m.off
	if left <= 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), left)]
	for j := range p {
		p[j] = madeByte(m.i, m.off+int64(j))
	}
	m.off += int64(len(p))
	return len(p), nil
}

func (m *made) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		off += m.off
	case io.SeekEnd:
		off += m.b.size(m.i)
	}
	if off < 0 {
		return 0, errors.New("before the start")
	}
	m.off = off
	return off, nil
}
