package disk

import "golang.org/x/sys/windows"

// errOtherDevice is what renaming to another volume gives.
const errOtherDevice = windows.ERROR_NOT_SAME_DEVICE
