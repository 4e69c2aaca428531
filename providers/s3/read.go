package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/moorage/moorage/providers"
)

// Open finds the object at path. Bytes are asked for when they are read.
func (r *Remote) Open(ctx context.Context, path string, v providers.Version) (providers.Object, error) {
	c, err := r.begin(ctx, "open", path)
	if err != nil {
		return nil, err
	}
	defer c.done()
	k, o, err := c.lookup(path)
	switch {
	case err != nil:
		return nil, c.fail(err)
	case k == isDir:
		return nil, c.fail(providers.ErrIsDir)
	case v != "" && string(v) != o.etag:
		return nil, c.fail(providers.ErrChanged)
	}
	_, name := split(path)
	return &file{r: r, path: path, key: o.key, entry: o.entry(name, k == isLink)}, nil
}

// OpenEntry opens what e describes, without I/O.
func (r *Remote) OpenEntry(ctx context.Context, path string, e providers.Entry) (providers.Object, error) {
	c, err := r.begin(ctx, "open", path)
	if err != nil {
		return nil, err
	}
	defer c.done()
	f := &file{r: r, path: path, key: r.fileKey(path), entry: e}
	switch e.Mode.Type() {
	case 0:
	case fs.ModeSymlink:
		f.key = r.linkKey(path)
	case fs.ModeDir:
		return nil, c.fail(providers.ErrIsDir)
	default:
		return nil, c.fail(fs.ErrInvalid)
	}
	if e.Version == "" || e.Size < 0 {
		return nil, c.fail(fmt.Errorf("%w: the version or its size is not known", providers.ErrUnsupported))
	}
	return f, nil
}

// file is one version of an object.
type file struct {
	r     *Remote
	path  string
	key   string
	entry providers.Entry
}

func (f *file) Entry() providers.Entry { return f.entry }

func (f *file) Close() error { return nil }

// ReadRange asks for the range of exactly this version, and takes nothing else.
func (f *file) ReadRange(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	if off < 0 || n < 0 {
		return nil, fmt.Errorf("read %q: range %d+%d: %w", f.path, off, n, fs.ErrInvalid)
	}
	c, err := f.r.begin(ctx, "read", f.path)
	if err != nil {
		return nil, err
	}
	off = min(off, f.entry.Size)
	n = min(n, f.entry.Size-off)
	if n == 0 {
		c.done()
		return io.NopCloser(bytes.NewReader(nil)), nil
	}
	b := &body{c: c, left: n}
	if b.ReadCloser, err = f.get(c, off, n); err != nil {
		err = c.fail(err)
		c.done()
		return nil, err
	}
	// The body outlives this call; only its context is still needed.
	f.r.calls.Done()
	return b, nil
}

func (f *file) get(c *call, off, n int64) (io.ReadCloser, error) {
	asked := "bytes=" + strconv.FormatInt(off, 10) + "-" + strconv.FormatInt(off+n-1, 10)
	out, err := ask(c, func(ctx context.Context, conn *connection) (*awss3.GetObjectOutput, error) {
		return conn.GetObject(ctx, &awss3.GetObjectInput{Bucket: &f.r.bucket, Key: &f.key, Range: &asked, IfMatch: quoted(string(f.entry.Version))})
	})
	if err != nil {
		return nil, err
	}
	if err := f.check(out, off, n); err != nil {
		return nil, errors.Join(err, out.Body.Close())
	}
	return out.Body, nil
}

// check holds an answer against the question.
func (f *file) check(out *awss3.GetObjectOutput, off, n int64) error {
	res, ok := middleware.GetRawResponse(out.ResultMetadata).(*smithyhttp.Response)
	if !ok {
		return fmt.Errorf("%w: no answer", providers.ErrProtocol)
	}
	etag := bareETag(out.ETag)
	whole := off == 0 && n == f.entry.Size && res.StatusCode == http.StatusOK
	want := fmt.Sprintf("bytes %d-%d/%d", off, off+n-1, f.entry.Size)
	switch {
	case etag != "" && etag != string(f.entry.Version):
		return fmt.Errorf("%w: the store answered with another version", providers.ErrChanged)
	case etag == "":
		return fmt.Errorf("%w: an answer without version", providers.ErrProtocol)
	case res.StatusCode != http.StatusPartialContent && !whole:
		return fmt.Errorf("%w: asked for a part, answered with status %d", providers.ErrProtocol, res.StatusCode)
	case !whole && (out.ContentRange == nil || *out.ContentRange != want):
		return fmt.Errorf("%w: asked for %s, answered with another range", providers.ErrProtocol, want)
	case out.ContentLength == nil && whole, out.ContentLength != nil && *out.ContentLength != n:
		return fmt.Errorf("%w: asked for %d bytes, answered with another length", providers.ErrProtocol, n)
	}
	return nil
}

// body is what a range answers with: so many bytes or an error.
type body struct {
	io.ReadCloser
	c    *call
	left int64
}

func (b *body) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	switch {
	case b.left == 0:
		return n, nil
	case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF):
		return n, fmt.Errorf("read %q: %d bytes are missing: %w", b.c.path, b.left, io.ErrUnexpectedEOF)
	case err != nil:
		return n, b.c.fail(fmt.Errorf("%w: %s", providers.ErrOffline, reason(err)))
	}
	return n, nil
}

func (b *body) Close() error {
	b.c.cancel()
	// What it says is about bytes that nobody reads.
	_ = b.ReadCloser.Close()
	return nil
}
