// Package nfs serves any file system over NFSv3 (RFC 1813) with MOUNT, on
// ONC RPC (RFC 5531) over TCP or a unix socket of this computer, so that the
// operating system's own NFS client can mount it.
//
// # Exporting your own file system
//
// Is it an [io/fs.FS], and read-only will do? [FromFS] makes it one. Is it a
// folder? Take package nfs/dirfs. Does it only live as long as the process?
// Take nfs/memfs. Otherwise write a type with the six methods of [FileSystem],
// export it, serve:
//
//	s, err := nfs.NewServer(nfs.Options{})
//	err = s.Export(nfs.Export{Path: "/drive", FS: myFS, Key: key, FSID: 1})
//	l, err := net.Listen("tcp", "127.0.0.1:0")
//	err = s.Serve(l) // until s.Shutdown
//
// That is a read-only drive. What more it can do, it says by implementing the
// other interfaces of this package, each as it needs it; a call that has no
// interface gets the answer that RFC 1813 has for it:
//
//   - [LinkReader], [Symlinker]: symbolic links, read or made too
//   - [AttrSetter]: chmod, chown, truncate, touch
//   - [Writer]: writing to files, and fsync
//   - [Creator]: new files and directories; [NodeMaker]: FIFOs, sockets, devices
//   - [Remover], [Renamer], [Linker]: what is done to names
//   - [AccessChecker]: permissions beyond mode bits; [Describer]: limits and habits
//
// An ordinary writable drive has AttrSetter, Writer, Creator, Remover and
// Renamer. Assert them in your package, as in var _ nfs.Writer = (*myFS)(nil):
// a method with a wrong signature is silently no method at all.
//
// Then have the contract checked. nfs/nfstest.TestFS is one call in a test, and
// its messages say what a client would notice:
//
//	nfstest.TestFS(t, func(t *testing.T) nfs.FileSystem { return newMyFS(t) })
//
// Methods return errors as they have them: [StatusOf] understands the sentinels
// of io/fs, errno values and wrapped ones. Package nfs/memfs is a complete example
// to read.
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
// # Seeing what clients do
//
// [Options].Observer is told about every call with its times, sizes and result.
// [Stats] is one that counts by procedure and estimates percentiles, at the cost
// of a few atomic additions for a call. [Trace] writes a line for each call, in
// the words that Wireshark has for it. Handles are shown as Wireshark's hashes
// only; names of files are shown.
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
// replies go out as they are ready. A call begins on the goroutine that reads
// the connection, because handing it over costs more than most calls; one that
// has not returned after a millisecond or two keeps that goroutine, another one
// reads on, and the next calls of its kind get goroutines of their own. Calls
// that move file data have places of their own, so that slow reads do not hold
// up the listing of a directory. Writes of one connection to the same bytes of a
// file are done in the order in which they came. All goroutines end before
// Shutdown returns, unless its context ends first.
//
// # Calls that come twice
//
// A client that gets no reply asks again, often on a new connection. The server
// keeps the replies to the last calls that changed something
// ([Limits].Replies), and answers the repetition with the reply to the first
// call; if that is still in work, it answers both when it is done. A file system
// that implements [ReplyKeeper] lets this hold across a restart. A connection
// whose client has closed it before it was accepted is dropped unread, on Linux.
//
// # Speed
//
// What a file system can do for it: return quickly what it has at hand; give the
// attributes with the answer ([AttrLookuper], [AttrReader], [WCC].After, the
// entries of ReadDir); name the place of data that lie in files of the host
// ([FileReader]), which are then sent without a copy. BENCHMARKS.md has figures
// beside other servers, and tells how to measure.
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
// replies is not read any more, then cut off, and one that sends what no client
// sends is left unread for a moment before it is, so that neither slows down
// anybody else. The server itself takes at most about 48 MiB + 2 × (Memory + 16 KiB for each connection +
// 6 KiB for each call in work), where the 2 is the garbage collector's. Names are
// 1 to 255 bytes without '/' and NUL; targets of symbolic links are at most 4095
// bytes; AUTH_SYS carries 16 groups at most. Times reach from 1970 to 2106.
//
// # Compatibility
//
// The package needs the Go version of its module's go.mod, no cgo, and nothing
// outside the standard library and golang.org/x/sys. It builds for Linux, macOS
// and Windows, and is run by its tests on Linux. The client that the tests run
// it with is that of Linux, kernel 6.1: a kernel mounts drives, and thousands of
// POSIX checks run in them. For macOS and Windows it follows what their clients
// are known to send and to expect; the comments say where. It has not been
// mounted there yet.
//
// Until version 1 of the module the Go API can change in a minor version, each
// time with a line in CHANGELOG.md. What is not a change: a new optional
// interface, a new field of [Options], [Limits], [Export], [CallInfo] or
// [Properties], a new Status constant, the text of errors, traces and tables.
// Use the names of fields in literals of these types. Handles of one version
// are good for later ones; if that ever had to end, clients would see
// [ErrBadHandle] and mount again.
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
