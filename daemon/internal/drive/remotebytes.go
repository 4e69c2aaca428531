package drive

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/blocks"
	"github.com/moorage/moorage/daemon/internal/drive/disk"
	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/daemon/internal/drive/reader"
	"github.com/moorage/moorage/providers"
)

// inactivity is how long a request for bytes may bring none.
const inactivity = 15 * time.Second

// openReading makes what bytes of the remote are fetched and kept with.
func (d *Drive) openReading() error {
	if err := d.identify(); err != nil {
		return err
	}
	folder := d.o.Cache
	if folder == nil {
		name := d.o.CacheDir
		if name == "" {
			name = filepath.Join(d.o.StateDir, "blocks")
		}
		var err error
		if folder, err = disk.Dir(name); err != nil {
			return fmt.Errorf("make the drive's cache folder: %w", err)
		}
	}
	var err error
	if d.cache, err = blocks.Open(folder, blocks.Options{Limit: d.o.CacheLimit, Logger: d.o.Logger, Clock: d.o.Clock, Pinned: d.isPinned}); err != nil {
		return fmt.Errorf("open the drive's cache: %w", err)
	}
	// Its clock is not ours: it measures how long the remote takes.
	d.reader = reader.New(reader.Options{
		Budget: d.o.Budget, Parallel: cap(d.health.data), Preferred: d.info.PreferredReadSize, Inactivity: min(inactivity, d.o.CallTimeout),
		Retryable: retryable, RateLimited: rateLimited, Changed: changed, Logger: d.o.Logger,
	})
	return nil
}

// identify finds the name that the nodes have in the cache, or gives them one.
func (d *Drive) identify() error {
	v, err := d.store.Meta("identity")
	if err != nil {
		return err
	}
	if len(v) != 32 {
		var b [16]byte
		if _, err := rand.Read(b[:]); err != nil {
			return fmt.Errorf("name the drive: %w", err)
		}
		v = hex.AppendEncode(nil, b[:])
		if err := d.store.Update(func(tx *nodes.Tx) error {
			tx.SetMeta("identity", v)
			return nil
		}); err != nil && !errors.Is(err, nodes.ErrFull) {
			return err
		}
	}
	d.identity = string(v)
	return nil
}

// closeReading ends what openReading began; nobody reads.
func (d *Drive) closeReading() error {
	d.reader.Close()
	return errors.Join(d.versions.close(), d.cache.Close())
}

// retryable reports whether another request may bring what failed.
func retryable(err error) bool {
	var down *downError
	return (passing(err) || garbled(err)) && !errors.As(err, &down)
}

func rateLimited(err error) (time.Duration, bool) {
	var l *providers.RateLimitedError
	if !errors.As(err, &l) {
		return 0, false
	}
	return l.After, true
}

// fetch is call for bytes, which come while they are read: it keeps its place
// until the body is closed. It is made once.
func (h *health) fetch(ctx context.Context, n int64, get func(context.Context) (io.ReadCloser, error)) (io.ReadCloser, error) {
	if err := h.mayAsk(); err != nil {
		return nil, err
	}
	h.mu.Lock()
	counted := h.counted
	h.mu.Unlock()
	select {
	case h.data <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for earlier calls: %w", ctx.Err())
	}
	r, err := get(ctx)
	if err != nil {
		<-h.data
		h.recordFetch(ctx, counted, err)
		return nil, err
	}
	return &body{ReadCloser: r, h: h, ctx: ctx, counted: counted, left: n}, nil
}

// body is a body whose end tells how the remote is.
type body struct {
	io.ReadCloser
	h       *health
	ctx     context.Context // of the request
	counted uint64          // failures when it began
	left    int64           // bytes that are still to come
	err     error
	closed  bool
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	switch {
	case err == nil:
	case err != io.EOF:
		b.err = err
	case b.left > 0:
		b.err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	if !b.closed {
		b.closed = true
		<-b.h.data
		b.h.recordFetch(b.ctx, b.counted, b.err)
	}
	return err
}

// recordFetch is record for one of many requests under way at a time: those that
// began before a failure and fail with it are one.
func (h *health) recordFetch(ctx context.Context, counted uint64, err error) {
	h.mu.Lock()
	same := passing(err) && h.counted != counted
	h.mu.Unlock()
	if !same {
		h.record(ctx, err)
	}
}

// silent says that the remote takes requests and sends nothing.
func (h *health) silent(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.goDown(h.clock(), err)
}
