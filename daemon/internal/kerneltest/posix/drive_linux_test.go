package posix

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A drive is one that is served and mounted.
type drive struct {
	at    string // where it is mounted
	view  string // where it can be seen as it is, past the caches of that mount
	more  string // another mount of it; empty for folders
	serve *exec.Cmd
}

// attach serves url, as user u, and mounts it.
func attach(name, url string, u *user) (*drive, error) {
	d := &drive{at: "/mnt/" + name, view: url}
	d.serve = exec.Command("moorage", "serve", url)
	if u.uid != 0 {
		d.serve.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: u.uid, Gid: u.gid, Groups: u.groups}}
		d.serve.Env = append(os.Environ(), "HOME=/tmp")
	}
	d.serve.Stderr = os.Stdout
	stdout, err := d.serve.StdoutPipe()
	if err == nil {
		err = d.serve.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("start moorage serve: %w", err)
	}
	var ready struct{ Address, Export string }
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &ready)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("moorage serve said %q: %w", line, err), d.stop())
	}
	go io.Copy(io.Discard, stdout)
	if err = mount(ready.Address, ready.Export, d.at, ""); err == nil {
		if !strings.HasPrefix(url, "/") {
			d.view = d.at + "-again"
		}
		err = mount(ready.Address, ready.Export, d.at+"-again", ",nosharecache")
		d.more = d.at + "-again"
	}
	if err != nil {
		return nil, errors.Join(err, d.stop())
	}
	return d, nil
}

func mount(address, export, at, options string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		err = os.MkdirAll(at, 0o755)
	}
	if err != nil {
		return err
	}
	options = fmt.Sprintf("vers=3,proto=tcp,port=%s,mountport=%s,mountproto=tcp,nolock,noacl%s", port, port, options)
	if out, err := exec.Command("mount", "-t", "nfs", "-o", options, "127.0.0.1:"+export, at).CombinedOutput(); err != nil {
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
	return errors.Join(err, d.stop())
}

func (d *drive) stop() error {
	kill := time.AfterFunc(15*time.Second, func() { d.serve.Process.Kill() })
	defer kill.Stop()
	if err := d.serve.Process.Signal(unix.SIGTERM); err != nil {
		return err
	}
	if err := d.serve.Wait(); err != nil {
		return fmt.Errorf("moorage serve: %w", err)
	}
	return nil
}
