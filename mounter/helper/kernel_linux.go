package helper

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/mounter/internal/linuxnfs"
)

// Kernel is the System. A user's network namespace is bound to a file, so that it
// outlives the helper.
type Kernel struct {
	Dir    string // only root can enter it; holds a file for each user
	Logger *slog.Logger

	mu         sync.Mutex
	namespaces map[uint32]int // descriptors
}

var _ System = (*Kernel)(nil)

const nsfsMagic = 0x6e736673

// attrCache is how long, in seconds, the client may answer from what it knows: the
// server is on this computer.
const attrCache = 1

func (k *Kernel) path(uid uint32) string {
	return filepath.Join(k.Dir, strconv.FormatUint(uint64(uid), 10))
}

// namespace gives the namespace of uid, as a descriptor that stays open.
func (k *Kernel) namespace(uid uint32) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock() // some system calls, none of which waits for anybody
	if fd, ok := k.namespaces[uid]; ok {
		return fd, nil
	}
	fd, err := openNamespace(k.path(uid))
	if errors.Is(err, unix.ENOENT) {
		fd, err = makeNamespace(k.path(uid))
	}
	if err != nil {
		return -1, fmt.Errorf("make a network namespace: %w", err)
	}
	if k.namespaces == nil {
		k.namespaces = make(map[uint32]int)
	}
	k.namespaces[uid] = fd
	return fd, nil
}

// openNamespace opens what makeNamespace has bound; ENOENT if there is nothing.
func openNamespace(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		unix.Close(fd)
		return -1, err
	}
	if st.Type != nsfsMagic { // nothing was bound to the file
		unix.Close(fd)
		return -1, unix.ENOENT
	}
	return fd, nil
}

// makeNamespace makes a namespace that has a loopback interface and nothing else, and
// binds it to a file.
func makeNamespace(path string) (int, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return -1, err
	}
	f.Close()
	fd := -1
	err = onThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		if err := raiseLoopback(); err != nil {
			return err
		}
		if fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			return err
		}
		if err = unix.Mount(fmt.Sprintf("/proc/self/fd/%d", fd), path, "", unix.MS_BIND, ""); err != nil {
			unix.Close(fd)
		}
		return err
	})
	if err != nil {
		os.Remove(path)
		return -1, err
	}
	return fd, nil
}

func raiseLoopback() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo)
}

// Release implements System.
func (k *Kernel) Release(uid uint32) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if fd, ok := k.namespaces[uid]; ok {
		unix.Close(fd)
		delete(k.namespaces, uid)
	}
	path := k.path(uid)
	err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) { // it was not bound
		err = nil
	}
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		k.Logger.Error("a network namespace stays", "uid", uid, "err", err)
	}
}

// in runs f on a thread in the namespace of uid.
func (k *Kernel) in(uid uint32, f func() error) error {
	fd, err := k.namespace(uid)
	if err != nil {
		return err
	}
	return onThread(func() error {
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter a network namespace: %w", err)
		}
		return f()
	})
}

// Listen implements System. The socket is a plain descriptor: it is shared with the
// user's service, for which Go's wrappers would change it.
func (k *Kernel) Listen(uid uint32, port uint16) (fd int, got uint16, err error) {
	err = k.in(uid, func() (err error) {
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		defer func() {
			if err != nil {
				unix.Close(fd)
			}
		}()
		// The connections of a listener that is gone may be in TIME_WAIT.
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return err
		}
		if err := unix.Bind(fd, &unix.SockaddrInet4{Port: int(port), Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return err
		}
		if err := unix.Listen(fd, unix.SOMAXCONN); err != nil {
			return err
		}
		a, err := unix.Getsockname(fd)
		if err != nil {
			return err
		}
		got = uint16(a.(*unix.SockaddrInet4).Port)
		return nil
	})
	if err != nil {
		return -1, 0, err
	}
	return fd, got, nil
}

// Mount implements System.
func (k *Kernel) Mount(private bool, p *Place, r Record, root []byte, readOnly bool) error {
	mount := func() error {
		return linuxnfs.Mount(r.Source, fmt.Sprintf("/proc/self/fd/%d", p.target), linuxnfs.Flags(readOnly), linuxnfs.Data{
			Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), r.Port), Root: root, Soft: readOnly, AttrCache: attrCache})
	}
	if !private {
		return mount()
	}
	return k.in(r.UID, mount)
}

// Unmount implements System. The way from the folder to the mount point is gone with
// c's rights. UMOUNT_NOFOLLOW also keeps the kernel from asking the mount about itself.
func (k *Kernel) Unmount(c Caller, p *Place, flags int) error {
	return asUser(c, func() error {
		return unix.Unmount(fmt.Sprintf("/proc/self/fd/%d/%s", p.parent, p.Name), flags|unix.UMOUNT_NOFOLLOW)
	})
}

// Table implements System.
func (k *Kernel) Table() ([]linuxnfs.Entry, error) { return linuxnfs.Table() }
