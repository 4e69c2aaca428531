package transport

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/git/internal/login"
)

// credentials returns the login that has been found for u, if any.
func (w *Web) credentials(u *url.URL, q Request) (*session, login.Credential) {
	if q.Anonymous {
		return nil, login.Credential{}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.logins[originOf(u)]
	if s == nil {
		return nil, login.Credential{}
	}
	return s, s.cred
}

func (w *Web) loginRequest(u *url.URL) login.Request {
	q := login.Request{Protocol: u.Scheme, Host: u.Host, Path: strings.TrimPrefix(u.Path, "/")}
	for _, tail := range []string{"/info/refs", "/git-upload-pack", "/info/lfs/objects/batch"} {
		q.Path = strings.TrimSuffix(q.Path, tail)
	}
	if originOf(u) == w.origin {
		q.Username = w.user
	}
	return q
}

// logIn finds another login for u after the server refused the one given. When
// it returns nil the request is worth another try.
func (w *Web) logIn(ctx context.Context, u *url.URL, refused login.Credential) error {
	// One at a time: parallel requests must not ask the helpers in parallel.
	select {
	case w.auth <- struct{}{}:
		defer func() { <-w.auth }()
	case <-ctx.Done():
		return ctx.Err()
	}
	origin, q := originOf(u), w.loginRequest(u)
	w.mu.Lock()
	s := w.logins[origin]
	if s == nil {
		s = &session{}
		w.logins[origin] = s
	}
	cred, source := s.cred, s.source
	w.mu.Unlock()
	if cred != refused {
		return nil // somebody else has found one meanwhile
	}
	if source == fromHelpers && cred.Password != "" {
		w.login.Helpers.Reject(ctx, q, cred)
	}
	var shut error // why the keyring could not be asked
	for next := source + 1; next < noSource; next++ {
		c, ok, err := w.ask(ctx, next, origin, q)
		if err != nil && next == fromKeyring && ctx.Err() == nil {
			shut = err // the helpers may know
			continue
		}
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if c.Username == "" {
			if c.Username = q.Username; c.Username == "" {
				c.Username = "git" // forges take a token with any user name, but not with none
			}
		}
		w.mu.Lock()
		s.cred, s.source, s.approved = c, next, false
		w.mu.Unlock()
		return nil
	}
	// Begin anew next time: the owner may have signed in by then.
	w.mu.Lock()
	delete(w.logins, origin)
	w.mu.Unlock()
	if shut != nil { // the login may be right where nobody could look
		return fmt.Errorf("ask %s for a login: %w", u.Host, shut)
	}
	if cred.Password == "" {
		return fmt.Errorf("ask %s: %w: the server wants a user name and a password or token, and neither the keyring nor git's credential helpers have one (forges answer the same when there is no such repository)", u.Host, providers.ErrAuth)
	}
	return fmt.Errorf("ask %s: %w: the server refused the login of %q", u.Host, providers.ErrAuth, cred.Username)
}

func (w *Web) ask(ctx context.Context, source int, origin string, q login.Request) (login.Credential, bool, error) {
	switch source {
	case fromKeyring:
		if w.login.Keyring == nil || origin != w.origin {
			return login.Credential{}, false, nil
		}
		c, err := w.login.Keyring(ctx, q)
		if err != nil && ctx.Err() != nil {
			return c, false, ctx.Err()
		}
		return c, err == nil && c.Password != "", err
	default:
		return w.login.Helpers.Fill(ctx, q)
	}
}

// approve lets the helpers keep a login that has worked.
func (w *Web) approve(ctx context.Context, u *url.URL, s *session) {
	if s == nil {
		return
	}
	w.mu.Lock()
	tell := s.source == fromHelpers && !s.approved
	s.approved = true
	cred := s.cred
	w.mu.Unlock()
	if tell {
		w.login.Helpers.Approve(ctx, w.loginRequest(u), cred)
	}
}
