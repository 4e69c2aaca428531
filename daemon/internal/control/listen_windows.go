package control

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"
)

// Listen listens on the named pipe at path, which only this user may open. A
// live service gives a *RunningError.
func Listen(path string, _ *slog.Logger) (net.Listener, error) {
	u, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return nil, fmt.Errorf("find this user's identity: %w", err)
	}
	sid := u.User.Sid.String()
	l, err := winio.ListenPipe(path, &winio.PipeConfig{
		SecurityDescriptor: "O:" + sid + "D:P(A;;GA;;;" + sid + ")",
		InputBufferSize:    64 << 10,
		OutputBufferSize:   64 << 10,
	})
	if errors.Is(err, os.ErrPermission) { // the first instance of the pipe is another's
		return nil, &RunningError{}
	}
	if err != nil {
		return nil, fmt.Errorf("listen on the control pipe: %w", err)
	}
	return l, nil
}
