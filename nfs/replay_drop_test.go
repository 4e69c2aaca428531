package nfs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/memfs"
	"github.com/moorage/moorage/nfs/nfstest"
)

// long reports whether the long versions of tests are wanted: with
// MOORAGE_TEST_LONG=1 in the environment. Each test says what it does then.
func long() bool { return os.Getenv("MOORAGE_TEST_LONG") == "1" }

// countedFS counts how often something is really changed. Now and then it is
// slow, so that duplicates meet calls that are still under way.
type countedFS struct {
	*memfs.FS
	changes atomic.Int64
}

func (f *countedFS) count() {
	if n := f.changes.Add(1); n%16 == 0 {
		time.Sleep(time.Duration(n%7) * 50 * time.Microsecond)
	}
}

func (f *countedFS) SetAttr(ctx context.Context, c *nfs.Caller, id nfs.ID, set nfs.SetAttr, guard *time.Time) (nfs.WCC, error) {
	f.count()
	return f.FS.SetAttr(ctx, c, id, set, guard)
}

func (f *countedFS) Create(ctx context.Context, c *nfs.Caller, dir nfs.ID, name string, how nfs.CreateHow) (nfs.Attr, nfs.WCC, error) {
	f.count()
	return f.FS.Create(ctx, c, dir, name, how)
}

func (f *countedFS) Mkdir(ctx context.Context, c *nfs.Caller, dir nfs.ID, name string, set nfs.SetAttr) (nfs.Attr, nfs.WCC, error) {
	f.count()
	return f.FS.Mkdir(ctx, c, dir, name, set)
}

func (f *countedFS) Symlink(ctx context.Context, c *nfs.Caller, dir nfs.ID, name, target string, set nfs.SetAttr) (nfs.Attr, nfs.WCC, error) {
	f.count()
	return f.FS.Symlink(ctx, c, dir, name, target, set)
}

func (f *countedFS) Mknod(ctx context.Context, c *nfs.Caller, dir nfs.ID, name string, typ nfs.FileType, set nfs.SetAttr, major, minor uint32) (nfs.Attr, nfs.WCC, error) {
	f.count()
	return f.FS.Mknod(ctx, c, dir, name, typ, set, major, minor)
}

func (f *countedFS) Remove(ctx context.Context, c *nfs.Caller, dir nfs.ID, name string) (nfs.WCC, error) {
	f.count()
	return f.FS.Remove(ctx, c, dir, name)
}

func (f *countedFS) Rmdir(ctx context.Context, c *nfs.Caller, dir nfs.ID, name string) (nfs.WCC, error) {
	f.count()
	return f.FS.Rmdir(ctx, c, dir, name)
}

func (f *countedFS) Rename(ctx context.Context, c *nfs.Caller, fromDir nfs.ID, from string, toDir nfs.ID, to string) (nfs.WCC, nfs.WCC, error) {
	f.count()
	return f.FS.Rename(ctx, c, fromDir, from, toDir, to)
}

func (f *countedFS) Link(ctx context.Context, c *nfs.Caller, id, dir nfs.ID, name string) (nfs.Attr, nfs.WCC, error) {
	f.count()
	return f.FS.Link(ctx, c, id, dir, name)
}

// dropper makes the calls of one walk and loses the reply to each of them.
type dropper struct {
	e    *env
	r    *rand.Rand
	c    *nfstest.Client
	auth nfstest.Auth
	last struct { // the call before this one
		xid            uint32
		message, reply []byte
	}
}

func (d *dropper) dial(ctx context.Context) (*nfstest.Client, error) {
	return nfstest.Dial(ctx, d.e.addr, d.auth)
}

// renew takes another connection for the calls to come.
func (d *dropper) renew(ctx context.Context) error {
	c, err := d.dial(ctx)
	if err == nil {
		d.c.Close()
		d.c = c
	}
	return err
}

// errTwoReplies means that a call and its duplicate were not answered alike.
var errTwoReplies = errors.New("the duplicate has another reply")

// call makes one call, with one of the ways in which a client does not get the
// reply, and returns the reply to the last of its transmissions.
func (d *dropper) call(ctx context.Context, s *nfstest.Step) ([]byte, error) {
	switch d.r.IntN(6) {
	case 0: // the reply is lost on the way
		first, err := d.c.Resend(ctx, s.XID, s.Message)
		if err != nil {
			return nil, err
		}
		if err := d.renew(ctx); err != nil {
			return nil, err
		}
		return d.same(ctx, d.c, s, first)
	case 1, 2: // the connection ends before there is a reply: by FIN, or by RST
		m := append([]byte{byte(s.XID >> 24), byte(s.XID >> 16), byte(s.XID >> 8), byte(s.XID)}, s.Message...)
		if err := d.c.Send(nfstest.Record(m)); err != nil {
			return nil, err
		}
		if d.r.IntN(2) == 0 {
			time.Sleep(time.Duration(d.r.IntN(300)) * time.Microsecond) // the call is done, or not
		}
		if tcp, ok := d.c.Conn().(*net.TCPConn); ok && d.r.IntN(2) == 0 {
			tcp.SetLinger(0)
		}
		if err := d.renew(ctx); err != nil {
			return nil, err
		}
		return d.c.Resend(ctx, s.XID, s.Message)
	case 3: // sent twice at once, on two connections
		c, err := d.dial(ctx)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		return d.atOnce(ctx, s, c)
	case 4: // the same on one connection
		return d.atOnce(ctx, s, d.c)
	}
	// The call before this one comes in again when its effect may be undone.
	reply, err := d.c.Resend(ctx, s.XID, s.Message)
	if err == nil && d.last.reply != nil {
		again, err := d.c.Resend(ctx, d.last.xid, d.last.message)
		if err != nil || !bytes.Equal(again, d.last.reply) {
			return nil, fmt.Errorf("the call before: %w: %x, then %x, %w", errTwoReplies, d.last.reply, again, err)
		}
	}
	return reply, err
}

func (d *dropper) atOnce(ctx context.Context, s *nfstest.Step, c *nfstest.Client) ([]byte, error) {
	var first []byte
	var firstErr error
	var wg sync.WaitGroup
	wg.Go(func() { first, firstErr = d.c.Resend(ctx, s.XID, s.Message) })
	reply, err := c.Resend(ctx, s.XID, s.Message)
	wg.Wait()
	if err := errors.Join(firstErr, err); err != nil {
		return nil, err
	}
	if !bytes.Equal(first, reply) {
		return nil, fmt.Errorf("%w: %x and %x", errTwoReplies, first, reply)
	}
	return reply, nil
}

// same sends the call again, which must have the reply that it had.
func (d *dropper) same(ctx context.Context, c *nfstest.Client, s *nfstest.Step, first []byte) ([]byte, error) {
	reply, err := c.Resend(ctx, s.XID, s.Message)
	if err == nil && !bytes.Equal(first, reply) {
		err = fmt.Errorf("%w: %x, then %x", errTwoReplies, first, reply)
	}
	return reply, err
}

// TestLostReplies: whatever becomes of the replies, each call is done once, and
// the client that repeats it is told how it went. There are 20,000 calls, 16 at
// a time; 100,000 in the long version, which takes about half a minute.
func TestLostReplies(t *testing.T) {
	const depth = 16
	calls := 20_000
	if long() {
		calls = 100_000
	}
	fs := &countedFS{FS: memfs.New(memfs.Options{})}
	e := start(t, fs, func(c *config) {
		c.auth = nfstest.Auth{}
		// Closed connections are not gone at once.
		c.opts.Limits.Connections = 16 * depth
	})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	seed := rand.Uint64()
	var wg sync.WaitGroup
	for i := range uint64(depth) {
		r := must(e.c.Mkdir(ctx, e.root, fmt.Sprintf("walk%d", i), nfstest.Sattr{SetMode: true, Mode: 0o755}))(t)
		want(t, "MKDIR", r.Status, nfs.OK)
		d := &dropper{e: e, r: rand.New(rand.NewPCG(seed, 2*i)), c: must(nfstest.Dial(ctx, e.addr, nfstest.Auth{}))(t)}
		w := nfstest.NewWalk(r.Handle.Handle, rand.New(rand.NewPCG(seed, 2*i+1)))
		wg.Go(func() {
			defer func() { d.c.Close() }()
			if err := d.walk(ctx, w, calls/depth); err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("seed %d, walk %d: %v", seed, i, err)
				cancel() // one tells enough
			}
		})
	}
	wg.Wait()
	if n := fs.changes.Load() - depth; !t.Failed() && n != int64(calls) {
		t.Errorf("%d calls changed something %d times", calls, n)
	}
}

func (d *dropper) walk(ctx context.Context, w *nfstest.Walk, calls int) error {
	for n := range calls {
		s := w.Next(d.c)
		reply, err := d.call(ctx, s)
		if err != nil {
			return fmt.Errorf("call %d: %v: %w", n, s, err)
		}
		if err := w.Done(reply); err != nil {
			return fmt.Errorf("call %d: %w", n, err)
		}
		d.last.xid, d.last.message, d.last.reply = s.XID, bytes.Clone(s.Message), reply
		if n%500 == 499 {
			if err := w.Check(ctx, d.c); err != nil {
				return fmt.Errorf("call %d: %w", n, err)
			}
		}
	}
	return w.Check(ctx, d.c)
}
