// Package posix compares drives with a local disk, through a real kernel's NFS
// client.
//
// Its test boots a guest (see package kerneltest) and runs itself in it: a table
// of small scripts, one after another on a local file system and on a mounted
// drive. Every step gives an errno or what a call returned, and what the drive
// gives has to be what the local file system gave. What NFSv3 or the kernel's
// client does otherwise is listed with the reason; a listed difference that
// does not show any more fails, too. Random work with a model follows.
package posix
