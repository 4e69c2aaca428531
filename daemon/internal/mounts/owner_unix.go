//go:build unix

package mounts

import "os"

// OwnUID is the user that this process acts for.
func OwnUID() uint32 { return uint32(os.Geteuid()) }

// OwnGID is this process's group.
func OwnGID() uint32 { return uint32(os.Getegid()) }
