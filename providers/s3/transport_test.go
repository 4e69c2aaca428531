package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/s3"
)

// wire is an http.RoundTripper that counts and, where it is told to, answers
// or fails itself.
type wire struct {
	inner http.RoundTripper

	mu    sync.Mutex
	seen  []string // "GET key?query" without the host
	plays func(q *http.Request, next http.RoundTripper) (*http.Response, error)
}

func newWire() *wire { return &wire{inner: &http.Transport{MaxIdleConnsPerHost: 32}} }

func (w *wire) RoundTrip(q *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.seen = append(w.seen, describe(q))
	plays := w.plays
	w.mu.Unlock()
	if plays != nil {
		return plays(q, w.inner)
	}
	return w.inner.RoundTrip(q)
}

// describe names a request as the operation of S3, or as one of those that try
// what the store keeps to.
func describe(q *http.Request) string {
	v := q.URL.Query()
	switch {
	case strings.Contains(q.URL.Path, ".moorage-probe-"):
		return "Probe"
	case v.Has("list-type"):
		return "List"
	case v.Has("uploads"):
		return "Create"
	case v.Has("partNumber") && q.Header.Get("X-Amz-Copy-Source") != "":
		return "PartCopy"
	case v.Has("partNumber"):
		return "Part"
	case v.Has("uploadId"):
		return map[string]string{"GET": "ListParts", "POST": "Complete", "DELETE": "Abort"}[q.Method]
	case q.Method == "PUT" && q.Header.Get("X-Amz-Copy-Source") != "":
		return "Copy"
	}
	return map[string]string{"GET": "Get", "HEAD": "Head", "PUT": "Put", "DELETE": "Delete"}[q.Method]
}

func (w *wire) play(f func(q *http.Request, next http.RoundTripper) (*http.Response, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.plays = f
}

// take gives how often each operation was asked for since the last time.
func (w *wire) take() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := map[string]int{}
	for _, s := range w.seen {
		n[s]++
	}
	w.seen = nil
	return n
}

// answer is a response to q.
func answer(q *http.Request, status int, header map[string]string, body string) *http.Response {
	res := &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: q,
		Header: http.Header{}, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)),
	}
	for k, v := range header {
		res.Header.Set(k, v)
	}
	if res.Header.Get("Content-Length") == "" {
		res.Header.Set("Content-Length", strconv.Itoa(len(body)))
	}
	if q.Method == http.MethodHead {
		res.Body = http.NoBody
	}
	return res
}

func s3Error(code, message string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><Error><Code>` + code + `</Code><Message>` + message + `</Message></Error>`
}

// fake opens a bucket whose store is play.
func fake(t *testing.T, raw string, play func(q *http.Request) (*http.Response, error)) (*s3.Remote, *wire) {
	t.Helper()
	u, _, err := providers.ParseURL(raw)
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{plays: func(q *http.Request, _ http.RoundTripper) (*http.Response, error) {
		if q.Body != nil {
			if _, err := io.Copy(io.Discard, q.Body); err != nil {
				return nil, err
			}
			q.Body.Close()
		}
		return play(q)
	}}
	r, err := s3.Open(u, s3.Options{Transport: w, Credentials: func(context.Context) (s3.Credentials, error) {
		return s3.Credentials{AccessKeyID: "id", SecretAccessKey: topSecret}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r, w
}

const (
	topSecret = "never-to-be-seen"
	fakeURL   = "s3://bucket?endpoint=http://127.0.0.1:9&region=r"
)

var objectHeader = map[string]string{"ETag": `"v1"`, "Last-Modified": "Tue, 01 Jul 2025 10:00:00 GMT"}

func with(h map[string]string, more ...string) map[string]string {
	out := map[string]string{}
	for k, v := range h {
		out[k] = v
	}
	for i := 0; i < len(more); i += 2 {
		if more[i+1] == "" {
			delete(out, more[i])
			continue
		}
		out[more[i]] = more[i+1]
	}
	return out
}

// What a store answers a ranged read with is the range or an error.
func TestWrongAnswersToReads(t *testing.T) {
	const data = "0123456789"
	part := with(objectHeader, "Content-Range", "bytes 2-5/10")
	short := func(q *http.Request) (*http.Response, error) {
		return answer(q, 206, with(part, "Content-Length", "4"), "23"), nil
	}
	broken := func(q *http.Request) (*http.Response, error) {
		res := answer(q, 206, with(part, "Content-Length", "4"), "")
		res.Body = io.NopCloser(io.MultiReader(strings.NewReader("23"), errReader{}))
		return res, nil
	}
	respond := func(status int, h map[string]string, body string) func(q *http.Request) (*http.Response, error) {
		return func(q *http.Request) (*http.Response, error) { return answer(q, status, h, body), nil }
	}
	for name, tt := range map[string]struct {
		play func(q *http.Request) (*http.Response, error)
		want error // nil: the right bytes
	}{
		"right":            {respond(206, part, "2345"), nil},
		"everything":       {respond(200, objectHeader, data), providers.ErrProtocol},
		"as much as asked": {respond(200, objectHeader, data[:4]), providers.ErrProtocol},
		"another range":    {respond(206, with(part, "Content-Range", "bytes 1-4/10"), "1234"), providers.ErrProtocol},
		"another size":     {respond(206, with(part, "Content-Range", "bytes 2-5/11"), "2345"), providers.ErrProtocol},
		"no range":         {respond(206, objectHeader, "2345"), providers.ErrProtocol},
		"longer":           {respond(206, part, "23456"), providers.ErrProtocol},
		"shorter":          {respond(206, part, "23"), providers.ErrProtocol},
		"another version":  {respond(206, with(part, "ETag", `"v2"`), "2345"), providers.ErrChanged},
		"no version":       {respond(206, with(part, "ETag", ""), "2345"), providers.ErrProtocol},
		"error as data":    {respond(200, nil, s3Error("InternalError", "x")), providers.ErrProtocol},
		"portal":           {respond(200, map[string]string{"Content-Type": "text/html"}, "<html>log in</html>"), providers.ErrProtocol},
		"not found":        {respond(404, nil, s3Error("NoSuchKey", "gone")), providers.ErrNotExist},
		"changed":          {respond(412, nil, s3Error("PreconditionFailed", "no")), providers.ErrChanged},
		"body too short":   {short, io.ErrUnexpectedEOF},
		"body breaks":      {broken, providers.ErrOffline},
		"redirect":         {respond(302, map[string]string{"Location": "http://127.0.0.1:9/elsewhere"}, ""), providers.ErrProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := fake(t, fakeURL, tt.play)
			o, err := r.OpenEntry(t.Context(), "f", providers.Entry{Name: "f", Mode: 0o644, Size: int64(len(data)), Version: "v1"})
			if err != nil {
				t.Fatal(err)
			}
			b, err := readAll(t.Context(), o, 2, 4)
			switch {
			case tt.want == nil && (err != nil || string(b) != "2345"):
				t.Errorf("got %q, %v", b, err)
			case tt.want != nil && !errors.Is(err, tt.want):
				t.Errorf("got %q, %v, want %v", b, err, tt.want)
			case err != nil && !strings.HasPrefix("2345", string(b)):
				t.Errorf("before the error came %q", b)
			}
		})
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("connection reset by peer") }

func readAll(ctx context.Context, o providers.Object, off, n int64) ([]byte, error) {
	rc, err := o.ReadRange(ctx, off, n)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(rc)
	return b, errors.Join(err, rc.Close())
}

// Nothing but a listing of this bucket means that a folder is empty, and
// nothing but an answer of a store that an object is there or not.
func TestAbsenceIsNotBelievedLightly(t *testing.T) {
	for name, body := range map[string]string{
		"page":          "<html><body>log in</body></html>",
		"nothing":       "",
		"other xml":     "<ListAllMyBucketsResult></ListAllMyBucketsResult>",
		"other prefix":  "<ListBucketResult><Name>bucket</Name><Prefix>other/</Prefix><KeyCount>0</KeyCount></ListBucketResult>",
		"foreign key":   "<ListBucketResult><Name>bucket</Name><Prefix>d/</Prefix><Contents><Key>x</Key><Size>1</Size></Contents></ListBucketResult>",
		"endless":       "<ListBucketResult><Name>bucket</Name><Prefix>d/</Prefix><IsTruncated>true</IsTruncated></ListBucketResult>",
		"cut":           "<ListBucketResult><Name>bucket</Name><Prefix>d/</Prefix><Contents><Key>d/x</Key>",
		"negative size": "<ListBucketResult><Name>bucket</Name><Prefix>d/</Prefix><Contents><Key>d/x</Key><Size>-1</Size></Contents></ListBucketResult>",
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := fake(t, fakeURL, func(q *http.Request) (*http.Response, error) {
				return answer(q, 200, map[string]string{"Content-Type": "text/html", "Last-Modified": objectHeader["Last-Modified"]}, body), nil
			})
			if p, err := r.ReadDir(t.Context(), "d", ""); !errors.Is(err, providers.ErrProtocol) {
				t.Errorf("list: %+v, %v", p, err)
			}
			if e, err := r.Stat(t.Context(), "d"); name != "negative size" && !errors.Is(err, providers.ErrProtocol) {
				t.Errorf("stat: %+v, %v", e, err)
			}
		})
	}
}

// What the store says becomes what Moorage knows.
func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		status int
		code   string
		want   error
	}{
		{404, "NoSuchKey", providers.ErrNotExist}, {404, "NoSuchBucket", providers.ErrNoRemote}, {400, "InvalidBucketName", providers.ErrNoRemote},
		{403, "AccessDenied", providers.ErrPermission}, {403, "InvalidAccessKeyId", providers.ErrAuth}, {403, "SignatureDoesNotMatch", providers.ErrAuth},
		{400, "ExpiredToken", providers.ErrAuth}, {401, "Unauthorized", providers.ErrAuth}, {403, "RequestTimeTooSkewed", providers.ErrClock},
		{500, "InternalError", providers.ErrOffline}, {502, "", providers.ErrOffline}, {503, "ServiceUnavailable", providers.ErrOffline}, {504, "", providers.ErrOffline},
		{412, "PreconditionFailed", providers.ErrChanged}, {507, "XMinioStorageFull", providers.ErrFull}, {403, "QuotaExceeded", providers.ErrFull},
		{400, "EntityTooLarge", providers.ErrTooLarge}, {413, "", providers.ErrTooLarge}, {501, "NotImplemented", providers.ErrUnsupported},
		{405, "MethodNotAllowed", providers.ErrUnsupported}, {416, "InvalidRange", providers.ErrProtocol},
	} {
		r, _ := fake(t, fakeURL, func(q *http.Request) (*http.Response, error) {
			return answer(q, tt.status, nil, s3Error(tt.code, "said the store")), nil
		})
		o, err := r.OpenEntry(t.Context(), "f", providers.Entry{Mode: 0o644, Size: 1, Version: "v"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = o.ReadRange(t.Context(), 0, 1); !errors.Is(err, tt.want) {
			t.Errorf("%d %s became %v, want %v", tt.status, tt.code, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), topSecret) {
			t.Errorf("the error shows a secret: %v", err)
		}
	}
}

// Stores say that they failed to put parts together after they said that all is
// well. What failed leaves no parts behind.
func TestFailureWithinSuccess(t *testing.T) {
	for code, want := range map[string]error{"InternalError": providers.ErrOffline, "PreconditionFailed": providers.ErrChanged, "Strange": providers.ErrOffline} {
		r, w := fake(t, "s3://bucket?region=r", func(q *http.Request) (*http.Response, error) {
			switch describe(q) {
			case "Create":
				return answer(q, 200, nil, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"), nil
			case "Part":
				return answer(q, 200, map[string]string{"ETag": `"p"`}, ""), nil
			case "Complete":
				return answer(q, 200, nil, s3Error(code, "sorry")), nil
			case "Abort":
				return answer(q, 204, nil, ""), nil
			}
			return answer(q, 500, nil, ""), nil
		})
		s3.SetSizes(r, 1, 1<<20, 1, 1)
		_, err := r.Put(t.Context(), "f", strings.NewReader("abc"), providers.PutOptions{Cond: providers.Cond{IfVersion: "v"}, ModTime: time.Unix(1, 0)})
		if code != "PreconditionFailed" { // else what is there by then is asked for, which fails here
			wantErr(t, code, err, want)
		}
		if err == nil || w.take()["Abort"] != 1 {
			t.Errorf("%s: %v, and the parts were left", code, err)
		}
	}
}

// A store that asks for a pause is not asked again by us.
func TestRateLimit(t *testing.T) {
	for _, tt := range []struct {
		status int
		code   string
		header map[string]string
		want   time.Duration
	}{
		{503, "SlowDown", nil, 0},
		{503, "SlowDown", map[string]string{"Retry-After": "7"}, 7 * time.Second},
		{503, "", map[string]string{"Retry-After": "2"}, 2 * time.Second},
		{429, "", map[string]string{"Retry-After": "999999999"}, time.Hour},
		{429, "TooManyRequests", map[string]string{"Retry-After": "soon"}, 0},
	} {
		r, w := fake(t, fakeURL, func(q *http.Request) (*http.Response, error) {
			return answer(q, tt.status, tt.header, s3Error(tt.code, "")), nil
		})
		_, err := r.ReadDir(t.Context(), "", "")
		var slow *providers.RateLimitedError
		if !errors.As(err, &slow) || slow.After != tt.want {
			t.Errorf("%d %s became %v, want a pause of %v", tt.status, tt.code, err, tt.want)
		}
		if n := w.take(); n["List"] != 1 {
			t.Errorf("%d %s: asked %v", tt.status, tt.code, n)
		}
	}
}

// A HEAD that is refused does not say why; a person is told all the same.
func TestBareRefusalsAreExplained(t *testing.T) {
	for _, tt := range []struct {
		status int
		code   string
		want   error
	}{{400, "ExpiredToken", providers.ErrAuth}, {403, "SignatureDoesNotMatch", providers.ErrAuth}, {403, "AccessDenied", providers.ErrPermission}, {404, "NoSuchBucket", providers.ErrNoRemote}} {
		r, _ := fake(t, fakeURL, func(q *http.Request) (*http.Response, error) {
			return answer(q, tt.status, nil, s3Error(tt.code, "said the store")), nil
		})
		if _, err := r.Stat(t.Context(), "f"); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), "said the store") {
			t.Errorf("%s became %v, want %v", tt.code, err, tt.want)
		}
	}
}

// The region that a bucket is in is found out, and kept.
func TestRegionIsFound(t *testing.T) {
	var hosts []string
	r, w := fake(t, "s3://bucket", func(q *http.Request) (*http.Response, error) {
		hosts = append(hosts, q.URL.Host)
		if strings.Contains(q.Header.Get("Authorization"), "/eu-north-1/s3/") {
			return answer(q, 200, nil, "<ListBucketResult><Name>bucket</Name><Prefix></Prefix></ListBucketResult>"), nil
		}
		return answer(q, 301, map[string]string{"X-Amz-Bucket-Region": "eu-north-1"}, s3Error("PermanentRedirect", "")), nil
	})
	for range 2 {
		if p, err := r.ReadDir(t.Context(), "", ""); err != nil || len(p.Entries) != 0 {
			t.Fatalf("list: %+v, %v", p, err)
		}
	}
	if n := w.take(); n["List"] != 3 {
		t.Errorf("asked %v", n)
	}
	if hosts[2] != "bucket.s3.eu-north-1.amazonaws.com" {
		t.Errorf("asked %q", hosts)
	}
	r, _ = fake(t, "s3://bucket", func(q *http.Request) (*http.Response, error) {
		return answer(q, 301, map[string]string{"X-Amz-Bucket-Region": "x.evil.example/"}, s3Error("PermanentRedirect", "")), nil
	})
	if _, err := r.ReadDir(t.Context(), "", ""); !errors.Is(err, providers.ErrProtocol) {
		t.Errorf("with a region that is none: %v", err)
	}
}

// A clock that is wrong does not keep a person out, as long as the store tells
// the time.
func TestWrongClock(t *testing.T) {
	true_ := time.Now().Add(40 * time.Minute).UTC()
	good := false
	r, _ := fake(t, fakeURL, func(q *http.Request) (*http.Response, error) {
		h := map[string]string{"Date": true_.Format(http.TimeFormat)}
		at, err := time.Parse("20060102T150405Z", q.Header.Get("X-Amz-Date"))
		if err == nil && at.Sub(true_).Abs() < 5*time.Minute && good {
			return answer(q, 200, h, "<ListBucketResult><Name>bucket</Name></ListBucketResult>"), nil
		}
		return answer(q, 403, h, s3Error("RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")), nil
	})
	if _, err := r.ReadDir(t.Context(), "", ""); !errors.Is(err, providers.ErrClock) || !strings.Contains(err.Error(), "too large") {
		t.Errorf("with a clock that nothing helps: %v", err)
	}
	good = true
	if _, err := r.ReadDir(t.Context(), "", ""); err != nil {
		t.Errorf("with a clock that the store corrects: %v", err)
	}
}

// A store that hangs holds neither a call that was called off nor Close.
func TestHangingStore(t *testing.T) {
	hanging := make(chan struct{}, 16)
	r, _ := fake(t, fakeURL, func(q *http.Request) (*http.Response, error) {
		hanging <- struct{}{}
		<-q.Context().Done()
		return nil, q.Context().Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	errs := make(chan error, 1)
	go func() {
		_, err := r.ReadDir(ctx, "", "")
		errs <- err
	}()
	<-hanging
	cancel()
	if err := <-errs; !errors.Is(err, context.Canceled) {
		t.Errorf("a call that was called off: %v", err)
	}
	go func() {
		_, err := r.ReadDir(t.Context(), "", "")
		errs <- err
	}()
	<-hanging
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := <-errs; !errors.Is(err, providers.ErrClosed) {
		t.Errorf("a call when the remote is closed: %v", err)
	}
}

// Requests share connections, and as many as are wanted at a time are kept.
func TestConnectionsAreKept(t *testing.T) {
	var mu sync.Mutex
	made := 0
	const file = "0123456789"
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		http.ServeContent(w, q, "", time.Time{}, strings.NewReader(file))
	}))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			mu.Lock()
			made++
			mu.Unlock()
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	u, _, err := providers.ParseURL("s3://bucket?endpoint=" + srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s3.Open(u, s3.Options{Credentials: func(context.Context) (s3.Credentials, error) {
		return s3.Credentials{AccessKeyID: "id", SecretAccessKey: topSecret}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	o := must[providers.Object](t)(r.OpenEntry(t.Context(), "f", providers.Entry{Mode: 0o644, Size: int64(len(file)), Version: "v1"}))
	const parallel = 16
	for range 10 {
		var wg sync.WaitGroup
		for i := range int64(parallel) {
			wg.Go(func() {
				if b, err := readAll(t.Context(), o, i%10, 3); err != nil || string(b) != file[i%10:min(i%10+3, 10)] {
					t.Errorf("read %q, %v", b, err)
				}
			})
		}
		wg.Wait()
	}
	mu.Lock()
	defer mu.Unlock()
	if made > parallel*2 {
		t.Errorf("%d connections for %d requests, %d at a time", made, 10*parallel, parallel)
	}
}

// A body that stops coming ends by itself.
func TestStalledBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := s3.NewNetworkClient(roundTripper(func(q *http.Request) (*http.Response, error) {
			res := answer(q, 200, nil, "")
			res.Body = &stalling{ctx: q.Context(), r: bytes.NewReader([]byte("ab"))}
			return res, nil
		}))
		start := time.Now()
		res, err := c.Do(&http.Request{Method: "GET", URL: &url.URL{Scheme: "http", Host: "store"}})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute) // a reader may take its time
		b, err := io.ReadAll(res.Body)
		if err == nil || string(b) != "ab" {
			t.Errorf("got %q, %v", b, err)
		}
		if d := time.Since(start) - 10*time.Minute; d != s3.StallTimeout {
			t.Errorf("it took %v", d)
		}
		res.Body.Close()
	})
}

type roundTripper func(q *http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(q *http.Request) (*http.Response, error) { return f(q) }

type stalling struct {
	ctx context.Context
	r   io.Reader
}

func (s *stalling) Read(p []byte) (int, error) {
	if n, err := s.r.Read(p); err == nil {
		return n, nil
	}
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

func (s *stalling) Close() error { return nil }

// listStore is a store of these keys, each an object of one byte, that answers
// HEAD and listings as Amazon does.
func listStore(keys ...string) func(q *http.Request) (*http.Response, error) {
	slices.Sort(keys)
	return func(q *http.Request) (*http.Response, error) {
		if q.Method == http.MethodHead {
			if !slices.Contains(keys, strings.TrimPrefix(q.URL.Path, "/bucket/")) {
				return answer(q, 404, nil, ""), nil
			}
			return answer(q, 200, with(objectHeader, "Content-Length", "1"), ""), nil
		}
		v := q.URL.Query()
		prefix, most := v.Get("prefix"), 1000
		if n, err := strconv.Atoi(v.Get("max-keys")); err == nil {
			most = n
		}
		var b strings.Builder
		fmt.Fprintf(&b, "<ListBucketResult><Name>bucket</Name><EncodingType>url</EncodingType><Prefix>%s</Prefix>", url.QueryEscape(prefix))
		last, err := url.QueryUnescape(v.Get("continuation-token"))
		if err != nil {
			return nil, err
		}
		n := 0
		for _, k := range keys {
			rest, ok := strings.CutPrefix(k, prefix)
			if !ok || k <= last || strings.HasSuffix(last, "/") && strings.HasPrefix(k, last) {
				continue
			}
			if n == most {
				fmt.Fprintf(&b, "<IsTruncated>true</IsTruncated><NextContinuationToken>%s</NextContinuationToken>", url.QueryEscape(last))
				break
			}
			n++
			if dir, _, ok := strings.Cut(rest, "/"); ok && v.Get("delimiter") == "/" {
				last = prefix + dir + "/"
				fmt.Fprintf(&b, "<CommonPrefixes><Prefix>%s</Prefix></CommonPrefixes>", url.QueryEscape(last))
				continue
			}
			last = k
			fmt.Fprintf(&b, `<Contents><Key>%s</Key><Size>1</Size><ETag>"v1"</ETag><LastModified>2025-07-01T10:00:00Z</LastModified></Contents>`, url.QueryEscape(k))
		}
		return answer(q, 200, nil, b.String()+"</ListBucketResult>"), nil
	}
}
