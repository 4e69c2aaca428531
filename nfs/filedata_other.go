//go:build !linux

package nfs

import (
	"errors"
	"net"
)

// sendsFiles says that send works here.
const sendsFiles = false

func (f *fileData) send(net.Conn, []byte) error { return errors.ErrUnsupported }
