package s3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/moorage/moorage/providers"
)

// Remove takes a file or symbolic link away. The directory it was in stays.
func (r *Remote) Remove(ctx context.Context, path string, cond providers.Cond) error {
	c, err := r.begin(ctx, "remove", path)
	if err != nil {
		return err
	}
	defer c.done()
	return c.fail(c.remove(path, cond))
}

func (c *call) remove(path string, cond providers.Cond) error {
	k, o, err := c.lookup(path)
	switch {
	case err != nil:
		return err
	case k == isDir:
		return providers.ErrIsDir
	case cond.IfAbsent:
		return providers.ErrExist
	case cond.IfVersion != "" && string(cond.IfVersion) != o.etag:
		return providers.ErrChanged
	}
	if err := c.deleteIf(o.key, string(cond.IfVersion)); err != nil {
		return err
	}
	c.keepDir(path)
	return nil
}

// deleteIf deletes the object of that key if it has that ETag; "" for any.
func (c *call) deleteIf(key, etag string) error {
	_, err := guarded(c, condDelete, key, match{etag: etag}, func(m match) (struct{}, error) {
		return struct{}{}, c.deleteObject(key, m.etag)
	})
	return err
}

// deleteObject is one request. An object that is not there is deleted.
func (c *call) deleteObject(key, etag string) error {
	_, some := match{etag: etag}.headers()
	_, err := ask(c, func(ctx context.Context, conn *connection) (*awss3.DeleteObjectOutput, error) {
		return conn.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: &c.r.bucket, Key: &key, IfMatch: some})
	})
	return err
}

// keepDir gives the directory that path was in a marker if nothing else is in
// it: it would be gone, and nobody removed it. A failure is not one of the
// change, which was made.
func (c *call) keepDir(path string) {
	dir, _ := split(path)
	if dir == "" {
		return
	}
	key := c.r.dirKey(dir)
	l, err := c.list(listing{prefix: key, tree: true, max: 1})
	if err == nil && l.empty() {
		_, err = c.putBytes(key, nil, match{}, nil)
	}
	if err != nil {
		c.r.dirs.drop(dir)
		c.r.o.Logger.Warn("an empty folder may be gone from the store", "path", dir, "err", err)
	}
}

// Mkdir makes a directory's marker.
func (r *Remote) Mkdir(ctx context.Context, path string) (providers.Entry, error) {
	c, err := r.begin(ctx, "mkdir", path)
	if err != nil {
		return providers.Entry{}, err
	}
	defer c.done()
	if err := c.mkdir(path); err != nil {
		return providers.Entry{}, c.fail(err)
	}
	r.dirs.add(path)
	_, name := split(path)
	return dirEntry(name), nil
}

func (c *call) mkdir(path string) error {
	if path == "" {
		return providers.ErrExist
	}
	var perr, lerr error
	err := parallel(2, func(i int) error {
		if i == 0 {
			perr = c.parent(path)
		} else {
			_, _, lerr = c.lookup(path)
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case perr != nil:
		return perr
	case lerr == nil:
		return providers.ErrExist
	case !errors.Is(lerr, providers.ErrNotExist):
		return lerr
	}
	key := c.r.dirKey(path)
	_, err = guarded(c, condPut, key, match{absent: true}, func(m match) (string, error) {
		return c.putBytes(key, nil, m, nil)
	})
	if errors.Is(err, providers.ErrChanged) {
		return providers.ErrExist
	}
	return err
}

// Rmdir takes the marker of a directory away that has nothing else. What is
// put into it at the same moment brings it back.
func (r *Remote) Rmdir(ctx context.Context, path string) error {
	c, err := r.begin(ctx, "rmdir", path)
	if err != nil {
		return err
	}
	defer c.done()
	return c.fail(c.rmdir(path))
}

func (c *call) rmdir(path string) error {
	if path == "" {
		return fs.ErrInvalid
	}
	key := c.r.dirKey(path)
	l, err := c.list(listing{prefix: key, tree: true, max: 2})
	if err != nil {
		return err
	}
	if l.empty() {
		k, _, err := c.lookup(path)
		switch {
		case err != nil:
			return err
		case k != isDir:
			return providers.ErrNotDir
		}
		return providers.ErrNotEmpty // by now
	}
	for _, o := range l.objects {
		if o.key != key {
			return providers.ErrNotEmpty
		}
	}
	if l.next != "" {
		return providers.ErrNotEmpty
	}
	if err := c.deleteIf(key, ""); err != nil {
		return err
	}
	c.r.dirs.drop(path)
	c.keepDir(path)
	return nil
}

// Symlink stores a symbolic link as rclone does; the name must be free.
func (r *Remote) Symlink(ctx context.Context, path, target string) (providers.Entry, error) {
	c, err := r.begin(ctx, "symlink", path)
	if err != nil {
		return providers.Entry{}, err
	}
	defer c.done()
	if target == "" || len(target) > maxTarget {
		return providers.Entry{}, c.fail(fmt.Errorf("%w: a target of %d bytes", fs.ErrInvalid, len(target)))
	}
	o := providers.PutOptions{Cond: providers.Cond{IfAbsent: true}}
	e, err := c.put(path, true, o, int64(len(target)), func(key string, m match) (stored, error) {
		return c.putOne(key, strings.NewReader(target), int64(len(target)), m, nil)
	})
	if err != nil {
		return providers.Entry{}, c.fail(err)
	}
	return e, nil
}

const maxTarget = 64 << 10 // bytes
