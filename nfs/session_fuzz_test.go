package nfs_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/internal/rpc"
	"github.com/moorage/moorage/nfs/internal/wire"
	"github.com/moorage/moorage/nfs/internal/xdr"
	"github.com/moorage/moorage/nfs/memfs"
)

const (
	// sessionPatience is how long anything in a session may take; most take
	// microseconds.
	sessionPatience = 10 * time.Second
	sessionOps      = 64 // at most
	// Bytes that may be in use after a session, however many there were before,
	// and during one, garbage included. The fuzzer itself has 100 MiB.
	sessionHeap = 192 << 20
	sessionPeak = 512 << 20
)

// FuzzSession takes a string for what up to three clients do with a server: the
// calls that they make, well-formed or not, how these are cut into records, and
// when connections end. Whatever it is, the server answers in order, goes on
// serving others, keeps within its memory, and leaves nothing behind.
func FuzzSession(f *testing.F) {
	for _, s := range sessionSeeds() {
		f.Add(s)
	}
	// Some are needed anyway, and make the count of goroutines steady.
	metrics.Read(heapObjects())
	f.Fuzz(func(t *testing.T, program []byte) {
		before := runtime.NumGoroutine()
		runSession(t, program)
		deadline := time.Now().Add(sessionPatience)
		for i := 0; runtime.NumGoroutine() > before; i++ {
			if time.Now().After(deadline) {
				buf := make([]byte, 1<<20)
				t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
			}
			if i < 100 {
				runtime.Gosched()
			} else {
				time.Sleep(100 * time.Microsecond)
			}
		}
		if used := heapUsed(); used > sessionHeap {
			debug.FreeOSMemory()
			if used := heapUsed(); used > sessionHeap {
				t.Fatalf("%d MiB in use after the session", used>>20)
			}
		}
	})
}

func heapObjects() []metrics.Sample {
	return []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
}

func heapUsed() uint64 {
	s := heapObjects()
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// pipeListener accepts net.Pipe connections.
type pipeListener struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case nc := <-l.conns:
		return nc, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// session is a server and the clients of one program.
type session struct {
	t       *testing.T
	in      []byte // what is left of the program
	dial    func() net.Conn
	root    []byte
	clients [3]*fuzzClient
	last    []byte // the last message that was sent whole
	xid     uint32

	mu      sync.Mutex
	handles [][]byte
	calls   map[uint32][]rpc.Call
}

func runSession(t *testing.T, program []byte) {
	// The timers of a net.Pipe live as long as its deadlines, also once it is
	// closed: with longer ones, thousands of sessions keep all their pipes.
	srv, err := nfs.NewServer(nfs.Options{Limits: nfs.Limits{
		Memory: 8 << 20, Calls: 32, Stall: sessionPatience, Idle: sessionPatience, Penalty: time.Millisecond,
	}})
	if err != nil {
		t.Fatal(err)
	}
	fs := memfs.New(memfs.Options{UID: 1000, GID: 100, Quota: 4 << 20, MaxFiles: 200})
	if err := srv.Export(nfs.Export{Path: "/drive", FS: fs, Key: testKey, FSID: 7}); err != nil {
		t.Fatal(err)
	}
	s := &session{t: t, in: program, calls: make(map[uint32][]rpc.Call), xid: 0x1000}
	if s.root, err = srv.RootHandle("/drive"); err != nil {
		t.Fatal(err)
	}
	s.handles = [][]byte{s.root}
	l := s.listen()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	for range sessionOps {
		if len(s.in) == 0 || t.Failed() {
			break
		}
		s.step()
	}
	if used := heapUsed(); used > sessionPeak {
		t.Errorf("%d MiB in use", used>>20)
	}
	// Whatever became of the others, a newcomer is served.
	c := s.client(0)
	s.clients[0] = nil
	last := newFuzzClient(s)
	last.sync()
	for _, c := range append(s.clients[:], c, last) {
		if c != nil {
			c.close()
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), sessionPatience)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if err := <-served; !errors.Is(err, nfs.ErrServerClosed) {
		t.Errorf("Serve: %v", err)
	}
}

// listen decides whether the session goes over pipes, which is faster, or over
// TCP, where connections have buffers and can be reset.
func (s *session) listen() net.Listener {
	if s.byte()&7 == 7 {
		if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
			s.dial = func() net.Conn {
				nc, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					s.t.Fatal(err)
				}
				return nc
			}
			return l
		}
	}
	l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	s.dial = func() net.Conn {
		a, b := net.Pipe()
		select {
		case l.conns <- b:
		case <-time.After(sessionPatience):
			s.t.Fatal("connections are not accepted any more")
		}
		return a
	}
	return l
}

// fuzzClient is one connection and who reads its replies.
type fuzzClient struct {
	s     *session
	nc    net.Conn
	loose bool // what was sent need not be records: no reply can be expected
	done  chan struct{}
	mu    sync.Mutex
	waits map[uint32]chan struct{}
}

func newFuzzClient(s *session) *fuzzClient {
	c := &fuzzClient{s: s, nc: s.dial(), done: make(chan struct{}), waits: make(map[uint32]chan struct{})}
	c.nc.SetDeadline(time.Now().Add(2 * sessionPatience))
	go func() {
		defer close(c.done)
		c.read()
	}()
	return c
}

func (s *session) client(i int) *fuzzClient {
	if s.clients[i] == nil {
		s.clients[i] = newFuzzClient(s)
	}
	return s.clients[i]
}

func (c *fuzzClient) close() {
	c.nc.Close()
	<-c.done
}

// read checks every reply.
func (c *fuzzClient) read() {
	for {
		var mark [4]byte
		if _, err := io.ReadFull(c.nc, mark[:]); err != nil {
			return
		}
		m := binary.BigEndian.Uint32(mark[:])
		n := m &^ (1 << 31)
		if m>>31 != 1 || n > 2<<20 {
			c.s.t.Errorf("a reply's record mark is %#x", m)
			c.nc.Close()
			return
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(c.nc, b); err != nil {
			return // the server gave the connection up
		}
		c.reply(b)
	}
}

func (c *fuzzClient) reply(b []byte) {
	s := c.s
	d := xdr.NewDecoder(b)
	var r rpc.Reply
	if err := r.Decode(&d); err != nil || !d.Canonical() {
		s.t.Errorf("reply %x does not decode: %v", b, err)
		return
	}
	c.mu.Lock()
	if w := c.waits[r.XID]; w != nil {
		close(w)
		delete(c.waits, r.XID)
	}
	c.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.loose {
		return
	}
	calls, ok := s.calls[r.XID]
	if !ok {
		s.t.Errorf("a reply to a call that nobody made: %x", b)
	}
	if r.Denied || r.Accept != rpc.Success {
		if len(d.Rest()) != 0 {
			s.t.Errorf("a refusal with results: %x", b)
		}
		if r.Accept == rpc.SystemErr {
			s.t.Errorf("the server failed on %+v", calls)
		}
		return
	}
	for _, call := range calls {
		res := wire.NewResults(call.Prog, call.Vers, call.Proc)
		if res == nil {
			continue
		}
		e := d
		if res.Decode(&e); e.Done() == nil && e.Canonical() && bytes.Equal(res.Append(nil), d.Rest()) {
			s.harvest(res)
			return
		}
	}
	s.t.Errorf("results of none of %+v: %x", calls, b)
}

// harvest keeps the handles of a reply for calls to come. It needs s.mu.
func (s *session) harvest(res wire.Message) {
	add := func(h []byte) {
		if len(h) == 0 || slices.ContainsFunc(s.handles, func(x []byte) bool { return bytes.Equal(x, h) }) {
			return
		}
		if len(s.handles) == 16 {
			s.handles = slices.Delete(s.handles, 1, 2)
		}
		s.handles = append(s.handles, bytes.Clone(h))
	}
	switch r := res.(type) {
	case *wire.LookupResult:
		add(r.Handle)
	case *wire.NewResult:
		add(r.Handle.Handle)
	case *wire.MntResult:
		add(r.Handle)
	case *wire.ReaddirResult:
		for _, e := range r.Entries {
			add(e.Handle.Handle)
		}
	}
}

// sync makes a NULL call and waits for the reply, and so for nothing else: other
// calls may be under way still.
func (c *fuzzClient) sync() {
	if c.loose {
		return
	}
	s := c.s
	h := rpc.Call{XID: s.next(), RPCVersion: rpc.Version, Prog: nfsProg, Vers: 3}
	w := make(chan struct{})
	c.mu.Lock()
	c.waits[h.XID] = w
	c.mu.Unlock()
	c.send(h.Append(nil), nil)
	select {
	case <-w:
	case <-c.done: // closed for something it was sent before
	case <-time.After(sessionPatience):
		s.t.Errorf("NULL is not answered")
	}
}

func (s *session) next() uint32 {
	s.xid++
	return s.xid
}

// send sends a message as a record in pieces of the given sizes, and notes what
// may be answered.
func (c *fuzzClient) send(message []byte, cuts []int) {
	c.s.note(message)
	var b []byte
	for {
		n := len(message)
		if len(cuts) > 0 && cuts[0] < n {
			n = cuts[0]
			cuts = cuts[1:]
		}
		m := uint32(n)
		if n == len(message) {
			m |= 1 << 31
		}
		b = append(binary.BigEndian.AppendUint32(b, m), message[:n]...)
		if message = message[n:]; len(message) == 0 {
			break
		}
	}
	c.write(b)
}

// note remembers a message as a call.
func (s *session) note(message []byte) {
	d := xdr.NewDecoder(message)
	var h rpc.Call
	if err := h.Decode(&d); errors.Is(err, rpc.ErrNotCall) {
		return
	}
	h.Cred, h.Verf = rpc.Auth{}, rpc.Auth{}
	s.mu.Lock()
	s.calls[h.XID] = append(s.calls[h.XID], h)
	s.mu.Unlock()
	s.last = message
}

func (c *fuzzClient) write(b []byte) {
	c.nc.SetWriteDeadline(time.Now().Add(sessionPatience))
	if _, err := c.nc.Write(b); errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		c.s.t.Errorf("the server does not read any more: %v", err)
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
