package mounter

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"
)

type liveness int

const (
	serverGone liveness = iota // nothing listens, or the address is not known
	serverSilent
	serverAnswers
)

// nullCall is the NULL procedure of NFSv3 as one record: RFC 5531 §9, §11.
const nullCall = "\x80\x00\x00\x28" + "MOOR" + "\x00\x00\x00\x00" + "\x00\x00\x00\x02" + "\x00\x01\x86\xa3" + "\x00\x00\x00\x03" + "\x00\x00\x00\x00" +
	"\x00\x00\x00\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00"

// alive asks the server of a mount whether it is there. Listening is not enough:
// a listener that is held for a server to come back accepts too.
func alive(ctx context.Context, addr string, port uint16) liveness {
	if addr == "" || port == 0 {
		return serverGone
	}
	const patience = 2 * time.Second
	d := net.Dialer{Timeout: patience}
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(addr, fmt.Sprint(port)))
	if err != nil {
		return serverGone
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, nullCall); err != nil {
		return serverSilent
	}
	var reply [8]byte // record mark and xid
	if _, err := io.ReadFull(c, reply[:]); err != nil {
		return serverSilent
	}
	if string(reply[4:]) != nullCall[4:8] {
		return serverSilent
	}
	return serverAnswers
}
