// Package apps works on the drive of an S3 bucket as people's programs do, through
// a real kernel's NFS client, mounted as the product mounts it.
//
// Its test boots a guest (see package kerneltest) and runs itself in it, beside an
// S3 server. All work is done three times: on a local disk, on a drive that
// nothing happens to, and on one whose service is killed in the middle of each work,
// and of publishing, and started again. The programs must not notice, and what the
// bucket holds after "moorage sync --wait" must be what the local disk holds: read
// past the drive, and by a service that starts from nothing.
//
// It needs the Debian packages git, rsync and sqlite3, and versitygw. With
// MOORAGE_TEST_LONG=1 in the environment there is ten times the work, a file of
// 1 GiB, and each work is disturbed several times. MOORAGE_APPS_ONLY is a pattern
// of the works' names, as "vim" or "*".
package apps
