// Package nfstest tests file systems and servers: [TestFS] is the conformance
// suite that every [nfs.FileSystem] passes with one call, and the raw client
// speaks to any NFSv3 server.
package nfstest
