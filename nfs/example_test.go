package nfs_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/nfstest"
)

// hello is a file system with one file: these methods are all that it takes.
type hello struct{ text string }

func (h hello) Root() nfs.ID { return 1 }
func (h hello) GetAttr(_ context.Context, _ *nfs.Caller, id nfs.ID) (nfs.Attr, error) {
	if id == 1 {
		return nfs.Attr{ID: 1, Type: nfs.TypeDirectory, Mode: 0o555, Nlink: 2}, nil
	}
	return nfs.Attr{ID: 2, Type: nfs.TypeRegular, Mode: 0o444, Nlink: 1, Size: uint64(len(h.text))}, nil
}
func (h hello) Lookup(ctx context.Context, c *nfs.Caller, _ nfs.ID, name string) (nfs.Attr, error) {
	if id, ok := map[string]nfs.ID{".": 1, "..": 1, "hello.txt": 2}[name]; ok {
		return h.GetAttr(ctx, c, id)
	}
	return nfs.Attr{}, nfs.ErrNoEnt
}
func (h hello) Read(_ context.Context, _ *nfs.Caller, _ nfs.ID, p []byte, off uint64) (int, bool, error) {
	n := copy(p, h.text[min(off, uint64(len(h.text))):])
	return n, off+uint64(n) >= uint64(len(h.text)), nil
}
func (h hello) ReadDir(_ context.Context, _ *nfs.Caller, _ nfs.ID, cookie uint64, _ bool, fill func(nfs.DirEntry) bool) (bool, error) {
	return cookie >= 3 || fill(nfs.DirEntry{Name: "hello.txt", ID: 2, Cookie: 3}), nil
}
func (h hello) StatFS(context.Context, *nfs.Caller, nfs.ID) (s nfs.FSStat, err error) { return s, nil }

func serveHello(s *nfs.Server, l net.Listener, key []byte) error {
	if err := s.Export(nfs.Export{Path: "/hello", FS: hello{"hello, drive\n"}, Key: key, FSID: 1}); err != nil {
		return err
	}
	return s.Serve(l)
}

func ExampleServer() {
	key := make([]byte, 32) // kept by a real server, so that handles stay valid
	rand.Read(key)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	s, err := nfs.NewServer(nfs.Options{})
	if err != nil {
		panic(err)
	}
	served := make(chan error)
	go func() { served <- serveHello(s, l, key) }()

	// What follows an operating system does when it mounts.
	ctx := context.Background()
	c, err := nfstest.Dial(ctx, l.Addr().String(), nfstest.Auth{UID: 1000, GID: 1000})
	if err != nil {
		panic(err)
	}
	root, _ := c.Mnt(ctx, "/hello")
	file, _ := c.Lookup(ctx, root.Handle, "hello.txt")
	data, _ := c.Read(ctx, file.Handle, 0, 4096)
	fmt.Printf("%s", data.Data)

	c.Close()
	s.Shutdown(ctx)
	fmt.Println(<-served)
	// Output:
	// hello, drive
	// nfs: server closed
}
