package peer

import (
	"fmt"
	"net"

	"golang.org/x/sys/windows"
)

// SameUser returns ErrForeign unless the process that serves the named pipe c
// runs as the user of this process. It is for the side that dialled; the side
// that listens keeps others out with the pipe's security descriptor.
func SameUser(c net.Conn) error {
	f, ok := c.(interface{ Fd() uintptr })
	if !ok {
		return fmt.Errorf("read peer credentials: %T is no named pipe", c)
	}
	var pid uint32
	if err := windows.GetNamedPipeServerProcessId(windows.Handle(f.Fd()), &pid); err != nil {
		return fmt.Errorf("find the process that serves the pipe: %w", err)
	}
	p, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, pid)
	if err != nil {
		return fmt.Errorf("open the process that serves the pipe: %w", err)
	}
	defer windows.CloseHandle(p)
	var t windows.Token
	if err := windows.OpenProcessToken(p, windows.TOKEN_QUERY, &t); err != nil {
		return fmt.Errorf("open the token of the process that serves the pipe: %w", err)
	}
	defer t.Close()
	theirs, err := t.GetTokenUser()
	if err != nil {
		return fmt.Errorf("read the user of the process that serves the pipe: %w", err)
	}
	ours, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return fmt.Errorf("read this process's user: %w", err)
	}
	if !theirs.User.Sid.Equals(ours.User.Sid) {
		return ErrForeign
	}
	return nil
}
