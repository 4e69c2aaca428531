package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/moorage/moorage/providers"
)

// Time-outs of connections. They find what hangs; how long a call may take is
// its caller's to say.
const (
	dialTimeout   = 10 * time.Second
	tlsTimeout    = 10 * time.Second
	headerTimeout = 30 * time.Second // from the end of a request to its answer
	slowTimeout   = 5 * time.Minute  // the same where the store copies first
	stallTimeout  = 30 * time.Second // without a byte, in both directions
	idleTimeout   = 60 * time.Second
	maxIdle       = 64
)

var errStalled = errors.New("no byte came for too long")

// network holds the connections of a Remote.
type network struct {
	usual, slow *http.Client // slow: for requests that take the store long
	own         []*http.Transport
}

// newNetwork makes the clients, over given if that is not nil, within the limits of n. roots are the
// authorities to trust; nil: the system's.
func newNetwork(given http.RoundTripper, roots *x509.CertPool, n providers.Network) *network {
	if given != nil {
		c := client(n.Limited(given))
		return &network{usual: c, slow: c}
	}
	t := transport(roots)
	t.Proxy = n.ProxyFunc()
	s := t.Clone()
	s.ResponseHeaderTimeout = slowTimeout
	return &network{usual: client(n.Limited(t)), slow: client(n.Limited(s)), own: []*http.Transport{t, s}}
}

func (n *network) close() {
	for _, t := range n.own {
		t.CloseIdleConnections()
	}
}

// transport is HTTP/1.1 alone: parallel streams over one connection are no
// faster than that connection.
func transport(roots *x509.CertPool) *http.Transport {
	d := &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	t := &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := d.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &stallConn{c}, nil
		},
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:   tlsTimeout,
		ResponseHeaderTimeout: headerTimeout,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       idleTimeout,
		MaxIdleConns:          maxIdle,
		MaxIdleConnsPerHost:   maxIdle,
		DisableCompression:    true, // a body is the bytes of the object
		WriteBufferSize:       64 << 10,
		ReadBufferSize:        64 << 10,
	}
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	return t
}

func client(t http.RoundTripper) *http.Client {
	return &http.Client{
		Transport: watched{t},
		// A signature is for the host that was asked.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// stallConn bounds how long the other side may take nothing.
type stallConn struct{ net.Conn }

func (c *stallConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(stallTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// watched ends bodies of answers that stop coming.
type watched struct{ http.RoundTripper }

func (w watched) RoundTrip(q *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(q.Context())
	res, err := w.RoundTripper.RoundTrip(q.WithContext(ctx))
	if err != nil {
		cancel(nil)
		return nil, err
	}
	b := &watchedBody{ReadCloser: res.Body, ctx: ctx, cancel: cancel}
	b.timer = time.AfterFunc(stallTimeout, func() { cancel(errStalled) })
	b.timer.Stop()
	res.Body = b
	return res, nil
}

type watchedBody struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.timer.Reset(stallTimeout)
	n, err := b.ReadCloser.Read(p)
	b.timer.Stop()
	if err != nil && err != io.EOF && b.ctx.Err() != nil {
		err = context.Cause(b.ctx)
	}
	return n, err
}

func (b *watchedBody) Close() error {
	b.timer.Stop()
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}
