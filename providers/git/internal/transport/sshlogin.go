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
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/kevinburke/ssh_config"
	"github.com/moorage/moorage/providers"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// sshConfig is what ssh_config(5) says about a host, as far as it matters here.
type sshConfig struct {
	alias          string // what the URL calls it
	hostName       string
	port           int
	user           string
	identityFiles  []string
	identitiesOnly bool
	agentSocket    string // "" if there is none
	knownHosts     []string
	hostKeyAlias   string
}

// loadSSHConfig reads the user's and the system's configuration. The URL wins.
func loadSSHConfig(host string, port int, login string) (*sshConfig, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, fmt.Errorf("find the ssh settings: %w", err)
	}
	var files []*ssh_config.Config
	own := filepath.Join(home, ".ssh", "config")
	for _, name := range append([]string{own}, systemSSHConfig()...) {
		b, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the ssh settings: %w", err)
		}
		c, err := ssh_config.Decode(bytes.NewReader(plainBlocks(b)))
		if err != nil && name != own {
			continue // what distributions set there is about ciphers
		}
		if err != nil {
			// Without them we might reach another host than the user's ssh.
			return nil, fmt.Errorf("%w: the ssh settings in %s hold something Moorage does not understand: %w", providers.ErrUnsupported, name, err)
		}
		files = append(files, c)
	}
	all := func(key string) []string {
		for _, c := range files {
			if v, err := c.GetAll(host, key); err == nil && len(v) > 0 {
				return v
			}
		}
		return nil
	}
	get := func(key string) string {
		if v := all(key); len(v) > 0 {
			return v[0]
		}
		return ""
	}
	c := &sshConfig{alias: host, hostName: host, port: port, user: login, hostKeyAlias: get("HostKeyAlias")}
	if h := get("HostName"); h != "" {
		c.hostName = strings.ReplaceAll(h, "%h", host)
	}
	if c.user == "" {
		c.user = get("User")
	}
	if c.user == "" {
		if u, err := user.Current(); err == nil {
			c.user = u.Username
		}
	}
	if c.port == 0 {
		c.port = 22
		if p, err := strconv.Atoi(get("Port")); err == nil && p > 0 && p < 1<<16 {
			c.port = p
		}
	}
	for _, key := range []string{"ProxyJump", "ProxyCommand"} {
		if v := get(key); v != "" && v != "none" {
			return nil, fmt.Errorf("%w: the ssh settings reach %s by %s, which Moorage cannot do. Use an address that can be reached directly", providers.ErrUnsupported, host, key)
		}
	}
	expand := func(p string) string {
		p = strings.Trim(p, `"`)
		if rest, ok := strings.CutPrefix(p, "~/"); ok {
			p = filepath.Join(home, rest)
		}
		return strings.NewReplacer("%%", "%", "%d", home, "%h", c.hostName, "%r", c.user, "%p", strconv.Itoa(c.port), "%n", host).Replace(p)
	}
	for _, f := range all("IdentityFile") {
		c.identityFiles = append(c.identityFiles, expand(f))
	}
	if len(c.identityFiles) == 0 {
		for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
			c.identityFiles = append(c.identityFiles, filepath.Join(home, ".ssh", name))
		}
	}
	c.identitiesOnly = strings.EqualFold(get("IdentitiesOnly"), "yes")
	c.agentSocket = defaultAgent()
	switch a := get("IdentityAgent"); {
	case a == "none":
		c.agentSocket = ""
	case strings.HasPrefix(a, "$"):
		c.agentSocket = os.Getenv(strings.Trim(a, "${}"))
	case a != "" && a != "SSH_AUTH_SOCK":
		c.agentSocket = expand(a)
	}
	known := []string{filepath.Join(home, ".ssh", "known_hosts"), filepath.Join(home, ".ssh", "known_hosts2")}
	if v := get("UserKnownHostsFile"); v != "" {
		known = nil
		for f := range strings.FieldsSeq(v) {
			known = append(known, expand(f))
		}
	}
	for _, f := range append(known, systemKnownHosts()...) {
		if fi, err := os.Stat(f); err == nil && fi.Mode().IsRegular() {
			c.knownHosts = append(c.knownHosts, f)
		}
	}
	return c, nil
}

// plainBlocks leaves out the blocks that the parser cannot judge: those of Match
// with anything but "all" and "host".
func plainBlocks(b []byte) []byte {
	var out []byte
	skip := false
	for line := range bytes.Lines(b) {
		fields := strings.Fields(strings.Replace(string(line), "=", " ", 1))
		if len(fields) > 0 && (strings.EqualFold(fields[0], "host") || strings.EqualFold(fields[0], "match")) {
			skip = strings.EqualFold(fields[0], "match") &&
				!(len(fields) == 2 && strings.EqualFold(fields[1], "all")) && !(len(fields) == 3 && strings.EqualFold(fields[1], "host"))
		}
		if !skip {
			out = append(out, line...)
		}
	}
	return out
}

// sshLogins finds keys: those of the agent, then files.
type sshLogins struct {
	ctx       context.Context
	cfg       *sshConfig
	agentConn net.Conn
	asked     bool     // the server got so far as to ask for one
	tried     []string // where a key was found
	locked    []string // files that need a passphrase
}

func newSSHLogins(ctx context.Context, cfg *sshConfig) *sshLogins {
	return &sshLogins{ctx: ctx, cfg: cfg}
}

func (l *sshLogins) close() {
	if l.agentConn != nil {
		l.agentConn.Close()
	}
}

func (l *sshLogins) signers() ([]ssh.Signer, error) {
	l.asked = true
	var signers, files []ssh.Signer
	wanted := make(map[string]bool) // public keys of identity files
	locked := make(map[string]string)
	for _, name := range l.cfg.identityFiles {
		if pub, err := readPublicKey(name + ".pub"); err == nil {
			wanted[string(pub.Marshal())] = true
		}
		b, err := readKeyFile(name)
		if err != nil {
			continue
		}
		s, err := ssh.ParsePrivateKey(b)
		var needs *ssh.PassphraseMissingError
		if errors.As(err, &needs) {
			if needs.PublicKey != nil {
				locked[string(needs.PublicKey.Marshal())] = name
				wanted[string(needs.PublicKey.Marshal())] = true
			} else {
				l.locked = append(l.locked, name)
			}
			continue
		}
		if err != nil {
			continue
		}
		wanted[string(s.PublicKey().Marshal())] = true
		files = append(files, s)
		l.tried = append(l.tried, name)
	}
	have := make(map[string]bool)
	for _, s := range l.fromAgent() {
		key := string(s.PublicKey().Marshal())
		if l.cfg.identitiesOnly && !wanted[key] {
			continue
		}
		have[key] = true
		delete(locked, key)
		signers = append(signers, s)
	}
	if len(signers) > 0 {
		l.tried = append([]string{"the ssh agent"}, l.tried...)
	}
	for _, s := range files {
		if !have[string(s.PublicKey().Marshal())] {
			signers = append(signers, s)
		}
	}
	for _, name := range locked {
		l.locked = append(l.locked, name)
	}
	return signers, nil
}

func (l *sshLogins) fromAgent() []ssh.Signer {
	if l.cfg.agentSocket == "" {
		return nil
	}
	c, err := dialAgent(l.ctx, l.cfg.agentSocket)
	if err != nil {
		return nil
	}
	l.agentConn = c
	// An agent that waits for somebody to touch a key must not hold us for ever.
	if deadline, ok := l.ctx.Deadline(); ok {
		c.SetDeadline(deadline)
	}
	signers, err := agent.NewClient(c).Signers()
	if err != nil {
		return nil
	}
	return signers
}

// explain says why no key was good enough, and what to do.
func (l *sshLogins) explain() string {
	if len(l.locked) > 0 {
		return fmt.Sprintf("the key in %s needs its passphrase. Add it to the agent: ssh-add %s", l.locked[0], l.locked[0])
	}
	if len(l.tried) == 0 {
		return "there is no key in the ssh agent or in ~/.ssh. Make one with ssh-keygen and give the public half to the server"
	}
	return "it accepts none of the keys in " + strings.Join(l.tried, ", ")
}

// maxKeyFile bounds a file that is read as a key.
const maxKeyFile = 64 << 10

func readKeyFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil || !fi.Mode().IsRegular() {
		return nil, fs.ErrInvalid
	}
	return io.ReadAll(io.LimitReader(f, maxKeyFile))
}

func readPublicKey(name string) (ssh.PublicKey, error) {
	b, err := readKeyFile(name)
	if err != nil {
		return nil, err
	}
	pub, _, _, _, err := ssh.ParseAuthorizedKey(b)
	return pub, err
}
