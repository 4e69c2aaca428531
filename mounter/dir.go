package mounter

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// checkDir tells whether dir is a folder that may be mounted on: an absolute path
// of an existing, empty folder that is no symlink. ignore names entries that do not
// count. That it is not a mount point already is for the caller to find out first,
// from the mount table: looking at a dead mount hangs.
func checkDir(dir string, ignore ...string) error {
	if !filepath.IsAbs(dir) {
		return dirError(dir, "The mount point is not an absolute path.", "Give the whole path of a folder.", nil)
	}
	fi, err := os.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return dirError(dir, "The folder does not exist.", "Make it, or choose another one.", fs.ErrNotExist)
	case err != nil:
		return dirError(dir, "The folder cannot be looked at.", "Choose another one.", err)
	case fi.Mode()&fs.ModeSymlink != 0:
		return dirError(dir, "The mount point is a symbolic link.", "Give the folder that it leads to.", syscall.ELOOP)
	case !fi.IsDir():
		return dirError(dir, "The mount point is a file.", "Choose an empty folder.", syscall.ENOTDIR)
	}
	d, err := os.Open(dir)
	if err != nil {
		return dirError(dir, "The folder cannot be read.", "Choose one of your own.", err)
	}
	defer d.Close()
	// One more than may be ignored is enough to know.
	names, err := d.Readdirnames(len(ignore) + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return dirError(dir, "The folder cannot be read.", "Choose one of your own.", err)
	}
	for _, n := range names {
		if !slices.Contains(ignore, n) {
			return dirError(dir, fmt.Sprintf("The folder is not empty: there is %q in it.", n), "Choose an empty folder.", syscall.ENOTEMPTY)
		}
	}
	return nil
}
