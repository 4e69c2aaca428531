// Package transport reaches a git server: over http and https, over ssh, over
// git:// and through a program of this computer. All of them bound every wait:
// there are limits to connecting, to logging in, and to the time in which no
// byte arrives.
package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/git/internal/pktline"
)

// Timeouts bound the waits.
type Timeouts struct {
	Connect time.Duration // to reach the server, TLS and ssh handshakes included
	Header  time.Duration // until the server begins to answer a request
	Idle    time.Duration // in which no byte arrives, or can be sent
}

// DefaultTimeouts suit a slow but working network. A server that prepares a
// pack sends a sign of life every five seconds.
func DefaultTimeouts() Timeouts {
	return Timeouts{Connect: 15 * time.Second, Header: 60 * time.Second, Idle: 40 * time.Second}
}

var errIdle = errors.New("the server fell silent")

// maxAdvertisement bounds what a server says first. Of version 2 it is a few
// lines; version 0 lists all refs.
const maxAdvertisement = 64 << 20

// readAdvertisement reads pkt-lines up to the first flush frame.
func readAdvertisement(r io.Reader) ([]byte, error) {
	pr := pktline.NewReader(r)
	var out []byte
	for {
		kind, line, err := pr.Next()
		if err != nil {
			return nil, err
		}
		switch kind {
		case pktline.Data:
			out = pktline.Append(out, string(line))
		case pktline.Flush:
			return pktline.AppendFlush(out), nil
		default:
			return nil, fmt.Errorf("%w: frame in an advertisement", pktline.ErrMalformed)
		}
		if len(out) > maxAdvertisement {
			return nil, fmt.Errorf("%w: endless advertisement", pktline.ErrMalformed)
		}
	}
}

// offline says that the network or the server is in the way. The error of a
// context that is done is returned as it is, if it was the caller's.
func offline(ctx context.Context, op string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, known := range []error{providers.ErrOffline, providers.ErrAuth, providers.ErrHostKey, providers.ErrUnsupported, providers.ErrProtocol} {
		if errors.Is(err, known) {
			return fmt.Errorf("%s: %w", op, err)
		}
	}
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return fmt.Errorf("%s: %w: no host of that name", op, providers.ErrOffline)
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%s: %w: nothing listens there", op, providers.ErrOffline)
	}
	return fmt.Errorf("%s: %w: %w", op, providers.ErrOffline, err)
}

// watch calls cancel when no progress was made for idle. It is stopped by stop.
type watch struct {
	idle  time.Duration
	timer *time.Timer
}

func newWatch(idle time.Duration, cancel func()) *watch {
	return &watch{idle, time.AfterFunc(idle, cancel)}
}

func (w *watch) progress() { w.timer.Reset(w.idle) }
func (w *watch) stop()     { w.timer.Stop() }
