package s3

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/moorage/moorage/providers"
)

// A page of a listing says near its beginning where the next one begins. That one
// is asked for at once: while it is under way, the rest of the first page comes,
// and is decoded and stored by whoever lists. So a listing takes the round trips
// of its pages and not, besides, the time of their bytes.

const (
	aheadTime = 10 * time.Second // how long a page is kept that nobody comes for
	maxAhead  = 64               // pages that are kept or under way
	aheadScan = 64 << 10         // bytes of a page that are searched for where the next one begins
	maxPage   = 8 << 20          // bytes of a page: 1000 keys of the most bytes, each of which takes three
)

// aheads are the pages that were asked for before anybody wanted them.
type aheads struct {
	mu sync.Mutex
	m  map[listing]*ahead
}

// ahead is a page, and where the next one begins as soon as that is known.
type ahead struct {
	r      *Remote
	path   string
	q      listing
	cancel context.CancelFunc // nil: its caller fetches it
	done   chan struct{}      // closed when page and err are valid
	page   *listed
	err    error

	mu     sync.Mutex
	wanted bool   // somebody has come for it
	token  string // of the next page; "" if it is not known, or there is none
	begun  bool   // the next page was asked for
}

// follow gives a page of a listing whose pages are asked for one after the other.
// All but the first may have been asked for before, but not before the first.
func (c *call) follow(q listing) (*listed, error) {
	if a := c.r.aheads.take(q); a != nil {
		a.proceed(func() { a.wanted = true })
		select {
		case <-a.done:
		case <-c.Done():
			a.cancel()
			return nil, context.Cause(c)
		}
		if a.err == nil {
			return a.page, nil
		}
		a.drop()
	}
	a := &ahead{r: c.r, path: c.path, q: q, wanted: true}
	a.fetch(c)
	if a.err != nil {
		a.drop()
	}
	return a.page, a.err
}

// fetch asks the store.
func (a *ahead) fetch(c *call) {
	a.page, a.err = c.listTold(a.q, func(token string) { a.proceed(func() { a.token = token }) })
	if a.err != nil || a.page.next == "" {
		return
	}
	a.mu.Lock()
	same := a.begun && a.token == a.page.next
	a.mu.Unlock()
	if !same { // what is there of this name is of another listing
		a.r.aheads.drop(a.after(a.page.next))
	}
}

// after is the question for the page at a token.
func (a *ahead) after(token string) listing {
	q := a.q
	q.token = token
	return q
}

// proceed notes something new, and asks for the next page if it is time.
func (a *ahead) proceed(change func()) {
	a.mu.Lock()
	change()
	begin := a.wanted && a.token != "" && !a.begun
	a.begun = a.begun || begin
	token := a.token
	a.mu.Unlock()
	if begin {
		a.r.aheads.begin(a.r, a.path, a.after(token))
	}
}

// drop gives up the page behind one that failed.
func (a *ahead) drop() {
	a.mu.Lock()
	token, begun := a.token, a.begun
	a.mu.Unlock()
	if begun {
		a.r.aheads.drop(a.after(token))
	}
}

// begin asks for a page, in place of what is there of an earlier listing.
func (s *aheads) begin(r *Remote, path string, q listing) {
	ctx, cancel := context.WithTimeout(context.Background(), headerTimeout+stallTimeout)
	c, err := r.begin(ctx, "list", path)
	if err != nil {
		cancel()
		return
	}
	a := &ahead{r: r, path: path, q: q, cancel: cancel, done: make(chan struct{})}
	s.mu.Lock()
	old := s.m[q]
	full := old == nil && len(s.m) >= maxAhead
	if !full {
		s.m[q] = a
	}
	s.mu.Unlock()
	if old != nil {
		old.cancel()
	}
	if full {
		c.done()
		cancel()
		return
	}
	go func() {
		defer c.done()
		defer close(a.done)
		a.fetch(c)
	}()
	time.AfterFunc(aheadTime, func() { s.expire(a) })
}

// take gives a page to whoever has come for it; nil if it was not asked for.
func (s *aheads) take(q listing) *ahead {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.m[q]
	delete(s.m, q)
	return a
}

func (s *aheads) drop(q listing) {
	if a := s.take(q); a != nil {
		a.cancel()
	}
}

// expire gives a page up that nobody came for.
func (s *aheads) expire(a *ahead) {
	s.mu.Lock()
	mine := s.m[a.q] == a
	if mine {
		delete(s.m, a.q)
	}
	s.mu.Unlock()
	if mine {
		a.cancel()
	}
}

// readPage is an option of a request for a page: page is called with the bytes of
// each answer, and told, if it is not nil, when the answer has come so far that it
// says where the next page begins. The client gets an empty listing in its place.
func readPage(page func(b []byte) error, told func(token string)) func(*awss3.Options) {
	read := middleware.DeserializeMiddlewareFunc("ReadPage", func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
		out, md, err := next.HandleDeserialize(ctx, in)
		res, ok := out.RawResponse.(*smithyhttp.Response)
		if err != nil || !ok || res.StatusCode != http.StatusOK {
			return out, md, err
		}
		b, err := readTold(res.Body, told)
		res.Body.Close()
		if err == nil {
			err = page(b)
		}
		res.Body = io.NopCloser(strings.NewReader("<ListBucketResult/>"))
		return out, md, err
	})
	return func(o *awss3.Options) {
		o.APIOptions = append(o.APIOptions, func(s *middleware.Stack) error {
			return s.Deserialize.Insert(read, "OperationDeserializer", middleware.After)
		})
	}
}

// readTold reads a page whole and looks at it while it comes.
func readTold(r io.Reader, told func(token string)) ([]byte, error) {
	b := make([]byte, 0, 64<<10)
	for {
		if len(b) == cap(b) {
			if len(b) >= maxPage {
				return nil, fmt.Errorf("%w: a page of a listing that is too long", providers.ErrProtocol)
			}
			b = slices.Grow(b, len(b))
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if told != nil && n > 0 {
			token, over := findToken(b[:min(len(b), aheadScan)])
			if token != "" {
				told(token)
			}
			if over || len(b) >= aheadScan {
				told = nil
			}
		}
		switch {
		case err == io.EOF:
			return b, nil
		case err != nil:
			return nil, err
		}
	}
}

// findToken finds where the next page begins in the beginning of a page; "" if it
// is not there. over means that more of the page will not tell.
func findToken(head []byte) (token string, over bool) {
	const open, end = "<NextContinuationToken>", "</NextContinuationToken>"
	at := bytes.Index(head, []byte(open))
	if names := bytes.Index(head, []byte("<Contents>")); names >= 0 && (at < 0 || names < at) {
		return "", true
	}
	if at < 0 {
		return "", false
	}
	n := bytes.Index(head[at:], []byte(end))
	if n < 0 || n > maxToken {
		return "", n > maxToken
	}
	r := newXMLReader(head[at : at+n+len(end)])
	r.next(0)
	if token = r.text(); r.err != nil || len(token) > maxToken {
		return "", true
	}
	return token, true
}
