// Package wire speaks git's protocol as a client that only reads:
// version 2 (gitprotocol-v2(5)), and of versions 0 and 1 what a fetch without
// history needs (gitprotocol-pack(5)), for servers that know nothing better.
package wire

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/git/internal/object"
	"github.com/moorage/moorage/providers/git/internal/pack"
	"github.com/moorage/moorage/providers/git/internal/pktline"
)

// Transport carries requests to one repository. It is safe for concurrent use.
// Its errors, and those of its replies, are sentinels of package providers.
type Transport interface {
	// Advertise returns what the server says first: pkt-lines up to and with
	// the flush frame.
	Advertise(ctx context.Context) ([]byte, error)
	// Call sends one request and returns the reply.
	Call(ctx context.Context, request []byte) (Reply, error)
	// Close ends all connections, and the replies that are being read.
	Close() error
}

// Refresher is a Transport whose connections outlive a request.
type Refresher interface {
	// Refresh makes the next Call learn the refs as they are now.
	Refresh()
}

// Reply is the answer to a request.
type Reply interface {
	io.Reader
	// Close ends the reply. whole says that it was read to its end, so that
	// the connection can be used again.
	Close(whole bool)
}

const (
	agent   = "moorage/1"
	maxRefs = 4 << 20 // more are no repository that anybody works with
	maxTalk = 100_000 // frames before a pack: the ends of a shallow history
)

// Client is a connection to one repository. It is safe for concurrent use.
type Client struct {
	t       Transport
	version int
	format  object.Format
	caps    map[string]string // of version 2: capability → value; of 0: the same
	refs    []Ref             // version 0 only
}

// Ref is a name that the server has for an object.
type Ref struct {
	Name   string
	ID     object.ID
	Peeled object.ID // of an annotated tag: what it is about; else zero
	Target string    // of a symbolic ref: the ref it stands for, if it was told
}

// Connect asks the server what it can do.
func Connect(ctx context.Context, t Transport) (*Client, error) {
	b, err := t.Advertise(ctx)
	if err != nil {
		return nil, err
	}
	c := &Client{t: t, caps: make(map[string]string)}
	if err := c.parseAdvertisement(b); err != nil {
		return nil, Classify("connect", err)
	}
	return c, nil
}

func (c *Client) parseAdvertisement(b []byte) error {
	r := pktline.NewReader(bytes.NewReader(b))
	kind, line, err := r.Next()
	if err != nil {
		return err
	}
	if kind == pktline.Data && strings.TrimSpace(string(line)) == "version 2" {
		c.version = 2
		for {
			kind, line, err := r.Next()
			if err != nil {
				return err
			}
			if kind != pktline.Data {
				break
			}
			k, v, _ := strings.Cut(strings.TrimSuffix(string(line), "\n"), "=")
			c.caps[k] = v
		}
		if _, ok := c.caps["fetch"]; !ok {
			return fmt.Errorf("%w: the server does not offer to fetch", providers.ErrProtocol)
		}
		if f, ok := c.caps["object-format"]; ok {
			c.format, err = object.ParseFormat(f)
			if err != nil {
				return fmt.Errorf("%w: %w", providers.ErrUnsupported, err)
			}
		}
		return nil
	}
	if kind == pktline.Data && strings.TrimSpace(string(line)) == "version 1" {
		if kind, line, err = r.Next(); err != nil {
			return err
		}
	}
	return c.parseV0(r, kind, line)
}

// Format is the object format of the repository.
func (c *Client) Format() object.Format { return c.format }

// Version of the protocol that the server speaks: 2 or 0.
func (c *Client) Version() int { return c.version }

// CanFilter tells whether a fetch can leave objects out.
func (c *Client) CanFilter() bool {
	if c.version == 2 {
		return c.feature("fetch", "filter")
	}
	_, ok := c.caps["filter"]
	return ok
}

// CanWantAny tells whether objects can be fetched that no ref points at.
func (c *Client) CanWantAny() bool {
	if c.version == 2 {
		return true
	}
	_, reachable := c.caps["allow-reachable-sha1-in-want"]
	return reachable
}

// CanSize tells whether the server gives sizes without objects.
func (c *Client) CanSize() bool {
	_, ok := c.caps["object-info"]
	return c.version == 2 && ok
}

func (c *Client) feature(command, name string) bool {
	for f := range strings.FieldsSeq(c.caps[command]) {
		if f == name {
			return true
		}
	}
	return false
}

// command begins a request of version 2.
func (c *Client) command(name string) []byte {
	b := pktline.Append(nil, "command="+name+"\n")
	if _, ok := c.caps["agent"]; ok {
		b = pktline.Append(b, "agent="+agent+"\n")
	}
	if _, ok := c.caps["object-format"]; ok {
		b = pktline.Append(b, "object-format="+c.format.String()+"\n")
	}
	return pktline.AppendDelim(b)
}

// Refs returns the refs whose names begin with one of the prefixes; all of them
// if there is none. One request. Symbolic refs come with their target.
func (c *Client) Refs(ctx context.Context, prefixes ...string) ([]Ref, error) {
	if c.version != 2 {
		return c.refsV0(ctx, prefixes)
	}
	b := c.command("ls-refs")
	b = pktline.Append(b, "peel\n")
	b = pktline.Append(b, "symrefs\n")
	for _, p := range prefixes {
		b = pktline.Append(b, "ref-prefix "+p+"\n")
	}
	if r, ok := c.t.(Refresher); ok {
		r.Refresh()
	}
	rep, err := c.t.Call(ctx, pktline.AppendFlush(b))
	if err != nil {
		return nil, err
	}
	whole := false
	defer func() { rep.Close(whole) }()
	r := pktline.NewReader(bufio.NewReaderSize(rep, 16<<10))
	var refs []Ref
	for {
		kind, line, err := r.Next()
		if err != nil {
			return nil, Classify("list refs", err)
		}
		if kind != pktline.Data {
			whole = kind == pktline.Flush
			return refs, nil
		}
		ref, err := c.parseRef(strings.TrimSuffix(string(line), "\n"))
		if err != nil {
			return nil, Classify("list refs", err)
		}
		// An unborn HEAD has no id; a server may send more than was asked for.
		if !ref.ID.IsZero() && hasPrefix(ref.Name, prefixes) {
			refs = append(refs, ref)
		}
		if len(refs) > maxRefs {
			return nil, fmt.Errorf("list refs: %w: more than %d", providers.ErrProtocol, maxRefs)
		}
	}
}

func hasPrefix(name string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return len(prefixes) == 0
}

// parseRef reads "oid name [symref-target:T] [peeled:oid]".
func (c *Client) parseRef(line string) (Ref, error) {
	fields := strings.Split(line, " ")
	if len(fields) < 2 || fields[1] == "" {
		return Ref{}, fmt.Errorf("%w: ref %.80q", pktline.ErrMalformed, line)
	}
	ref := Ref{Name: fields[1]}
	var err error
	if fields[0] != "unborn" {
		if ref.ID, err = c.parseID(fields[0]); err != nil {
			return Ref{}, err
		}
	}
	for _, f := range fields[2:] {
		if t, ok := strings.CutPrefix(f, "symref-target:"); ok {
			ref.Target = t
		} else if p, ok := strings.CutPrefix(f, "peeled:"); ok {
			if ref.Peeled, err = c.parseID(p); err != nil {
				return Ref{}, err
			}
		}
	}
	return ref, nil
}

func (c *Client) parseID(s string) (object.ID, error) {
	id, err := object.ParseID(s)
	if err == nil && id.Format() != c.format {
		err = fmt.Errorf("%w: id %.64q", pktline.ErrMalformed, s)
	}
	return id, err
}

// FetchRequest says what to fetch.
type FetchRequest struct {
	Wants  []object.ID
	Depth  int       // of the history: 1 is a commit without the ones before it; 0: all
	Have   object.ID // a commit that is here with all its trees, without history; or zero. Only with a Depth
	Filter string    // rev-list's --filter, only if CanFilter; or ""
}

// Fetch receives a pack into sink. header is as in [pack.Read]; if it returns an
// error, that one is returned. One request.
func (c *Client) Fetch(ctx context.Context, q FetchRequest, lim pack.Limits, sink pack.Sink, header func(int, object.Type, int64) error) error {
	var request []byte
	if c.version == 2 {
		if q.Depth > 0 && !c.feature("fetch", "shallow") {
			return fmt.Errorf("fetch: %w: the server cannot leave the history out (no shallow capability)", providers.ErrUnsupported)
		}
		request = c.fetchV2(q)
	} else {
		var err error
		if request, err = c.fetchV0(q); err != nil {
			return err
		}
	}
	rep, err := c.t.Call(ctx, request)
	if err != nil {
		return err
	}
	whole := false
	defer func() { rep.Close(whole) }()
	br := bufio.NewReaderSize(rep, 64<<10)
	body, err := c.packOf(br, q)
	if err != nil {
		return Classify("fetch", err)
	}
	if err := pack.Read(body, c.format, lim, sink, header); err != nil {
		return Classify("fetch", err)
	}
	// The end of the band, so that the connection can be used again.
	n, err := io.Copy(io.Discard, io.LimitReader(body, 1))
	whole = err == nil && n == 0 && c.version == 2
	return nil
}

func (c *Client) fetchV2(q FetchRequest) []byte {
	b := c.command("fetch")
	b = pktline.Append(b, "no-progress\n")
	b = pktline.Append(b, "ofs-delta\n")
	for _, id := range q.Wants {
		b = pktline.Append(b, "want "+id.String()+"\n")
	}
	if q.Depth > 0 {
		if !q.Have.IsZero() {
			b = pktline.Append(b, "shallow "+q.Have.String()+"\n")
		}
		b = pktline.Append(b, "deepen "+strconv.Itoa(q.Depth)+"\n")
	}
	if q.Filter != "" {
		b = pktline.Append(b, "filter "+q.Filter+"\n")
	}
	if !q.Have.IsZero() {
		b = pktline.Append(b, "have "+q.Have.String()+"\n")
	}
	b = pktline.Append(b, "done\n")
	return pktline.AppendFlush(b)
}

// packOf reads what comes before the pack.
func (c *Client) packOf(br *bufio.Reader, q FetchRequest) (io.Reader, error) {
	r := pktline.NewReader(br)
	if c.version != 2 {
		return c.packOfV0(r, q)
	}
	for range maxTalk {
		kind, line, err := r.Next()
		if err != nil {
			return nil, err
		}
		if kind == pktline.Flush || kind == pktline.ResponseEnd {
			return nil, fmt.Errorf("%w: an answer without a pack", pktline.ErrMalformed)
		}
		if kind == pktline.Data && strings.TrimSpace(string(line)) == "packfile" {
			return pktline.NewSideband(r), nil
		}
	}
	return nil, fmt.Errorf("%w: no pack in sight", pktline.ErrMalformed)
}

// Sizes asks for the sizes of blobs, if CanSize. Those that the server does not
// have are not in the answer. The sizes are the server's word. One request.
func (c *Client) Sizes(ctx context.Context, ids []object.ID) (map[object.ID]int64, error) {
	b := c.command("object-info")
	b = pktline.Append(b, "size\n")
	for _, id := range ids {
		b = pktline.Append(b, "oid "+id.String()+"\n")
	}
	rep, err := c.t.Call(ctx, pktline.AppendFlush(b))
	if err != nil {
		return nil, err
	}
	whole := false
	defer func() { rep.Close(whole) }()
	r := pktline.NewReader(bufio.NewReaderSize(rep, 16<<10))
	sizes := make(map[object.ID]int64, len(ids))
	for range len(ids) + 8 {
		kind, line, err := r.Next()
		if err != nil {
			return nil, Classify("ask for sizes", err)
		}
		if kind != pktline.Data {
			whole = kind == pktline.Flush
			return sizes, nil
		}
		name, value, ok := strings.Cut(strings.TrimSuffix(string(line), "\n"), " ")
		if !ok || value == "" {
			continue // the heading, or an object that is not there
		}
		id, err := c.parseID(name)
		n, nerr := strconv.ParseInt(value, 10, 64)
		if err != nil || nerr != nil || n < 0 {
			return nil, fmt.Errorf("ask for sizes: %w: %.80q", providers.ErrProtocol, line)
		}
		sizes[id] = n
	}
	return nil, fmt.Errorf("ask for sizes: %w: more answers than questions", providers.ErrProtocol)
}

// Classify gives an error of the parsers its place among those of package
// providers. A *pktline.RemoteError stays one, without a sentinel: what it
// means depends on what was asked.
func Classify(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, providers.ErrOffline), errors.Is(err, providers.ErrProtocol), errors.Is(err, providers.ErrUnsupported),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
	case errors.Is(err, pktline.ErrMalformed), errors.Is(err, pack.ErrMalformed), errors.Is(err, object.ErrMalformed), errors.Is(err, pack.ErrTooLarge):
		return fmt.Errorf("%s: %w: %w", op, providers.ErrProtocol, err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrNoProgress):
		return fmt.Errorf("%s: %w: the answer broke off", op, providers.ErrOffline)
	}
	return fmt.Errorf("%s: %w", op, err)
}
