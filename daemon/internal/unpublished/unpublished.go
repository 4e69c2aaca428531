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

// maxDepth is how deep folders may lie; below is damage.
const maxDepth = 4096

// Read lists the changes in the state folder of a drive (drive.Options.StateDir),
// oldest first, and the bytes that are kept for them. A folder that is not there
// has none. Nobody else may have the drive open.
func Read(dir string, log *slog.Logger) (changes []Change, bytes int64, err error) {
	at := filepath.Join(dir, "nodes")
	if _, err := os.Stat(at); errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	} else if err != nil {
		return nil, 0, fmt.Errorf("look for changes that are not published: %w", err)
	}
	store, err := nodes.Open(at, log)
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if changes, err = list(store); err != nil || len(changes) == 0 {
		return nil, 0, err
	}
	files, err := disk.Dir(dir)
	if err != nil {
		return nil, 0, err
	}
	staged, err := staging.Open(files)
	if err != nil {
		return nil, 0, err
	}
	return changes, staged.Used(), nil
}

func list(store *nodes.Store) (changes []Change, err error) {
	add := func(c Change, dir uint64, name string) error {
		path, local, err := way(store, dir)
		if err == nil && !local {
			c.Path = strings.TrimPrefix(path+"/"+name, "/")
			changes = append(changes, c)
		}
		return err
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
		return nil, fmt.Errorf("list changes that are not published: %w", err)
	}
	err = store.Tombs(0, func(t nodes.Tomb) bool {
		trouble = add(Change{Removed: true, Since: t.Since}, t.Dir, t.Name)
		return trouble == nil
	})
	if err = errors.Join(err, trouble); err != nil {
		return nil, fmt.Errorf("list removals that are not published: %w", err)
	}
	slices.SortStableFunc(changes, func(a, b Change) int { return cmp.Or(a.Since.Compare(b.Since), strings.Compare(a.Path, b.Path)) })
	return changes, nil
}

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
