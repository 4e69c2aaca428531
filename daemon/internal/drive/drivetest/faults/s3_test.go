package faults

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/moorage/moorage/daemon/internal/drive/disk/disktest"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers/s3"
	"github.com/moorage/moorage/providers/s3/s3test"
)

// line is what is between a provider and a real S3 server. Requests go wrong on it
// as they are told to.
type line struct {
	inner http.RoundTripper

	mu    sync.Mutex
	asked []asked
	play  func(q *http.Request, next http.RoundTripper) (*http.Response, error) // nil: nothing goes wrong
}

// asked is a request that was sent.
type asked struct {
	op, key string
	at      time.Time
}

// newLine makes a line of connections that are used once: one that waited for its
// next use would keep the clock of a bubble from moving.
func newLine() *line { return &line{inner: &http.Transport{DisableKeepAlives: true}} }

func (l *line) RoundTrip(q *http.Request) (*http.Response, error) {
	op, key := operation(q)
	l.mu.Lock()
	l.asked = append(l.asked, asked{op, key, time.Now()})
	play := l.play
	l.mu.Unlock()
	if play == nil {
		return l.inner.RoundTrip(q)
	}
	return play(q, l.inner)
}

func (l *line) set(play func(q *http.Request, next http.RoundTripper) (*http.Response, error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.play = play
}

func (a asked) String() string { return a.op + " " + a.key }

// requests are those that were sent since a moment.
func (l *line) requests(since time.Time) (out []asked) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.asked {
		if !a.at.Before(since) {
			out = append(out, a)
		}
	}
	return out
}

// operation names what a request is for.
func operation(q *http.Request) (op, key string) {
	v := q.URL.Query()
	_, key, _ = strings.Cut(strings.TrimPrefix(q.URL.Path, "/"), "/")
	switch {
	case strings.Contains(key, ".moorage-probe-"):
		return "probe", key
	case v.Has("list-type"):
		return "list", v.Get("prefix")
	case v.Has("uploads"):
		return "begin", key
	case v.Has("partNumber"):
		return "part", key
	case v.Has("uploadId"):
		return map[string]string{"GET": "parts", "POST": "complete", "DELETE": "abort"}[q.Method], key
	case q.Method == http.MethodPut && q.Header.Get("X-Amz-Copy-Source") != "":
		return "copy", key
	}
	return map[string]string{"GET": "get", "HEAD": "head", "PUT": "put", "DELETE": "delete"}[q.Method], key
}

// answer is a response that no server sent.
func answer(q *http.Request, status int, body string, header ...string) *http.Response {
	res := &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: q,
		Header: http.Header{"Content-Length": {strconv.Itoa(len(body))}}, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)),
	}
	for i := 0; i < len(header); i += 2 {
		res.Header.Set(header[i], header[i+1])
	}
	if q.Method == http.MethodHead {
		res.Body = http.NoBody
	}
	return res
}

func s3Error(code string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><Error><Code>` + code + `</Code><Message>said the store</Message></Error>`
}

// whole reads the body of a request, so that it can be sent again.
func whole(q *http.Request) (*http.Request, []byte, error) {
	if q.Body == nil {
		return q, nil, nil
	}
	b, err := io.ReadAll(q.Body)
	if err != nil {
		return q, nil, err
	}
	again := q.Clone(q.Context())
	again.Body = io.NopCloser(bytes.NewReader(b))
	return again, b, q.Body.Close()
}

// errReset is what a connection gives that the other end reset.
var errReset = errors.New("read: connection reset by peer")

// silence is a connection on which nothing comes, until the transport gives it up.
func silence(ctx context.Context) error {
	t := time.NewTimer(30 * time.Second)
	defer t.Stop()
	select {
	case <-t.C:
		return errors.New("net/http: timeout awaiting response headers")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// cutBody is a body that ends in the middle.
type cutBody struct {
	io.ReadCloser
	ctx  context.Context
	left int
	end  func(context.Context) error
}

func (b *cutBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, b.end(b.ctx)
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// slowBody gives a byte a second.
type slowBody struct {
	io.ReadCloser
	ctx context.Context
}

func (b *slowBody) Read(p []byte) (int, error) {
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-t.C:
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	}
	return b.ReadCloser.Read(p[:min(len(p), 1)])
}

// shop is a bucket of a real S3 server.
type shop struct {
	srv    *s3test.Server
	bucket string
}

func newShop(t *testing.T, srv *s3test.Server) *shop { return &shop{srv, srv.Bucket(t)} }

// tree is what is in the bucket.
func (s *shop) tree() (tree, error) {
	out := tree{}
	root := filepath.Join(s.srv.Dir, s.bucket)
	err := filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		if err != nil || name == root {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		p := filepath.ToSlash(rel)
		if e.IsDir() {
			if p == ".sgwtmp" { // the server's own
				return fs.SkipDir
			}
			out[p+"/"] = ""
			return nil
		}
		b, err := os.ReadFile(name)
		out[p] = string(b)
		return err
	})
	return out, err
}

// put stores a file as any program would.
func (s *shop) put(t *testing.T, key, content string) {
	t.Helper()
	if _, err := s.srv.Client().PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &s.bucket, Key: &key, Body: strings.NewReader(content)}); err != nil {
		t.Fatal(err)
	}
}

// atShop has a drive over a bucket, with a line between, in a bubble.
func atShop(t *testing.T, s *shop, files tree, o s3.Options, run func(w *world, l *line)) {
	t.Helper()
	atShopAt(t, time.Now(), s, files, o, run) // the server looks at the clock
}

// atShopAt is atShop with another time in the bubble.
func atShopAt(t *testing.T, now time.Time, s *shop, files tree, o s3.Options, run func(w *world, l *line)) {
	t.Helper()
	for p, content := range files {
		s.put(t, p, content)
	}
	u := s.srv.URL(t, s.bucket, "")
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(now))
		l := newLine()
		o.Transport = l
		if o.Credentials == nil {
			o.Credentials = s.srv.Credentials
		}
		r, err := s3.Open(u, o)
		if err != nil {
			t.Fatal(err)
		}
		w := &world{t: t, shop: s, disk: disktest.New(1), cache: disktest.New(2), acked: files.clone(), theirs: tree{}, ids: map[string]nfs.ID{}, known: map[string]bool{}}
		w.o.Provider = r
		defer r.Close()
		defer w.close()
		w.open()
		run(w, l)
	})
}

// besides has a store hold a file where it has a folder, which this server cannot.
func besides(key string) trip {
	return func(q *http.Request, next http.RoundTripper) (*http.Response, error) {
		op, at := operation(q)
		if op == "head" && at == key {
			return answer(q, 200, "", "ETag", `"besides"`, "Last-Modified", "Tue, 01 Jul 2025 10:00:00 GMT", "Content-Length", "5"), nil
		}
		res, err := next.RoundTrip(q)
		if err != nil || op != "list" {
			return res, err
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			return nil, err
		}
		if v := q.URL.Query(); v.Get("prefix") == "" {
			entry := `<Contents><Key>` + key + `</Key><LastModified>2025-07-01T10:00:00.000Z</LastModified><ETag>"besides"</ETag><Size>5</Size></Contents></ListBucketResult>`
			b = bytes.Replace(b, []byte("</ListBucketResult>"), []byte(entry), 1)
		}
		out := answer(q, res.StatusCode, string(b))
		out.Header.Set("Content-Type", "application/xml")
		return out, nil
	}
}
