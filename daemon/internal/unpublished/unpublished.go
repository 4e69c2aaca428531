// Package unpublished tells what a drive that is not open keeps for its remote.
// It only reads, and needs no remote.
package unpublished

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/disk"
	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/daemon/internal/drive/staging"
)

// Change is one change that is not on the remote.
type Change struct {
	Path    string // on the drive
	Removed bool   // it is a removal
	Since   time.Time
	Size    int64 // bytes of the file; 0 of what is none
}

// Kept is what a drive keeps for its remote.
type Kept struct {
	Changes []Change // the oldest, first
	Count   int      // how many there are
	Bytes   int64    // that are kept on this computer for them
}

// maxDepth is how deep folders may lie; below is damage.
const maxDepth = 4096

// Read tells of the changes in the state folder of a drive (drive.Options.StateDir),
// and lists at most so many of them. A folder that is not there has none. Nobody
// else may have the drive open.
func Read(dir string, most int, log *slog.Logger) (k Kept, err error) {
	at := filepath.Join(dir, "nodes")
	if _, err := os.Stat(at); errors.Is(err, fs.ErrNotExist) {
		return k, nil
	} else if err != nil {
		return k, fmt.Errorf("look for changes that are not published: %w", err)
	}
	store, err := nodes.Open(at, log)
	if err != nil {
		return k, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if k, err = list(store, most); err != nil || k.Count == 0 {
		return Kept{}, err
	}
	files, err := disk.Dir(dir)
	if err != nil {
		return Kept{}, err
	}
	staged, err := staging.Open(files)
	if err != nil {
		return Kept{}, err
	}
	k.Bytes = staged.Used()
	return k, nil
}

// oldest sorts changes and leaves the first.
func oldest(changes []Change, most int) []Change {
	slices.SortStableFunc(changes, func(a, b Change) int { return cmp.Or(a.Since.Compare(b.Since), strings.Compare(a.Path, b.Path)) })
	return changes[:min(len(changes), most)]
}

func list(store *nodes.Store, most int) (k Kept, err error) {
	add := func(c Change, dir uint64, name string) error {
		path, local, err := way(store, dir)
		if err != nil || local {
			return err
		}
		c.Path = strings.TrimPrefix(path+"/"+name, "/")
		k.Count++
		if k.Changes = append(k.Changes, c); len(k.Changes) >= 2*most+spare {
			k.Changes = oldest(k.Changes, most)
		}
		return nil
	}
	var trouble error
	err = store.AllPending(func(id uint64, p nodes.Pending) bool {
		n, err := store.Get(id)
		if errors.Is(err, nodes.ErrNotFound) || err == nil && n.State&(nodes.Gone|nodes.Local) != 0 {
			return true
		}
		c := Change{Since: p.Since}
		if n.Kind == nodes.File {
			c.Size = max(n.Size, 0)
		}
		if err == nil {
			err = add(c, n.Parent, n.Name)
		}
		trouble = err
		return err == nil
	})
	if err = errors.Join(err, trouble); err != nil {
		return k, fmt.Errorf("list changes that are not published: %w", err)
	}
	err = store.Tombs(0, func(t nodes.Tomb) bool {
		trouble = add(Change{Removed: true, Since: t.Since}, t.Dir, t.Name)
		return trouble == nil
	})
	if err = errors.Join(err, trouble); err != nil {
		return k, fmt.Errorf("list removals that are not published: %w", err)
	}
	k.Changes = oldest(k.Changes, most)
	return k, nil
}

// spare is how many changes more than twice the oldest are kept until they are
// sorted.
const spare = 1024

// way is the path of a directory, and whether it stays on this computer.
func way(store *nodes.Store, id uint64) (path string, local bool, err error) {
	for range maxDepth {
		if id == nodes.Root {
			return path, local, nil
		}
		n, err := store.Get(id)
		if errors.Is(err, nodes.ErrNotFound) {
			return path, local, nil // what is left of a folder that is gone
		}
		if err != nil {
			return "", false, err
		}
		local = local || n.State&nodes.Local != 0
		path = strings.TrimSuffix(n.Name+"/"+path, "/")
		id = n.Parent
	}
	return "", false, nodes.ErrCorrupt
}
