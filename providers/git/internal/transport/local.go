package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/git/internal/login"
	"github.com/moorage/moorage/providers/git/internal/pktline"
)

const gitPort = 9418

// NewGit reaches a repository over git:// (git-daemon(1)). port 0 is 9418.
func NewGit(host string, port int, path string, to Timeouts, n providers.Network) *Stream {
	addr := net.JoinHostPort(host, strconv.Itoa(port))
	if port == 0 {
		addr = net.JoinHostPort(host, strconv.Itoa(gitPort))
	}
	s := newStream(to, func(ctx context.Context) (conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		virtual := host
		if strings.Contains(host, ":") {
			virtual = "[" + host + "]"
		}
		if port != 0 {
			virtual += ":" + strconv.Itoa(port)
		}
		// The extra parameter is behind a second NUL: gitprotocol-pack(5).
		hello := pktline.Append(nil, "git-upload-pack "+path+"\x00host="+virtual+"\x00\x00version=2\x00")
		if _, err := c.Write(hello); err != nil {
			c.Close()
			return nil, err
		}
		return tcpConn{c}, nil
	}, nil)
	s.network = n
	return s
}

type tcpConn struct{ net.Conn }

func (tcpConn) Complaint() string { return "" }

// NewFile reaches a repository of this computer by running git upload-pack. git
// is the path of the program, "" if there is none.
func NewFile(git, path string, to Timeouts) *Stream {
	return newStream(to, func(ctx context.Context) (conn, error) {
		if git == "" {
			return nil, fmt.Errorf("%w: to read a repository of this computer Moorage runs git, and there is no git. Install it", providers.ErrUnsupported)
		}
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: there is no such folder", providers.ErrNoRemote)
		} else if err != nil {
			return nil, fmt.Errorf("%w: %w", providers.ErrNoRemote, err)
		}
		if !filepath.IsAbs(path) {
			return nil, fmt.Errorf("%w: %q is not an absolute path", providers.ErrNoRemote, path)
		}
		// Not CommandContext: the connection outlives the dialing.
		cmd := exec.Command(git, "upload-pack", "--", path)
		cmd.Env = append(login.Environ(), "GIT_PROTOCOL=version=2")
		return startProgram(cmd)
	}, nil)
}

// program is a conn to a child process.
type program struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    io.ReadCloser
	stderr *complaint
	once   sync.Once
}

func startProgram(cmd *exec.Cmd) (conn, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p := &program{cmd: cmd, in: in, out: out, stderr: &complaint{}}
	cmd.Stderr = p.stderr
	cmd.WaitDelay = 2 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(cmd.Path), err)
	}
	return p, nil
}

func (p *program) Read(b []byte) (int, error) {
	n, err := p.out.Read(b)
	if errors.Is(err, os.ErrClosed) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (p *program) Write(b []byte) (int, error) { return p.in.Write(b) }

// Close ends the program and waits for it.
func (p *program) Close() error {
	p.once.Do(func() {
		p.in.Close()
		// Its end of file comes first; if it has more to say, nobody listens.
		p.out.Close()
		timer := time.AfterFunc(200*time.Millisecond, func() { p.cmd.Process.Kill() })
		p.cmd.Wait()
		timer.Stop()
	})
	return nil
}

func (p *program) Complaint() string {
	p.Close()
	return p.stderr.String()
}

// complaint keeps the beginning of what a server writes to standard error.
type complaint struct {
	mu sync.Mutex
	b  []byte
}

func (c *complaint) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.b = append(c.b, p[:min(len(p), 4096-len(c.b))]...)
	return len(p), nil
}

func (c *complaint) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return login.FirstLine(bytes.NewReader(c.b))
}
