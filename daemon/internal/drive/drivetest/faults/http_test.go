package faults

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moorage/moorage/providers/s3"
	"github.com/moorage/moorage/providers/s3/s3test"
)

// trip sends a request on, or not.
type trip func(q *http.Request, next http.RoundTripper) (*http.Response, error)

func says(status int, body string, header ...string) trip {
	return func(q *http.Request, _ http.RoundTripper) (*http.Response, error) {
		if _, _, err := whole(q); err != nil {
			return nil, err
		}
		return answer(q, status, body, header...), nil
	}
}

// body changes the body of what the server answers.
func body(change func(q *http.Request, b io.ReadCloser) io.ReadCloser) trip {
	return func(q *http.Request, next http.RoundTripper) (*http.Response, error) {
		res, err := next.RoundTrip(q)
		if err == nil {
			res.Body = change(q, res.Body)
		}
		return res, err
	}
}

// cut ends bodies of answers after some bytes.
func cut(n int, end func(context.Context) error) trip {
	return body(func(q *http.Request, b io.ReadCloser) io.ReadCloser { return &cutBody{b, q.Context(), n, end} })
}

// done has the server do what it is asked for, and the client not know.
func done(end func(context.Context) error) trip {
	return func(q *http.Request, next http.RoundTripper) (*http.Response, error) {
		res, err := next.RoundTrip(q)
		if err != nil {
			return nil, err
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		return nil, end(q.Context())
	}
}

// twice has a request arrive two times; the client gets the answer to one of them.
func twice(second bool) trip {
	return func(q *http.Request, next http.RoundTripper) (*http.Response, error) {
		q, b, err := whole(q)
		if err != nil {
			return nil, err
		}
		first, err := next.RoundTrip(q)
		if err != nil {
			return nil, err
		}
		// What is there of the first answer is kept while the second one comes.
		text, err := io.ReadAll(first.Body)
		if err != nil {
			return nil, err
		}
		first.Body.Close()
		first.Body = io.NopCloser(strings.NewReader(string(text)))
		again := q.Clone(q.Context())
		if b != nil {
			again.Body = io.NopCloser(strings.NewReader(string(b)))
		}
		res, err := next.RoundTrip(again)
		if err != nil || second {
			return res, err
		}
		res.Body.Close()
		return first, nil
	}
}

func reset(context.Context) error { return errReset }

func ended(context.Context) error { return io.ErrUnexpectedEOF }

// httpFaults are what can happen to a request and its answer.
func httpFaults() map[string]trip {
	return map[string]trip{
		"500":                      says(500, s3Error("InternalError")),
		"502":                      says(502, "<html>bad gateway</html>", "Content-Type", "text/html"),
		"503":                      says(503, s3Error("ServiceUnavailable")),
		"503 with Retry-After":     says(503, s3Error("SlowDown"), "Retry-After", "20"),
		"429":                      says(429, s3Error("TooManyRequests")),
		"429 with Retry-After":     says(429, "", "Retry-After", "20"),
		"200 with an error body":   says(200, s3Error("InternalError"), "Content-Type", "application/xml", "Last-Modified", "Tue, 01 Jul 2025 10:00:00 GMT"),
		"wrong range":              wrongRange,
		"short body":               cut(100, ended),
		"reset at 100 bytes":       cut(100, reset),
		"reset of the request":     brokenRequest,
		"1 B/s":                    body(func(q *http.Request, b io.ReadCloser) io.ReadCloser { return &slowBody{b, q.Context()} }),
		"half-open":                func(q *http.Request, _ http.RoundTripper) (*http.Response, error) { return nil, silence(q.Context()) },
		"half-open in the body":    cut(100, silence),
		"time-out after commit":    done(silence),
		"reset after commit":       done(reset),
		"duplicate, first answer":  twice(false),
		"duplicate, second answer": twice(true),
	}
}

// wrongRange has the server send another part of the file than was asked for.
func wrongRange(q *http.Request, next http.RoundTripper) (*http.Response, error) {
	if q.Header.Get("Range") == "" {
		return next.RoundTrip(q)
	}
	res, err := next.RoundTrip(q)
	if err == nil {
		res.Header.Set("Content-Range", "bytes 7-106/1000000")
	}
	return res, err
}

// brokenRequest breaks off while the request is sent.
func brokenRequest(q *http.Request, _ http.RoundTripper) (*http.Response, error) {
	if q.Body != nil {
		_, _ = io.CopyN(io.Discard, q.Body, 100)
		q.Body.Close()
	}
	return nil, errReset
}

// moment is a request that a client's work leads to.
type moment struct {
	op, key string // what is disturbed: any of some operations
	work    func(w *world)
}

// httpMoments are the requests that go wrong.
func httpMoments() map[string]moment {
	large := noise(3, 8<<20+1<<10)
	return map[string]moment{
		"a listing":                        {"list", "d/", func(w *world) { w.holds("d/r", w.acked["d/r"]) }},
		"a look":                           {"head", "", func(w *world) { w.holds("d/r", w.acked["d/r"]) }},
		"a read":                           {"get", "d/r", func(w *world) { w.holds("d/r", w.acked["d/r"]) }},
		"a new file":                       {"put", "new", func(w *world) { w.save("new", noise(2, 3000)) }},
		"a try of what the store keeps to": {"probe", "", func(w *world) { w.save("new", noise(2, 3000)) }},
		"a removal after a move":           {"delete", "m", func(w *world) { w.rename("m", "d/moved") }},
		"a saved file":                     {"put", "f", func(w *world) { w.write("f", "changed", 0) }},
		"a removal":                        {"delete", "x", func(w *world) { w.remove("x") }},
		"a move":                           {"copy complete", "d/moved", func(w *world) { w.rename("m", "d/moved") }},
		"a new folder":                     {"put", "e/", func(w *world) { w.mkdir("e"); w.save("e/f", "text") }},
		"a part":                           {"part", "large", func(w *world) { w.save("large", large) }},
		"a large file's begin":             {"begin", "large", func(w *world) { w.save("large", large) }},
		"a large file's end":               {"complete", "large", func(w *world) { w.save("large", large) }},
	}
}

// TestHTTP lets requests to a real S3 server go wrong, in each way and at each
// moment, twice in a row.
func TestHTTP(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t)
	files := tree{"d/": "", "d/r": noise(1, 100<<10), "f": "some text", "x": "rubbish", "m": noise(4, 2000)}
	for name, fault := range httpFaults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for what, m := range httpMoments() {
				t.Run(what, func(t *testing.T) {
					atShop(t, newShop(t, srv), files, s3.Options{}, func(w *world, l *line) {
						w.know(files)
						hits := 0
						var asked time.Time // when the server asked for a pause
						l.set(func(q *http.Request, next http.RoundTripper) (*http.Response, error) {
							op, key := operation(q)
							l.mu.Lock()
							hit := slices.Contains(strings.Fields(m.op), op) && (m.key == "" || key == m.key) && hits < 2
							if hit {
								hits++
							}
							if wait := time.Since(asked); wait > 0 && wait < 20*time.Second {
								t.Errorf("%s %s was sent %v after the server asked for a pause", op, key, wait)
							}
							l.mu.Unlock()
							if !hit {
								return next.RoundTrip(q)
							}
							res, err := fault(q, next)
							if err == nil && res.Header.Get("Retry-After") != "" {
								l.mu.Lock()
								asked = time.Now()
								l.mu.Unlock()
							}
							return res, err
						})
						m.work(w)
						// A remote that is too slow for a listing is away for a moment.
						for range 5 {
							w.asks("d")
							time.Sleep(time.Minute)
						}
						w.until("the drive to be online", func() bool { return w.d.Status().Online })
						w.ends()
						if hits == 0 {
							t.Errorf("nothing went wrong: %q", l.requests(time.Time{}))
						}
						if s := w.d.Status(); !s.Online || s.Err != nil {
							t.Errorf("in the end the drive says: online %v, %v", s.Online, s.Err)
						}
					})
				})
			}
		})
	}
}
