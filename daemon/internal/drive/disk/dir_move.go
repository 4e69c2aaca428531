package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

var _ Mover = (*dir)(nil)

// MoveFrom implements [Mover] for another [Dir] on the same file system.
func (d *dir) MoveFrom(src FS, from, to string) error {
	s, ok := src.(*dir)
	if !ok {
		return fmt.Errorf("move file: %w", ErrUnsupported)
	}
	if !fs.ValidPath(from) || !fs.ValidPath(to) || from == "." || to == "." {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: fs.ErrInvalid}
	}
	// No folder is made for a file that is not there.
	if _, err := s.current().Lstat(filepath.FromSlash(from)); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	err := d.making(to, func(*os.Root) error {
		return os.Rename(filepath.Join(s.path, filepath.FromSlash(from)), filepath.Join(d.path, filepath.FromSlash(to)))
	})
	if errors.Is(err, errOtherDevice) {
		err = fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return err
}
