package serve

import "golang.org/x/sys/windows"

// What listening fails with if another has the port, or the system keeps it.
const (
	errTaken     = windows.WSAEADDRINUSE
	errForbidden = windows.WSAEACCES
)
