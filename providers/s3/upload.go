package s3

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/moorage/moorage/providers"
)

// Upload stores a file. One of more than 8 MiB goes in parts, of which it knows
// which have arrived.
func (r *Remote) Upload(ctx context.Context, path string, src providers.Source, o providers.PutOptions, state []byte, save func([]byte) error) (providers.Entry, error) {
	c, err := r.begin(ctx, "put", path)
	if err != nil {
		return providers.Entry{}, err
	}
	defer c.done()
	size := src.Size()
	if size > r.limits.maxParts*maxPart {
		return providers.Entry{}, c.fail(fmt.Errorf("%w: %d bytes", providers.ErrTooLarge, size))
	}
	meta := metadata(o)
	e, err := c.put(path, false, o, size, func(key string, m match) (stored, error) {
		if size <= r.limits.single {
			if s, err := decodeState(state); err == nil && s.bucket == r.bucket {
				c.abandon(s.key, s.id) // of what the file was before
			}
			return c.putOne(key, src, size, m, meta)
		}
		u := &upload{call: c, src: src, meta: meta, save: save}
		etag, err := u.run(key, m, state)
		return stored{etag, err == nil}, err
	})
	if err != nil {
		return providers.Entry{}, c.fail(err)
	}
	return e, nil
}

// AbandonUpload frees the parts of an upload.
func (r *Remote) AbandonUpload(ctx context.Context, state []byte) error {
	c, err := r.begin(ctx, "abandon upload", "")
	if err != nil {
		return err
	}
	defer c.done()
	s, err := decodeState(state)
	if err != nil || s.bucket != r.bucket {
		return nil // not one that there could be
	}
	return c.fail(c.abort(s.key, s.id))
}

const (
	maxPart       = 5 << 30 // bytes
	uploadWorkers = 8       // of one upload
	abortTime     = 20 * time.Second
	partTries     = 3
	partPause     = 200 * time.Millisecond
)

// upload is one file on its way in parts.
type upload struct {
	*call
	src  providers.Source
	meta map[string]string
	save func([]byte) error // nil: nobody will go on

	saving sync.Mutex // held while a state is saved

	mu    sync.Mutex
	state uploadState
	have  int // parts that are there
	saved int // of these in the state that was saved last
}

// run sends what is missing and has the store put the parts together.
func (u *upload) run(key string, m match, old []byte) (string, error) {
	size := u.src.Size()
	if etag, err := u.resume(key, size, old); etag != "" || err != nil {
		return etag, err
	}
	for try := 0; ; try++ {
		etag, err := u.attempt(key, size, m)
		switch {
		case err == nil:
			return etag, nil
		case errors.Is(err, providers.ErrChanged), errors.Is(err, errNoUpload):
			if mine, herr := u.mine(); herr != nil || mine != "" {
				return mine, herr
			}
		}
		if errors.Is(err, errParts) && try < partTries {
			// A request that was given up earlier can still arrive, and put its bytes
			// in the place of those that are there.
			if err = u.check(); err == nil {
				continue
			}
		}
		lost := errors.Is(err, errNoUpload)
		if u.save == nil || lost || errors.Is(err, providers.ErrChanged) {
			u.abandon(u.state.key, u.state.id)
			u.state = uploadState{}
		} else if serr := u.keep(true); serr != nil {
			return "", serr
		}
		if !lost || try > 0 {
			return "", err
		}
	}
}

// attempt goes on from the state, or starts one.
func (u *upload) attempt(key string, size int64, m match) (string, error) {
	if u.state.id == "" {
		id, err := u.createUpload(key, u.meta)
		if err != nil {
			return "", err
		}
		part := u.r.limits.partOf(size)
		u.state = uploadState{bucket: u.r.bucket, key: key, id: id, options: options(u.meta), size: uint64(size), partSize: uint64(part),
			parts: make([]string, numParts(uint64(size), uint64(part)))}
		u.have, u.saved = 0, -1
		if err := u.keep(true); err != nil {
			return "", err
		}
	}
	if err := u.send(); err != nil {
		return "", err
	}
	if err := u.keep(true); err != nil {
		return "", err
	}
	return guarded(u.call, condComplete, key, m, func(m match) (string, error) {
		return u.complete(key, u.state.id, size, u.state.parts, m)
	})
}

// partOf is the size of the parts of a file.
func (l limits) partOf(size int64) int64 {
	const unit = 1 << 20
	least := (size + l.maxParts - 1) / l.maxParts
	return max(l.part, (least+unit-1)/unit*unit)
}

// options is metadata in one line.
func options(meta map[string]string) string { return meta[metaTime] + " " + meta[metaMode] }

// resume takes over a state if it is of this file and the store still has its
// parts. If they were put together already, it gives the ETag.
func (u *upload) resume(key string, size int64, old []byte) (etag string, err error) {
	if len(old) == 0 {
		return "", nil
	}
	s, err := decodeState(old)
	if err != nil {
		u.r.o.Logger.Warn("the state of an upload is malformed; it starts anew", "path", u.path)
		return "", nil
	}
	if s.bucket != u.r.bucket || s.key != key || s.size != uint64(size) || s.options != options(u.meta) || len(s.parts) > int(u.r.limits.maxParts) {
		if s.bucket == u.r.bucket {
			u.abandon(s.key, s.id)
		}
		return "", nil
	}
	u.state = *s
	err = u.check()
	if errors.Is(err, errNoUpload) || errors.Is(err, providers.ErrNotExist) {
		etag, err := u.mine()
		u.state = uploadState{}
		return etag, err
	}
	u.saved = u.have
	return "", err
}

// check holds the parts of the state against those that the store has.
func (u *upload) check() error {
	there, err := u.listParts(u.state.key, u.state.id)
	if err != nil {
		return err
	}
	u.have = 0
	for i, was := range u.state.parts {
		off, end := u.part(i)
		is := there[i+1]
		u.state.parts[i] = ""
		if is.size != end-off {
			continue
		}
		if was != is.etag {
			// It arrived when the state was not saved any more, or is not what the
			// file has there.
			sum, err := digest(u.src, off, end)
			if err != nil {
				return err
			}
			if hex.EncodeToString(sum) != is.etag {
				continue
			}
		}
		u.state.parts[i] = is.etag
		u.have++
	}
	return nil
}

// part is where a part, counted from 0, begins and ends.
func (u *upload) part(i int) (off, end int64) {
	off = int64(i) * int64(u.state.partSize)
	return off, min(off+int64(u.state.partSize), int64(u.state.size))
}

// mine gives the ETag of the object if it is what this upload makes: then the
// answer to the last request got lost. Else "".
func (u *upload) mine() (string, error) {
	want := joinedETag(u.state.parts)
	if want == "" {
		return "", nil
	}
	o, err := u.head(u.state.key)
	switch {
	case errors.Is(err, providers.ErrNotExist):
		return "", nil
	case err != nil:
		return "", err
	case !o.is(want, int64(u.state.size), u.meta):
		return "", nil
	}
	return o.etag, nil
}

// joinedETag is the ETag that Amazon gives an object of these parts, "" if it
// cannot be known: the MD5 sum of their MD5 sums, and their number.
func joinedETag(parts []string) string {
	sum := md5.New()
	for _, p := range parts {
		raw, ok := rawMD5(p)
		if !ok {
			return ""
		}
		sum.Write(raw)
	}
	return hex.EncodeToString(sum.Sum(nil)) + "-" + strconv.Itoa(len(parts))
}

// send sends the parts that are missing, several at a time. It returns when all
// have ended, with the first error.
func (u *upload) send() error {
	ctx, cancel := context.WithCancelCause(u)
	defer cancel(nil)
	missing := make(chan int)
	var wg sync.WaitGroup
	for range min(uploadWorkers, len(u.state.parts)) {
		wg.Go(func() {
			c := *u.call
			c.Context = ctx
			for i := range missing {
				if err := u.sendPart(&c, i); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	for i, etag := range u.state.parts { // workers write to those that are in missing only
		if etag != "" {
			continue
		}
		select {
		case missing <- i:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(missing)
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

func (u *upload) sendPart(c *call, i int) error {
	off, end := u.part(i)
	var etag string
	var err error
	for try := 1; ; try++ {
		etag, err = c.putPart(u.state.key, u.state.id, i+1, u.src, off, end)
		if err == nil || try == partTries || !errors.Is(err, providers.ErrOffline) {
			break
		}
		if err := c.sleep(partPause << (2 * try)); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	u.mu.Lock()
	u.state.parts[i] = etag
	u.have++
	u.mu.Unlock()
	return u.keep(false)
}

// keep saves the state: now, or if enough is new in it and nobody else is at it.
// A state of ten thousand parts has 170 KB, so that not every part is worth it.
func (u *upload) keep(now bool) error {
	if u.save == nil {
		return nil
	}
	if now {
		u.saving.Lock()
	} else if !u.saving.TryLock() {
		return nil
	}
	defer u.saving.Unlock()
	u.mu.Lock()
	have := u.have
	due := have > u.saved && (now || have-u.saved > have/32)
	var b []byte
	if due {
		b = u.state.encode()
	}
	u.mu.Unlock()
	if !due {
		return nil
	}
	if err := u.save(b); err != nil {
		return fmt.Errorf("save the state of an upload: %w", err)
	}
	u.saved = have // no other is here
	return nil
}

// createUpload starts an upload.
func (c *call) createUpload(key string, meta map[string]string) (id string, err error) {
	out, err := ask(c, func(ctx context.Context, conn *connection) (*awss3.CreateMultipartUploadOutput, error) {
		return conn.CreateMultipartUpload(ctx, &awss3.CreateMultipartUploadInput{Bucket: &c.r.bucket, Key: &key, Metadata: meta, ContentType: contentType(key)})
	})
	if err != nil {
		return "", err
	}
	if out.UploadId == nil || *out.UploadId == "" || len(*out.UploadId) > maxID {
		return "", fmt.Errorf("%w: an upload without a name", providers.ErrProtocol)
	}
	return *out.UploadId, nil
}

// putPart sends a part of a source as the part of that number, from 1.
func (c *call) putPart(key, id string, number int, src io.ReaderAt, off, end int64) (etag string, err error) {
	select {
	case c.r.uploads <- struct{}{}:
	case <-c.Done():
		return "", context.Cause(c)
	}
	defer func() { <-c.r.uploads }()
	sum, err := digest(src, off, end)
	if err != nil {
		return "", err
	}
	body := &sourceReader{src: src, off: off, end: end}
	n, size, check := int32(number), end-off, base64.StdEncoding.EncodeToString(sum)
	out, err := ask(c, func(ctx context.Context, conn *connection) (*awss3.UploadPartOutput, error) {
		return conn.UploadPart(ctx, &awss3.UploadPartInput{Bucket: &c.r.bucket, Key: &key, UploadId: &id, PartNumber: &n,
			Body: body, ContentLength: &size, ContentMD5: &check})
	})
	if err != nil {
		return "", body.explain(err)
	}
	etag, err = version(out.ETag)
	if len(etag) > maxETag {
		return "", fmt.Errorf("%w: a version of %d bytes", providers.ErrProtocol, len(etag))
	}
	return etag, err
}

// complete puts the parts together.
func (c *call) complete(key, id string, size int64, etags []string, m match) (string, error) {
	parts := make([]types.CompletedPart, len(etags))
	for i := range etags {
		n := int32(i + 1)
		parts[i] = types.CompletedPart{PartNumber: &n, ETag: quoted(etags[i])}
	}
	none, some := m.headers()
	out, err := ask(c, func(ctx context.Context, conn *connection) (*awss3.CompleteMultipartUploadOutput, error) {
		return conn.CompleteMultipartUpload(ctx, &awss3.CompleteMultipartUploadInput{Bucket: &c.r.bucket, Key: &key, UploadId: &id,
			MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}, MpuObjectSize: &size, IfNoneMatch: none, IfMatch: some}, conn.slow)
	})
	if err != nil {
		return "", err
	}
	return version(out.ETag)
}

// storedPart is a part that the store has.
type storedPart struct {
	etag string
	size int64
}

// listParts gives the parts of an upload by number.
func (c *call) listParts(key, id string) (map[int]storedPart, error) {
	there := map[int]storedPart{}
	var marker *string
	for {
		out, err := ask(c, func(ctx context.Context, conn *connection) (*awss3.ListPartsOutput, error) {
			return conn.ListParts(ctx, &awss3.ListPartsInput{Bucket: &c.r.bucket, Key: &key, UploadId: &id, PartNumberMarker: marker})
		})
		if err != nil {
			return nil, err
		}
		if out.UploadId == nil || *out.UploadId != id {
			return nil, fmt.Errorf("%w: the parts of another upload", providers.ErrProtocol)
		}
		before := len(there)
		for _, p := range out.Parts {
			if p.PartNumber != nil && p.Size != nil {
				there[int(*p.PartNumber)] = storedPart{bareETag(p.ETag), *p.Size}
			}
		}
		if out.IsTruncated == nil || !*out.IsTruncated {
			return there, nil
		}
		if marker = out.NextPartNumberMarker; marker == nil || len(there) == before || len(there) > maxParts {
			return nil, fmt.Errorf("%w: a listing of parts that does not end", providers.ErrProtocol)
		}
	}
}

// abort frees the parts of an upload. One that is not there is freed.
func (c *call) abort(key, id string) error {
	_, err := ask(c, func(ctx context.Context, conn *connection) (*awss3.AbortMultipartUploadOutput, error) {
		return conn.AbortMultipartUpload(ctx, &awss3.AbortMultipartUploadInput{Bucket: &c.r.bucket, Key: &key, UploadId: &id})
	})
	if errors.Is(err, errNoUpload) || errors.Is(err, providers.ErrNotExist) {
		return nil
	}
	return err
}

// abandon aborts an upload that failed, also when the call was called off.
func (c *call) abandon(key, id string) {
	if id == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c), abortTime)
	defer cancel()
	stop := context.AfterFunc(c.r.base, cancel)
	defer stop()
	d := *c
	d.Context = ctx
	if err := d.abort(key, id); err != nil {
		c.r.o.Logger.Warn("parts of a failed upload stay in the store", "path", c.path, "err", err)
	}
}
