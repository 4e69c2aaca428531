package problem

import "golang.org/x/sys/windows"

const errDiskQuota = windows.ERROR_DISK_FULL
