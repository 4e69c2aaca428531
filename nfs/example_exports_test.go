package nfs_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"testing/fstest"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/memfs"
	"github.com/moorage/moorage/nfs/nfstest"
)

// One server shows any number of file systems, each under a path of its own,
// with a key and a number of its own. They come and go while it runs.
func ExampleServer_Export() {
	s, err := nfs.NewServer(nfs.Options{})
	if err != nil {
		panic(err)
	}
	for i, e := range []nfs.Export{
		{Path: "/scratch", FS: memfs.New(memfs.Options{Mode: 0o1777})},
		{Path: "/manual", FS: nfs.FromFS(fstest.MapFS{"page": {Data: []byte("1")}})},
		{Path: "/frozen", FS: memfs.New(memfs.Options{}), ReadOnly: true},
	} {
		e.Key, e.FSID = make([]byte, 32), uint64(i+1)
		rand.Read(e.Key)
		if err := s.Export(e); err != nil {
			panic(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	served := make(chan error)
	go func() { served <- s.Serve(l) }()

	// What follows "showmount -e" and a program with an open file do.
	ctx := context.Background()
	c, err := nfstest.Dial(ctx, l.Addr().String(), nfstest.Auth{})
	if err != nil {
		panic(err)
	}
	list, _ := c.Export(ctx)
	for _, e := range list.Exports {
		fmt.Printf("%s\n", e.Path)
	}
	manual, _ := c.Mnt(ctx, "/manual")
	if err := s.Unexport("/manual"); err != nil { // waits for the calls in it
		panic(err)
	}
	page, _ := c.Lookup(ctx, manual.Handle, "page")
	fmt.Println(nfs.Status(page.Status))

	c.Close()
	s.Shutdown(ctx)
	<-served
	// Output:
	// /frozen
	// /manual
	// /scratch
	// stale file handle
}
