package posix

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/daemon/internal/kerneltest"
)

// A drive is one that is served and mounted.
type drive struct {
	at     string // where it is mounted
	view   string // where it can be seen as it is, past the caches of that mount
	more   string // another mount of it; empty for folders
	server *kerneltest.Server
}

// attach serves url, as user u, and mounts it.
func attach(name, url string, u *user) (*drive, error) {
	d := &drive{at: "/mnt/" + name, view: url}
	var as *syscall.Credential
	if u.uid != 0 {
		as = &syscall.Credential{Uid: u.uid, Gid: u.gid, Groups: u.groups}
	}
	var err error
	if d.server, err = kerneltest.Serve(url, as, os.Stdout); err != nil {
		return nil, err
	}
	if err = mount(d.server.Address, d.server.Export, d.at, ""); err == nil {
		if !strings.HasPrefix(url, "/") {
			d.view = d.at + "-again"
		}
		err = mount(d.server.Address, d.server.Export, d.at+"-again", ",nosharecache")
		d.more = d.at + "-again"
	}
	if err != nil {
		return nil, errors.Join(err, d.server.Stop())
	}
	return d, nil
}

func mount(a netip.AddrPort, export, at, options string) error {
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	options = fmt.Sprintf("vers=3,proto=tcp,port=%d,mountport=%[1]d,mountproto=tcp,nolock,noacl%s", a.Port(), options)
	if out, err := exec.Command("mount", "-t", "nfs", "-o", options, a.Addr().String()+":"+export, at).CombinedOutput(); err != nil {
		return fmt.Errorf("mount: %w\n%s", err, out)
	}
	return nil
}

// detach unmounts the drive and ends its server, which must end in order.
func (d *drive) detach() error {
	var err error
	for _, at := range []string{d.more, d.at} {
		if e := unix.Unmount(at, 0); e != nil {
			err = errors.Join(err, fmt.Errorf("unmount %s: %w", at, e), unix.Unmount(at, unix.MNT_DETACH|unix.MNT_FORCE))
		}
	}
	return errors.Join(err, d.server.Stop())
}
