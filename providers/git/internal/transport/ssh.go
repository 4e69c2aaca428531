package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moorage/moorage/providers"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// SSH is a repository behind ssh: a Stream, and the way to run git-lfs-authenticate.
type SSH struct {
	*Stream
	d *sshDialer
}

// NewSSH reaches path on a host as the user's own ssh would: with ~/.ssh/config,
// the agent, keys that need no passphrase, and known_hosts. user may be "" and
// port 0.
func NewSSH(host string, port int, user, path string, to Timeouts, n providers.Network) *SSH {
	d := &sshDialer{host: host, port: port, user: user, timeouts: to, dialing: make(chan struct{}, 1)}
	s := &SSH{d: d}
	s.Stream = newStream(to, func(ctx context.Context) (conn, error) {
		return d.start(ctx, "git-upload-pack "+shellQuote(path))
	}, d.hangUp)
	s.network = n
	return s
}

// shellQuote quotes as git does (sq_quote_buf): the far side parses it with a shell,
// or with a program that expects this form.
func shellQuote(s string) string {
	s = strings.ReplaceAll(s, "'", `'\''`)
	return "'" + strings.ReplaceAll(s, "!", `'\!'`) + "'"
}

// maxOutput bounds the output of Run.
const maxOutput = 64 << 10

// Run runs a command whose arguments are quoted, and returns what it prints.
func (s *SSH) Run(ctx context.Context, name string, args ...string) ([]byte, error) {
	for _, a := range args {
		name += " " + shellQuote(a)
	}
	dctx, cancel := context.WithTimeout(ctx, s.timeouts.Connect)
	defer cancel()
	c, err := s.d.start(dctx, name)
	if err != nil {
		return nil, offline(ctx, "run a command", err)
	}
	g := s.guard(ctx, c, s.timeouts.Header)
	out, err := io.ReadAll(io.LimitReader(c, maxOutput))
	g.stop()
	c.Close()
	if gerr := g.err(ctx, s.Stream); gerr != nil {
		return nil, gerr
	}
	if err != nil {
		return nil, offline(ctx, "run a command", err)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("run a command: %w: %s", providers.ErrUnsupported, c.Complaint())
	}
	return out, nil
}

// sshDialer keeps one ssh connection and runs commands on it.
type sshDialer struct {
	host     string
	port     int
	user     string
	timeouts Timeouts
	dialing  chan struct{} // held by whoever connects

	mu     sync.Mutex
	client *ssh.Client
}

func (d *sshDialer) hangUp() {
	d.mu.Lock()
	c := d.client
	d.client = nil
	d.mu.Unlock()
	if c != nil {
		c.Close()
	}
}

// start runs a command on the connection, or on a new one.
func (d *sshDialer) start(ctx context.Context, command string) (conn, error) {
	for range 2 {
		c, fresh, err := d.connection(ctx)
		if err != nil {
			return nil, err
		}
		sc, err := d.session(ctx, c, command)
		if err == nil {
			return sc, nil
		}
		var full *ssh.OpenChannelError
		if ctx.Err() != nil || fresh || errors.As(err, &full) {
			return nil, err
		}
		// It died while it was idle.
		c.Close()
		d.mu.Lock()
		if d.client == c {
			d.client = nil
		}
		d.mu.Unlock()
	}
	return nil, providers.ErrOffline
}

// connection returns the connection, after making it if there is none.
func (d *sshDialer) connection(ctx context.Context) (c *ssh.Client, fresh bool, err error) {
	select {
	case d.dialing <- struct{}{}:
		defer func() { <-d.dialing }()
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	d.mu.Lock()
	c = d.client
	d.mu.Unlock()
	if c != nil {
		return c, false, nil
	}
	if c, err = d.connect(ctx); err != nil {
		return nil, false, err
	}
	d.mu.Lock()
	d.client = c
	d.mu.Unlock()
	return c, true, nil
}

func (d *sshDialer) session(ctx context.Context, c *ssh.Client, command string) (conn, error) {
	// The methods of a session have no context: end the connection instead.
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	s, err := c.NewSession()
	if err != nil {
		return nil, err
	}
	// Refused by servers that do not accept it; then they speak version 0.
	_ = s.Setenv("GIT_PROTOCOL", "version=2")
	sc := &sshConn{session: s, client: c, stderr: &complaint{}}
	s.Stderr = sc.stderr
	if sc.in, err = s.StdinPipe(); err == nil {
		if sc.out, err = s.StdoutPipe(); err == nil {
			err = s.Start(command)
		}
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return sc, nil
}

type sshConn struct {
	session *ssh.Session
	client  *ssh.Client
	in      io.WriteCloser
	out     io.Reader
	stderr  *complaint
	once    sync.Once
}

func (c *sshConn) Read(p []byte) (int, error)  { return c.out.Read(p) }
func (c *sshConn) Write(p []byte) (int, error) { return c.in.Write(p) }

// Close ends the command. A connection that does not even let a channel be closed
// is closed itself.
func (c *sshConn) Close() error {
	c.once.Do(func() {
		timer := time.AfterFunc(2*time.Second, func() { c.client.Close() })
		c.session.Close()
		timer.Stop()
	})
	return nil
}

// Complaint waits a moment for standard error to arrive.
func (c *sshConn) Complaint() string {
	done := make(chan struct{})
	go func() {
		c.session.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(2 * time.Second):
		c.client.Close()
		<-done
	}
	return c.stderr.String()
}

// connect makes an ssh connection.
func (d *sshDialer) connect(ctx context.Context) (*ssh.Client, error) {
	cfg, err := loadSSHConfig(d.host, d.port, d.user)
	if err != nil {
		return nil, err
	}
	keys, err := newHostKeys(cfg)
	if err != nil {
		return nil, err
	}
	addr := net.JoinHostPort(cfg.hostName, strconv.Itoa(cfg.port))
	var dialer net.Dialer
	nc, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	logins := newSSHLogins(ctx, cfg)
	defer logins.close()
	conf := &ssh.ClientConfig{
		User:              cfg.user,
		Auth:              []ssh.AuthMethod{ssh.PublicKeysCallback(logins.signers)},
		HostKeyCallback:   keys.check,
		HostKeyAlgorithms: keys.algorithms(addr),
		ClientVersion:     "SSH-2.0-moorage",
	}
	sc, chans, reqs, err := ssh.NewClientConn(nc, addr, conf)
	if err != nil {
		nc.Close()
		if keys.refused != nil {
			return nil, keys.refused
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%w: the ssh server at %s does not finish its greeting", providers.ErrOffline, addr)
		}
		if logins.asked {
			return nil, fmt.Errorf("%w: %s does not let %q in: %s", providers.ErrAuth, addr, cfg.user, logins.explain())
		}
		return nil, err
	}
	if !stop() {
		sc.Close()
		return nil, ctx.Err()
	}
	return ssh.NewClient(sc, chans, reqs), nil
}

// hostKeys checks the key of a server against known_hosts. There is no question:
// a key that is not known is not trusted.
type hostKeys struct {
	callback ssh.HostKeyCallback
	cfg      *sshConfig
	refused  error
}

func newHostKeys(cfg *sshConfig) (*hostKeys, error) {
	h := &hostKeys{cfg: cfg}
	if len(cfg.knownHosts) == 0 {
		h.callback = func(string, net.Addr, ssh.PublicKey) error { return &knownhosts.KeyError{} }
		return h, nil
	}
	var err error
	if h.callback, err = knownhosts.New(cfg.knownHosts...); err != nil {
		return nil, fmt.Errorf("%w: cannot read the known hosts: %w", providers.ErrHostKey, err)
	}
	return h, nil
}

// name is what the server is called in known_hosts.
func (h *hostKeys) name(addr string) string {
	if h.cfg.hostKeyAlias != "" {
		return net.JoinHostPort(h.cfg.hostKeyAlias, "22")
	}
	return addr
}

type noAddr struct{}

func (noAddr) Network() string { return "tcp" }
func (noAddr) String() string  { return "0.0.0.0:0" }

// algorithms are the kinds of keys that are known for addr: a server may have
// several keys, and would show another one. nil if none is known.
func (h *hostKeys) algorithms(addr string) []string {
	var keyErr *knownhosts.KeyError
	if err := h.callback(h.name(addr), noAddr{}, noKey{}); !errors.As(err, &keyErr) {
		return nil
	}
	var out []string
	for _, k := range keyErr.Want {
		switch t := k.Key.Type(); t {
		case ssh.KeyAlgoRSA:
			out = append(out, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		default:
			out = append(out, t)
		}
	}
	return out
}

// noKey is a key that no file has.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return []byte("none") }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }

func (h *hostKeys) check(addr string, remote net.Addr, key ssh.PublicKey) error {
	err := h.callback(h.name(addr), noAddr{}, key)
	if err == nil {
		return nil
	}
	is := fmt.Sprintf("%s %s", strings.TrimPrefix(key.Type(), "ssh-"), ssh.FingerprintSHA256(key))
	var keyErr *knownhosts.KeyError
	var revoked *knownhosts.RevokedError
	switch {
	case errors.As(err, &revoked):
		h.refused = fmt.Errorf("%w: the key of %s (%s) is marked as revoked in known_hosts", providers.ErrHostKey, addr, is)
	case errors.As(err, &keyErr) && len(keyErr.Want) == 0:
		h.refused = fmt.Errorf("%w: %s is not in known_hosts. Its key is %s: compare that with what the server's owner says, and run \"ssh %s\" once to accept it", providers.ErrHostKey, addr, is, h.cfg.alias)
	case errors.As(err, &keyErr):
		var want []string
		for _, k := range keyErr.Want {
			want = append(want, fmt.Sprintf("%s %s (%s line %d)", strings.TrimPrefix(k.Key.Type(), "ssh-"), ssh.FingerprintSHA256(k.Key), k.Filename, k.Line))
		}
		h.refused = fmt.Errorf("%w: %s shows the key %s, but known is %s. Somebody may be in between; if the server has a new key, remove that line", providers.ErrHostKey, addr, is, strings.Join(want, ", "))
	default:
		h.refused = fmt.Errorf("%w: %s: %w", providers.ErrHostKey, addr, err)
	}
	return h.refused
}
