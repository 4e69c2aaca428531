package pack

import (
	"bufio"
	"fmt"
	"io"
)

// applyDelta reads the instructions of a delta (gitformat-pack(5), "Deltified
// representation") and writes the object that they make of base. Nothing of
// the size of base, delta or result is held in memory. begin is called with
// the size of the result, before the first byte, and returns where to write.
func applyDelta(delta *bufio.Reader, base io.ReaderAt, baseSize int64, limit int64, begin func(size int64) (io.Writer, error)) error {
	n, err := deltaSize(delta)
	if err != nil {
		return err
	}
	if n != baseSize {
		return fmt.Errorf("%w: delta for a base of %d bytes, which has %d", ErrMalformed, n, baseSize)
	}
	size, err := deltaSize(delta)
	if err != nil {
		return err
	}
	if size > limit {
		return fmt.Errorf("%w: delta makes %d bytes", ErrTooLarge, size)
	}
	w, err := begin(size)
	if err != nil {
		return err
	}
	left := size
	for {
		op, err := delta.ReadByte()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if op == 0 {
			return fmt.Errorf("%w: delta instruction 0", ErrMalformed)
		}
		if op&0x80 == 0 {
			if left -= int64(op); left < 0 {
				return fmt.Errorf("%w: delta makes more than it says", ErrMalformed)
			}
			if _, err := io.CopyN(w, delta, int64(op)); err != nil {
				return truncated(err)
			}
			continue
		}
		var off, count int64
		for i := range 7 {
			if op&(1<<i) == 0 {
				continue
			}
			c, err := delta.ReadByte()
			if err != nil {
				return truncated(err)
			}
			if i < 4 {
				off |= int64(c) << (8 * i)
			} else {
				count |= int64(c) << (8 * (i - 4))
			}
		}
		if count == 0 {
			count = 0x10000
		}
		if off+count > baseSize {
			return fmt.Errorf("%w: delta copies past the end of its base", ErrMalformed)
		}
		if left -= count; left < 0 {
			return fmt.Errorf("%w: delta makes more than it says", ErrMalformed)
		}
		if _, err := io.Copy(w, io.NewSectionReader(base, off, count)); err != nil {
			return err
		}
	}
	if left != 0 {
		return fmt.Errorf("%w: delta makes less than it says", ErrMalformed)
	}
	return nil
}

// deltaSize reads a size of at most 63 bits, seven to a byte, lowest first.
func deltaSize(r io.ByteReader) (int64, error) {
	var v int64
	for shift := 0; shift < 63; shift += 7 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, truncated(err)
		}
		v |= int64(b&0x7f) << shift
		if v < 0 {
			break
		}
		if b&0x80 == 0 {
			return v, nil
		}
	}
	return 0, fmt.Errorf("%w: delta size", ErrMalformed)
}

func truncated(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
