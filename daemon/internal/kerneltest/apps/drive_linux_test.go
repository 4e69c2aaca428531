package apps

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/daemon/internal/kerneltest"
	"github.com/moorage/moorage/mounter"
)

// A drive is a bucket that is served with a cache that stays, and mounted as the
// product mounts it.
type drive struct {
	name    string // also of the bucket
	gateway *gateway
	kills   int // how often the server is killed in each work

	at     string // where it is mounted
	server *kerneltest.Server
	stderr syncBuffer // of all servers
}

// all does all works on the drive, and looks at what is in the bucket in the end.
func (d *drive) all(works []*work) (err error) {
	d.at = "/mnt/" + d.name
	if err := d.gateway.bucket(d.name); err != nil {
		return err
	}
	if err := d.serve(d.cache(), ""); err != nil {
		return err
	}
	defer func() {
		d.kill()
		if err != nil {
			said := d.stderr.String()
			fmt.Printf("the servers of %s said, in the end:\n%s\n", d.name, said[max(0, len(said)-4000):])
		}
	}()
	if err := d.mount(); err != nil {
		return err
	}
	want := tree{}
	for _, w := range works {
		dir := filepath.Join(d.at, w.name)
		if err := timed(d.name+": "+w.name, func() error { return d.work(w, dir) }); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		if err := dropCaches(); err != nil {
			return err
		}
		got, err := read(dir)
		if err != nil {
			return err
		}
		if err := w.want.equal(got, w.differs); err != nil {
			return fmt.Errorf("%s: the drive is not what a local disk is: %w", w.name, err)
		}
		want.add(w.name, got)
	}
	if err := timed(d.name+": publish", func() error { return d.publish(want) }); err != nil {
		return err
	}
	if d.kills == 0 {
		return nil
	}
	return timed(d.name+": anew", func() error { return d.anew(want) })
}

func (d *drive) cache() string { return "/mnt/cache/" + d.name }

// serve starts a server, at an address if one is given.
func (d *drive) serve(cache, address string) error {
	args := []string{d.gateway.url(d.name), "--cache", cache}
	if address != "" {
		args = append(args, "--listen", address)
	}
	s, err := kerneltest.ServeWith(args, nil, &d.stderr)
	if err == nil {
		d.server = s
	}
	return err
}

func (d *drive) mount() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	a := d.server.Address
	return errors.Join(os.MkdirAll(d.at, 0o755), new(mounter.Mounter).Mount(ctx, mounter.Spec{
		Address: a.Addr().String(), Port: a.Port(), Export: d.server.Export, Dir: d.at}))
}

// work does w in dir. The server is killed when a part of the calls is made that
// it takes without that, and started again.
func (d *drive) work(w *work, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	began, err := calls(d.at)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- w.run(dir) }()
	for i := range d.kills {
		if err := d.reach(began+w.ops*(i+1)/(d.kills+1), ended); err != nil {
			return err
		}
		if err := d.restart(); err != nil {
			return err
		}
	}
	if err := <-ended; err != nil {
		return err
	}
	n, err := calls(d.at)
	if d.kills == 0 {
		w.ops = n - began
	}
	return err
}

// errEarly tells that a work came to its end before it was disturbed.
var errEarly = errors.New("it ended before the server could be killed in the middle")

// reach waits for n calls. Nothing tells when they are made: it asks.
func (d *drive) reach(n int, ended chan error) error {
	for {
		now, err := calls(d.at)
		if err != nil || now >= n {
			return err
		}
		select {
		case err := <-ended:
			return errors.Join(err, errEarly)
		case <-time.After(time.Millisecond):
		}
	}
}

// restart kills the server and starts another that goes on.
func (d *drive) restart() error {
	d.server.End(syscall.SIGKILL) // its status is that of a kill
	return d.serve(d.cache(), d.server.Address.String())
}

// publishTime is how long the bucket may take to be what the drive is.
const publishTime = 2 * time.Minute

// publish waits until the bucket has all, and ends the server.
func (d *drive) publish(want tree) error {
	killed := d.kills == 0
	size := d.gateway.size()
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		got, err := read(d.gateway.folder(d.name))
		if err == nil {
			err = want.equal(got, nil)
		}
		if err == nil {
			break
		}
		if time.Since(began) > publishTime {
			return fmt.Errorf("the bucket is not what the drive is after %v: %w", publishTime, err)
		}
		if !killed && d.gateway.size() != size { // an upload is on
			killed = true
			if err := d.restart(); err != nil {
				return err
			}
		}
	}
	if err := unix.Unmount(d.at, 0); err != nil {
		return fmt.Errorf("unmount: %w", err)
	}
	if err := d.server.Stop(); err != nil {
		return err
	}
	if said := d.stderr.String(); strings.Contains(said, "changes are kept") {
		return fmt.Errorf("the bucket has all, and the server has more to publish: %s", said)
	}
	got, err := read(d.gateway.folder(d.name))
	if err != nil {
		return err
	}
	return want.equal(got, nil)
}

// anew looks at the bucket with a server that knows nothing of it.
func (d *drive) anew(want tree) error {
	if err := errors.Join(os.RemoveAll(d.cache()), d.serve("/mnt/cache/anew-"+d.name, ""), d.mount()); err != nil {
		return err
	}
	got, err := read(d.at)
	if err == nil {
		err = want.equal(got, nil)
	}
	return errors.Join(err, unix.Unmount(d.at, 0), d.server.Stop(), os.RemoveAll("/mnt/cache/anew-"+d.name))
}

// kill leaves nothing of the drive, however it is.
func (d *drive) kill() {
	unix.Unmount(d.at, unix.MNT_FORCE|unix.MNT_DETACH)
	d.server.End(syscall.SIGKILL)
}

// calls is how many calls the kernel's client has made for a mount, answered or
// not.
func calls(at string) (int, error) {
	b, err := os.ReadFile("/proc/self/mountstats")
	if err != nil {
		return 0, err
	}
	_, rest, found := strings.Cut(string(b), " mounted on "+at+" with fstype nfs")
	rest, _, _ = strings.Cut(rest, "\ndevice ")
	_, rest, found2 := strings.Cut(rest, "per-op statistics\n")
	if !found || !found2 {
		return 0, fmt.Errorf("no statistics of %s in /proc/self/mountstats", at)
	}
	n := 0
	for line := range strings.Lines(rest) { // "    GETATTR: 12 12 0 1584 1344 ..."
		if w := strings.Fields(line); len(w) > 2 {
			ops, err := strconv.Atoi(w[1])
			if err != nil {
				return 0, fmt.Errorf("statistics of %s: %w", at, err)
			}
			n += ops
		}
	}
	return n, nil
}

func dropCaches() error { return os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0) }

// A syncBuffer is a buffer that processes write to while it is read.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// url is the address of a drive of the gateway.
func (g *gateway) url(bucket string) string {
	return "s3://" + keyID + ":" + secretKey + "@" + bucket + "?region=us-east-1&endpoint=" + url.QueryEscape("http://"+g.address)
}
