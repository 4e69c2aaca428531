package git

import (
	"context"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/moorage/moorage/providers/git/internal/object"
	"github.com/moorage/moorage/providers/git/internal/store"
)

// walk notices that a program goes through files or folders one after the other,
// and says what it will want next, so that a folder is a few requests and not one
// per file. The amount doubles with every miss and starts at nothing: who opens
// one file gets that one at once.
type walk struct {
	mu   sync.Mutex
	last time.Time
	id   object.ID // of the last miss
	mark object.ID // in the middle of what was fetched last: when it is used, more is fetched
	run  int       // misses in a row, each soon after the one before
}

const (
	walkPause   = 10 * time.Second // a longer pause ends a walk
	walkFiles   = 512              // files of one request
	walkFolders = 128              // folders of one request
	walkBytes   = 8 << 20          // bytes of one request, as far as sizes are known
	walkFile    = 1 << 20          // larger ones are left to whoever opens them
	walkGuess   = 16 << 10         // bytes of a file of unknown size
	walkEntries = 4096             // entries of the folders of one request
)

// step counts a miss and returns how many there were in a row; 0 if it is the
// same as the last, which many may wait for.
func (w *walk) step(now time.Time, id object.ID) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if id == w.id {
		return 0
	}
	if now.Sub(w.last) > walkPause {
		w.run = 0
	}
	w.run++
	w.last, w.id = now, id
	return w.run
}

// filesAhead returns blobs to fetch along with id, the file at p.
func (r *Remote) filesAhead(ctx context.Context, snap *snapshot, p string, id object.ID) []object.ID {
	run := r.files.step(r.clock(), id)
	if run < 2 {
		return nil
	}
	files, bytes := min(8<<min(run, 10), walkFiles), int64(0)
	seen := map[object.ID]bool{id: true}
	var ids []object.ID
	dir, name := path.Split(p)
	r.following(ctx, snap, strings.TrimSuffix(dir, "/"), name, func(*tree) bool { return true }, func(e object.TreeEntry) bool {
		if seen[e.ID] || r.store.HasFile(store.Key{ID: e.ID}) || r.flights.busy(blobKey{e.ID}) {
			return true
		}
		size, ok := r.store.Size(store.Key{ID: e.ID})
		if !ok {
			size = walkGuess
		}
		if size > walkFile {
			return true
		}
		seen[e.ID] = true
		ids = append(ids, e.ID)
		bytes += size
		return len(ids) < files && bytes < walkBytes
	})
	if len(ids) > 0 {
		r.files.mu.Lock()
		r.files.mark = ids[len(ids)/2]
		r.files.mu.Unlock()
	}
	return ids
}

// goOn fetches more in the background if id, the file at p, is in the middle of
// what was fetched ahead.
func (r *Remote) goOn(ctx context.Context, snap *snapshot, p string, id object.ID) {
	r.files.mu.Lock()
	due := r.files.mark == id
	r.files.mu.Unlock()
	if !due {
		return
	}
	r.mu.Lock()
	c := r.client
	r.mu.Unlock()
	ids := r.filesAhead(ctx, snap, p, id)
	if c == nil || !lazy(c) || len(ids) < 2 {
		return
	}
	for _, f := range r.startBlobs(ids) {
		f.leave()
	}
}

// foldersAhead returns folders with files of unknown size that come after dir,
// whose tree is id.
func (r *Remote) foldersAhead(ctx context.Context, snap *snapshot, dir string, id object.ID) []object.ID {
	run := r.folders.step(r.clock(), id)
	if run < 2 {
		return nil
	}
	folders, entries := min(1<<min(run, 10), walkFolders), 0
	seen := map[object.ID]bool{id: true}
	var ids []object.ID
	r.following(ctx, snap, dir, "", func(t *tree) bool {
		unknown := 0
		for _, e := range t.entries {
			if e.Mode != object.ModeTree && e.Mode != object.ModeSubmodule {
				if _, ok := r.store.Size(store.Key{ID: e.ID}); !ok {
					unknown++
				}
			}
		}
		if unknown == 0 || seen[t.id] {
			return true
		}
		seen[t.id] = true
		ids = append(ids, t.id)
		entries += len(t.entries)
		return len(ids) < folders && entries < walkEntries
	}, func(object.TreeEntry) bool { return true })
	return ids
}

// maxFollowing bounds the search for files that are not here yet.
const maxFollowing = 20_000

// following calls file with the files that come after name in dir, then folder
// and file with the folders that come after it and their files, until one of
// them returns false. It looks only at trees that are here.
func (r *Remote) following(ctx context.Context, snap *snapshot, dir, name string, folder func(*tree) bool, file func(object.TreeEntry) bool) {
	ctx, cancel := context.WithCancel(ctx)
	cancel() // nothing is fetched for this
	left := maxFollowing
	var below func(id object.ID, after string) bool
	below = func(id object.ID, after string) bool {
		t, err := r.tree(ctx, id, snap.id)
		if err != nil {
			return true
		}
		for _, e := range t.entries {
			if after != "" && e.Name <= after {
				continue
			}
			if left--; left < 0 {
				return false
			}
			switch e.Mode {
			case object.ModeSubmodule:
			case object.ModeTree:
				if t, err := r.tree(ctx, e.ID, snap.id); err == nil && !folder(t) {
					return false
				}
				if !below(e.ID, "") {
					return false
				}
			default:
				if !file(e) {
					return false
				}
			}
		}
		return true
	}
	for {
		e, err := r.lookup(ctx, snap, snap.top, dir)
		if err != nil || !below(e.ID, name) || dir == "" {
			return
		}
		dir, name = path.Split(dir)
		dir = strings.TrimSuffix(dir, "/")
	}
}
