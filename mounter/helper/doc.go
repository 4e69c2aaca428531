// Package helper is moorage-mount-helper, the only part of Moorage that runs as
// root: a service of the system bus by which users mount their drives without a
// password. It is meant to be read in one sitting.
//
// Who calls is what the bus says; whether she may is what polkit says. A verb has
// typed fields and no options, and runs no program. What the helper gives away is a
// socket that listens in a network namespace of the caller's own, in which no
// process is: only the kernel's NFS client can connect to it, and when the caller's
// service dies nobody else can take its port, because the helper has a copy.
//
// A folder is opened with the caller's rights, by openat2(2) without symbolic links,
// and mounted on by that descriptor. Unmounting goes by the folder that the mount's
// own is in, which has to be the same one as when it was mounted.
//
// In the order to read: helper_linux.go has the verbs, place_linux.go folders,
// kernel_linux.go namespaces and mounts, record_linux.go what a restarted helper
// knows, bus_linux.go the bus and polkit, confine_linux.go what it gives up,
// once_linux.go the way without a bus.
package helper
