package transfer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http/httpproxy"
)

// answer is a remote that takes everything and sends so many bytes.
type answer int64

func (n answer) RoundTrip(q *http.Request) (*http.Response, error) {
	if q.Body != nil {
		if _, err := io.Copy(io.Discard, q.Body); err != nil {
			return nil, err
		}
	}
	return &http.Response{StatusCode: 200, Body: io.NopCloser(io.LimitReader(zeros{}, int64(n)))}, nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func exchange(ctx context.Context, t http.RoundTripper, up int64) (got int64, err error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://remote.example/", io.LimitReader(zeros{}, up))
	if err != nil {
		return 0, err
	}
	res, err := t.RoundTrip(q)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	return io.Copy(io.Discard, res.Body)
}

// All that passes at a time shares the limit, whichever drive it is of.
func TestLimitIsOfAllTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := New(&httpproxy.Config{})
		if err := tr.Set(Settings{Upload: 100 << 10, Download: 1 << 20}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if _, err := exchange(t.Context(), tr.Network().Limited(answer(0)), 250<<10); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(began); took < 9*time.Second || took > 11*time.Second {
			t.Errorf("sending 1000 KiB at 100 KiB a second took %v", took)
		}
		began = time.Now()
		if n, err := exchange(t.Context(), tr.Network().Limited(answer(20<<20)), 0); n != 20<<20 || err != nil {
			t.Errorf("got %d bytes, %v", n, err)
		}
		if took := time.Since(began); took < 19*time.Second || took > 21*time.Second {
			t.Errorf("receiving 20 MiB at 1 MiB a second took %v", took)
		}
	})
}

// Nobody who shares a slow line goes without a byte for long: who watches it would take
// the remote for dead.
func TestEverybodyGetsSome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := New(&httpproxy.Config{})
		if err := tr.Set(Settings{Download: MinLimit}); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				r := tr.Network().Reader(t.Context(), io.LimitReader(zeros{}, 1<<10))
				for last, b := time.Now(), make([]byte, 64<<10); ; last = time.Now() {
					_, err := r.Read(b)
					if pause := time.Since(last); pause > 10*time.Second {
						t.Errorf("no byte for %v", pause)
					}
					if err != nil {
						return
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestLimitThatIsTakenAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := New(&httpproxy.Config{})
		if err := tr.Set(Settings{Upload: MinLimit}); err != nil {
			t.Fatal(err)
		}
		done := make(chan time.Duration)
		began := time.Now()
		go func() {
			if _, err := exchange(t.Context(), tr.Network().Limited(answer(0)), 1<<30); err != nil {
				t.Error(err)
			}
			done <- time.Since(began)
		}()
		time.Sleep(time.Minute)
		if err := tr.Set(Settings{}); err != nil {
			t.Fatal(err)
		}
		if took := <-done; took > 2*time.Minute {
			t.Errorf("what was under way went on slowly for %v", took)
		}
	})
}

func TestCallThatIsGivenUpDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := New(&httpproxy.Config{})
		if err := tr.Set(Settings{Upload: MinLimit, Download: MinLimit}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for _, up := range []int64{1 << 30, 0} {
			if _, err := exchange(ctx, tr.Network().Limited(answer(1<<30)), up); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v, want the error of the context", err)
			}
		}
	})
}

// A request that is sent again is limited again, and its body is whole.
func TestBodyThatIsSentAgain(t *testing.T) {
	tr := New(&httpproxy.Config{})
	if err := tr.Set(Settings{Upload: 64 << 20}); err != nil {
		t.Fatal(err)
	}
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://remote.example/", bytes.NewReader([]byte("hello")))
	if err != nil {
		t.Fatal(err)
	}
	given := q.Body
	again := func(q *http.Request) (*http.Response, error) {
		io.Copy(io.Discard, q.Body)
		b, err := q.GetBody()
		if err != nil {
			return nil, err
		}
		return &http.Response{StatusCode: 200, Body: b}, nil
	}
	res, err := tr.Network().Limited(roundTrip(again)).RoundTrip(q)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(res.Body); string(b) != "hello" || err != nil {
		t.Errorf("the second body is %q, %v", b, err)
	}
	if q.Body != given {
		t.Error("the request of the caller was changed")
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(q *http.Request) (*http.Response, error) { return f(q) }

func TestProxy(t *testing.T) {
	env := &httpproxy.Config{HTTPSProxy: "http://env.example:1", NoProxy: "inside.example"}
	for _, tt := range []struct{ proxy, url, want string }{
		{"", "https://a.example/", "http://env.example:1"},
		{ProxySystem, "https://a.example/", "http://env.example:1"},
		{ProxySystem, "http://a.example/", ""},
		{ProxyNone, "https://a.example/", ""},
		{"http://p.example:3128", "https://a.example/", "http://p.example:3128"},
		{"https://p.example", "http://a.example/", "https://p.example"},
		{"socks5://127.0.0.1:1080", "https://a.example/", "socks5://127.0.0.1:1080"},
		{"http://p.example:3128", "https://inside.example/", ""},
		{"http://p.example:3128", "http://127.0.0.1:9000/", ""},
		{"http://p.example:3128", "http://localhost:9000/", ""},
	} {
		tr := New(env)
		if err := tr.Set(Settings{Proxy: tt.proxy}); err != nil {
			t.Errorf("%q: %v", tt.proxy, err)
			continue
		}
		u, err := url.Parse(tt.url)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if p, err := tr.Proxy(&http.Request{URL: u}); err != nil {
			t.Errorf("%q, %s: %v", tt.proxy, tt.url, err)
		} else if p != nil {
			got = p.String()
		}
		if got != tt.want {
			t.Errorf("with %q, %s goes through %q, want %q", tt.proxy, tt.url, got, tt.want)
		}
	}
}

func TestProxyThatCannotBe(t *testing.T) {
	for _, proxy := range []string{"none ", "proxy", "ftp://p.example", "http://", "http://ann:hunter2@p.example", "http://ann@p.example",
		"socks5://:hunter2@p.example", "http://p.example/path", "http://p.example?q", "http://p.example:port", "http://ann:hunter2@p.example:port",
		"http:p.example", "http://p.example/" + strings.Repeat("a", 5000)} {
		tr := New(&httpproxy.Config{HTTPProxy: "http://env.example"})
		err := tr.Set(Settings{Proxy: proxy})
		var pe *ProxyError
		if !errors.As(err, &pe) {
			t.Errorf("%q: %v, want a *ProxyError", proxy, err)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error tells the password: %v", err)
		}
		if p, err := tr.Proxy(&http.Request{URL: &url.URL{Scheme: "http", Host: "a.example"}}); err != nil || p.Host != "env.example" {
			t.Errorf("after %q the proxy is %v, %v", proxy, p, err)
		}
	}
}
