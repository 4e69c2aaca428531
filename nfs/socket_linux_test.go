package nfs_test

import (
	"net"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/internal/wire"
	"github.com/moorage/moorage/nfs/nfstest"
)

// TestGoneBeforeAccepted: what a client asked on a connection that it gave up
// before the server came to accept it is not done.
func TestGoneBeforeAccepted(t *testing.T) {
	s, err := nfs.NewServer(nfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	fs := &fakeFS{}
	if err := s.Export(nfs.Export{Path: "/drive", FS: fs, Key: testKey, FSID: 1}); err != nil {
		t.Fatal(err)
	}
	root := must(s.RootHandle("/drive"))(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx := testContext(t)
	mkdir := func(c *nfstest.Client) []byte {
		m := wire.MkdirArgs{Where: wire.DirOp{Dir: root, Name: []byte("d")}}
		return nfstest.Record(m.Append(append([]byte{0, 0, 0, 1}, c.Header(nfsProg, 3, wire.ProcMkdir)...)))
	}
	for linger := range 2 { // by RST and by FIN
		c := must(nfstest.Dial(ctx, l.Addr().String(), nfstest.Auth{}))(t)
		if err := c.Send(mkdir(c)); err != nil {
			t.Fatal(err)
		}
		if linger == 0 {
			c.Conn().(*net.TCPConn).SetLinger(0)
		}
		c.Close()
	}
	live := must(nfstest.Dial(ctx, l.Addr().String(), nfstest.Auth{}))(t)
	defer live.Close()
	time.Sleep(10 * time.Millisecond) // the kernel passes the ends on; there is no event to await
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	want(t, "GETATTR by one who is there", must(live.Getattr(ctx, root))(t).Status, nfs.OK)
	if err := s.Shutdown(ctx); err != nil { // when all connections have ended
		t.Error(err)
	}
	<-served
	if fs.called("Mkdir") {
		t.Error("MKDIR was done for a client that was gone")
	}
}
