package dirfs

import (
	"errors"
	"fmt"
	"math"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/nfs"
)

// On the file systems that make a position in a directory (what telldir(3)
// gives) of the name, or of a place that the name keeps for as long as it is
// there, positions are cookies, and a page of a large directory costs what is
// on it. Elsewhere a listing is ordered by the hash of the names: tmpfs gives a
// name that is renamed over another place, btrfs too, others count entries.
//
// The kernel tells with each entry the position of the next one. The position
// of an entry itself is therefore what came with the entry before it.

// firstPosition is the least that an entry beside "." and ".." can have.
const firstPosition = 3

// errNoOrder means that the positions of a volume cannot be cookies.
var errNoOrder = errors.New("positions in directories are not in order")

// errMeanwhile means that the directory changed between two looks at it.
var errMeanwhile = fmt.Errorf("directory changed while it was read: %w", nfs.ErrJukebox)

// inHostOrder reports whether the volume of d lists in the host's order.
func inHostOrder(d *desc) bool { return d.vol.ordered.Load() }

// runSize is the buffer for a part of a listing in the host's order, in bytes:
// some thousand entries.
const runSize = 32 << 10

// readRun reads entries of directory d behind cookie, as many as one call of
// the kernel gives, in the host's order. The caller holds what guards d's
// position.
func readRun(d *desc, after uint64) (l *listing, err error) {
	for range 8 {
		if l, err = tryRun(d, after); err != errMeanwhile {
			break
		}
	}
	if errors.Is(err, errNoOrder) {
		d.vol.ordered.Store(false)
	}
	return l, err
}

func tryRun(d *desc, after uint64) (*listing, error) {
	from, own, first := int64(0), int64(-1), ""
	if after > 0 {
		var err error
		if from, first, err = behind(d.fd, after); err != nil {
			return nil, err
		}
		if first == "" {
			return &listing{after: after, upTo: lastCookie}, nil
		}
		own = from
	}
	l := &listing{after: after, upTo: lastCookie}
	buf := make([]byte, runSize)
	var names nameBlock
	whole := false
	for len(l.entries) == 0 && !whole {
		n, err := dirents(d.fd, from, buf)
		if err != nil {
			return nil, err
		}
		whole = n == 0
		parseDirents(buf[:n], func(e *dirent) bool {
			pos := own
			own = e.next
			from = e.next
			if e.dots() {
				return true
			}
			if pos < 0 {
				// ext4 puts "." and ".." anywhere in a small directory.
				if pos, first, err = behind(d.fd, 0); err != nil {
					return false
				}
			}
			switch {
			case first != "" && string(e.name) != first:
				err = errMeanwhile
				return false
			case pos < firstPosition:
				err = errNoOrder
				return false
			}
			first = ""
			l.entries = append(l.entries, entry{cookie: uint64(pos), name: names.keep(string(e.name), len(l.entries))})
			return true
		})
		if err != nil {
			return nil, err
		}
	}
	if !whole {
		// The end shows only when the kernel is asked again; most directories
		// end here.
		n, err := dirents(d.fd, from, make([]byte, 512))
		if err != nil {
			return nil, err
		}
		whole = n == 0
	}
	last := after
	for i := range l.entries {
		// From a cookie of another kind, what comes first may lie before it.
		if c := l.entries[i].cookie; c <= last || c >= lastCookie>>1 {
			return nil, errNoOrder
		} else {
			last = c
		}
	}
	if !whole {
		l.upTo = last
	}
	return l, nil
}

// behind finds the first entry behind a cookie and its position; "" if there is
// none.
func behind(fd int, cookie uint64) (own int64, first string, err error) {
	pos := int64(cookie)
	if pos < 0 || pos == math.MaxInt64 {
		return 0, "", nil
	}
	from := max(pos+1, firstPosition)
	first, next, err := entryAt(fd, from)
	if err == unix.EINVAL {
		return 0, "", nil // no position that this directory could have
	}
	if err != nil || first == "" {
		return 0, "", err
	}
	// It is the farthest position at which this entry is still the first.
	is := func(p int64) bool {
		name, n, err := entryAt(fd, p)
		return err == nil && name == first && n == next
	}
	// Mostly that is where the kernel stops; but "." and ".." may come before.
	for p, tries := from, 0; tries < 3; tries++ {
		if p, err = stopAt(fd, p); err != nil || p < from || p == math.MaxInt64 || !is(p) {
			break
		}
		if !is(p + 1) {
			return p, first, nil
		}
		p++
	}
	near := farthest(from, is)
	if !is(near) {
		return 0, "", errMeanwhile
	}
	return near, first, nil
}

// farthest finds the end of the positions from from on for which is holds.
func farthest(from int64, is func(int64) bool) int64 {
	near, stride := from, int64(1)
	for stride < math.MaxInt64-near && is(near+stride) {
		near += stride
		stride *= 2
	}
	for ; stride != 0; stride /= 2 {
		if stride < math.MaxInt64-near && is(near+stride) {
			near += stride
		}
	}
	return near
}

// stopAt gives the place where the kernel stops for want of room for the first
// entry at a position or behind it. That should be its position.
func stopAt(fd int, pos int64) (int64, error) {
	if _, err := dirents(fd, pos, make([]byte, 8)); err != unix.EINVAL {
		return -1, err
	}
	return unix.Seek(fd, 0, unix.SEEK_CUR)
}

// entryAt gives the first entry at a position or behind it, "" if there is
// none, and where the next one is.
func entryAt(fd int, pos int64) (name string, next int64, err error) {
	var buf [1024]byte
	n, err := dirents(fd, pos, buf[:])
	if err != nil {
		return "", 0, err
	}
	parseDirents(buf[:n], func(e *dirent) bool {
		if e.dots() {
			return true
		}
		name, next = string(e.name), e.next
		return false
	})
	return name, next, nil
}

func dirents(fd int, pos int64, buf []byte) (int, error) {
	if _, err := unix.Seek(fd, pos, unix.SEEK_SET); err != nil {
		return 0, err
	}
	return getdents(fd, buf)
}
