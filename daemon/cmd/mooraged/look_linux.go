package main

import "golang.org/x/sys/unix"

const rootDir = "/"

// thisProgram is this very program, also after an update has put another in its place.
func thisProgram() (string, error) { return "/proc/self/exe", nil }

// lookAt asks the server itself, whatever the system knows of the folder.
func lookAt(dir string) error {
	var st unix.Statx_t
	return unix.Statx(unix.AT_FDCWD, dir, unix.AT_STATX_FORCE_SYNC|unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, unix.STATX_TYPE|unix.STATX_MTIME, &st)
}
