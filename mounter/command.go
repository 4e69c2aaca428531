package mounter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// maxOutput is how much of what a command of the system says is kept.
const maxOutput = 4 << 10

// run runs c in an environment of its own and kills it when ctx ends. It returns
// what c wrote, as one line without what c hides, and its exit status; err is about running it at all
// or about ctx.
func (m *Mounter) run(ctx context.Context, c command) (said string, status int, err error) {
	var out limited
	cmd := exec.CommandContext(ctx, c.path, c.args...)
	cmd.Env = commandEnv()
	cmd.Dir = commandDir()
	if c.in != nil {
		cmd.Stdin = bytes.NewReader(c.in)
	}
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = grace / 2 // a grandchild may hold the pipe
	detach(cmd)
	m.log().Debug("run", "command", c.path)
	err = cmd.Run()
	said = strings.Join(strings.Fields(strings.ToValidUTF8(out.b.String(), "?")), " ")
	if c.hide != "" {
		said = strings.ReplaceAll(said, strings.Join(strings.Fields(c.hide), " "), "(the drive's export)")
	}
	if ctx.Err() != nil {
		return said, -1, ctx.Err()
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return said, exit.ExitCode(), nil
	}
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return said, -1, fmt.Errorf("run %s: %w", c.path, err)
	}
	return said, 0, nil
}

// limited keeps the first maxOutput bytes and swallows the rest.
type limited struct{ b bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if room := maxOutput - l.b.Len(); room > 0 {
		l.b.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// saidError is the words and the exit status of a command as an error.
func saidError(c command, said string, status int) error {
	if said == "" {
		return fmt.Errorf("%s ended with status %d", c.path, status)
	}
	return fmt.Errorf("%s: %s", c.path, said)
}
