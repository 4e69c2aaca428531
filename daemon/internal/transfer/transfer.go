// Package transfer is how all drives of a service share the network: how fast
// bytes may go, and through which proxy. What it says can change at any time.
package transfer

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/net/http/httpproxy"
	"golang.org/x/time/rate"

	"github.com/moorage/moorage/providers"
)

// MinLimit is the least that a limit may be, in bytes a second: with less,
// answers would take so long that remotes and we gave each other up.
const MinLimit = 1 << 10

// The words for a proxy that are no address.
const (
	ProxySystem = "system" // as the environment says: HTTPS_PROXY, HTTP_PROXY, NO_PROXY
	ProxyNone   = "none"
)

// maxProxy bounds the address of a proxy.
const maxProxy = 1 << 10

// ProxyError says why a proxy cannot be used.
type ProxyError struct{ Why string }

func (e *ProxyError) Error() string { return e.Why }

// CheckProxy reports what is wrong with the name of a proxy, as a *ProxyError.
func CheckProxy(proxy string) error {
	_, err := parseProxy(proxy)
	return err
}

// parseProxy returns the address of a proxy; nil for one of the words, and for "".
func parseProxy(proxy string) (*url.URL, error) {
	switch proxy {
	case "", ProxySystem, ProxyNone:
		return nil, nil
	}
	if len(proxy) > maxProxy {
		return nil, &ProxyError{"the address of the proxy is too long"}
	}
	u, err := url.Parse(proxy)
	switch {
	case err != nil: // its text may have a password
		return nil, &ProxyError{"the proxy is no address"}
	case u.User != nil:
		return nil, &ProxyError{"a proxy that asks for a name and password cannot be used, and a file is no place for them"}
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "socks5":
		return nil, &ProxyError{`the proxy is neither "system", nor "none", nor an address that begins with http://, https:// or socks5://`}
	case u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "":
		return nil, &ProxyError{"the proxy is not an address such as http://proxy.example:3128"}
	}
	return u, nil
}

// Settings are what can be set. The zero value is no limits and the proxy of the
// environment.
type Settings struct {
	Upload, Download int64  // bytes a second of all drives together; 0: no limit
	Proxy            string // one of the words, or an address; "": ProxySystem
}

// Transfers is what drives ask before bytes pass. Its methods may be called
// concurrently.
type Transfers struct {
	upload, download bucket
	environment      func(*http.Request) (*url.URL, error)
	noProxy          string // of the environment: hosts that are reached without one

	mu    sync.Mutex
	proxy func(*http.Request) (*url.URL, error)
}

// New makes Transfers without limits, with the proxies that environment (nil: that of
// this process) names.
func New(environment *httpproxy.Config) *Transfers {
	if environment == nil {
		environment = httpproxy.FromEnvironment()
	}
	of := environment.ProxyFunc()
	t := &Transfers{environment: func(r *http.Request) (*url.URL, error) { return of(r.URL) }, noProxy: environment.NoProxy}
	t.upload.lim, t.download.lim = rate.NewLimiter(rate.Inf, 0), rate.NewLimiter(rate.Inf, 0)
	t.proxy = t.environment
	return t
}

// Set changes what is set, for all that passes from now on. It fails with a
// *ProxyError, and has changed nothing then.
func (t *Transfers) Set(s Settings) error {
	u, err := parseProxy(s.Proxy)
	if err != nil {
		return err
	}
	proxy := t.environment
	switch {
	case s.Proxy == ProxyNone:
		proxy = func(*http.Request) (*url.URL, error) { return nil, nil }
	case u != nil:
		// Never for this computer itself, nor for hosts that the environment names.
		of := (&httpproxy.Config{HTTPProxy: u.String(), HTTPSProxy: u.String(), NoProxy: t.noProxy}).ProxyFunc()
		proxy = func(r *http.Request) (*url.URL, error) { return of(r.URL) }
	}
	t.mu.Lock()
	t.proxy = proxy
	t.mu.Unlock()
	t.upload.set(s.Upload)
	t.download.set(s.Download)
	return nil
}

// Network is how providers reach their remotes.
func (t *Transfers) Network() providers.Network {
	return providers.Network{Proxy: t.Proxy, Upload: &t.upload, Download: &t.download}
}

// Proxy is the proxy for a request; nil: none.
func (t *Transfers) Proxy(r *http.Request) (*url.URL, error) {
	t.mu.Lock()
	proxy := t.proxy
	t.mu.Unlock()
	return proxy(r)
}

// bucket is a providers.Limit.
type bucket struct {
	lim *rate.Limiter

	mu   sync.Mutex
	most int // bytes at a time; 0: no limit
}

// A second of bytes comes in so many pieces, none larger than maxPiece: who waits for
// one that somebody else asked for before does not wait long.
const (
	pieces   = 8
	maxPiece = 64 << 10
)

func (b *bucket) set(perSecond int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if perSecond <= 0 {
		b.most = 0
		b.lim.SetLimit(rate.Inf)
		return
	}
	b.most = int(min(max(perSecond/pieces, 1), maxPiece))
	b.lim.SetBurst(b.most)
	b.lim.SetLimit(rate.Limit(perSecond))
}

// Most is how many bytes may pass at a time.
func (b *bucket) Most() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.most
}

// Wait returns when n bytes may pass, or fails as ctx does.
func (b *bucket) Wait(ctx context.Context, n int) error {
	for n > 0 {
		most := b.Most()
		if most == 0 {
			return ctx.Err()
		}
		piece := min(n, most)
		r := b.lim.ReserveN(time.Now(), piece)
		if !r.OK() { // the limit was changed in between
			continue
		}
		timer := time.NewTimer(r.Delay())
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			r.Cancel()
			return fmt.Errorf("wait for the limit of transfers: %w", ctx.Err())
		}
		n -= piece
	}
	return nil
}
