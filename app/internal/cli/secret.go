package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// maxSecret bounds a password or token; keyrings take less.
const maxSecret = 16 << 10

// readSecret asks for the secret of what, without echo. Where there is no
// terminal, it is the first line of standard input.
func (a *app) readSecret(ctx context.Context, what string) (string, error) {
	return a.readWord(ctx, "Password or token for "+clean(hideSecret(what)))
}

// readWord asks for a word without echo. Where there is no terminal, it is the next
// line of standard input.
func (a *app) readWord(ctx context.Context, prompt string) (string, error) {
	if a.ReadPassword != nil {
		fmt.Fprintf(a.Stderr, "%s: ", prompt)
		s, err := a.ReadPassword(ctx)
		a.note("")
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		return s, nil
	}
	if !a.stdinRead {
		b, err := io.ReadAll(io.LimitReader(a.Stdin, maxSecret+1))
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		if len(b) > maxSecret {
			return "", errors.New("the password on standard input is too long")
		}
		a.stdin, a.stdinRead = string(b), true
	}
	line, rest, _ := strings.Cut(a.stdin, "\n")
	a.stdin = rest
	return strings.TrimSuffix(line, "\r"), nil
}

// readPassword reads a line from the terminal without echo. When ctx is done first,
// the terminal is as it was and the line is left unread.
func readPassword(ctx context.Context) (string, error) {
	fd := int(os.Stdin.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("terminal: %w", err)
	}
	type line struct {
		s   []byte
		err error
	}
	read := make(chan line, 1)
	go func() { // after an end by ctx it stays until the program ends: a read of a terminal cannot be taken back
		b, err := term.ReadPassword(fd)
		read <- line{b, err}
	}()
	select {
	case l := <-read:
		return string(l.s), l.err
	case <-ctx.Done():
		if err := term.Restore(fd, before); err != nil {
			return "", fmt.Errorf("terminal: %w", err)
		}
		return "", ctx.Err()
	}
}

// hideSecret takes a password out of a URL that a person typed.
func hideSecret(u string) string {
	scheme, rest, ok := strings.Cut(u, "://")
	if !ok {
		return u
	}
	host, path, slash := strings.Cut(rest, "/")
	if i := strings.LastIndex(host, "@"); i >= 0 {
		host = host[i+1:]
	}
	if slash {
		host += "/"
	}
	return scheme + "://" + host + path
}

// hasPassword reports whether somebody typed a password into a URL.
func hasPassword(u string) bool {
	_, rest, ok := strings.Cut(u, "://")
	if !ok {
		return false
	}
	host, _, _ := strings.Cut(rest, "/")
	i := strings.LastIndex(host, "@")
	if i < 0 {
		return false
	}
	_, word, ok := strings.Cut(host[:i], ":")
	return ok && word != ""
}

// warnOfPassword says what became of a password in a URL that was typed.
func (a *app) warnOfPassword(u string) {
	if hasPassword(u) {
		a.note("The password in that address is in the history of your shell, and all users of this computer could see it while this ran.")
		a.note("  Better leave it out and give --secret, which asks for it. You may want to change the password now.")
	}
}

func (a *app) setSecret(ctx context.Context, name, secret string) error {
	c, ctx, cancel, err := a.ask(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	return c.SetSecret(ctx, name, secret)
}
