package lfs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/git/internal/transport"
)

// Web sends requests; *transport.Web does.
type Web interface {
	Do(context.Context, transport.Request) (io.ReadCloser, *http.Response, error)
}

// Endpoint is an LFS server.
type Endpoint struct {
	URL    *url.URL
	Header map[string]string // what git-lfs-authenticate said to send along; or nil
}

// EndpointOf is where the LFS server of the repository at u is, by the
// convention of docs/api/server-discovery.md.
func EndpointOf(u *url.URL) *url.URL {
	e := *u
	e.Path = strings.TrimSuffix(e.Path, "/")
	if !strings.HasSuffix(e.Path, ".git") {
		e.Path += ".git"
	}
	e.RawPath = ""
	return e.JoinPath("info/lfs")
}

const mediaType = "application/vnd.git-lfs+json"

// Limits of what a server can say about a file.
const (
	maxAnswer  = 1 << 20
	maxHeaders = 64
	resumes    = 4 // attempts to go on after the connection broke
)

type batchRequest struct {
	Operation string        `json:"operation"`
	Transfers []string      `json:"transfers"`
	Objects   []batchObject `json:"objects"`
	HashAlgo  string        `json:"hash_algo"`
}

type batchObject struct {
	OID  string `json:"oid"`
	Size int64  `json:"size"`
}

type batchAnswer struct {
	Transfer string `json:"transfer"`
	Objects  []struct {
		OID           string `json:"oid"`
		Authenticated bool   `json:"authenticated"`
		Actions       struct {
			Download *action `json:"download"`
		} `json:"actions"`
		Error *struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	} `json:"objects"`
}

type action struct {
	Href   string            `json:"href"`
	Header map[string]string `json:"header"`
}

// Download writes the content of p to w, and checks it. Interrupted downloads go
// on where they stopped.
func Download(ctx context.Context, web Web, e Endpoint, p Pointer, w io.Writer) error {
	req, err := locate(ctx, web, e, p)
	if err != nil {
		return err
	}
	sum := sha256.New()
	out := io.MultiWriter(w, sum)
	var have int64
	for try := 0; ; try++ {
		n, err := get(ctx, web, req, have, p.Size, out)
		have += n
		if err == nil {
			break
		}
		if !errors.Is(err, providers.ErrOffline) || n == 0 || try == resumes {
			return err
		}
	}
	if [sha256.Size]byte(sum.Sum(nil)) != p.OID {
		return fmt.Errorf("%w: the LFS server sent something else than the file", providers.ErrProtocol)
	}
	return nil
}

// locate asks where the file is.
func locate(ctx context.Context, web Web, e Endpoint, p Pointer) (transport.Request, error) {
	var none transport.Request
	oid := hex.EncodeToString(p.OID[:])
	body, err := json.Marshal(batchRequest{"download", []string{"basic"}, []batchObject{{oid, p.Size}}, "sha256"})
	if err != nil {
		return none, err
	}
	h, own, err := headers(e.Header)
	if err != nil {
		return none, err
	}
	h.Set("Accept", mediaType)
	h.Set("Content-Type", mediaType)
	rc, _, err := web.Do(ctx, transport.Request{Method: http.MethodPost, URL: e.URL.JoinPath("objects/batch"), Header: h, Body: body, Anonymous: own})
	if err != nil {
		return none, fmt.Errorf("ask the LFS server: %w", err)
	}
	defer rc.Close()
	b, err := io.ReadAll(io.LimitReader(rc, maxAnswer))
	if err != nil {
		return none, fmt.Errorf("ask the LFS server: %w", err)
	}
	var answer batchAnswer
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&answer); err != nil {
		return none, fmt.Errorf("ask the LFS server: %w: %w", providers.ErrProtocol, err)
	}
	if answer.Transfer != "" && answer.Transfer != "basic" {
		return none, fmt.Errorf("ask the LFS server: %w: it offers only the transfer %.20q", providers.ErrUnsupported, answer.Transfer)
	}
	for _, o := range answer.Objects {
		if o.OID != oid {
			continue
		}
		if o.Error != nil {
			return none, fmt.Errorf("the LFS server cannot give the file: %.100q (%d)", o.Error.Message, o.Error.Code)
		}
		if o.Actions.Download == nil {
			break
		}
		return download(e, *o.Actions.Download, o.Authenticated)
	}
	return none, errors.New("the LFS server does not have the file")
}

// download is the request for the content.
func download(e Endpoint, a action, authenticated bool) (transport.Request, error) {
	var none transport.Request
	u, err := url.Parse(a.Href)
	if err != nil || u.Host == "" || (u.Scheme != "https" && (u.Scheme != "http" || e.URL.Scheme != "http")) {
		return none, fmt.Errorf("ask the LFS server: %w: it names an address for the file that is not https", providers.ErrProtocol)
	}
	h, own, err := headers(a.Header)
	if err != nil {
		return none, err
	}
	elsewhere := u.Scheme != e.URL.Scheme || !strings.EqualFold(u.Host, e.URL.Host)
	return transport.Request{
		Method: http.MethodGet, URL: u, Header: h, Redirects: true,
		Anonymous: own || authenticated || elsewhere || u.User != nil,
	}, nil
}

// headers checks what a server wants us to send. own tells that a login is part
// of it.
func headers(in map[string]string) (h http.Header, own bool, err error) {
	if len(in) > maxHeaders {
		return nil, false, fmt.Errorf("ask the LFS server: %w: %d headers", providers.ErrProtocol, len(in))
	}
	h = make(http.Header)
	for k, v := range in {
		switch k = http.CanonicalHeaderKey(k); k {
		case "Host", "Content-Length", "Transfer-Encoding", "Connection", "Range", "Accept-Encoding":
			continue
		case "Authorization":
			own = true
		}
		h.Set(k, v)
	}
	return h, own, nil
}

// get writes the content from byte have on, and returns how much that was.
func get(ctx context.Context, web Web, q transport.Request, have, size int64, w io.Writer) (int64, error) {
	if have > 0 {
		q.Header = q.Header.Clone()
		q.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
	}
	body, resp, err := web.Do(ctx, q)
	if err != nil {
		return 0, fmt.Errorf("fetch a large file: %w", err)
	}
	defer body.Close()
	switch {
	case resp.StatusCode == http.StatusPartialContent && have == 0,
		resp.StatusCode == http.StatusPartialContent && !strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", have)):
		return 0, fmt.Errorf("fetch a large file: %w: another range than asked for", providers.ErrProtocol)
	case resp.StatusCode == http.StatusOK && have > 0:
		if _, err := io.CopyN(io.Discard, body, have); err != nil {
			return 0, fmt.Errorf("fetch a large file: %w", err)
		}
	}
	n, err := io.Copy(w, io.LimitReader(body, size-have))
	if err != nil {
		return n, fmt.Errorf("fetch a large file: %w", err)
	}
	if have+n < size {
		return n, fmt.Errorf("fetch a large file: %w: the answer broke off", providers.ErrOffline)
	}
	if extra, _ := io.CopyN(io.Discard, body, 1); extra > 0 {
		return n, fmt.Errorf("fetch a large file: %w: more than %d bytes", providers.ErrProtocol, size)
	}
	return n, nil
}
