package s3

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"path"
	"strings"
	"sync"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/moorage/moorage/providers"
)

// Put stores a file, a large one in parts. A symbolic link at its path is
// replaced.
func (r *Remote) Put(ctx context.Context, path string, src providers.Source, o providers.PutOptions) (providers.Entry, error) {
	return r.Upload(ctx, path, src, o, nil, nil)
}

// errName is for names that mean a symbolic link in the store.
var errName = fmt.Errorf("%w: the store cannot have a file of this name", fs.ErrInvalid)

// put stores src at path by way of store, which is given the key and the
// condition on its object. store's error is ErrChanged for all conditions.
func (c *call) put(path string, link bool, o providers.PutOptions, size int64, store func(key string, m match) (stored, error)) (providers.Entry, error) {
	_, name := split(path)
	if path == "" || isLinkName(name) {
		return providers.Entry{}, errName
	}
	key, other := c.r.fileKey(path), c.r.linkKey(path)
	if link {
		key, other = other, key
	}
	m := matchOf(o.Cond)
	dir, _ := split(path)
	var aside *object // of the other kind, hidden or to be replaced
	var there stored
	var err error
	switch {
	case o.IfAbsent && size <= c.r.limits.single && c.r.dirs.exists(dir):
		there, err = c.putNew(path, link, key, m, store)
	case o.IfVersion == "":
		if aside, err = c.free(path, link, o.IfAbsent); err != nil {
			return providers.Entry{}, err
		}
		there, err = store(key, m)
	default:
		there, err = store(key, m)
	}
	if o.IfVersion != "" && errors.Is(err, providers.ErrChanged) {
		// That version may be of the other kind.
		var herr error
		if aside, herr = c.free(path, link, false); herr != nil {
			return providers.Entry{}, herr
		}
		if aside == nil || aside.etag != string(o.IfVersion) {
			return providers.Entry{}, err
		}
		there, err = store(key, match{absent: true})
	}
	switch {
	case o.IfAbsent && errors.Is(err, providers.ErrChanged):
		return providers.Entry{}, providers.ErrExist
	case err != nil:
		return providers.Entry{}, err
	}
	if aside != nil {
		if err := c.deleteIf(other, aside.etag); err != nil && !errors.Is(err, providers.ErrNotExist) {
			return providers.Entry{}, err
		}
	}
	c.r.dirs.add(dir)
	e := providers.Entry{Name: name, Mode: fileMode, Size: size, ModTime: o.ModTime.UTC().Round(0), Version: providers.Version(there.etag)}
	if m := o.Mode.Perm(); m != 0 {
		e.Mode = m
	}
	if link {
		e.Mode = linkMode
	}
	if e.ModTime.IsZero() {
		now, err := c.head(key)
		switch {
		case err == nil && now.etag == there.etag:
			e.ModTime = now.modified
		case err != nil && !errors.Is(err, providers.ErrNotExist):
			return providers.Entry{}, err
		}
	}
	return e, nil
}

// stored is an object that store has put.
type stored struct {
	etag string
	made bool // by its request, as far as is known; else it was there already
}

// putNew stores what replaces nothing, and looks meanwhile whether path can be
// put: each alone takes a round trip. What should not have been put is taken back.
func (c *call) putNew(path string, link bool, key string, m match, store func(key string, m match) (stored, error)) (there stored, err error) {
	var looked error
	err = parallel(2, func(i int) (err error) {
		if i == 0 {
			_, looked = c.free(path, link, true)
			return nil
		}
		there, err = store(key, m)
		return err
	})
	if looked == nil {
		return there, err
	}
	if err == nil && there.made {
		c.takeBack(key, there.etag)
	}
	return stored{}, looked
}

// takeBack removes what was put a moment ago, also when the call was called off.
func (c *call) takeBack(key, etag string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c), abortTime)
	defer cancel()
	stop := context.AfterFunc(c.r.base, cancel)
	defer stop()
	d := *c
	d.Context = ctx
	if err := d.deleteIf(key, etag); err != nil && !errors.Is(err, providers.ErrNotExist) && !errors.Is(err, providers.ErrChanged) {
		c.r.o.Logger.Warn("an object that a directory or a link hides stays in the store", "path", c.path, "err", err)
	}
}

// free tells whether path can be put: its parent exists, and there is no
// directory. It gives the symbolic link there, or the file if a link is to be
// put; nil if there is none.
func (c *call) free(path string, link, absent bool) (aside *object, err error) {
	if !link {
		var errs [2]error
		var none bool
		_ = parallel(2, func(i int) error {
			if i == 0 {
				errs[0] = c.parent(path)
			} else {
				none, errs[1] = c.nothingBeside(path)
			}
			return nil
		})
		if errs[0] != nil || errs[1] != nil || none {
			return nil, cmp.Or(errs[0], errs[1])
		}
	}
	var errs [3]error
	err = parallel(3, func(i int) (err error) {
		switch i {
		case 0:
			errs[0] = c.parent(path)
		case 1:
			var l *listed
			if l, errs[1] = c.list(listing{prefix: c.r.dirKey(path), tree: true, max: 1}); errs[1] == nil && !l.empty() {
				errs[1] = providers.ErrIsDir
			}
		case 2:
			if link {
				aside, errs[2] = c.head(c.r.fileKey(path))
			} else {
				aside, errs[2] = c.headLink(path)
			}
			if errors.Is(errs[2], providers.ErrNotExist) {
				errs[2] = nil
			}
		}
		return nil
	})
	for _, e := range errs {
		if e != nil {
			return nil, e
		}
	}
	if absent && aside != nil {
		return nil, providers.ErrExist
	}
	return aside, err
}

// nothingBeside finds out by one request whether there is no directory and no
// symbolic link at path. It tells nothing if a link is there, or a key that
// stands between both.
func (c *call) nothingBeside(path string) (none bool, err error) {
	link, dir := c.r.linkKey(path), c.r.dirKey(path)
	after := link[:len(link)-1] // the link is the next key that there is likely to be
	l, err := c.list(listing{prefix: c.r.fileKey(path), tree: true, after: after, max: 1})
	if err != nil {
		return false, err
	}
	switch key := l.last(); {
	case strings.HasPrefix(key, dir):
		return false, providers.ErrIsDir
	case l.next != "" && key == "":
		return false, nil // a page of nothing says nothing
	default:
		return key == "" || key > dir, nil
	}
}

// putOne stores n bytes of src in one request. If an answer got lost, the
// object that is there is recognized.
func (c *call) putOne(key string, src io.ReaderAt, n int64, m match, meta map[string]string) (stored, error) {
	digest, err := digest(src, 0, n)
	if err != nil {
		return stored{}, err
	}
	etag, err := guarded(c, condPut, key, m, func(m match) (string, error) {
		return c.putBody(key, src, n, digest, m, meta)
	})
	if errors.Is(err, providers.ErrChanged) {
		if o, herr := c.head(key); herr == nil && o.is(hex.EncodeToString(digest), n, meta) {
			return stored{etag: o.etag}, nil
		}
	}
	return stored{etag, err == nil}, err
}

// is reports whether the object is exactly what was to be put.
func (o *object) is(etag string, size int64, meta map[string]string) bool {
	return o.etag == etag && o.size == size && o.head.Metadata[metaTime] == meta[metaTime] && o.head.Metadata[metaMode] == meta[metaMode]
}

// putBytes stores a small object.
func (c *call) putBytes(key string, b []byte, m match, meta map[string]string) (string, error) {
	sum := md5.Sum(b)
	return c.putBody(key, bytes.NewReader(b), int64(len(b)), sum[:], m, meta)
}

func (c *call) putBody(key string, src io.ReaderAt, n int64, digest []byte, m match, meta map[string]string) (string, error) {
	sum := base64.StdEncoding.EncodeToString(digest)
	none, some := m.headers()
	body := &sourceReader{src: src, end: n}
	out, err := ask(c, func(ctx context.Context, conn *connection) (*awss3.PutObjectOutput, error) {
		return conn.PutObject(ctx, &awss3.PutObjectInput{Bucket: &c.r.bucket, Key: &key, Body: body, ContentLength: &n, ContentMD5: &sum,
			ContentType: contentType(key), Metadata: meta, IfNoneMatch: none, IfMatch: some})
	})
	if err != nil {
		return "", body.explain(err)
	}
	return version(out.ETag)
}

// digest is the MD5 sum of a part of a source: what stores check uploads by.
func digest(src io.ReaderAt, off, end int64) ([]byte, error) {
	body := &sourceReader{src: src, off: off, end: end}
	sum := md5.New()
	if _, err := io.Copy(sum, body); err != nil {
		return nil, body.explain(err)
	}
	return sum.Sum(nil), nil
}

// version takes the ETag of what was stored.
func version(s *string) (string, error) {
	etag := bareETag(s)
	if etag == "" {
		return "", fmt.Errorf("%w: no version of what was stored", providers.ErrProtocol)
	}
	return etag, nil
}

// contentType is what a browser is told that the object is.
func contentType(key string) *string {
	t := mime.TypeByExtension(path.Ext(key))
	if t == "" || strings.HasSuffix(key, linkSuffix) {
		t = "application/octet-stream"
	}
	return &t
}

// sourceReader reads a part of a source, and remembers the source's error,
// which is another one than the store's. A request that failed may still be
// reading when the next one begins.
type sourceReader struct {
	src      io.ReaderAt
	off, end int64 // of the part in src

	mu  sync.Mutex
	at  int64 // behind off
	err error
}

func (s *sourceReader) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := s.end - s.off - s.at
	if left <= 0 {
		return 0, io.EOF
	}
	n, err := s.src.ReadAt(p[:min(int64(len(p)), left)], s.off+s.at)
	s.at += int64(n)
	if n > 0 {
		return n, nil // an error comes again
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	s.err = fmt.Errorf("%w: %w", errSource, err)
	return 0, s.err
}

func (s *sourceReader) Seek(off int64, whence int) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		off += s.at
	case io.SeekEnd:
		off += s.end - s.off
	}
	if off < 0 {
		return 0, fs.ErrInvalid
	}
	s.at = off
	return off, nil
}

// explain gives the source's error if that was the reason of err.
func (s *sourceReader) explain(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && s.err != nil {
		return s.err
	}
	return err
}
