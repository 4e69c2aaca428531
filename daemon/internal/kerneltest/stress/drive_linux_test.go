package stress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/daemon/internal/kerneltest"
	"github.com/moorage/moorage/mounter"
)

// What may stay behind after the work, beside what there was before.
const (
	spareGoroutines = 4
	spareFiles      = 4
	spareMemory     = 96 << 20 // bytes
	keptFiles       = 512      // by package dirfs, for five minutes
)

// settleLimit is how long a server may take to give back what it has, after a
// short load.
const settleLimit = 60 * time.Second

// A drive is one that is served, and mounted as the product mounts it.
type drive struct {
	at     string // where it is mounted
	again  string // another mount of it, with caches of its own; empty for folders
	folder string // where a folder lies
	server *kerneltest.Server
	stderr bytes.Buffer // of the server
}

// attach serves url and mounts it.
func attach(name, url string) (*drive, error) {
	d := &drive{at: "/mnt/" + name}
	var err error
	if d.server, err = kerneltest.Serve(url, nil, &d.stderr); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err = errors.Join(os.MkdirAll(d.at, 0o755), new(mounter.Mounter).Mount(ctx, mounter.Spec{
		Address: d.server.Address.Addr().String(), Port: d.server.Address.Port(), Export: d.server.Export, Dir: d.at}))
	if err == nil && filepath.IsAbs(url) {
		d.folder = url
	} else if err == nil {
		// The product mounts a drive once. A second mount has caches of its own
		// only if the kernel is told so.
		d.again = d.at + "-again"
		options := fmt.Sprintf("vers=3,proto=tcp,port=%d,mountport=%[1]d,mountproto=tcp,nolock,noacl,nosharecache", d.server.Address.Port())
		err = os.MkdirAll(d.again, 0o755)
		if err == nil {
			_, err = command(30*time.Second, "mount", "-t", "nfs", "-o", options, "127.0.0.1:"+d.server.Export, d.again)
		}
	}
	if err != nil {
		d.kill()
		return nil, err
	}
	return d, nil
}

// past is where dir, which is below the mount, can be seen past the mount.
func (d *drive) past(dir string) string {
	return filepath.Join(d.folder+d.again, strings.TrimPrefix(dir, d.at))
}

// usage is what the server's process takes.
type usage struct {
	memory int // resident, in bytes
	files  int // descriptors
}

func (u usage) String() string { return fmt.Sprintf("%d MiB, %d descriptors", u.memory>>20, u.files) }

func (d *drive) usage() (usage, error) {
	proc := fmt.Sprintf("/proc/%d/", d.server.PID())
	files, err := os.ReadDir(proc + "fd")
	statm, err2 := os.ReadFile(proc + "statm")
	if err := errors.Join(err, err2); err != nil {
		return usage{}, err
	}
	pages, err := strconv.Atoi(strings.Fields(string(statm))[1])
	return usage{pages * os.Getpagesize(), len(files)}, err
}

// settle waits until the server takes about what it took before. Package dirfs
// keeps descriptors for some minutes: only a long load waits for those.
func (d *drive) settle(before usage, long bool) error {
	files, limit := before.files+spareFiles, settleLimit
	switch {
	case long:
		limit = 10 * time.Minute
	case d.folder != "":
		files += keptFiles
	}
	if d.folder == "" {
		if err := d.forget(); err != nil {
			return err
		}
	}
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		now, err := d.usage()
		if err != nil {
			return err
		}
		if now.files <= files && now.memory <= before.memory+spareMemory {
			fmt.Printf("     %v before, %v %v after the work\n", before, now, time.Since(began).Round(100*time.Millisecond))
			return nil
		}
		if time.Since(began) > limit {
			return fmt.Errorf("%v before, %v now", before, now)
		}
		if !long {
			if err := d.collect(); err != nil {
				return err
			}
		}
	}
}

// forget removes more files than a drive in memory keeps, for clients that have
// them open.
func (d *drive) forget() error {
	f := filepath.Join(d.at, "removed")
	for range 4200 {
		if err := errors.Join(os.WriteFile(f, nil, 0o644), os.Remove(f)); err != nil {
			return err
		}
	}
	return d.collect()
}

// collect writes so much that Go's runtime collects garbage in the server, and
// leaves nothing: data of a removed file may be kept for a while.
func (d *drive) collect() error {
	f := filepath.Join(d.at, "much")
	for range 4 {
		if err := os.WriteFile(f, make([]byte, 8<<20), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(f, nil, 0o644)
}

// dump unmounts the drive, ends its server with a dump of all goroutines and
// counts them.
func (d *drive) dump() (int, error) {
	if err := d.unmount(0); err != nil {
		return 0, err
	}
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		n, err := d.connections()
		if err != nil {
			return 0, err
		}
		if n == 0 {
			break
		}
		if time.Since(began) > settleLimit {
			return 0, fmt.Errorf("the server holds %d connections after the unmount", n)
		}
	}
	d.server.End(syscall.SIGQUIT) // its status is that of a crash
	n := strings.Count("\n"+d.stderr.String(), "\ngoroutine ")
	if n == 0 {
		return 0, fmt.Errorf("no dump of goroutines:\n%s", d.stderr.String())
	}
	return n, nil
}

// connections is how many the server holds.
func (d *drive) connections() (int, error) {
	const listens, timeWait = "0A", "06"
	b, err := os.ReadFile("/proc/net/tcp")
	n := 0
	for line := range strings.Lines(string(b)) { // 0: 0100007F:9BE9 0100007F:A892 01 ...
		w := strings.Fields(line)
		if len(w) > 3 && strings.HasSuffix(w[1], fmt.Sprintf(":%04X", d.server.Address.Port())) && w[3] != listens && w[3] != timeWait {
			n++
		}
	}
	return n, err
}

// idleGoroutines is how many goroutines a server has that did little.
func idleGoroutines(name, url string) (int, error) {
	d, err := attach(name, url)
	if err != nil {
		return 0, err
	}
	defer d.kill()
	f := filepath.Join(d.at, "f")
	err = errors.Join(os.WriteFile(f, []byte("little"), 0o644), os.Remove(f))
	if err != nil {
		return 0, err
	}
	return d.dump()
}

func (d *drive) unmount(flags int) error {
	var err error
	for _, at := range []string{d.again, d.at} {
		if at == "" {
			continue
		}
		if e := unix.Unmount(at, flags); e != nil {
			err = errors.Join(err, fmt.Errorf("unmount %s: %w", at, e))
		}
	}
	return err
}

// kill leaves nothing of the drive, however it is.
func (d *drive) kill() {
	d.unmount(unix.MNT_FORCE | unix.MNT_DETACH)
	d.server.End(syscall.SIGKILL)
}
