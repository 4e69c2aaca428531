package mounts

// OwnUID is the user that this process acts for. Windows has no such numbers; its NFS client
// sends this one unless the machine is set up otherwise.
func OwnUID() uint32 { return 0xfffffffe }

// OwnGID is the group to OwnUID.
func OwnGID() uint32 { return 0xfffffffe }
