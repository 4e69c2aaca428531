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

// send writes the span and its padding. If the file has become shorter since
// its size was promised, the error makes the caller close the connection, and
// the client asks again: there are no bytes that could be sent in their place.
func (f *fileData) send(nc net.Conn) error {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return f.copy(nc)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	off, left := f.off, f.N
	var serr error
	err = raw.Write(func(fd uintptr) bool {
		for left > 0 {
			n, err := unix.Sendfile(int(fd), f.FD, &off, left)
			switch {
			case err == unix.EAGAIN:
				return false
			case err == unix.EINTR:
			case err != nil:
				serr = err
				return true
			case n == 0:
				serr = io.ErrUnexpectedEOF
				return true
			default:
				left -= n
			}
		}
		return true
	})
	if serr == unix.EINVAL && left == f.N {
		return f.copy(nc) // a file system without splice
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
func (f *fileData) copy(nc net.Conn) error {
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
