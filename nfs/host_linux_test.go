package nfs_test

import "golang.org/x/sys/unix"

// positionsStay reports whether dir is on a file system whose positions in a
// directory stay with the names.
func positionsStay(dir string) bool {
	var st unix.Statfs_t
	return unix.Statfs(dir, &st) == nil && (int64(st.Type) == unix.EXT4_SUPER_MAGIC || int64(st.Type) == unix.XFS_SUPER_MAGIC)
}
