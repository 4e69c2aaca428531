// Package nfs serves any file system over NFSv3 (RFC 1813) with MOUNT v3, on
// ONC RPC (RFC 5531) over TCP.
package nfs
