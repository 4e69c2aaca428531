package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/git/internal/object"
	"github.com/moorage/moorage/providers/git/internal/pktline"
	"github.com/moorage/moorage/providers/git/internal/store"
	"github.com/moorage/moorage/providers/git/internal/wire"
)

// blobObject is a file that lies in the cache.
type blobObject struct {
	entry providers.Entry
	blob  *store.Blob
}

func (o *blobObject) Entry() providers.Entry                  { return o.entry }
func (o *blobObject) ReadAt(p []byte, off int64) (int, error) { return o.blob.ReadAt(p, off) }
func (o *blobObject) Close() error                            { return o.blob.Close() }

func (o *blobObject) ReadRange(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if off < 0 || n < 0 {
		return nil, fmt.Errorf("read %q: range %d+%d", o.entry.Name, off, n)
	}
	return io.NopCloser(io.NewSectionReader(o.blob, off, n)), nil
}

var _ io.ReaderAt = (*blobObject)(nil)

// Open fetches the file at path, or the target of a symbolic link, unless it is
// here, and opens it. Every version that was handed out can be opened, whatever
// is at path now, as long as it is here or the server has it; else ErrChanged.
func (r *Remote) Open(ctx context.Context, p string, v providers.Version) (providers.Object, error) {
	if err := r.usable(ctx); err != nil {
		return nil, err
	}
	o, err := r.open(ctx, p, v)
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", p, err)
	}
	return o, nil
}

func (r *Remote) open(ctx context.Context, p string, v providers.Version) (providers.Object, error) {
	snap := r.snapshot()
	e, err := r.lookup(ctx, snap, snap.top, p)
	if v != "" && (err != nil || string(v) != e.ID.String()) {
		if err != nil && !errors.Is(err, providers.ErrNotExist) && !errors.Is(err, providers.ErrNotDir) {
			return nil, err
		}
		id, perr := object.ParseID(string(v))
		if perr != nil {
			return nil, providers.ErrChanged
		}
		mode := uint32(object.ModeFile)
		if err == nil && e.Mode != object.ModeTree && e.Mode != object.ModeSubmodule {
			mode = e.Mode
		}
		e = object.TreeEntry{Mode: mode, Name: path.Base(p), ID: id}
	} else if err != nil {
		return nil, err
	}
	if e.Mode == object.ModeTree || e.Mode == object.ModeSubmodule {
		return nil, providers.ErrIsDir
	}
	blob, err := r.blob(ctx, snap, p, e)
	if err != nil {
		return nil, err
	}
	if blob, err = r.resolvePointer(ctx, snap, p, e, blob); err != nil {
		return nil, err
	}
	entry := entryOf(e, r.timeOf(ctx, snap, p, e))
	entry.Size = blob.Size()
	return &blobObject{entry, blob}, nil
}

// resolvePointer returns blob, or what it stands for.
func (r *Remote) resolvePointer(ctx context.Context, snap *snapshot, p string, e object.TreeEntry, blob *store.Blob) (*store.Blob, error) {
	if !mayBePointer(e, blob.Size()) {
		return blob, nil
	}
	pointer, ok := r.pointer(e.ID)
	if ok && pointer == nil {
		return blob, nil
	}
	rules, err := r.rules(ctx, snap, parent(p))
	if err == nil && !rules.known {
		err = ctx.Err()
	}
	if err == nil && !ok {
		err = errors.New("a file vanished from the cache")
	}
	if err == nil && !rules.isLFS(path.Base(p)) {
		return blob, nil
	}
	blob.Close()
	if err != nil {
		return nil, err
	}
	return r.largeFile(ctx, snap, pointer)
}

// blob opens the blob of e, after fetching it if need be.
func (r *Remote) blob(ctx context.Context, snap *snapshot, p string, e object.TreeEntry) (*store.Blob, error) {
	for range 3 {
		b, err := r.store.OpenFile(store.Key{ID: e.ID})
		if err == nil && p != "" {
			r.goOn(ctx, snap, p, e.ID)
		}
		if err == nil || !errors.Is(err, store.ErrNotFound) {
			return b, err
		}
		ids := []object.ID{e.ID}
		if p != "" && !r.flights.busy(blobKey{e.ID}) {
			ids = append(ids, r.filesAhead(ctx, snap, p, e.ID)...)
		}
		if err := r.obtainBlobs(ctx, snap, ids, 1); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: the server did not send it", providers.ErrChanged)
}

type blobKey struct{ id object.ID }

// obtainBlobs fetches the blobs ids, of which the first need are waited for. A
// fetch of one goes on as long as somebody waits for it, one of several to its
// end.
func (r *Remote) obtainBlobs(ctx context.Context, snap *snapshot, ids []object.ID, need int) error {
	c, err := r.connect(ctx)
	if err != nil {
		return err
	}
	if !lazy(c) {
		return r.awaitAll(ctx, c, snap, ids[:need])
	}
	fs := r.startBlobs(ids)
	if len(fs) == 0 {
		return providers.ErrClosed
	}
	defer func() {
		for _, f := range fs {
			f.leave()
		}
	}()
	for _, id := range ids[:need] {
		arrived := r.store.Arrival(store.Key{ID: id})
		for _, f := range fs {
			if err := f.waitFor(ctx, arrived); err != nil {
				if len(ids) > 1 && r.store.HasFile(store.Key{ID: id}) {
					break // the rest of the batch failed
				}
				return r.lost(id, err)
			}
			if r.store.HasFile(store.Key{ID: id}) {
				break
			}
		}
	}
	return nil
}

// startBlobs begins to fetch blobs. The caller leaves the flights; there are none
// after Close.
func (r *Remote) startBlobs(ids []object.ID) []*flight {
	keys := make([]blobKey, 0, len(ids))
	for _, id := range ids {
		keys = append(keys, blobKey{id})
	}
	fs, err := join(r.flights, keys, len(ids) > 1, func(ctx context.Context, keys []blobKey) error {
		ids := make([]object.ID, len(keys))
		for i, k := range keys {
			ids[i] = k.id
		}
		return r.fetchBlobs(ctx, ids)
	})
	if err != nil {
		return nil
	}
	return fs
}

// lost says what it means that the server refused to send id.
func (r *Remote) lost(id object.ID, err error) error {
	if remote := (*pktline.RemoteError)(nil); errors.As(err, &remote) {
		return fmt.Errorf("%w: it cannot be fetched any more: %w", providers.ErrChanged, err)
	}
	return err
}

// lazy tells whether files can be left out of a fetch and asked for later.
func lazy(c *wire.Client) bool { return c.CanFilter() && c.CanWantAny() }

// awaitAll waits for blobs that come with the whole revision.
func (r *Remote) awaitAll(ctx context.Context, c *wire.Client, snap *snapshot, ids []object.ID) error {
	f := r.flights.running(fillKey{snap.id})
	if f == nil {
		if c.CanWantAny() {
			// They were evicted, or are of an earlier revision.
			for _, id := range ids {
				err := r.flights.do(ctx, blobKey{id}, false, func(ctx context.Context) error {
					return r.fetchBlobs(ctx, []object.ID{id})
				})
				if err != nil {
					return r.lost(id, err)
				}
			}
			return nil
		}
		if f = r.fill(snap.id, object.ID{}); f == nil {
			return providers.ErrClosed
		}
	}
	defer f.leave()
	for _, id := range ids {
		if err := f.waitFor(ctx, r.store.Arrival(store.Key{ID: id})); err != nil {
			return err
		}
	}
	return nil
}

// fetchBlobs fetches blobs in one request. One that the server lacks fails the
// whole request, so the others are found by halving.
func (r *Remote) fetchBlobs(ctx context.Context, ids []object.ID) error {
	missing := make([]object.ID, 0, len(ids))
	for _, id := range ids {
		if !r.store.HasFile(store.Key{ID: id}) {
			missing = append(missing, id)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	err := r.fetch(ctx, wire.FetchRequest{Wants: missing}, nil)
	if remote := (*pktline.RemoteError)(nil); errors.As(err, &remote) && len(missing) > 1 {
		half := len(missing) / 2
		return errors.Join(r.fetchBlobs(ctx, missing[:half]), r.fetchBlobs(ctx, missing[half:]))
	}
	return err
}
