package nfs_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"testing/fstest"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/nfstest"
)

// Anything that is an fs.FS can be a read-only drive: an embed.FS, a
// zip.Reader, an os.Root's FS, or files made up on the spot.
func ExampleFromFS() {
	files := fstest.MapFS{
		"README":       {Data: []byte("made up\n")},
		"docs/one.txt": {Data: []byte("1\n")},
	}
	key := make([]byte, 32)
	rand.Read(key)
	s, err := nfs.NewServer(nfs.Options{})
	if err != nil {
		panic(err)
	}
	if err := s.Export(nfs.Export{Path: "/files", FS: nfs.FromFS(files), Key: key, FSID: 1}); err != nil {
		panic(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	served := make(chan error)
	go func() { served <- s.Serve(l) }()

	// What follows an operating system does when somebody reads docs/one.txt.
	ctx := context.Background()
	c, err := nfstest.Dial(ctx, l.Addr().String(), nfstest.Auth{UID: 1000, GID: 1000})
	if err != nil {
		panic(err)
	}
	root, _ := c.Mnt(ctx, "/files")
	docs, _ := c.Lookup(ctx, root.Handle, "docs")
	one, _ := c.Lookup(ctx, docs.Handle, "one.txt")
	data, _ := c.Read(ctx, one.Handle, 0, 4096)
	fmt.Printf("%s", data.Data)
	made, _ := c.Mkdir(ctx, root.Handle, "new", nfstest.Sattr{})
	fmt.Println(nfs.Status(made.Status))

	c.Close()
	s.Shutdown(ctx)
	<-served
	// Output:
	// 1
	// read-only file system
}
