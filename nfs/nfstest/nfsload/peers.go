package main

import (
	"bufio"
	"bytes"
	"context"
	"debug/buildinfo"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// peerFiles are the configurations and sources that peers are started with.
//
//go:embed peers
var peerFiles embed.FS

// errNoServer means that a server is not known, or cannot be had here.
var errNoServer = errors.New("no such server")

// farm starts servers that all serve one folder, and ends them.
type farm struct {
	folder  string // what is served
	bin     string // where programs are, or are built to
	work    string // for configurations, caches and logs
	moorage string // the program; "": it is built
	z       sizes
	log     func(format string, args ...any)

	running []*process
}

// process is a program that was started, alone in its process group.
type process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // of its end
	logs string        // the file with its output
	out  *os.File      // its standard output; nil if that is in logs too
}

// names of the servers that a farm knows.
const peerNames = "moorage,ganesha,gonfs,rclone,echo"

// start starts a server and waits until it answers.
func (f *farm) start(ctx context.Context, name string) (*target, error) {
	var t *target
	var err error
	switch name {
	case "moorage":
		t, err = f.startMoorage(ctx)
	case "ganesha":
		t, err = f.startGanesha(ctx)
	case "gonfs":
		t, err = f.startGoNFS(ctx)
	case "rclone":
		t, err = f.startRclone(ctx)
	case "echo":
		t, err = f.startEcho(ctx)
	default:
		err = fmt.Errorf("%w: %q; known are %s", errNoServer, name, peerNames)
	}
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	t.Name = name
	return t, nil
}

// run starts a program. Its output goes to a file, or, if wantLine, the first
// line of standard output is returned and the rest is dropped.
func (f *farm) run(name string, wantLine bool, argv ...string) (*process, []byte, error) {
	p := &process{name: name, cmd: exec.Command(argv[0], argv[1:]...), done: make(chan struct{}), logs: filepath.Join(f.work, name+".log")}
	out, err := os.Create(p.logs)
	if err != nil {
		return nil, nil, err
	}
	defer out.Close()
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.Env = append(os.Environ(), "HOME="+f.work, "XDG_CACHE_HOME="+f.work, "XDG_CONFIG_HOME="+f.work)
	setGroup(p.cmd)
	var r, w *os.File
	if wantLine {
		if r, w, err = os.Pipe(); err != nil {
			return nil, nil, err
		}
		defer w.Close()
		p.cmd.Stdout = w
	}
	if err := p.cmd.Start(); err != nil {
		return nil, nil, err
	}
	f.running = append(f.running, p)
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	if !wantLine {
		return p, nil, nil
	}
	p.out = r // open until the end, since a server that cannot write would end
	w.Close()
	r.SetReadDeadline(time.Now().Add(30 * time.Second))
	line, err := bufio.NewReader(r).ReadBytes('\n')
	if err != nil {
		return nil, nil, p.failed(err)
	}
	return p, line, nil
}

// failed is an error with what the program said last.
func (p *process) failed(err error) error {
	b, _ := os.ReadFile(p.logs)
	b = bytes.TrimSpace(b)
	if len(b) > 500 {
		b = b[len(b)-500:]
	}
	return fmt.Errorf("%w: %s", err, b)
}

// await waits until addr takes connections, and finds who does it.
func (f *farm) await(ctx context.Context, p *process, t *target) (*target, error) {
	for range 300 {
		nc, err := net.DialTimeout("tcp", t.Addr, time.Second)
		if err == nil {
			nc.Close()
			if t.PID = listenerPID(t.Addr); t.PID == 0 {
				t.PID = p.cmd.Process.Pid
			}
			return t, nil
		}
		select {
		case <-p.done:
			return nil, p.failed(fmt.Errorf("it has ended: %w", p.err))
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil, p.failed(os.ErrDeadlineExceeded)
}

// stop ends all servers and waits for them.
func (f *farm) stop() {
	for _, p := range f.running {
		endGroup(p.cmd.Process, false)
	}
	for _, p := range f.running {
		select {
		case <-p.done:
		case <-time.After(10 * time.Second):
			endGroup(p.cmd.Process, true)
			<-p.done
		}
		if p.out != nil {
			p.out.Close()
		}
	}
}

// build runs the go command with programs going to f.bin.
func (f *farm) build(ctx context.Context, dir string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	f.log("go %s", strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOBIN="+f.bin, "GOFLAGS=-buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// have reports whether a program is in f.bin already.
func (f *farm) have(name string) (string, bool) {
	path := filepath.Join(f.bin, name)
	_, err := os.Stat(path)
	return path, err == nil
}

func (f *farm) startMoorage(ctx context.Context) (*target, error) {
	path := f.moorage
	if path == "" {
		if err := f.build(ctx, "", "build", "-o", f.bin+"/", "./app/cmd/moorage", "./daemon/cmd/mooraged"); err != nil {
			return nil, err
		}
		path = filepath.Join(f.bin, "moorage")
	}
	p, line, err := f.run("moorage", true, path, "serve", f.folder, "--listen", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	var said struct{ Address, Export string }
	if err := json.Unmarshal(line, &said); err != nil {
		return nil, p.failed(err)
	}
	return f.await(ctx, p, &target{Addr: said.Address, Mount: said.Address, Export: said.Export})
}

func (f *farm) startEcho(ctx context.Context) (*target, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	z, err := json.Marshal(f.z)
	if err != nil {
		return nil, err
	}
	p, line, err := f.run("echo", true, self, "-echo", string(z))
	if err != nil {
		return nil, err
	}
	addr := strings.TrimSpace(string(line))
	return f.await(ctx, p, &target{Addr: addr, Mount: addr, Export: "/", Version: "answers from memory, the ceiling for a server in plain Go"})
}

// startGanesha runs nfs-ganesha with the FSAL VFS. It insists on registering
// with a portmapper, so it gets one that nobody else can see.
func (f *farm) startGanesha(ctx context.Context) (*target, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	var config bytes.Buffer
	b, err := peerFiles.ReadFile("peers/ganesha.conf")
	if err != nil {
		return nil, err
	}
	config.WriteString(os.Expand(string(b), func(key string) string {
		return map[string]string{"NFS_PORT": ports[0], "MNT_PORT": ports[1], "FOLDER": f.folder}[key]
	}))
	conf, script := filepath.Join(f.work, "ganesha.conf"), filepath.Join(f.work, "ganesha.sh")
	if err := os.WriteFile(conf, config.Bytes(), 0o600); err != nil {
		return nil, err
	}
	if b, err = peerFiles.ReadFile("peers/ganesha.sh"); err != nil {
		return nil, err
	}
	if err := os.WriteFile(script, b, 0o600); err != nil {
		return nil, err
	}
	version, err := exec.CommandContext(ctx, "ganesha.nfsd", "-v").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%w: it is in Debian's packages nfs-ganesha, nfs-ganesha-vfs and rpcbind: %w", errNoServer, err)
	}
	p, _, err := f.run("ganesha", false, "unshare", "--mount", "sh", script, conf, filepath.Join(f.work, "ganesha.pid"), filepath.Join(f.work, "ganesha.nfsd.log"))
	if err != nil {
		return nil, err
	}
	line, _, _ := strings.Cut(string(version), "\n")
	return f.await(ctx, p, &target{
		Addr: "127.0.0.1:" + ports[0], Mount: "127.0.0.1:" + ports[1], Export: f.folder, Version: line + ", FSAL VFS",
	})
}

// startGoNFS builds a program like the example osnfs of go-nfs, but for loopback.
func (f *farm) startGoNFS(ctx context.Context) (*target, error) {
	path, ok := f.have("gonfs")
	if !ok {
		dir := filepath.Join(f.work, "gonfs")
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, err
		}
		b, err := peerFiles.ReadFile("peers/gonfs.go.txt")
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, "main.go"), b, 0o600); err != nil {
			return nil, err
		}
		for _, args := range [][]string{
			{"mod", "init", "gonfs"}, {"get", "github.com/willscott/go-nfs@latest"}, {"mod", "tidy"}, {"build", "-o", path},
		} {
			if err := f.build(ctx, dir, args...); err != nil {
				return nil, err
			}
		}
	}
	p, line, err := f.run("gonfs", true, path, f.folder)
	if err != nil {
		return nil, err
	}
	addr := strings.TrimSpace(string(line))
	return f.await(ctx, p, &target{Addr: addr, Mount: addr, Export: "/", Version: moduleVersion(path, "github.com/willscott/go-nfs")})
}

func (f *farm) startRclone(ctx context.Context) (*target, error) {
	path, ok := f.have("rclone")
	if !ok {
		if err := f.build(ctx, "", "install", "github.com/rclone/rclone@latest"); err != nil {
			return nil, err
		}
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	addr := "127.0.0.1:" + ports[0]
	p, _, err := f.run("rclone", false, path, "serve", "nfs", f.folder, "--addr", addr, "--vfs-cache-mode", "full",
		"--nfs-cache-type", "memory", "--cache-dir", filepath.Join(f.work, "rclone"), "--log-level", "ERROR", "--config", os.DevNull)
	if err != nil {
		return nil, err
	}
	return f.await(ctx, p, &target{
		Addr: addr, Mount: addr, Export: "/",
		Version: moduleVersion(path, "github.com/rclone/rclone") + ", serve nfs --vfs-cache-mode full --nfs-cache-type memory",
	})
}

// moduleVersion is the version of a module that a program was built with.
func moduleVersion(path, module string) string {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return module
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == module {
			return module + " " + m.Version
		}
	}
	return module
}

// freePorts are n ports of 127.0.0.1 that nobody listens on.
func freePorts(n int) ([]string, error) {
	var ports []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
	return ports, nil
}
