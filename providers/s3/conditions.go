package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/moorage/moorage/providers"
)

// The requests that carry conditions.
type cond int

const (
	condPut cond = iota
	condComplete
	condCopy
	condDelete
	numConds
)

// probe is whether a store keeps to the conditions of one kind of request.
type probe struct {
	mu    sync.Mutex // held while the store is tried
	known bool
	keeps bool
}

// keeps reports whether the store keeps to conditions on requests of that kind.
// Amazon does; others are tried once.
func (c *call) keeps(kind cond) (bool, error) {
	if c.r.endpoint == "" {
		return true, nil
	}
	p := &c.r.probes[kind]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known {
		return p.keeps, nil
	}
	keeps, err := c.try(kind)
	if err != nil {
		return false, fmt.Errorf("try what the store keeps to: %w", err)
	}
	p.known, p.keeps = true, keeps
	if !keeps {
		c.r.o.Logger.Warn("this store does not keep to conditions: a change by others in the moment of ours can be lost", "request", kind.String())
	}
	return keeps, nil
}

// String names the request.
func (k cond) String() string {
	return [...]string{"PutObject", "CompleteMultipartUpload", "CopyObject", "DeleteObject"}[k]
}

// noETag is the ETag of nothing that can be.
const noETag = "00000000000000000000000000000000"

// try changes an object of its own under conditions that do not hold.
func (c *call) try(kind cond) (keeps bool, err error) {
	key := c.r.prefix + probePrefix + rand.Text()
	defer func() { // also if the answer to the first request was lost
		if derr := c.deleteObject(key, ""); err == nil && !errors.Is(derr, providers.ErrNotExist) {
			err = derr
		}
	}()
	if _, err := c.putBytes(key, []byte("x"), match{}, nil); err != nil {
		return false, err
	}
	for _, m := range []match{{absent: true}, {etag: noETag}} {
		switch kind {
		case condPut:
			_, err = c.putBytes(key, []byte("y"), m, nil)
		case condComplete:
			err = c.tryComplete(key, m)
		case condCopy:
			_, err = c.copyOnce(key, key, "", m, &awss3.CopyObjectInput{MetadataDirective: types.MetadataDirectiveReplace})
		case condDelete:
			if m.absent {
				continue // makes no sense
			}
			err = c.deleteObject(key, m.etag)
		}
		switch {
		case errors.Is(err, providers.ErrChanged), errors.Is(err, errConflict):
		case err == nil, errors.Is(err, providers.ErrUnsupported), errors.Is(err, errRefused), kind == condDelete && errors.Is(err, providers.ErrNotExist):
			return false, nil
		default:
			return false, err
		}
	}
	return true, nil
}

func (c *call) tryComplete(key string, m match) error {
	id, err := c.createUpload(key, nil)
	if err != nil {
		return err
	}
	etag, err := c.putPart(key, id, 1, bytes.NewReader([]byte("y")), 0, 1)
	if err == nil {
		_, err = c.complete(key, id, 1, []string{etag}, m)
	}
	if err == nil {
		return nil
	}
	return errors.Join(err, c.abort(key, id))
}

// match is a condition on the object that a request replaces.
type match struct {
	absent bool   // there is none
	etag   string // it has this; "" for any
}

// matchOf is the condition on the object of a file.
func matchOf(c providers.Cond) match {
	return match{absent: c.IfAbsent, etag: string(c.IfVersion)}
}

// headers are the values of If-None-Match and If-Match.
func (m match) headers() (none, some *string) {
	if m.absent {
		star := "*"
		none = &star
	}
	if m.etag != "" {
		some = quoted(m.etag)
	}
	return none, some
}

// holds compares the condition with what is there now.
func (c *call) holds(key string, m match) error {
	if m == (match{}) {
		return nil
	}
	o, err := c.head(key)
	switch {
	case errors.Is(err, providers.ErrNotExist):
		if m.etag != "" {
			return providers.ErrChanged
		}
		return nil
	case err != nil:
		return err
	case m.absent, m.etag != "" && m.etag != o.etag:
		return providers.ErrChanged
	}
	return nil
}

// guarded makes a change under a condition: in the request where the store
// keeps to that, else right before it. Its error is ErrChanged for all
// conditions. What collides with another change is tried again, a few times;
// then it takes a longer pause.
func guarded[T any](c *call, kind cond, key string, m match, change func(m match) (T, error)) (T, error) {
	var none T
	if m != (match{}) {
		keeps, err := c.keeps(kind)
		if err != nil {
			return none, err
		}
		if !keeps {
			if err := c.holds(key, m); err != nil {
				return none, err
			}
			m = match{}
		}
	}
	for try := 0; ; try++ {
		out, err := change(m)
		switch {
		case err == nil:
			return out, nil
		case m.etag != "" && errors.Is(err, providers.ErrNotExist):
			return none, providers.ErrChanged // the object that must have that version
		case !errors.Is(err, errConflict):
			return none, err
		case try == maxConflicts:
			return none, &providers.RateLimitedError{After: conflictPause << try}
		}
		if err := c.sleep(conflictPause << try); err != nil {
			return none, err
		}
	}
}

const (
	maxConflicts  = 4
	conflictPause = 50 * time.Millisecond
)

// sleep waits, or less if the call ends.
func (c *call) sleep(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-c.Done():
		return context.Cause(c)
	}
}
