// Package stress loads drives through a real kernel's NFS client, mounted as the
// product mounts them: random work on files with a model (package fsx), fio,
// dbench, stress-ng, and locks between processes. Afterwards the server must
// have given back what the work took: memory, descriptors and goroutines.
//
// Its test boots a guest (see package kerneltest) and runs itself in it. It
// needs the Debian packages fio, dbench and stress-ng.
//
// The environment variable MOORAGE_STRESS_STEPS is how many random steps on
// files are taken on each drive. From 1000000 on, which takes the better part
// of an hour, all other work is longer, too.
// MOORAGE_STRESS_SEED is the first seed. MOORAGE_STRESS_ONLY is a pattern of
// what is done, as "mem: *" or "*: fsx".
package stress
