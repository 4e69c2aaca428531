//go:build !linux

package nfs

import (
	"errors"
	"net"
)

// sendsFiles says that send works here.
const sendsFiles = false

func (f *fileData) send(net.Conn) error { return errors.ErrUnsupported }
