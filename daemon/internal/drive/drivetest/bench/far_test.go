package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/moorage/moorage/daemon/internal/drive/drivetest/link"
	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/s3/s3test"
)

// far is a store behind a link.
type far struct {
	o      link.Options
	link   *link.Proxy
	bucket string
	near   *awss3.Client // not over the link
	sdk    *awss3.Client // over it
}

// newFar puts a store, whose login is that of s3test, behind a link.
func newFar(t testing.TB, endpoint, bucket string, o link.Options) *far {
	t.Helper()
	p, err := link.Listen(strings.TrimPrefix(endpoint, "http://"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	f := &far{o: o, link: p, bucket: bucket}
	f.near = client(endpoint, &http.Transport{MaxIdleConnsPerHost: 64})
	own := &http.Transport{MaxIdleConnsPerHost: 64, ReadBufferSize: 64 << 10, WriteBufferSize: 64 << 10}
	t.Cleanup(own.CloseIdleConnections)
	f.sdk = client(f.endpoint(), own)
	return f
}

// newStore starts a real store and puts it behind a link.
func newStore(t testing.TB, o link.Options) *far {
	t.Helper()
	s := s3test.Start(t)
	return newFar(t, s.Endpoint, s.Bucket(t), o)
}

func (f *far) endpoint() string { return "http://" + f.link.Addr() }

func client(endpoint string, over *http.Transport) *awss3.Client {
	return awss3.New(awss3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(endpoint), UsePathStyle: true, HTTPClient: &http.Client{Transport: over},
		Credentials:                credentials.NewStaticCredentialsProvider(s3test.AccessKeyID, s3test.SecretAccessKey, ""),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	})
}

// url is what a person calls the store.
func (f *far) url(t testing.TB) providers.URL {
	t.Helper()
	u, _, err := providers.ParseURL("s3://" + f.bucket + "/?endpoint=" + url.QueryEscape(f.endpoint()) + "&region=us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// rate is bytes a second as a share of what the link carries.
func (f *far) rate(n int64, took time.Duration) float64 {
	return float64(n) * 8 / took.Seconds() / float64(f.o.Rate)
}

// rtts is a time in round trips.
func (f *far) rtts(d time.Duration) float64 { return d.Seconds() / f.o.RTT.Seconds() }

// settle waits until nothing has come over the link for a while.
func (f *far) settle() {
	for last := f.link.Stats(); ; {
		time.Sleep(3 * f.o.RTT)
		now := f.link.Stats()
		if now == last {
			return
		}
		last = now
	}
}

// data are n bytes that no compression makes smaller, the same for the same seed.
func data(seed uint64, n int) []byte {
	b := make([]byte, n)
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

// give puts an object into the store, past the link. Large ones are the same
// bytes again and again.
func (f *far) give(t testing.TB, key string, size int64) {
	t.Helper()
	const part = 16 << 20
	if size <= part {
		if err := put(t.Context(), f.near, f.bucket, key, data(uint64(len(key)), int(size))); err != nil {
			t.Fatal(err)
		}
		return
	}
	b := data(1, part)
	if err := putParts(t.Context(), f.near, f.bucket, key, size, part, 2, func(i int, n int64) io.ReadSeeker { return bytes.NewReader(b[:n]) }); err != nil {
		t.Fatal(err)
	}
}

// catalog is a store that has nothing but a listing, in memory, which it gives as
// Amazon's does: versitygw takes longer for a page of a large folder than the
// link does. All its names are in one folder.
type catalog struct {
	folder string
	names  int

	rows map[string][]string // what the listing says of each name, by how it writes a slash

	mu    sync.Mutex
	pages int
}

func newCatalog(t testing.TB, folder string, names int, o link.Options) (*catalog, *far) {
	t.Helper()
	c := &catalog{folder: folder, names: names, rows: map[string][]string{}}
	for _, slash := range []string{"/", url.QueryEscape("/")} { // beforehand: it is not to take time from those that list
		for i := range names {
			c.rows[slash] = append(c.rows[slash], fmt.Sprintf("<Contents><Key>%s</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>&quot;%032x&quot;</ETag><Size>%d</Size><StorageClass>STANDARD</StorageClass></Contents>", folder+slash+c.name(i), i+1, i))
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: c}
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(l) })
	t.Cleanup(func() {
		s.Close()
		wg.Wait()
	})
	return c, newFar(t, "http://"+l.Addr().String(), "catalog", o)
}

// asked is how many pages of the folder were asked for.
func (c *catalog) asked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pages
}

func (c *catalog) name(i int) string { return fmt.Sprintf("name-%07d.txt", i) }

func (c *catalog) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("list-type") != "2" {
		http.Error(w, "", http.StatusNotFound)
		return
	}
	prefix, within := q.Get("prefix"), c.folder+"/"
	escape := func(s string) string { return s } // no name needs it in XML
	if q.Get("encoding-type") == "url" {
		escape = url.QueryEscape
	}
	limit := 1000
	_, _ = fmt.Sscan(q.Get("max-keys"), &limit)
	var b bytes.Buffer
	fmt.Fprintf(&b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>catalog</Name><Prefix>%s</Prefix><EncodingType>%s</EncodingType>", escape(prefix), q.Get("encoding-type"))
	switch {
	case prefix == within:
		from := 0
		if token := q.Get("continuation-token"); token != "" {
			_, _ = fmt.Sscan(token, &from)
		}
		to := min(from+limit, c.names)
		if limit > 1 {
			c.mu.Lock()
			c.pages++
			c.mu.Unlock()
		}
		if to < c.names {
			fmt.Fprintf(&b, "<NextContinuationToken>%d</NextContinuationToken>", to)
		}
		fmt.Fprintf(&b, "<KeyCount>%d</KeyCount><MaxKeys>%d</MaxKeys><Delimiter>%s</Delimiter><IsTruncated>%t</IsTruncated>", to-from, limit, escape(q.Get("delimiter")), to < c.names)
		for _, row := range c.rows[escape("/")][from:to] {
			b.WriteString(row)
		}
	case strings.HasPrefix(within, prefix):
		fmt.Fprintf(&b, "<KeyCount>1</KeyCount><MaxKeys>%d</MaxKeys><IsTruncated>false</IsTruncated><CommonPrefixes><Prefix>%s</Prefix></CommonPrefixes>", limit, escape(within))
	default:
		fmt.Fprintf(&b, "<KeyCount>0</KeyCount><MaxKeys>%d</MaxKeys><IsTruncated>false</IsTruncated>", limit)
	}
	b.WriteString("</ListBucketResult>")
	w.Header().Set("Content-Type", "application/xml")
	_, _ = w.Write(b.Bytes())
}

// counter counts requests by what they are.
type counter struct {
	http.RoundTripper

	mu sync.Mutex
	n  map[string]int
}

func newCounter(t testing.TB) *counter {
	own := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(own.CloseIdleConnections)
	return &counter{RoundTripper: own, n: map[string]int{}}
}

func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	kind := r.Method
	for _, k := range []string{"list-type", "uploads", "uploadId"} {
		if r.URL.Query().Has(k) {
			kind += " " + k
		}
	}
	c.mu.Lock()
	c.n[kind]++
	c.mu.Unlock()
	return c.RoundTripper.RoundTrip(r)
}

// take gives the counts and begins anew.
func (c *counter) take() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.n
	c.n = map[string]int{}
	return n
}

func total(counts map[string]int) (sum int) {
	for _, n := range counts {
		sum += n
	}
	return sum
}

// within bounds one measurement.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
