//go:build unix

package problem

import "syscall"

const errDiskQuota = syscall.EDQUOT
