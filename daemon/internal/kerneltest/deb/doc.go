// Package deb tests the life of the Debian package with a real systemd, system bus,
// polkit and NFS client: installing, updates under open files, removal, purge.
package deb
