// Package kerneltest checks the whole against a real kernel's NFS client: it
// boots user-mode Linux, a Linux kernel that runs as an ordinary process, and
// runs a shell script in it against the real binaries.
//
// The guest sees the host's file system, so that its programs are the host's.
// It needs the Debian packages user-mode-linux, nfs-common and busybox-static.
// Where something is missing, tests are skipped and say so; with CI=true in the
// environment they fail instead.
package kerneltest
