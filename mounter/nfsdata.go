package mounter

import (
	"encoding/binary"
	"net/netip"
)

// maxRoot is NFS3_FHSIZE, RFC 1813 §2.4.
const maxRoot = 64

// Flags of struct nfs_mount_data, include/uapi/linux/nfs_mount.h.
const (
	nfsMountSoft  = 0x0001
	nfsMountTCP   = 0x0040
	nfsMountVer3  = 0x0080
	nfsMountNoNLM = 0x0200
	nfsMountNoACL = 0x0800
)

// nfsMountData is struct nfs_mount_data, version 6, of include/uapi/linux/nfs_mount.h,
// as the kernel reads it on 64-bit machines: integers in the byte order of the
// machine, no padding but two bytes after the root and three at the end. It is the
// only form that carries a root handle, so that no MOUNT call is made.
func nfsMountData(s Spec, order binary.ByteOrder) []byte {
	flags := uint32(nfsMountTCP | nfsMountVer3 | nfsMountNoNLM | nfsMountNoACL)
	if s.ReadOnly {
		flags |= nfsMountSoft
	}
	a := netip.MustParseAddr(s.Address).As4()
	b := make([]byte, nfsMountDataSize)
	put := func(at int, v uint32) { order.PutUint32(b[at:], v) }
	put(0, 6)          // version
	put(4, 0xffffffff) // fd: none
	// 8: the root handle of version 1, 32 bytes
	put(40, flags)
	put(44, 0)         // rsize: what FSINFO says
	put(48, 0)         // wsize
	put(52, 100)       // timeo, tenths of a second
	put(56, 3)         // retrans
	put(60, attrCache) // acregmin, acregmax, acdirmin, acdirmax
	put(64, attrCache)
	put(68, attrCache)
	put(72, attrCache)
	order.PutUint16(b[76:], 2) // AF_INET
	binary.BigEndian.PutUint16(b[78:], s.Port)
	copy(b[80:], a[:])
	copy(b[92:], s.Address) // hostname, 256 bytes
	put(348, 255)           // namlen
	put(352, 0)             // bsize
	order.PutUint16(b[356:], uint16(len(s.Root)))
	copy(b[358:358+maxRoot], s.Root)
	put(424, 1) // pseudoflavor: AUTH_SYS
	// 428: the SELinux context, 257 bytes, none
	return b
}

const nfsMountDataSize = 688
