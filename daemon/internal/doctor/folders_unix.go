//go:build unix

package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// look is nil if f is as it must be.
func (f folder) look() error {
	var st syscall.Stat_t
	err := syscall.Stat(f.path, &st)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errMissing
	case err != nil:
		return err
	case st.Mode&syscall.S_IFMT != syscall.S_IFDIR:
		return errors.New("it is no folder")
	case int(st.Uid) != os.Geteuid():
		return errors.New("it belongs to another user")
	case f.private && st.Mode&0o077 != 0:
		return errOpen
	case st.Mode&0o700 != 0o700:
		return errShut
	}
	return usable(f.path)
}

// usable is nil if this user can put something into dir.
func usable(dir string) error {
	err := unix.Access(dir, unix.W_OK|unix.X_OK)
	if errors.Is(err, unix.EROFS) {
		return errors.New("its disk cannot be written to")
	}
	if err != nil {
		return fmt.Errorf("nothing can be put into it: %w", err)
	}
	return nil
}
