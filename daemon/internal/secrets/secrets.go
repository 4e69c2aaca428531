// Package secrets keeps the passwords and tokens of drives in the keyring of the
// operating system, and nowhere else.
package secrets

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zalando/go-keyring"
)

var (
	// ErrNotFound means that there is no secret for this drive.
	ErrNotFound = errors.New("no secret stored")
	// ErrNone means that this system or session has no keyring that works.
	ErrNone = errors.New("no keyring")
	// ErrTimeout means that the keyring does not answer, most likely because it
	// is locked and asks for its password.
	ErrTimeout = errors.New("the keyring does not answer")
	// ErrTooBig means that the keyring does not take a secret of this length.
	ErrTooBig = errors.New("too long for the keyring")
)

// service is the name under which programs that show keyrings list our secrets.
const service = "moorage"

// Keyring is the operating system's keyring. Its methods may be called
// concurrently; they return when ctx is done, and in any case within the
// time-out. At most one call to the system is under way, however long it hangs.
type Keyring struct {
	timeout time.Duration
	turn    chan struct{} // capacity 1: held while the system works for us
}

// New returns the keyring; calls that take longer than timeout fail with ErrTimeout.
func New(timeout time.Duration) *Keyring {
	return &Keyring{timeout: timeout, turn: make(chan struct{}, 1)}
}

// Get returns the secret of drive id.
func (k *Keyring) Get(ctx context.Context, id string) (string, error) {
	secret, err := k.call(ctx, func() (string, error) { return keyring.Get(service, id) }, nil)
	if err != nil {
		return "", fmt.Errorf("read a secret from the keyring: %w", err)
	}
	return secret, nil
}

// Set stores the secret of drive id. If the caller was told that it failed, it
// is not stored, even when a person unlocks the keyring later.
func (k *Keyring) Set(ctx context.Context, id, secret string) error {
	_, err := k.call(ctx, func() (string, error) { return "", keyring.Set(service, id, secret) },
		func() { _ = keyring.Delete(service, id) })
	if err != nil {
		return fmt.Errorf("store a secret in the keyring: %w", err)
	}
	return nil
}

// Delete takes the secret of drive id away, if there is one.
func (k *Keyring) Delete(ctx context.Context, id string) error {
	_, err := k.call(ctx, func() (string, error) { return "", keyring.Delete(service, id) }, nil)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("remove a secret from the keyring: %w", err)
	}
	return nil
}

// Check reports whether the keyring works, without changing it.
func (k *Keyring) Check(ctx context.Context) error {
	_, err := k.call(ctx, func() (string, error) { return keyring.Get(service, "check") }, nil)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// call runs f, which may hang for ever on a prompt. If f succeeds after the
// caller was told that it did not, undo runs.
func (k *Keyring) call(ctx context.Context, f func() (string, error), undo func()) (string, error) {
	if err := available(); err != nil {
		return "", err
	}
	timer := time.NewTimer(k.timeout)
	defer timer.Stop()
	select {
	case k.turn <- struct{}{}:
	case <-timer.C:
		return "", ErrTimeout
	case <-ctx.Done():
		return "", ctx.Err()
	}
	type result struct {
		secret string
		err    error
	}
	results := make(chan result) // unbuffered: delivered, or known not to be
	gone := make(chan struct{})
	defer close(gone)
	go func() {
		defer func() { <-k.turn }()
		s, err := f()
		select {
		case results <- result{s, classify(err)}:
		case <-gone:
			if err == nil && undo != nil {
				undo()
			}
		}
	}()
	select {
	case r := <-results:
		return r.secret, r.err
	case <-timer.C:
		return "", ErrTimeout
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, keyring.ErrNotFound):
		return ErrNotFound
	case errors.Is(err, keyring.ErrSetDataTooBig):
		return ErrTooBig
	}
	return fmt.Errorf("%w: %w", ErrNone, err)
}
