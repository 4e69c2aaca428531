package git

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/git/internal/object"
	"github.com/moorage/moorage/providers/git/internal/pktline"
	"github.com/moorage/moorage/providers/git/internal/store"
	"github.com/moorage/moorage/providers/git/internal/wire"
)

const (
	sizesPatience = 5 * time.Second // for the sizes of all files, before those of a folder are asked for

	infoBatch = 10_000   // sizes of one object-info request
	smallBlob = 64 << 10 // fetched to learn its size, whatever it is for
	largeBlob = 1 << 20  // never fetched only to learn its size
	fewBlobs  = 2        // asked for one by one
	manyBlobs = 16       // more of them are fetched up to largeBlob, in one request
	peekers   = 4        // requests at a time for sizes of single blobs
	maxDepth  = 2048     // folders in folders: longer paths no system opens
	wantBatch = 256      // blobs of one request, if no filter keeps large ones out
)

// Sizes fills in the sizes of entries of folder dir that have -1. Servers with
// object-info tell all of them in one request; then those of the whole revision
// are asked for in the background, as the next folder is likely to be next. From
// others the small files of the folder are fetched, and the beginnings of the
// large ones.
func (r *Remote) Sizes(ctx context.Context, dir string, entries []providers.Entry) error {
	if err := r.usable(ctx); err != nil {
		return err
	}
	if err := r.fillSizes(ctx, dir, entries); err != nil {
		return fmt.Errorf("sizes in %q: %w", dir, err)
	}
	return nil
}

func (r *Remote) fillSizes(ctx context.Context, dir string, entries []providers.Entry) error {
	snap := r.snapshot()
	list := make([]object.TreeEntry, len(entries))
	var unknown []object.ID
	seen := make(map[object.ID]bool)
	for i, e := range entries {
		if e.Size >= 0 || e.Mode.IsDir() {
			continue
		}
		id, err := object.ParseID(string(e.Version))
		if err != nil {
			return providers.ErrChanged
		}
		mode := uint32(object.ModeFile)
		if !e.Mode.IsRegular() {
			mode = object.ModeSymlink
		}
		list[i] = object.TreeEntry{Mode: mode, Name: e.Name, ID: id}
		if _, ok := r.store.Size(store.Key{ID: id}); !ok && !seen[id] {
			seen[id] = true
			unknown = append(unknown, id)
		}
	}
	var trouble error // what could be learned is filled in all the same
	if len(unknown) > 0 {
		trouble = r.learnSizes(ctx, snap, dir, unknown)
	}
	rules, err := r.rules(ctx, snap, dir)
	if err == nil && rules.known {
		err = r.fetchPointers(ctx, snap, rules, list)
	}
	if trouble == nil {
		trouble = err
	}
	for i := range entries {
		if list[i].ID.IsZero() {
			continue
		}
		entries[i].Size = r.sizeIn(rules, list[i])
		if entries[i].Size < 0 && trouble == nil {
			if trouble = ctx.Err(); trouble == nil {
				trouble = fmt.Errorf("%w: the server did not tell the size of %q", providers.ErrProtocol, list[i].Name)
			}
		}
	}
	return trouble
}

// fetchPointers fetches those of list that stand for large files, because the
// size of such a file is in the pointer.
func (r *Remote) fetchPointers(ctx context.Context, snap *snapshot, rules *folderRules, list []object.TreeEntry) error {
	var ids []object.ID
	seen := make(map[object.ID]bool)
	for _, e := range list {
		n, ok := r.store.Size(store.Key{ID: e.ID})
		if !ok || !mayBePointer(e, n) || seen[e.ID] || !rules.isLFS(e.Name) {
			continue
		}
		if _, ok := r.pointer(e.ID); !ok {
			seen[e.ID] = true
			ids = append(ids, e.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return r.obtainBlobs(ctx, snap, ids, len(ids))
}

// learnSizes makes the sizes of blobs known. They are of the folder dir.
func (r *Remote) learnSizes(ctx context.Context, snap *snapshot, dir string, ids []object.ID) error {
	c, err := r.connect(ctx)
	if err != nil {
		return err
	}
	if c.CanSize() {
		if f := r.flights.running(allSizesKey{snap.id}); f != nil {
			pctx, cancel := context.WithTimeout(ctx, sizesPatience)
			f.wait(pctx)
			cancel()
			f.leave()
			ids = r.sizeless(ids)
		}
		if err := r.askSizes(ctx, c, ids); err != nil {
			return err
		}
		r.askAllSizes(snap)
		ids = r.sizeless(ids)
	}
	if len(ids) == 0 {
		return nil
	}
	if !lazy(c) {
		return r.awaitAll(ctx, c, snap, ids)
	}
	if len(ids) > fewBlobs {
		if err := r.fetchFolder(ctx, snap, dir, ids, smallBlob); err != nil {
			return err
		}
		if ids = r.sizeless(ids); len(ids) > manyBlobs {
			if err := r.fetchFolder(ctx, snap, dir, ids, largeBlob); err != nil {
				return err
			}
			ids = r.sizeless(ids)
		}
	}
	return r.peek(ctx, ids)
}

func (r *Remote) sizeless(ids []object.ID) []object.ID {
	var out []object.ID
	for _, id := range ids {
		if _, ok := r.store.Size(store.Key{ID: id}); !ok {
			out = append(out, id)
		}
	}
	return out
}

type infoKey struct{ id object.ID }

func (r *Remote) askSizes(ctx context.Context, c *wire.Client, ids []object.ID) error {
	for len(ids) > 0 {
		n := min(len(ids), infoBatch)
		err := r.flights.do(ctx, infoKey{ids[0]}, false, func(ctx context.Context) error {
			done, err := turn(ctx, r.requests)
			if err != nil {
				return err
			}
			defer done()
			sizes, err := c.Sizes(ctx, ids[:n])
			if err != nil {
				return err
			}
			for _, id := range ids[:n] {
				if size, ok := sizes[id]; ok {
					if err := r.store.SetSize(store.Key{ID: id}, size); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

type allSizesKey struct{ rev object.ID }

// askAllSizes asks for the sizes of all files of the revision, in the background.
func (r *Remote) askAllSizes(snap *snapshot) {
	r.mu.Lock()
	again := r.sized == snap.id
	r.sized = snap.id
	r.mu.Unlock()
	if again {
		return
	}
	fs, err := join(r.flights, []allSizesKey{{snap.id}}, true, func(ctx context.Context, _ []allSizesKey) error {
		if f := r.flights.running(fillKey{snap.id}); f != nil {
			err := f.wait(ctx)
			f.leave()
			if err != nil {
				return err
			}
		}
		c, err := r.connect(ctx)
		if err != nil {
			return err
		}
		var ids []object.ID
		seen := make(map[object.ID]bool)
		var below func(id object.ID, depth int) error
		below = func(id object.ID, depth int) error {
			if seen[id] || depth > maxDepth {
				return nil
			}
			seen[id] = true
			t, err := r.tree(ctx, id, snap.id)
			if err != nil {
				return err
			}
			for _, e := range t.entries {
				switch e.Mode {
				case object.ModeSubmodule:
				case object.ModeTree:
					if err := below(e.ID, depth+1); err != nil {
						return err
					}
				default:
					if _, ok := r.store.Size(store.Key{ID: e.ID}); !ok && !seen[e.ID] {
						seen[e.ID] = true
						ids = append(ids, e.ID)
					}
				}
			}
			return nil
		}
		if err := below(snap.top, 0); err != nil {
			return err
		}
		return r.askSizes(ctx, c, ids)
	})
	if err == nil {
		fs[0].leave()
	}
}

type folderKey struct {
	id    object.ID
	limit int64
}

// What a server lets us leave out when the files of folders are fetched.
const (
	filterDepthAndSize = iota // what is in folders below, and large files
	filterSize                // large files; some forges allow no more
	filterNothing
)

// fetchFolder fetches the files of dir up to limit bytes in one request, and those
// of the folders after it if this is a walk. ids are those that are waited for.
func (r *Remote) fetchFolder(ctx context.Context, snap *snapshot, dir string, ids []object.ID, limit int64) error {
	e, err := r.lookup(ctx, snap, snap.top, dir)
	if err != nil || e.Mode != object.ModeTree {
		return r.fetchListed(ctx, snap, ids)
	}
	var ahead []object.ID
	if limit == smallBlob {
		ahead = r.foldersAhead(ctx, snap, dir, e.ID)
	}
	for {
		r.mu.Lock()
		filter := r.filter
		r.mu.Unlock()
		if filter == filterNothing {
			return r.fetchListed(ctx, snap, ids)
		}
		err := r.fetchFolders(ctx, snap, filter, limit, e.ID, ids, ahead)
		remote := (*pktline.RemoteError)(nil)
		if !errors.As(err, &remote) {
			return err
		}
		r.log.Debug("the server refused a filter, or lacks a file", "filter", filter, "err", err)
		r.mu.Lock()
		r.filter = max(r.filter, filter+1)
		r.mu.Unlock()
	}
}

// fetchListed fetches blobs, whatever their size.
func (r *Remote) fetchListed(ctx context.Context, snap *snapshot, ids []object.ID) error {
	var trouble []error
	for len(ids) > 0 {
		n := min(len(ids), wantBatch)
		if err := r.obtainBlobs(ctx, snap, ids[:n], n); err != nil {
			trouble = append(trouble, err)
		}
		ids = ids[n:]
	}
	return errors.Join(trouble...)
}

// fetchFolders fetches the files of a folder up to limit bytes, and those of the
// folders ahead, in one request. ids are the files of the folder that matter.
func (r *Remote) fetchFolders(ctx context.Context, snap *snapshot, filter int, limit int64, folder object.ID, ids, ahead []object.ID) error {
	var keys []any
	spec := fmt.Sprintf("blob:limit=%d", limit+1)
	if filter == filterDepthAndSize {
		// The folder's own entries, and no more than the trees of its folders.
		spec = "combine:tree:2+" + spec
		keys = append(keys, folderKey{folder, limit})
		for _, id := range ahead {
			keys = append(keys, folderKey{id, limit})
		}
	} else {
		// A folder with others in it would come with all that is in those.
		if r.isLeaf(snap, folder) {
			keys = append(keys, folderKey{folder, limit})
		} else {
			for _, id := range ids[:min(len(ids), wantBatch)] {
				keys = append(keys, blobKey{id})
			}
		}
		for _, id := range ahead {
			if r.isLeaf(snap, id) {
				keys = append(keys, folderKey{id, limit})
			}
		}
	}
	fs, err := join(r.flights, keys, true, func(ctx context.Context, keys []any) error {
		q := wire.FetchRequest{Filter: spec}
		for _, k := range keys {
			switch k := k.(type) {
			case folderKey:
				q.Wants = append(q.Wants, k.id)
			case blobKey:
				q.Wants = append(q.Wants, k.id)
			}
		}
		return r.fetch(ctx, q, nil)
	})
	if err != nil {
		return err
	}
	for _, f := range fs[1:] {
		f.leave()
	}
	defer fs[0].leave()
	return fs[0].wait(ctx)
}

// isLeaf tells whether the tree id, which is here, has no folders in it.
func (r *Remote) isLeaf(snap *snapshot, id object.ID) bool {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	t, err := r.tree(ctx, id, snap.id)
	if err != nil {
		return false
	}
	for _, e := range t.entries {
		if e.Mode == object.ModeTree {
			return false
		}
	}
	return true
}

// errEnough ends a fetch of which only the beginning was wanted.
var errEnough = errors.New("enough")

// peek learns the sizes of blobs one by one: a pack with one object begins with
// its size. Those that are not large come in whole.
func (r *Remote) peek(ctx context.Context, ids []object.ID) error {
	var wg sync.WaitGroup
	slots := make(chan struct{}, peekers)
	errs := make([]error, len(ids))
	for i, id := range ids {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if ctx.Err() == nil {
				errs[i] = r.peekOne(ctx, id)
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	return errors.Join(errs...)
}

type peekKey struct{ id object.ID }

func (r *Remote) peekOne(ctx context.Context, id object.ID) error {
	err := r.flights.do(ctx, peekKey{id}, false, func(ctx context.Context) error {
		return r.fetch(ctx, wire.FetchRequest{Wants: []object.ID{id}}, func(count int, t object.Type, size int64) error {
			if count != 1 || t != object.TypeBlob {
				return fmt.Errorf("%w: asked for one file, got something else", providers.ErrProtocol)
			}
			if size <= largeBlob {
				return nil
			}
			if err := r.store.SetSize(store.Key{ID: id}, size); err != nil {
				return err
			}
			return errEnough
		})
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return r.lost(id, err)
}
