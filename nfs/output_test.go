package nfs_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/internal/rpc"
	"github.com/moorage/moorage/nfs/internal/wire"
	"github.com/moorage/moorage/nfs/nfstest"
)

// fill sends a record again and again until the server takes no more.
func fill(nc net.Conn, record []byte) {
	many := bytes.Repeat(record, 1+128<<10/len(record))
	for {
		nc.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		if _, err := nc.Write(many); err != nil {
			return
		}
	}
}

// TestSmallRepliesNotRead: small replies that nobody takes are bounded too, and
// end the connection in time.
func TestSmallRepliesNotRead(t *testing.T) {
	e := start(t, nil, func(c *config) { c.opts.Limits.Stall = 300 * time.Millisecond })
	want(t, "GETATTR", must(e.c.Getattr(e.ctx, e.root))(t).Status, nfs.OK)
	before := heap()
	nc := e.raw()
	nc.SetReadBuffer(4096)
	getattr := (&wire.HandleArgs{Handle: e.root}).Append(append([]byte{0, 0, 0, 1}, e.c.Header(nfsProg, 3, wire.ProcGetattr)...))
	many := bytes.Repeat(nfstest.Record(getattr), 1000)
	sent, began := 0, time.Now()
	for {
		n, err := nc.Write(many)
		if sent += n; err != nil {
			break
		}
		if sent > 64<<20 {
			t.Fatal("64 MiB of calls were taken")
		}
	}
	if d := time.Since(began); d > testTimeout/2 {
		t.Errorf("cut off after %v", d)
	}
	if grown := heap() - before - int64(len(many)); grown > 4<<20 {
		t.Errorf("%d KiB kept", grown>>10)
	}
	e.healthy("a client that does not read")
}

// TestJoinedNotRead: who repeats another's call and takes no replies does not
// keep the reply from the one that made the call.
func TestJoinedNotRead(t *testing.T) {
	e, fs := startGated(t)
	// Pipes keep nothing for who does not read.
	l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	served := make(chan error, 1)
	go func() { served <- e.srv.Serve(l) }()
	dial := func() net.Conn {
		ours, theirs := net.Pipe()
		l.conns <- theirs
		return ours
	}
	c := nfstest.NewClient(dial(), nfstest.Auth{})
	const xid = 19
	m := e.mkdir("d")
	done := make(chan []byte, 1)
	go func() {
		b, _ := c.Resend(e.ctx, xid, m)
		done <- b
	}()
	<-fs.entered
	deaf := dial()
	deaf.Write(nfstest.Record(append(binary.BigEndian.AppendUint32(nil, xid), m...)))
	// One byte of the next call is read after the duplicate was joined.
	deaf.Write([]byte{0x80})
	close(fs.release)
	select {
	case b := <-done:
		if len(b) < rpc.ReplySize+4 || bodyStatus(b[4:]) != nfs.OK {
			t.Errorf("%x", b)
		}
	case <-time.After(3 * time.Second):
		t.Error("the reply waits for a client that does not read")
	}
	deaf.Close()
	c.Close()
	l.Close()
	<-served
}

// TestNewcomers: connections of which no handle was used do not push out those
// that work; when there are only such, newcomers are refused.
func TestNewcomers(t *testing.T) {
	const limit = 8
	e := start(t, nil, func(c *config) { c.opts.Limits.Connections = limit })
	want(t, "GETATTR", must(e.c.Getattr(e.ctx, e.root))(t).Status, nfs.OK)
	for range 200 {
		nc := e.raw()
		nc.Write(nfstest.Record(nullCall()))
		if n, err := nc.Read(make([]byte, 28)); n != 28 {
			t.Fatalf("a newcomer was not answered: %d bytes, %v", n, err)
		}
	}
	clients := []*nfstest.Client{e.c}
	for len(clients) < limit {
		clients = append(clients, e.dial(nfstest.Auth{}))
		want(t, "GETATTR", must(clients[len(clients)-1].Getattr(e.ctx, e.root))(t).Status, nfs.OK)
	}
	for range 20 {
		nc := e.raw()
		nc.Write(nfstest.Record(nullCall()))
		if n, err := nc.Read(make([]byte, 28)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a newcomer got %d bytes, %v", n, err)
		}
	}
	for i, c := range clients {
		if r, err := c.Getattr(e.ctx, e.root); err != nil || r.Status != 0 {
			t.Errorf("client %d: %v, %v", i, nfs.Status(r.Status), err)
		}
	}
}
