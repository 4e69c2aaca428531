package nfstest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"

	"github.com/moorage/moorage/nfs/internal/rpc"
	"github.com/moorage/moorage/nfs/internal/wire"
	"github.com/moorage/moorage/nfs/internal/xdr"
)

// clientRecord bounds the replies that a Client takes, in bytes.
const clientRecord = 4 << 20

// ErrClosed is the error of calls on a client whose connection is gone.
var ErrClosed = errors.New("nfstest: connection closed")

// Auth is the AUTH_SYS identity that a [Client] calls with.
type Auth struct {
	UID, GID uint32
	Groups   []uint32 // at most 16
	Machine  string   // "" is "nfstest"
}

// Client is a raw client of NFSv3 and MOUNT on one TCP or unix connection. Its
// methods may be called concurrently; the calls are then under way together.
// It caches nothing and repeats nothing by itself; [Client.Resend] is what a
// client does that has waited in vain. Its xids count up from a random number,
// as kernels have it, so that a server that remembers replies does not take
// the calls of one client for those of another.
//
// The error of a method is about the call: the connection ([ErrClosed]), the
// context, a reply that does not decode, or a refusal by RPC (*[CallError]).
// What NFS has to say is the Status of the result.
type Client struct {
	nc   net.Conn
	cred rpc.Auth
	wg   sync.WaitGroup

	wmu sync.Mutex // serializes records

	mu      sync.Mutex
	xid     uint32
	waiting map[uint32][]chan []byte // who waits for an xid, the first first
	strays  int
	err     error
}

// CallError is a call that RPC refused: [*CallError.Reply] says how.
type CallError = rpc.CallError

// Dial connects to addr, "host:port" or the path of a unix socket.
func Dial(ctx context.Context, addr string, auth Auth) (*Client, error) {
	network := "tcp"
	if len(addr) > 0 && (addr[0] == '/' || addr[0] == '@') {
		network = "unix"
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, fmt.Errorf("dial nfs server: %w", err)
	}
	return NewClient(nc, auth), nil
}

// NewClient calls over nc, which Close closes.
func NewClient(nc net.Conn, auth Auth) *Client {
	if auth.Machine == "" {
		auth.Machine = "nfstest"
	}
	sys := rpc.SysCred{Machine: []byte(auth.Machine), UID: auth.UID, GID: auth.GID}
	sys.NGroups = copy(sys.Groups[:], auth.Groups)
	c := &Client{
		nc: nc, xid: rand.Uint32(), waiting: make(map[uint32][]chan []byte),
		cred: rpc.Auth{Flavor: rpc.AuthSys, Body: sys.Append(nil)},
	}
	c.wg.Add(1)
	go func() {
		defer c.wg.Done()
		c.fail(c.read())
	}()
	return c
}

// Close ends the connection and what is under way on it.
func (c *Client) Close() error {
	err := c.nc.Close()
	c.wg.Wait()
	return err
}

// Conn is the connection, for tests that misuse it.
func (c *Client) Conn() net.Conn { return c.nc }

// Strays is the number of replies so far that nobody waited for.
func (c *Client) Strays() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.strays
}

func (c *Client) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
	for _, all := range c.waiting {
		for _, ch := range all {
			close(ch)
		}
	}
	clear(c.waiting)
}

func (c *Client) read() error {
	br := bufio.NewReaderSize(c.nc, 64<<10)
	rr := rpc.NewRecordReader(br, clientRecord)
	for {
		size, last, err := rr.Next()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrClosed, err)
		}
		room := size
		if !last {
			room = clientRecord
		}
		b, err := rr.Body(make([]byte, 0, room), size, last)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrClosed, err)
		}
		d := xdr.NewDecoder(b)
		xid := d.Uint32()
		c.mu.Lock()
		if all := c.waiting[xid]; len(all) > 0 {
			all[0] <- b // it has room for the one reply that it gets
			c.drop(xid, all[0])
		} else {
			c.strays++
		}
		c.mu.Unlock()
	}
}

// Send writes b as it is, for hostile tests.
func (c *Client) Send(b []byte) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	_, err := c.nc.Write(b)
	return err
}

// Record is b with the mark of a record of one fragment in front.
func Record(b []byte) []byte {
	r := append(make([]byte, 4, 4+len(b)), b...)
	rpc.PutMark(r)
	return r
}

// RawCall sends a call message without its xid, which it puts in front, and
// returns the whole reply message.
func (c *Client) RawCall(ctx context.Context, message []byte) ([]byte, error) {
	return c.Resend(ctx, c.NextXID(), message)
}

// NextXID takes the number of a call that is going to be sent by Resend.
func (c *Client) NextXID() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.xid++
	return c.xid
}

// Resend is RawCall with an xid of the caller's. With the xid and the message
// of a call that was sent before, on this client or on another, that is a
// retransmission. Where one xid is under way more than once, each reply goes to
// whoever waits for it longest.
func (c *Client) Resend(ctx context.Context, xid uint32, message []byte) ([]byte, error) {
	ch := make(chan []byte, 1)
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return nil, c.err
	}
	c.waiting[xid] = append(c.waiting[xid], ch)
	c.mu.Unlock()
	b := xdr.AppendUint32(make([]byte, 4, 8+len(message)), xid)
	b = append(b, message...)
	rpc.PutMark(b)
	if err := c.Send(b); err != nil {
		c.forget(xid, ch)
		return nil, fmt.Errorf("%w: %w", ErrClosed, err)
	}
	select {
	case reply, ok := <-ch:
		if !ok {
			c.mu.Lock()
			defer c.mu.Unlock()
			return nil, c.err
		}
		return reply, nil
	case <-ctx.Done():
		c.forget(xid, ch)
		return nil, ctx.Err()
	}
}

func (c *Client) forget(xid uint32, ch chan []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(xid, ch)
}

// drop ends the wait of ch for xid. It needs c.mu.
func (c *Client) drop(xid uint32, ch chan []byte) {
	all := slices.DeleteFunc(c.waiting[xid], func(w chan []byte) bool { return w == ch })
	if c.waiting[xid] = all; len(all) == 0 {
		delete(c.waiting, xid)
	}
}

// Header is a call's header without its xid, with the client's credential.
func (c *Client) Header(prog, vers, proc uint32) []byte {
	h := rpc.Call{RPCVersion: rpc.Version, Prog: prog, Vers: vers, Proc: proc, Cred: c.cred}
	return h.Append(nil)[4:]
}

// Call calls any procedure with encoded arguments and returns its encoded
// results.
func (c *Client) Call(ctx context.Context, prog, vers, proc uint32, args []byte) ([]byte, error) {
	b, err := c.RawCall(ctx, append(c.Header(prog, vers, proc), args...))
	if err != nil {
		return nil, err
	}
	d := xdr.NewDecoder(b)
	var r rpc.Reply
	if err := r.Decode(&d); err != nil {
		return nil, fmt.Errorf("decode reply: %w", err)
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	return d.Rest(), nil
}

// do calls a procedure with typed arguments and results.
func (c *Client) do(ctx context.Context, prog, vers, proc uint32, args, res wire.Message) error {
	b, err := c.Call(ctx, prog, vers, proc, args.Append(nil))
	if err != nil {
		return err
	}
	d := xdr.NewDecoder(b)
	if res.Decode(&d); d.Done() != nil {
		return fmt.Errorf("decode results of procedure %d: %w", proc, d.Err())
	}
	return nil
}
