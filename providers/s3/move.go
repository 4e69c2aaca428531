package s3

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/moorage/moorage/providers"
)

// Move has the store copy a file or symbolic link, and then removes the old
// one. If that ends between the two, both are there, and Move of the same does
// the rest. Directories give ErrUnsupported. If someone changes the old file
// meanwhile, it stays, as if it had been made after the move.
func (r *Remote) Move(ctx context.Context, from, to string, cond providers.Cond) (providers.Entry, error) {
	c, err := r.begin(ctx, "move", from)
	if err != nil {
		return providers.Entry{}, err
	}
	defer c.done()
	if err := r.checkPath(to); err != nil {
		return providers.Entry{}, c.fail(err)
	}
	e, err := c.move(from, to, cond)
	if err != nil {
		return providers.Entry{}, c.fail(fmt.Errorf("to %q: %w", to, err))
	}
	return e, nil
}

func (c *call) move(from, to string, cond providers.Cond) (providers.Entry, error) {
	k, src, err := c.lookup(from)
	_, name := split(to)
	switch {
	case err != nil:
		return providers.Entry{}, err
	case k == isDir:
		return providers.Entry{}, fmt.Errorf("%w: a directory moves by what is in it", providers.ErrUnsupported)
	}
	is, old, err := c.target(to, cond)
	switch {
	case err != nil && !errors.Is(err, providers.ErrChanged) && !errors.Is(err, providers.ErrExist):
		return providers.Entry{}, err
	case from == to && err == nil:
		return src.entry(name, k == isLink), nil
	case err != nil && !(is == k && old.same(src)) || from == to:
		return providers.Entry{}, err
	case isLinkName(name):
		return providers.Entry{}, errName
	}
	e := src.entry(name, k == isLink)
	if err == nil { // else it was copied before
		etag, err := c.copyTo(src, k, to, is, old, cond)
		if err != nil {
			return providers.Entry{}, err
		}
		e.Version = providers.Version(etag)
	}
	dir, _ := split(to)
	c.r.dirs.add(dir)
	if err := c.deleteIf(src.key, src.etag); err != nil && !errors.Is(err, providers.ErrChanged) && !errors.Is(err, providers.ErrNotExist) {
		return providers.Entry{}, err
	}
	c.keepDir(from)
	return e, nil
}

// same reports whether o is a copy of p, or equal to it in all that is shown.
// One in parts has another ETag, which is known if there was one part.
func (o *object) same(p *object) bool {
	return o != nil && (o.is(p.etag, p.size, timed(p)) || o.is(joinedETag([]string{p.etag}), p.size, timed(p)))
}

// target finds what is at the target of a move, 0 and nil if nothing, and holds
// it against the condition.
func (c *call) target(to string, cond providers.Cond) (kind, *object, error) {
	k, o, err := c.lookup(to)
	switch {
	case errors.Is(err, providers.ErrNotExist):
		if err := c.parent(to); err != nil {
			return 0, nil, err
		}
		if cond.IfVersion != "" {
			return 0, nil, providers.ErrChanged
		}
		return 0, nil, nil
	case err != nil:
		return 0, nil, err
	case k == isDir:
		return k, nil, providers.ErrExist
	case cond.IfAbsent:
		return k, o, providers.ErrExist
	case cond.IfVersion != "" && string(cond.IfVersion) != o.etag:
		return k, o, providers.ErrChanged
	}
	return k, o, nil
}

// copyTo copies src, a file or link, over what is at to: old of kind is.
func (c *call) copyTo(src *object, k kind, to string, is kind, old *object, cond providers.Cond) (string, error) {
	key, m := c.r.fileKey(to), matchOf(cond)
	if k == isLink {
		key = c.r.linkKey(to)
	}
	if old != nil && is != k {
		m = match{absent: m != (match{})} // what the condition is about has another key
	}
	kind, err := c.copyKind(src, m)
	if err != nil {
		return "", err
	}
	etag, err := guarded(c, kind, key, m, func(m match) (string, error) {
		if kind == condComplete {
			return c.copyParts(src, key, m)
		}
		return c.copyOnce(src.key, key, src.etag, m, copied(src))
	})
	switch {
	case errors.Is(err, providers.ErrChanged) && cond.IfAbsent:
		return "", c.whose(src, providers.ErrExist)
	case errors.Is(err, providers.ErrChanged):
		return "", c.whose(src, err)
	case err != nil:
		return "", err
	}
	if old != nil && is != k {
		if err := c.deleteIf(old.key, old.etag); err != nil && !errors.Is(err, providers.ErrNotExist) {
			return "", err
		}
	}
	return etag, nil
}

// copyKind tells how to copy src: in parts what is too large for one request,
// and where the store keeps to conditions only so.
func (c *call) copyKind(src *object, m match) (cond, error) {
	if src.size > c.r.limits.copy {
		return condComplete, nil
	}
	if m == (match{}) || src.size == 0 { // nothing to have a part of
		return condCopy, nil
	}
	if keeps, err := c.keeps(condCopy); keeps || err != nil {
		return condCopy, err
	}
	if keeps, err := c.keeps(condComplete); !keeps || err != nil {
		return condCopy, err
	}
	return condComplete, nil
}

// whose tells whether a condition failed for the source, which then is
// ErrNotExist or ErrChanged, or for the target, which is err.
func (c *call) whose(src *object, err error) error {
	now, herr := c.head(src.key)
	switch {
	case herr != nil:
		return herr
	case now.etag != src.etag:
		return fmt.Errorf("%w: what was to be moved", providers.ErrChanged)
	}
	return err
}

// copied says what a copy keeps. An object that has no time of its own gets
// that of its upload, which else would be that of the copy.
func copied(src *object) *awss3.CopyObjectInput {
	in := &awss3.CopyObjectInput{MetadataDirective: types.MetadataDirectiveCopy, StorageClass: src.head.StorageClass}
	if _, ok := parseTime(src.head.Metadata[metaTime]); ok {
		return in
	}
	h := src.head
	in.MetadataDirective, in.Metadata = types.MetadataDirectiveReplace, timed(src)
	in.CacheControl, in.ContentDisposition, in.ContentEncoding, in.ContentLanguage = h.CacheControl, h.ContentDisposition, h.ContentEncoding, h.ContentLanguage
	in.ContentType, in.WebsiteRedirectLocation = h.ContentType, h.WebsiteRedirectLocation
	return in
}

// timed is the metadata of an object with a time.
func timed(src *object) map[string]string {
	m := map[string]string{metaTime: formatTime(src.modified)}
	for k, v := range src.head.Metadata {
		if _, ok := parseTime(v); ok || k != metaTime {
			m[k] = v
		}
	}
	return m
}

// source is how a copy names what it copies.
func (c *call) source(key string) *string {
	elems := strings.Split(c.r.bucket+"/"+key, "/")
	for i := range elems {
		elems[i] = url.PathEscape(elems[i])
	}
	s := strings.ReplaceAll(strings.Join(elems, "/"), "+", "%2B")
	return &s
}

// copyOnce copies in one request. etag is that of the source; "" for any.
func (c *call) copyOnce(from, to, etag string, m match, in *awss3.CopyObjectInput) (string, error) {
	in.Bucket, in.Key, in.CopySource = &c.r.bucket, &to, c.source(from)
	if etag != "" {
		in.CopySourceIfMatch = quoted(etag)
	}
	in.IfNoneMatch, in.IfMatch = m.headers()
	out, err := ask(c, func(ctx context.Context, conn *connection) (*awss3.CopyObjectOutput, error) {
		return conn.CopyObject(ctx, in, conn.slow)
	})
	if err != nil {
		return "", err
	}
	if out.CopyObjectResult == nil {
		return "", fmt.Errorf("%w: no version of the copy", providers.ErrProtocol)
	}
	return version(out.CopyObjectResult.ETag)
}

// copyParts copies what is too large for one request.
func (c *call) copyParts(src *object, to string, m match) (_ string, err error) {
	id, err := c.createCopy(src, to)
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			c.abandon(to, id)
		}
	}()
	size := max(c.r.limits.copyPart, (src.size+c.r.limits.maxParts-1)/c.r.limits.maxParts)
	etags := make([]string, numParts(uint64(src.size), uint64(size)))
	err = parallel(len(etags), func(i int) (err error) {
		off := int64(i) * size
		etags[i], err = c.copyPart(src, to, id, i+1, off, min(off+size, src.size))
		return err
	})
	if err != nil {
		return "", err
	}
	return c.complete(to, id, src.size, etags, m)
}

// createCopy starts an upload for a copy of src.
func (c *call) createCopy(src *object, to string) (string, error) {
	h := src.head
	out, err := ask(c, func(ctx context.Context, conn *connection) (*awss3.CreateMultipartUploadOutput, error) {
		return conn.CreateMultipartUpload(ctx, &awss3.CreateMultipartUploadInput{Bucket: &c.r.bucket, Key: &to, Metadata: timed(src), StorageClass: h.StorageClass,
			CacheControl: h.CacheControl, ContentDisposition: h.ContentDisposition, ContentEncoding: h.ContentEncoding, ContentLanguage: h.ContentLanguage,
			ContentType: h.ContentType, WebsiteRedirectLocation: h.WebsiteRedirectLocation})
	})
	if err != nil {
		return "", err
	}
	if out.UploadId == nil || *out.UploadId == "" {
		return "", fmt.Errorf("%w: an upload without a name", providers.ErrProtocol)
	}
	return *out.UploadId, nil
}

func (c *call) copyPart(src *object, to, id string, number int, off, end int64) (string, error) {
	n := int32(number)
	part := "bytes=" + strconv.FormatInt(off, 10) + "-" + strconv.FormatInt(end-1, 10)
	out, err := ask(c, func(ctx context.Context, conn *connection) (*awss3.UploadPartCopyOutput, error) {
		return conn.UploadPartCopy(ctx, &awss3.UploadPartCopyInput{Bucket: &c.r.bucket, Key: &to, UploadId: &id, PartNumber: &n,
			CopySource: c.source(src.key), CopySourceRange: &part, CopySourceIfMatch: quoted(src.etag)}, conn.slow)
	})
	if err != nil {
		return "", err
	}
	if out.CopyPartResult == nil {
		return "", fmt.Errorf("%w: no version of a part", providers.ErrProtocol)
	}
	return version(out.CopyPartResult.ETag)
}
