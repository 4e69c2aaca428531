// Package mounter mounts NFSv3 exports of this computer with the NFS client of
// its operating system, takes the mounts away again, and reads which there are.
// It knows nothing of what serves them.
//
// Nothing here waits without a bound. A command of the system that does not come
// back is killed; a system call that does not come back is left alone on a thread
// of its own, and what it makes later is taken away at once. The table of mounts
// is read from the operating system, never from the mounts themselves: touching
// the folder of a mount whose server is dead hangs.
package mounter

import (
	"errors"
	"log/slog"
	"sync"
	"time"
)

// What stands in the way of a mount. Errors wrap one of these; the text says
// what is missing and what to do about it.
var (
	ErrUnsupported = errors.New("this system cannot mount NFS") // no client in the kernel, or not enabled
	ErrPermission  = errors.New("mounting needs more rights")   // not root on Linux, a foreign folder on macOS
	ErrDir         = errors.New("not a usable mount point")     // missing, no folder, not empty, already mounted
	ErrBusy        = errors.New("in use")                       // files of the mount are open
	ErrNotMounted  = errors.New("not mounted")                  //
	ErrTimeout     = errors.New("no answer in time")            // the system's command or the server did not come back
	ErrRefused     = errors.New("the server refused the mount") //
	ErrNoHelper    = errors.New("there is no mount helper")     // or no need of one
)

// Spec is one mount to be made. The server listens on a loopback address.
type Spec struct {
	Address  string // numeric loopback address, "127.0.0.1"
	Port     uint16 // NFS and MOUNT
	Export   string // export path, begins with "/"; its last element names the volume on macOS
	Root     []byte // root file handle; if the OS can use it, no MOUNT call is made
	Dir      string // absolute path of an empty folder; a drive letter ("X:") on Windows
	ReadOnly bool
	Timeout  time.Duration // of the whole mount; 0: 30 s

	Drive string // 16 hexadecimal digits that name the drive to the mount helper; "": do without
	Held  bool   // the server listens on what the mount helper gave
}

// Mount is one NFS mount that the system has.
type Mount struct {
	Source   string // "127.0.0.1:/export"
	Dir      string
	Port     uint16 // 0 if the system does not tell
	Export   string
	ReadOnly bool
}

// Check is one line of what Probe found.
type Check struct {
	Name   string // "nfs client", "mount.nfs", "rights"
	OK     bool
	Detail string // what was found
	Remedy string // what to do if not OK
}

// Mounter issues mounts. The zero value with a Logger works; its methods may be
// called concurrently. It must not be copied after first use.
type Mounter struct {
	Logger *slog.Logger // nil: silent

	mu      sync.Mutex
	pending map[string]*attempt // mounts that have not come back, by folder
}

func (m *Mounter) log() *slog.Logger {
	if m.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return m.Logger
}
