package dirfs

import (
	"encoding/binary"
	"time"

	"github.com/moorage/moorage/nfs"
)

// checkName refuses what is not one component of a path. The server does so
// too; here it is what keeps a client inside the folder.
func checkName(name string) error {
	switch {
	case name == "" || name == "." || name == "..":
		return nfs.ErrInval
	case len(name) > 255:
		return nfs.ErrNameTooLong
	}
	for i := range len(name) {
		if name[i] == '/' || name[i] == 0 {
			return nfs.ErrInval
		}
	}
	return nil
}

// verifierTimes is where the verifier of an exclusive create is kept until the
// first SetAttr, as knfsd keeps it: in the times, 31 bits each, because not
// every file system knows times before 1970 or after 2038.
func verifierTimes(v [8]byte) (atime, mtime time.Time) {
	a := binary.BigEndian.Uint32(v[0:4]) & 0x7fffffff
	m := binary.BigEndian.Uint32(v[4:8]) & 0x7fffffff
	return time.Unix(int64(a), 0), time.Unix(int64(m), 0)
}
