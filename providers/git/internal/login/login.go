// Package login finds the user name and password for a server: what the owner
// of the drive put into the keyring, then what git's own credential helpers
// know (gitcredentials(7)). Secrets travel over standard input and output only.
package login

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Request says what the login is for.
type Request struct {
	Protocol string // "https" or "http"
	Host     string // with the port, if it is not the default
	Path     string // of the repository, without leading slash
	Username string // if the URL names one
}

// Credential is a user name and a password or token.
type Credential struct {
	Username string
	Password string
}

// helperTime bounds a run of git credential: a helper that opens a dialog gets
// no longer than a person who is there needs to answer.
const helperTime = 30 * time.Second

// Helpers runs git's credential helpers.
type Helpers struct {
	Git string // path of the git program; "" if there is none
}

// Fill asks the helpers. ok is false if there is no git or they know nothing.
func (h Helpers) Fill(ctx context.Context, q Request) (c Credential, ok bool, err error) {
	if h.Git == "" {
		return c, false, nil
	}
	out, err := h.run(ctx, "fill", q, Credential{Username: q.Username})
	if err != nil {
		if ctx.Err() != nil {
			return c, false, ctx.Err()
		}
		// It exits with a status when there is nothing and nobody to ask.
		return c, false, nil
	}
	for line := range strings.Lines(string(out)) {
		k, v, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		switch k {
		case "username":
			c.Username = v
		case "password":
			c.Password = v
		}
	}
	return c, c.Password != "", nil
}

// Approve tells the helpers that c worked, Reject that it did not. Neither is
// worth failing for.
func (h Helpers) Approve(ctx context.Context, q Request, c Credential) {
	if h.Git != "" {
		h.run(ctx, "approve", q, c)
	}
}

// Reject tells the helpers to forget c.
func (h Helpers) Reject(ctx context.Context, q Request, c Credential) {
	if h.Git != "" {
		h.run(ctx, "reject", q, c)
	}
}

func (h Helpers) run(ctx context.Context, verb string, q Request, c Credential) ([]byte, error) {
	var in bytes.Buffer
	for _, f := range [][2]string{{"protocol", q.Protocol}, {"host", q.Host}, {"path", q.Path}, {"username", c.Username}, {"password", c.Password}} {
		if f[1] == "" {
			continue
		}
		if strings.ContainsAny(f[1], "\n\r\x00") {
			return nil, fmt.Errorf("a line break in the %s of a login", f[0])
		}
		fmt.Fprintf(&in, "%s=%s\n", f[0], f[1])
	}
	in.WriteByte('\n')
	ctx, cancel := context.WithTimeout(ctx, helperTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.Git, "-c", "credential.interactive=false", "credential", verb)
	cmd.Env = append(Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=", "SSH_ASKPASS=", "GCM_INTERACTIVE=never")
	cmd.Dir = os.TempDir() // not in a repository, whose own configuration would be read
	cmd.Stdin = &in
	cmd.WaitDelay = 2 * time.Second
	var out limitedBuffer
	cmd.Stdout = &out
	err := cmd.Run()
	return out.b, err
}

// limitedBuffer keeps the first 64 KiB.
type limitedBuffer struct{ b []byte }

func (l *limitedBuffer) Write(p []byte) (int, error) {
	l.b = append(l.b, p[:min(len(p), 64<<10-len(l.b))]...)
	return len(p), nil
}

// Environ is the environment without the variables that tie git to a
// repository, so that it is the same whoever started us.
func Environ() []string {
	var env []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		switch name {
		case "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES",
			"GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_PREFIX", "GIT_PROTOCOL", "GIT_TRACE", "GIT_TRACE_PACKET", "GIT_TRACE_CURL",
			"GIT_CURL_VERBOSE", "GIT_ASKPASS", "SSH_ASKPASS", "GIT_TERMINAL_PROMPT", "GCM_INTERACTIVE":
			continue
		}
		env = append(env, kv)
	}
	return env
}

// FirstLine is the first line of what a program said on standard error, cut to
// what can be shown: it comes from outside.
func FirstLine(r io.Reader) string {
	line, _ := bufio.NewReaderSize(io.LimitReader(r, 300), 300).ReadString('\n')
	return strings.TrimSpace(strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || (c >= 0x80 && c < 0xa0) {
			return ' '
		}
		return c
	}, line))
}
