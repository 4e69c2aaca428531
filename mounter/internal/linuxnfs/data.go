// Package linuxnfs is what Linux' NFS client takes and tells: the data of mount(2),
// and the table of mounts. The program that mounts as root is made of it, too, so
// it does nothing else.
package linuxnfs

import (
	"encoding/binary"
	"net/netip"
)

// MaxRoot is NFS3_FHSIZE, RFC 1813 §2.4.
const MaxRoot = 64

// Flags of struct nfs_mount_data, include/uapi/linux/nfs_mount.h.
const (
	nfsMountSoft  = 0x0001
	nfsMountTCP   = 0x0040
	nfsMountVer3  = 0x0080
	nfsMountNoNLM = 0x0200
	nfsMountNoACL = 0x0800
)

// Data is what the kernel is told of a mount whose root handle is known.
type Data struct {
	Addr      netip.AddrPort // IPv4
	Root      []byte         // at most MaxRoot
	Soft      bool           // give calls up
	AttrCache uint32         // seconds
}

// Encode gives struct nfs_mount_data, version 6, of include/uapi/linux/nfs_mount.h,
// as the kernel reads it on 64-bit machines: integers in the byte order of the
// machine, no padding but two bytes after the root and three at the end. It is the
// only form that carries a root handle, so that no MOUNT call is made.
func (d Data) Encode(order binary.ByteOrder) []byte {
	flags := uint32(nfsMountTCP | nfsMountVer3 | nfsMountNoNLM | nfsMountNoACL)
	if d.Soft {
		flags |= nfsMountSoft
	}
	a := d.Addr.Addr().As4()
	b := make([]byte, dataSize)
	put := func(at int, v uint32) { order.PutUint32(b[at:], v) }
	put(0, 6)          // version
	put(4, 0xffffffff) // fd: none
	// 8: the root handle of version 1, 32 bytes
	put(40, flags)
	put(44, 0)           // rsize: what FSINFO says
	put(48, 0)           // wsize
	put(52, 100)         // timeo, tenths of a second
	put(56, 3)           // retrans
	put(60, d.AttrCache) // acregmin, acregmax, acdirmin, acdirmax
	put(64, d.AttrCache)
	put(68, d.AttrCache)
	put(72, d.AttrCache)
	order.PutUint16(b[76:], 2) // AF_INET
	binary.BigEndian.PutUint16(b[78:], d.Addr.Port())
	copy(b[80:], a[:])
	copy(b[92:], d.Addr.Addr().String()) // hostname, 256 bytes
	put(348, 255)                        // namlen
	put(352, 0)                          // bsize
	order.PutUint16(b[356:], uint16(len(d.Root)))
	copy(b[358:358+MaxRoot], d.Root)
	put(424, 1) // pseudoflavor: AUTH_SYS
	// 428: the SELinux context, 257 bytes, none
	return b
}

const dataSize = 688
