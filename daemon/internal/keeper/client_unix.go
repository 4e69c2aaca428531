//go:build unix

package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/moorage/moorage/daemon/peer"
)

// Client asks the keeper at a socket. Its methods may be called concurrently.
type Client struct {
	socket string
	start  func() error
}

// NewClient makes a client of the keeper at socket, which start starts if there is none.
func NewClient(socket string, start func() error) *Client { return &Client{socket, start} }

// Listen gives the listener of a drive: that which is kept for it, or a new one at port
// (0: any) of 127.0.0.1. It starts a keeper if none runs. The caller closes what it gets,
// which goes on being kept.
func (c *Client) Listen(ctx context.Context, drive string, port uint16) (net.Listener, error) {
	l, err := c.ask(ctx, request{Drive: drive, Port: port})
	for wait := 5 * time.Millisecond; errors.Is(err, ErrNoKeeper) && ctx.Err() == nil; wait = min(2*wait, 200*time.Millisecond) {
		if wait == 5*time.Millisecond {
			if serr := c.start(); serr != nil {
				return nil, errors.Join(err, serr)
			}
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, errors.Join(err, context.Cause(ctx))
		}
		l, err = c.ask(ctx, request{Drive: drive, Port: port})
	}
	if err == nil && l == nil {
		err = fmt.Errorf("%w: no listener came with the answer", ErrRefused)
	}
	return l, err
}

// Drop has the listener of a drive not be kept any more, if there is one.
func (c *Client) Drop(ctx context.Context, drive string) error {
	l, err := c.ask(ctx, request{Drive: drive, Drop: true})
	if l != nil {
		l.Close()
	}
	if errors.Is(err, ErrNoKeeper) {
		return nil
	}
	return err
}

func (c *Client) ask(ctx context.Context, q request) (net.Listener, error) {
	conn, err := net.Dial("unix", c.socket) // which never takes time
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, ErrNoKeeper
	}
	if err != nil {
		return nil, fmt.Errorf("ask the keeper: %w", err)
	}
	defer conn.Close()
	if err := peer.SameUser(conn); err != nil {
		return nil, fmt.Errorf("ask the keeper: %w", err)
	}
	until := time.Now().Add(talkTime)
	if at, ok := ctx.Deadline(); ok && at.Before(until) {
		until = at
	}
	if err := conn.SetDeadline(until); err != nil {
		return nil, err
	}
	b, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(append(b, '\n')); err != nil {
		return nil, fmt.Errorf("ask the keeper: %w", err)
	}
	line, rights := make([]byte, maxLine), make([]byte, syscall.CmsgSpace(4))
	n, rn, _, _, err := conn.(*net.UnixConn).ReadMsgUnix(line, rights)
	if err != nil || n == 0 { // it ends just now
		return nil, errors.Join(ErrNoKeeper, err)
	}
	l, lerr := listener(rights[:rn])
	var a answer
	if err := json.Unmarshal(line[:n], &a); err == nil && a.Error != "" {
		err = fmt.Errorf("%w: %s", ErrRefused, a.Error)
		lerr = err
	} else if err != nil {
		lerr = fmt.Errorf("the keeper's answer: %w", err)
	}
	if lerr != nil && l != nil {
		l.Close()
		l = nil
	}
	return l, lerr
}

// listener is what came beside an answer; nil if nothing did.
func listener(rights []byte) (net.Listener, error) {
	messages, err := syscall.ParseSocketControlMessage(rights)
	if err != nil || len(messages) == 0 {
		return nil, err
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(fds) == 0 {
		return nil, err
	}
	for _, fd := range fds {
		syscall.CloseOnExec(fd)
	}
	f := os.NewFile(uintptr(fds[0]), "listener")
	defer f.Close()
	return net.FileListener(f)
}
