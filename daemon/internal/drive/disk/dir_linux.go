package disk

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Sync is fdatasync(2): bytes and size, but not the times, which would cost a
// second write.
func (f *dirFile) Sync() error {
	return control(f.f, "fdatasync", unix.Fdatasync)
}

func (f *dirFile) PunchHole(off, n int64) error {
	if n <= 0 {
		return nil
	}
	err := control(f.f, "fallocate", func(fd int) error {
		return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	})
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return err
}

var _ SyncAller = (*dir)(nil)

// SyncAll implements [SyncAller] with syncfs(2), which tells of errors since
// Linux 5.8.
func (d *dir) SyncAll() error {
	f, err := d.current().Open(".")
	if err != nil {
		return err
	}
	return errors.Join(control(f, "syncfs", unix.Syncfs), f.Close())
}
