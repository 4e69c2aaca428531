package link

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// server serves every connection with f until the test ends.
func server(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				f(c)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		wg.Wait()
	})
	return ln.Addr().String()
}

func echo(c net.Conn) { io.Copy(c, c) }

func proxy(t *testing.T, upstream string, o Options) *Proxy {
	t.Helper()
	p, err := Listen(upstream, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() }) // before the server's end
	return p
}

func dial(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// ping sends text and wants it back.
func ping(c net.Conn, text string) error {
	if _, err := io.WriteString(c, text); err != nil {
		return err
	}
	b := make([]byte, len(text))
	if _, err := io.ReadFull(c, b); err != nil {
		return err
	}
	if string(b) != text {
		return errors.New("got " + string(b))
	}
	return nil
}

func TestDelay(t *testing.T) {
	const rtt = 60 * time.Millisecond
	p := proxy(t, server(t, echo), Options{RTT: rtt})
	c := dial(t, p)
	start := time.Now()
	if err := ping(c, "first"); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d < 2*rtt {
		t.Errorf("the first answer came after %v; want at least %v", d, 2*rtt)
	}
	start = time.Now()
	if err := ping(c, "second"); err != nil {
		t.Fatal(err)
	}
	d := time.Since(start)
	if d < rtt {
		t.Errorf("an answer came after %v; want at least %v", d, rtt)
	}
	t.Logf("an answer came after %v for a round trip of %v", d, rtt)
	if s := p.Stats(); s != (Stats{Conns: 1, Up: 11, Down: 11}) {
		t.Errorf("Stats: %+v", s)
	}
}

// The rate is that of all connections together, each gets its share, and bytes
// come as they were sent.
func TestRate(t *testing.T) {
	const size, rate = 1 << 20, 80e6 // 105 ms for each
	p := proxy(t, server(t, func(c net.Conn) {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(i >> 8)
		}
		c.Write(b)
	}), Options{Rate: rate})
	var wg sync.WaitGroup
	took := make([]time.Duration, 3)
	start := time.Now()
	for i := range took {
		c := dial(t, p)
		wg.Go(func() {
			b, err := io.ReadAll(c)
			took[i] = time.Since(start)
			if err != nil || len(b) != size {
				t.Errorf("%d bytes and %v; want %d", len(b), err, size)
			}
			for i := range b {
				if b[i] != byte(i>>8) {
					t.Fatalf("byte %d is %d", i, b[i])
				}
			}
		})
	}
	wg.Wait()
	all := time.Since(start)
	ideal := time.Duration(float64(3*size*8) / rate * float64(time.Second))
	if all < ideal-slack {
		t.Errorf("it took %v; the rate allows %v", all, ideal)
	}
	t.Logf("it took %v, the rate allows %v; each %v", all, ideal, took)
}

func TestFaults(t *testing.T) {
	p := proxy(t, server(t, echo), Options{RTT: 2 * time.Millisecond})
	stuck := func(t *testing.T, c net.Conn) {
		t.Helper()
		io.WriteString(c, "?")
		c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if n, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %d bytes and %v; want nothing", n, err)
		}
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
	}
	works := func(t *testing.T, c net.Conn) {
		t.Helper()
		if err := ping(c, "hello"); err != nil {
			t.Error(err)
		}
	}

	t.Run("stall", func(t *testing.T) {
		c := dial(t, p)
		works(t, c)
		p.Stall(true)
		stuck(t, c)
		p.Stall(false)
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Error(err)
		}
		works(t, c)
	})
	t.Run("reset", func(t *testing.T) {
		c := dial(t, p)
		works(t, c)
		p.Reset()
		if _, err := c.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("got %v; want a reset", err)
		} else if !errors.Is(err, syscall.ECONNRESET) {
			t.Log(err)
		}
		works(t, dial(t, p))
	})
	t.Run("half open", func(t *testing.T) {
		c := dial(t, p)
		works(t, c)
		p.HalfOpen()
		stuck(t, c)
		works(t, dial(t, p))
	})
	t.Run("cut", func(t *testing.T) {
		c := dial(t, p)
		works(t, c)
		p.Cut(3)
		io.WriteString(c, "hello")
		if b, err := io.ReadAll(c); string(b) != "hel" || err != nil {
			t.Errorf("got %q and %v; want 3 bytes and the end", b, err)
		}
	})
	t.Run("black hole", func(t *testing.T) {
		c := dial(t, p)
		works(t, c)
		p.BlackHole(true)
		stuck(t, c)
		stuck(t, dial(t, p))
		p.BlackHole(false)
		works(t, dial(t, p))
	})
}

// An upstream that refuses is a reset, and Close leaves nothing behind while
// connections are stalled.
func TestEnds(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	// The reset may come before Dial is done.
	if c, err := net.Dial("tcp", proxy(t, ln.Addr().String(), Options{}).Addr()); err == nil {
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("got %v; want a reset", err)
		}
	}

	p := proxy(t, server(t, echo), Options{RTT: time.Hour})
	c := dial(t, p)
	io.WriteString(c, "?")
	p.Stall(true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Close()
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("Close does not return")
	}
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("got %d bytes after Close", n)
	}
}
