//go:build !linux

package nfs_test

// positionsStay reports whether dir is on a file system whose positions in a
// directory stay with the names and are used.
func positionsStay(string) bool { return false }
