package providers

import (
	"context"
	"io"
	"net/http"
	"net/url"
)

// Limit bounds how fast bytes pass. Its methods may be called concurrently.
type Limit interface {
	// Most is how many bytes may pass at a time; 0: as many as there are.
	Most() int
	// Wait returns when n bytes may pass, or with the error of ctx when that is done.
	Wait(ctx context.Context, n int) error
}

// Network is how a provider reaches its remote. The zero Network has no limits and
// the proxy of the environment.
type Network struct {
	Proxy            func(*http.Request) (*url.URL, error) // of requests over http and https; nil: http.ProxyFromEnvironment
	Upload, Download Limit                                 // of contents, names included; nil: none
}

// ProxyFunc is Proxy, or that of the environment.
func (n Network) ProxyFunc() func(*http.Request) (*url.URL, error) {
	if n.Proxy == nil {
		return http.ProxyFromEnvironment
	}
	return n.Proxy
}

// Limited makes t keep to the limits with the bodies of requests and answers. Whoever
// waits for them is let go when the request's context is done.
func (n Network) Limited(t http.RoundTripper) http.RoundTripper {
	if n.Upload == nil && n.Download == nil {
		return t
	}
	return limited{t, n}
}

// Reader makes r, of what comes from the remote, keep to the limit until ctx is done.
func (n Network) Reader(ctx context.Context, r io.Reader) io.Reader {
	if n.Download == nil {
		return r
	}
	return &limitedReader{ctx, r, n.Download}
}

type limited struct {
	http.RoundTripper
	n Network
}

// CloseIdleConnections is what http.Client looks for.
func (l limited) CloseIdleConnections() {
	if c, ok := l.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (l limited) RoundTrip(q *http.Request) (*http.Response, error) {
	ctx := q.Context()
	if l.n.Upload != nil && q.Body != nil && q.Body != http.NoBody {
		body := func(b io.ReadCloser) io.ReadCloser {
			return limitedBody{limitedReader{ctx, b, l.n.Upload}, b}
		}
		whole := q // a request stays as it is
		q = q.WithContext(ctx)
		q.Body = body(whole.Body)
		if whole.GetBody != nil {
			q.GetBody = func() (io.ReadCloser, error) {
				b, err := whole.GetBody()
				if err != nil {
					return nil, err
				}
				return body(b), nil
			}
		}
	}
	res, err := l.RoundTripper.RoundTrip(q)
	if err != nil || l.n.Download == nil {
		return res, err
	}
	res.Body = limitedBody{limitedReader{ctx, res.Body, l.n.Download}, res.Body}
	return res, nil
}

type limitedReader struct {
	ctx context.Context
	r   io.Reader
	l   Limit
}

func (r *limitedReader) Read(p []byte) (int, error) {
	if most := r.l.Most(); most > 0 && len(p) > most {
		p = p[:most]
	}
	n, err := r.r.Read(p)
	if n > 0 {
		if werr := r.l.Wait(r.ctx, n); werr != nil && (err == nil || err == io.EOF) {
			return 0, werr
		}
	}
	return n, err
}

type limitedBody struct {
	limitedReader
	io.Closer
}

func (b limitedBody) Read(p []byte) (int, error) { return b.limitedReader.Read(p) }
