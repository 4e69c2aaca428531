// Package nfs serves any file system over NFSv3 (RFC 1813) with MOUNT, on
// ONC RPC (RFC 5531) over TCP or a unix socket of this computer, so that the
// operating system's own NFS client can mount it.
//
// # Serving a file system
//
// Write a type with the six methods of [FileSystem], export it, serve:
//
//	s, err := nfs.NewServer(nfs.Options{})
//	err = s.Export(nfs.Export{Path: "/drive", FS: myFS, Key: key, FSID: 1})
//	l, err := net.Listen("tcp", "127.0.0.1:0")
//	err = s.Serve(l) // until s.Shutdown
//
// That is a read-only drive. What more it can do, it says by implementing
// [Writer], [Creator], [Remover], [Renamer] and the other small interfaces; a
// call that has no interface gets the answer that RFC 1813 has for it. Package
// nfs/memfs is a complete example, nfs/dirfs serves a folder, and
// nfs/nfstest.TestFS tells whether a file system keeps the contract.
//
// A Linux client mounts it with
//
//	mount -t nfs -o vers=3,proto=tcp,port=P,mountport=P,mountproto=tcp,nolock,noacl 127.0.0.1:/drive DIR
//
// # Clients that know no ports
//
// Windows' client, and others unless they are told ports, ask a portmapper on
// port 111 of the server's address. A [Portmap] is one that answers for servers
// of this package:
//
//	p := nfs.NewPortmap(nfs.Options{})
//	err = p.Register(l.Addr())
//	go p.Serve(tcp)       // net.Listen("tcp", "127.0.0.1:111")
//	go p.ServePacket(udp) // net.ListenPacket("udp", "127.0.0.1:111")
//
// A server needs none: calls to lock managers, ACLs and other programs and
// versions have the answer that RFC 5531 has for them, at once.
//
// # Objects and handles
//
// A file system names its objects by [ID], 64 bits that never change meaning.
// The server makes the 32-byte file handles of them and seals these with the
// export's key. Nothing about handles is stored: with the same key, FSID and
// ids after a restart, a mounted client goes on where it was. The write verifier
// differs at every start and after every failure to make data stable, so that
// clients send again what they have not committed.
//
// # Concurrency
//
// Methods of a file system are called concurrently, also for one object and also
// for one client: calls on one connection do not wait for each other, and
// replies go out as they are ready. Calls that move file data have places of
// their own, so that slow reads do not hold up the listing of a directory. All
// goroutines end before Shutdown returns, unless its context ends first.
//
// # Time
//
// Each method gets a context that ends some seconds after the call arrived
// ([Limits].Call). A method that returns its error is answered with [ErrJukebox],
// on which clients wait and ask again; nobody is told that a server is gone. A
// method that does not return on it holds one place of its connection.
//
// # Limits
//
// A record is at most 1 MiB of data and 4 KiB of header; READ and WRITE move 1
// MiB at most; a page of a directory is at most 128 KiB. Connections, calls in
// work, and memory are bounded by [Limits]: a client that does not read its
// replies is not read any more, then cut off, and harms nobody else. Names are
// 1 to 255 bytes without '/' and NUL; targets of symbolic links are at most 4095
// bytes; AUTH_SYS carries 16 groups at most. Times reach from 1970 to 2106.
//
// # Security
//
// NFSv3 believes the uid that a client states. That is why [Server.Serve] takes
// loopback addresses and unix sockets only. On a computer with several users,
// each of them can connect to a loopback port. What stands against them:
//
//   - Handles cannot be guessed or altered: without the 32-byte key of the
//     export, making one means guessing 128 bits. Keep the key secret, make it
//     with crypto/rand, and never use it for two exports.
//   - The path of an export can hold a secret, and [Export].AllowMount decides
//     about every MNT. Exports that have it are not listed. After mounting, the
//     path is public in the system's mount table, so allow it once.
//   - [Export].Squash refuses callers, or turns them into others. It separates the
//     users of one mount, whom the kernel states truly; it is no protection from
//     programs that speak NFS themselves and have a handle.
//   - A listener in a network namespace of its own, or a unix socket in a private
//     folder, keeps others from connecting at all.
//
// It is a vulnerability, and we ask to be told, if bytes on a connection can
// crash the process, make it use memory or descriptors beyond its limits, stall
// other connections, reach an object of an export without a handle that this
// export has given, change something through a read-only export, or reach the
// file system with a name that its contract excludes. It is none that a program
// that has been given a handle can use it with any uid it likes.
package nfs
