package transport

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/git/internal/login"
	"github.com/moorage/moorage/providers/git/internal/pktline"
	"github.com/moorage/moorage/providers/git/internal/wire"
)

// HTTP speaks git's smart protocol over http and https (gitprotocol-http(5)).
type HTTP struct {
	*Web
	mu   sync.Mutex
	base *url.URL // of the repository; changes when info/refs is redirected
}

// NewHTTP reaches the repository at base.
func NewHTTP(web *Web, base *url.URL) *HTTP { return &HTTP{Web: web, base: base} }

// Base is the URL of the repository, after redirects.
func (t *HTTP) Base() *url.URL {
	t.mu.Lock()
	defer t.mu.Unlock()
	u := *t.base
	return &u
}

const refsQuery = "service=git-upload-pack"

// Advertise gets info/refs.
func (t *HTTP) Advertise(ctx context.Context) ([]byte, error) {
	u := t.Base().JoinPath("info/refs")
	u.RawQuery = refsQuery
	body, resp, err := t.Do(ctx, Request{Method: http.MethodGet, URL: u, Header: protocolHeader(), Redirects: true, Repo: true})
	if err != nil {
		return nil, err
	}
	defer body.Close()
	const want = "application/x-git-upload-pack-advertisement"
	if ct := resp.Header.Get("Content-Type"); ct != want {
		if strings.HasPrefix(ct, "text/plain") && strings.HasSuffix(resp.Request.URL.Path, "/info/refs") {
			return nil, fmt.Errorf("connect: %w: the server offers the repository as plain files (dumb http), which Moorage does not read", providers.ErrUnsupported)
		}
		return nil, fmt.Errorf("connect: %w: a web server answers at this address, but not with a git repository", providers.ErrNoRemote)
	}
	if final := *resp.Request.URL; final.RawQuery == refsQuery && strings.HasSuffix(final.Path, "/info/refs") {
		final.Path = strings.TrimSuffix(final.Path, "/info/refs")
		final.RawPath, final.RawQuery = "", ""
		t.mu.Lock()
		t.base = &final
		t.mu.Unlock()
	}
	br := bufio.NewReader(body)
	// "# service=git-upload-pack" and a flush come first, if the server is old
	// fashioned, which most are.
	if start, _ := br.Peek(5); len(start) == 5 && start[4] == '#' {
		if _, err := readAdvertisement(br); err != nil {
			return nil, advertError(ctx, err)
		}
	}
	b, err := readAdvertisement(br)
	return b, advertError(ctx, err)
}

func advertError(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if remote := (*pktline.RemoteError)(nil); errors.As(err, &remote) {
		return fmt.Errorf("connect: %w: %w", providers.ErrNoRemote, err)
	}
	return wire.Classify("connect", err)
}

func protocolHeader() http.Header { return http.Header{"Git-Protocol": {"version=2"}} }

// gzipFrom is the size from which a request is compressed, as git does it.
const gzipFrom = 1024

// Call posts a request to git-upload-pack.
func (t *HTTP) Call(ctx context.Context, request []byte) (wire.Reply, error) {
	h := protocolHeader()
	h.Set("Content-Type", "application/x-git-upload-pack-request")
	h.Set("Accept", "application/x-git-upload-pack-result")
	if len(request) > gzipFrom {
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		w.Write(request)
		w.Close()
		request = z.Bytes()
		h.Set("Content-Encoding", "gzip")
	}
	body, resp, err := t.Do(ctx, Request{Method: http.MethodPost, URL: t.Base().JoinPath("git-upload-pack"), Header: h, Body: request, Repo: true})
	if err != nil {
		return nil, err
	}
	if ct := resp.Header.Get("Content-Type"); ct != "application/x-git-upload-pack-result" {
		body.Close()
		return nil, fmt.Errorf("ask the server: %w: an answer of type %.60q", providers.ErrProtocol, ct)
	}
	return httpReply{body}, nil
}

type httpReply struct{ io.ReadCloser }

// Close reads the rest, which is next to nothing, so that the connection can be
// used again.
func (r httpReply) Close(whole bool) {
	if whole {
		io.CopyN(io.Discard, r.ReadCloser, 4096)
	}
	r.ReadCloser.Close()
}

// Close ends all requests.
func (t *HTTP) Close() error { return t.Web.Close() }

// Web sends requests over http and https: redirects, logins, limits to waiting,
// and what the answers mean. It serves the repository and its large files.
type Web struct {
	client   *http.Client
	timeouts Timeouts
	login    Login
	origin   string // of the drive's URL: only there the keyring's token goes
	user     string // user name of the drive's URL
	life     context.Context
	end      context.CancelFunc
	notFrom  atomic.Int64 // unix nanoseconds before which the server wants no request

	auth   chan struct{} // held by whoever logs in
	mu     sync.Mutex
	logins map[string]*session // by origin
}

// Login is where user names and passwords come from.
type Login struct {
	Helpers login.Helpers
	Keyring func(context.Context, login.Request) (login.Credential, error) // nil: none
}

type session struct {
	cred     login.Credential
	source   int // which source cred is from; 0: none yet
	approved bool
}

// The order in which sources of a login are tried.
const (
	fromKeyring = 1 + iota
	fromHelpers
	noSource
)

// NewWeb makes requests with client, within the limits of n; nil is a client with
// time-outs of its own, and with n's proxy. Its redirect policy and cookies are not used.
func NewWeb(client *http.Client, drive *url.URL, user string, l Login, to Timeouts, n providers.Network) *Web {
	w := &Web{timeouts: to, login: l, origin: originOf(drive), user: user, auth: make(chan struct{}, 1), logins: make(map[string]*session)}
	w.life, w.end = context.WithCancel(context.Background())
	c := http.Client{}
	if client != nil {
		c = *client
	}
	if c.Transport == nil {
		c.Transport = &http.Transport{
			Proxy:                 n.ProxyFunc(),
			DialContext:           (&net.Dialer{Timeout: to.Connect, KeepAlive: 30 * time.Second}).DialContext,
			TLSHandshakeTimeout:   to.Connect,
			ResponseHeaderTimeout: to.Header,
			IdleConnTimeout:       60 * time.Second,
			MaxIdleConnsPerHost:   8,
			ForceAttemptHTTP2:     true,
			// A connection that died without a word, as in the sleep of a laptop, must
			// not be used for one request after the other.
			HTTP2:                  &http.HTTP2Config{SendPingTimeout: to.Connect, PingTimeout: to.Connect},
			MaxResponseHeaderBytes: 256 << 10,
		}
	}
	c.Transport = n.Limited(c.Transport)
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.Jar, c.Timeout = nil, 0
	w.client = &c
	return w
}

// Close ends all requests.
func (w *Web) Close() error {
	w.end()
	w.DropIdle()
	return nil
}

// DropIdle closes the connections that nobody uses.
func (w *Web) DropIdle() { w.client.CloseIdleConnections() }

func originOf(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

// Request is one request.
type Request struct {
	Method    string
	URL       *url.URL
	Header    http.Header
	Body      []byte
	Redirects bool // follow up to five; a login is never taken along to another origin
	Anonymous bool // without login: the URL or the header carry their own
	Repo      bool // 404 means that there is no such repository
}

const maxRedirects = 5

// Do sends q and returns the body of a 200 or 206. The caller closes it. Every
// other answer is an error. Waits are bounded; ctx ends it at any time.
func (w *Web) Do(ctx context.Context, q Request) (io.ReadCloser, *http.Response, error) {
	if err := w.life.Err(); err != nil {
		return nil, nil, providers.ErrClosed
	}
	if until := time.Until(time.Unix(0, w.notFrom.Load())); until > 0 {
		return nil, nil, &providers.RateLimitedError{After: until}
	}
	u := q.URL
	redirects := 0
	for {
		sess, cred := w.credentials(u, q)
		body, resp, err := w.send(ctx, q, u, cred)
		if err != nil {
			return nil, nil, err
		}
		switch resp.StatusCode {
		case http.StatusOK, http.StatusPartialContent:
			w.approve(ctx, u, sess)
			return body, resp, nil
		case http.StatusUnauthorized:
			body.Close()
			if q.Anonymous {
				return nil, nil, fmt.Errorf("ask %s: %w", u.Host, providers.ErrAuth)
			}
			if err := w.logIn(ctx, u, cred); err != nil {
				return nil, nil, err
			}
		case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
			body.Close()
			next, err := redirected(q, u, resp, redirects)
			if err != nil {
				return nil, nil, err
			}
			redirects++
			if originOf(next) != originOf(u) {
				q.Header = q.Header.Clone()
				q.Header.Del("Authorization")
				q.Header.Del("Cookie")
			}
			u = next
		default:
			body.Close()
			return nil, nil, w.statusError(q, u, resp)
		}
	}
}

func redirected(q Request, u *url.URL, resp *http.Response, so int) (*url.URL, error) {
	next, err := resp.Location()
	switch {
	case err != nil:
		return nil, fmt.Errorf("ask %s: %w: a redirect to nowhere", u.Host, providers.ErrProtocol)
	case !q.Redirects || so >= maxRedirects:
		return nil, fmt.Errorf("ask %s: %w: a redirect too many", u.Host, providers.ErrProtocol)
	case next.Scheme != "https" && (next.Scheme != "http" || u.Scheme != "http"):
		return nil, fmt.Errorf("ask %s: %w: a redirect to an address that is not https", u.Host, providers.ErrProtocol)
	}
	next.User = nil
	return next, nil
}

func (w *Web) statusError(q Request, u *url.URL, resp *http.Response) error {
	after := retryAfter(resp)
	switch c := resp.StatusCode; {
	case c == http.StatusTooManyRequests, (c == http.StatusForbidden || c == http.StatusServiceUnavailable) && after > 0:
		w.notFrom.Store(time.Now().Add(after).UnixNano())
		return fmt.Errorf("ask %s: %w", u.Host, &providers.RateLimitedError{After: after})
	case c == http.StatusForbidden:
		return fmt.Errorf("ask %s: %w: the server refuses this login (403)", u.Host, providers.ErrAuth)
	case (c == http.StatusNotFound || c == http.StatusGone) && q.Repo:
		return fmt.Errorf("ask %s: %w: the server answers %d", u.Host, providers.ErrNoRemote, c)
	case c == http.StatusProxyAuthRequired:
		return fmt.Errorf("ask %s: %w: the proxy wants a login (407)", u.Host, providers.ErrOffline)
	case c >= 500 || c == http.StatusRequestTimeout:
		return fmt.Errorf("ask %s: %w: status %d", u.Host, providers.ErrOffline, c)
	default:
		return fmt.Errorf("ask %s: %w: status %d", u.Host, providers.ErrProtocol, c)
	}
}

// maxRetryAfter is the longest pause that a server can make us take.
const maxRetryAfter = time.Hour

func retryAfter(resp *http.Response) time.Duration {
	v := resp.Header.Get("Retry-After")
	var d time.Duration
	if sec, err := strconv.ParseInt(v, 10, 32); err == nil {
		d = time.Duration(sec) * time.Second
	} else if t, err := http.ParseTime(v); err == nil {
		d = time.Until(t)
	}
	return min(max(d, 0), maxRetryAfter)
}

// send makes one exchange. The body that it returns gives up when it is idle.
func (w *Web) send(ctx context.Context, q Request, u *url.URL, cred login.Credential) (io.ReadCloser, *http.Response, error) {
	rctx, cancel := context.WithCancelCause(ctx)
	unlink := context.AfterFunc(w.life, func() { cancel(providers.ErrClosed) })
	done := func() { unlink(); cancel(nil) }
	req, err := http.NewRequestWithContext(rctx, q.Method, u.String(), bytes.NewReader(q.Body))
	if err != nil {
		done()
		return nil, nil, fmt.Errorf("ask %s: %w", u.Host, err)
	}
	if q.Header != nil {
		req.Header = q.Header.Clone()
	}
	// Some servers answer only programs whose name begins so.
	req.Header.Set("User-Agent", "git/2.40 (moorage)")
	if cred.Password != "" {
		req.SetBasicAuth(cred.Username, cred.Password)
	}
	guard := newWatch(w.timeouts.Header+w.timeouts.Connect, func() { cancel(errIdle) })
	resp, err := w.client.Do(req)
	if err != nil {
		guard.stop()
		err = w.netError(ctx, rctx, "ask "+u.Host, err)
		done()
		return nil, nil, err
	}
	guard.idle = w.timeouts.Idle
	guard.progress()
	return &webBody{web: w, ctx: ctx, rctx: rctx, r: resp.Body, guard: guard, done: done, host: u.Host}, resp, nil
}

func (w *Web) netError(ctx, rctx context.Context, op string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if cause := context.Cause(rctx); cause != nil {
		err = cause
	}
	if errors.Is(err, providers.ErrClosed) {
		return fmt.Errorf("%s: %w", op, providers.ErrClosed)
	}
	w.DropIdle() // they may be as dead as this one
	var urlErr *url.Error
	if errors.As(err, &urlErr) {
		err = urlErr.Err // its URL may say more than a log should hold
	}
	var cert *tls.CertificateVerificationError
	if errors.As(err, &cert) {
		return fmt.Errorf("%s: %w: %w", op, providers.ErrHostKey, err)
	}
	return offline(ctx, op, err)
}

type webBody struct {
	web       *Web
	ctx, rctx context.Context
	r         io.ReadCloser
	guard     *watch
	done      func()
	host      string
}

func (b *webBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if n > 0 {
		b.guard.progress()
	}
	if err != nil && err != io.EOF {
		err = b.web.netError(b.ctx, b.rctx, "read from "+b.host, err)
	}
	return n, err
}

func (b *webBody) Close() error {
	b.guard.stop()
	err := b.r.Close()
	b.done()
	return err
}
