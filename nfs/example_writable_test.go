package nfs_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/memfs"
	"github.com/moorage/moorage/nfs/nfstest"
)

// watched is a writable file system that tells what is written. Embedding
// memfs.FS gives it all optional interfaces; one that keeps its data elsewhere
// writes out those that it can: nfs.Writer, nfs.Creator, nfs.Remover, …
type watched struct {
	*memfs.FS
	wrote func(uid uint32, data string)
}

var (
	_ nfs.Writer  = watched{}
	_ nfs.Creator = watched{}
	_ nfs.Renamer = watched{}
)

func (w watched) Write(ctx context.Context, c *nfs.Caller, id nfs.ID, p []byte, off uint64, want nfs.Stable) (nfs.Stable, nfs.WCC, error) {
	got, wcc, err := w.FS.Write(ctx, c, id, p, off, want)
	if err == nil {
		w.wrote(c.UID, string(p)) // p itself must not be kept
	}
	return got, wcc, err
}

func ExampleServer_writable() {
	mem := memfs.New(memfs.Options{UID: 1000, GID: 1000, Quota: 64 << 20})
	drive := watched{FS: mem, wrote: func(uid uint32, data string) { fmt.Printf("uid %d wrote %q\n", uid, data) }}
	key := make([]byte, 32)
	rand.Read(key)
	var stats nfs.Stats
	s, err := nfs.NewServer(nfs.Options{Observer: &stats})
	if err != nil {
		panic(err)
	}
	if err := s.Export(nfs.Export{Path: "/notes", FS: drive, Key: key, FSID: 1}); err != nil {
		panic(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	served := make(chan error)
	go func() { served <- s.Serve(l) }()

	// What follows an operating system does for: echo hello > note
	ctx := context.Background()
	c, err := nfstest.Dial(ctx, l.Addr().String(), nfstest.Auth{UID: 1000, GID: 1000})
	if err != nil {
		panic(err)
	}
	root, _ := c.Mnt(ctx, "/notes")
	note, _ := c.Create(ctx, root.Handle, "note", nfs.Unchecked, nfstest.Sattr{SetMode: true, Mode: 0o644}, [8]byte{})
	c.Write(ctx, note.Handle.Handle, 0, []byte("hello\n"), nfs.Unstable)
	c.Commit(ctx, note.Handle.Handle, 0, 0)

	c.Close()
	s.Shutdown(ctx)
	<-served
	for _, p := range stats.Snapshot().Procedures {
		fmt.Println(p.Program, p.Name, p.Calls)
	}
	// Output:
	// uid 1000 wrote "hello\n"
	// NFS WRITE 1
	// NFS CREATE 1
	// NFS COMMIT 1
	// MOUNT MNT 1
}
