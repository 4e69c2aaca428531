//go:build unix

package keeper

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"
)

func port(l net.Listener) uint16 { return uint16(l.Addr().(*net.TCPAddr).Port) }

// start runs a keeper until the test ends. The channel gets its error.
func start(t *testing.T, idle time.Duration) (socket string, ended chan error) {
	socket = filepath.Join(t.TempDir(), "run", "keep")
	ctx, cancel := context.WithCancel(t.Context())
	ended = make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ended <- serve(ctx, socket, slog.New(slog.DiscardHandler), idle)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return socket, ended
}

func nobody() error { return nil }

func TestListenersStay(t *testing.T) {
	socket, _ := start(t, time.Hour)
	c := NewClient(socket, nobody)
	l, err := c.Listen(t.Context(), "a", 0)
	if err != nil {
		t.Fatal(err)
	}
	at, p := l.Addr().String(), port(l)
	l.Close() // the service was killed
	if other, err := net.Listen("tcp", at); err == nil {
		other.Close()
		t.Error("another program has taken the port")
	}
	knock, err := net.Dial("tcp", at) // the system's client tries again
	if err != nil {
		t.Fatal(err)
	}
	defer knock.Close()
	if l, err = c.Listen(t.Context(), "a", p); err != nil || port(l) != p {
		t.Fatalf("port %d for %d: %v", port(l), p, err)
	}
	conn, err := l.Accept()
	if err != nil || conn.RemoteAddr().String() != knock.LocalAddr().String() {
		t.Errorf("who knocked meanwhile was not let in: %v", err)
	}
	conn.Close()
	l.Close()
	if err := c.Drop(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if l, err = net.Listen("tcp", at); err != nil {
		t.Errorf("the port of a drive that was given back: %v", err)
	} else if _, err := c.Listen(t.Context(), "b", p); !errors.Is(err, ErrRefused) {
		t.Errorf("a port that another program has: %v", err)
	}
	l.Close()
}

func TestStartsAKeeperOnce(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "run", "keep")
	var starts atomic.Int32
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	c := NewClient(socket, func() error {
		starts.Add(1)
		go func() { done <- Serve(ctx, socket, slog.New(slog.DiscardHandler)) }()
		return nil
	})
	if err := c.Drop(t.Context(), "a"); err != nil || starts.Load() != 0 {
		t.Errorf("a drive that is not kept was given back: %v, %d started", err, starts.Load())
	}
	for _, drive := range []string{"a", "b"} {
		l, err := c.Listen(t.Context(), drive, 0)
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	}
	cancel()
	if err := <-done; err != nil || starts.Load() != 1 {
		t.Errorf("%v, %d started", err, starts.Load())
	}
	broken := errors.New("broken")
	if _, err := NewClient(socket, func() error { return broken }).Listen(t.Context(), "a", 0); !errors.Is(err, broken) {
		t.Errorf("a keeper that cannot be started: %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := NewClient(socket, nobody).Listen(short, "a", 0); !errors.Is(err, ErrNoKeeper) {
		t.Errorf("a keeper that does not come: %v", err)
	}
}

func TestEndsWhenNothingIsKept(t *testing.T) {
	socket, ended := start(t, 100*time.Millisecond)
	c := NewClient(socket, nobody)
	l, err := c.Listen(t.Context(), "a", 0)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	select {
	case err := <-ended:
		t.Fatalf("it ended with a listener: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	if err := c.Drop(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	ended <- nil
}

func TestOddRequests(t *testing.T) {
	socket, _ := start(t, time.Hour)
	for _, line := range []string{"", "x", "{}", `{"drive":""}`, `{"drive":"a","x":1}`, `{"drive":"a","port":-1}`,
		`{"drive":"` + strings.Repeat("a", 200) + `"}`, strings.Repeat("a", 2*maxLine)} {
		conn, err := net.Dial("unix", socket)
		for wait := time.Millisecond; err != nil; wait *= 2 { // until it runs
			time.Sleep(wait)
			conn, err = net.Dial("unix", socket)
		}
		_, _ = io.WriteString(conn, line+"\n")
		b, err := io.ReadAll(conn)
		if !bytes.Contains(b, []byte(errRequest.Error())) {
			t.Errorf("%.20q: %q, %v", line, b, err)
		}
		conn.Close()
	}
	l, err := NewClient(socket, nobody).Listen(t.Context(), "a", 0)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte("{\"drive\":\"a\",\"port\":7}\n"), true)
	f.Add([]byte("{\"drive\":\"a\",\"drop\":true}\nmore"), false)
	f.Add(bytes.Repeat([]byte("x"), maxLine), true)
	f.Fuzz(func(t *testing.T, b []byte, slow bool) {
		r := io.Reader(bytes.NewReader(b))
		if slow {
			r = iotest.OneByteReader(r)
		}
		line, err := readLine(r)
		if err != nil {
			return
		}
		if len(line) >= maxLine {
			t.Errorf("%d bytes", len(line))
		}
		if q, err := decodeRequest(line); err == nil && (q.Drive == "" || len(q.Drive) > maxName) {
			t.Errorf("%+v", q)
		}
	})
}
