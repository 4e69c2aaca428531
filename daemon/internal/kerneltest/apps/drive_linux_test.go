package apps

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/daemon/client"
)

// A drive is a bucket that the service has mounted, as people use it.
type drive struct {
	name    string // also of the bucket
	gateway *gateway
	kills   int // how often the service is killed in each work

	at      string // where it is mounted
	service *exec.Cmd
	home    string     // of the service: all that it keeps
	stderr  syncBuffer // of all services
}

// all does all works on the drive, and looks at what is in the bucket in the end.
func (d *drive) all(works []*work) (err error) {
	d.at = "/mnt/" + d.name
	if err := d.gateway.bucket(d.name); err != nil {
		return err
	}
	if err := d.begin("/mnt/home/" + d.name); err != nil {
		return err
	}
	defer func() {
		d.away()
		if err != nil {
			said := d.stderr.String()
			fmt.Printf("the services of %s said, in the end:\n%s\n", d.name, said[max(0, len(said)-4000):])
		}
	}()
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
		if err := w.want.equal(got, w.differs, w.kept); err != nil {
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

// begin starts a service that knows nothing, and mounts the drive.
func (d *drive) begin(home string) error {
	d.home = home
	if err := errors.Join(os.MkdirAll(home, 0o700), os.MkdirAll(d.at, 0o755), d.start()); err != nil {
		return err
	}
	return errors.Join(d.moorage("add", d.gateway.url(d.name), d.at, "--name", d.name), d.moorage("mount", d.name))
}

// env is the environment of a service with everything in a place of its own.
func (d *drive) env() []string {
	env := append(os.Environ(), "MOORAGE_SOCKET="+d.socket(), "AWS_ACCESS_KEY_ID="+keyID, "AWS_SECRET_ACCESS_KEY="+secretKey)
	for _, v := range []string{"XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"} {
		env = append(env, v+"="+d.home)
	}
	return env
}

func (d *drive) socket() string { return d.home + "/socket" }

// moorage runs the command line.
func (d *drive) moorage(args ...string) error {
	cmd := exec.Command("timeout", append([]string{"-k", "5", strconv.Itoa(limit), "moorage"}, args...)...)
	cmd.Env = d.env()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("moorage %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// start starts the service, and waits until it answers.
func (d *drive) start() error {
	d.service = exec.Command("mooraged", "--foreground")
	d.service.Env, d.service.Stderr = d.env(), &d.stderr
	if err := d.service.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for c := client.New(d.socket()); ; time.Sleep(10 * time.Millisecond) {
		if _, err := c.Service(ctx); !errors.Is(err, client.ErrNoService) {
			return err
		}
	}
}

// stop ends the service in order, which unmounts the drive.
func (d *drive) stop() error {
	kill := time.AfterFunc(time.Minute, func() { d.service.Process.Kill() })
	defer kill.Stop()
	return errors.Join(d.service.Process.Signal(syscall.SIGTERM), d.service.Wait())
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

// restart kills the service and starts another that goes on.
func (d *drive) restart() error {
	d.kill()
	return d.start()
}

// kill ends the service as a crash does.
func (d *drive) kill() {
	d.service.Process.Kill()
	d.service.Wait() // its status is that of a kill
}

// publish waits until the bucket has all, and ends the service.
func (d *drive) publish(want tree) error {
	if d.kills > 0 {
		size := d.gateway.size()
		ctx, cancel := context.WithTimeout(context.Background(), limit*time.Second)
		defer cancel()
		ended := make(chan error, 1)
		go func() {
			_, err := client.New(d.socket()).Sync(ctx, d.name, true)
			ended <- err
		}()
		for began := time.Now(); d.gateway.size() == size && time.Since(began) < 5*time.Second; {
			time.Sleep(10 * time.Millisecond) // until an upload is on, if there is one left
		}
		if err := d.restart(); err != nil {
			return err
		}
		<-ended // most likely with the news that the service went away
	}
	if err := d.moorage("sync", d.name, "--wait"); err != nil {
		return err
	}
	got, err := read(d.gateway.folder(d.name))
	if err == nil {
		err = want.equal(got, nil, content)
	}
	if err == nil {
		err = d.stop()
	}
	if err != nil {
		return err
	}
	if _, err := calls(d.at); err == nil {
		return errors.New("the service has ended and left its mount")
	}
	return nil
}

// anew looks at the bucket with a service that knows nothing of it.
func (d *drive) anew(want tree) error {
	if err := errors.Join(os.RemoveAll(d.home), d.begin("/mnt/home/anew-"+d.name)); err != nil {
		return err
	}
	got, err := read(d.at)
	if err == nil {
		err = want.equal(got, nil, content)
	}
	return errors.Join(err, d.stop(), os.RemoveAll(d.home))
}

// away leaves nothing of the drive, however it is.
func (d *drive) away() {
	unix.Unmount(d.at, unix.MNT_FORCE|unix.MNT_DETACH)
	if d.service != nil && d.service.ProcessState == nil {
		d.kill()
	}
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
	return "s3://" + bucket + "?region=us-east-1&endpoint=" + url.QueryEscape("http://"+g.address)
}
