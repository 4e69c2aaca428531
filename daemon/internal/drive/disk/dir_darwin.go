package disk

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Sync is F_FULLFSYNC, as package os has it: fsync(2) alone leaves the bytes in
// the drive's own cache.
func (f *dirFile) Sync() error { return f.f.Sync() }

// punchUnit is the block size of APFS. F_PUNCHHOLE takes whole blocks only.
const punchUnit = 4096

func (f *dirFile) PunchHole(off, n int64) error {
	end := (off + n) &^ (punchUnit - 1)
	off = (off + punchUnit - 1) &^ (punchUnit - 1)
	if end <= off {
		return nil
	}
	// fcntl(2): struct fpunchhole begins like struct fstore, with two 32-bit
	// fields that have to be 0, offset and length.
	arg := unix.Fstore_t{Offset: off, Length: end - off}
	err := control(f.f, "punch hole", func(fd int) error {
		return unix.FcntlFstore(uintptr(fd), unix.F_PUNCHHOLE, &arg)
	})
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTTY) {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return err
}
