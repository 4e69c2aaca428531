package nfs

import (
	"fmt"
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// sendsFiles says that send works here.
const sendsFiles = true

// send writes head, the span and its padding. If the file has become shorter
// since its size was promised, the error makes the caller close the connection,
// and the client asks again: there are no bytes that could be sent in their
// place.
func (f *fileData) send(nc net.Conn, head []byte) error {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return f.copy(nc, head)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	off, left := f.off, f.N
	var serr error
	err = raw.Write(func(fd uintptr) bool {
		for serr == nil && (len(head) > 0 || left > 0) {
			var n int
			var err error
			if len(head) > 0 {
				// The kernel keeps it back until data come, or it would be a
				// packet of its own and wake the client for nothing.
				flags := unix.MSG_NOSIGNAL
				if left > 0 {
					flags |= unix.MSG_MORE
				}
				n, err = unix.SendmsgN(int(fd), head, nil, nil, flags)
				head = head[max(n, 0):]
			} else if n, err = unix.Sendfile(int(fd), f.FD, &off, left); err == nil {
				left -= n
				if n == 0 {
					err = io.ErrUnexpectedEOF
				}
			}
			switch err {
			case nil, unix.EINTR:
			case unix.EAGAIN:
				return false
			default:
				serr = err
			}
		}
		return true
	})
	if serr == unix.EINVAL && len(head) == 0 && left == f.N {
		return f.copy(nc, nil) // a file system without splice
	}
	if err == nil {
		err = serr
	}
	if err != nil {
		return fmt.Errorf("send from file: %w", err)
	}
	return f.pad(nc)
}

// copy is send by way of memory.
func (f *fileData) copy(nc net.Conn, head []byte) error {
	if _, err := nc.Write(head); err != nil {
		return err
	}
	buf := make([]byte, min(f.N, 256<<10))
	for off, left := f.off, f.N; left > 0; {
		n, err := unix.Pread(f.FD, buf[:min(left, len(buf))], off)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return fmt.Errorf("send from file: %w", err)
		case n == 0:
			return fmt.Errorf("send from file: %w", io.ErrUnexpectedEOF)
		}
		if _, err := nc.Write(buf[:n]); err != nil {
			return err
		}
		off, left = off+int64(n), left-n
	}
	return f.pad(nc)
}

func (f *fileData) pad(nc net.Conn) error {
	if n := f.size() - f.N; n > 0 {
		_, err := nc.Write(make([]byte, n))
		return err
	}
	return nil
}
