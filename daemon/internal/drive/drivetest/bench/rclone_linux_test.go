package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/moorage/moorage/providers/s3/s3test"
)

// rclone runs rclone over the link, if there is one.
type rclone struct {
	f    *far
	bin  string
	fuse bool // it can mount
}

func newRclone(f *far) *rclone {
	bin, err := exec.LookPath("rclone")
	if err != nil {
		return nil
	}
	_, helper := exec.LookPath("fusermount3")
	_, device := os.Stat("/dev/fuse")
	return &rclone{f: f, bin: bin, fuse: helper == nil && device == nil}
}

// version is what it calls itself.
func (r *rclone) version(ctx context.Context) string {
	out, _ := exec.CommandContext(ctx, r.bin, "version").Output()
	line, _, _ := bytes.Cut(out, []byte("\n"))
	return string(line)
}

// command is rclone with the store as its remote "far:".
func (r *rclone) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, r.bin, append([]string{"--config", os.DevNull, "--log-level", "ERROR"}, args...)...)
	cmd.Env = append(os.Environ(), "RCLONE_CONFIG_FAR_TYPE=s3", "RCLONE_CONFIG_FAR_PROVIDER=Other", "RCLONE_CONFIG_FAR_REGION=us-east-1", "RCLONE_CONFIG_FAR_LIST_VERSION=2",
		"RCLONE_CONFIG_FAR_ENDPOINT="+r.f.endpoint(), "RCLONE_CONFIG_FAR_ACCESS_KEY_ID="+s3test.AccessKeyID, "RCLONE_CONFIG_FAR_SECRET_ACCESS_KEY="+s3test.SecretAccessKey)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it unmounts
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// run has it do one thing.
func (r *rclone) run(ctx context.Context, args ...string) error {
	out, err := r.command(ctx, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("rclone %s: %w: %s", args[0], err, bytes.TrimSpace(out))
	}
	return nil
}

// start has it serve until end is called, and waits until ready succeeds.
func (r *rclone) start(t testing.TB, ready func() error, args ...string) (end func(), err error) {
	ctx, cancel := context.WithCancel(t.Context())
	cmd := r.command(ctx, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, err
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	end = func() {
		cancel()
		<-exited
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if err = ready(); err == nil {
			return end, nil
		}
		select {
		case err := <-exited:
			cancel()
			return nil, fmt.Errorf("rclone ended: %w: %s", err, bytes.TrimSpace(out.Bytes()))
		case <-time.After(50 * time.Millisecond):
		}
	}
	end()
	return nil, fmt.Errorf("rclone is not ready: %w: %s", err, bytes.TrimSpace(out.Bytes()))
}

// serve has it serve the store by NFS, with a cache in dir, and connects to it.
func (r *rclone) serve(t testing.TB, dir string) (e export, end func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return e, nil, err
	}
	addr := l.Addr().String()
	l.Close()
	stop, err := r.start(t, func() (err error) {
		e, err = connect(t.Context(), addr, "/")
		return err
	}, "serve", "nfs", "far:"+r.f.bucket, "--addr", addr, "--vfs-cache-mode", "full", "--nfs-cache-type", "memory", "--cache-dir", dir)
	if err != nil {
		return e, nil, err
	}
	return e, func() {
		_ = e.close()
		stop()
	}, nil
}

var errNotMounted = errors.New("not mounted yet")

// mount has it mount the store, with a cache in dir.
func (r *rclone) mount(t testing.TB, dir string) (at string, end func(), err error) {
	at = filepath.Join(dir, "at")
	if err := os.MkdirAll(at, 0o700); err != nil {
		return "", nil, err
	}
	var under, now syscall.Stat_t
	if err := syscall.Stat(at, &under); err != nil {
		return "", nil, err
	}
	end, err = r.start(t, func() error {
		if err := syscall.Stat(at, &now); err != nil {
			return err
		}
		if now.Dev == under.Dev {
			return errNotMounted
		}
		return nil
	}, "mount", "far:"+r.f.bucket, at, "--vfs-cache-mode", "full", "--cache-dir", filepath.Join(dir, "cache"))
	return at, end, err
}

// local is a file of a folder that is mounted.
type local struct{ *os.File }

func (l local) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return l.File.ReadAt(p, off)
}
