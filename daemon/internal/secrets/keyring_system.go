//go:build darwin || windows

package secrets

import (
	"context"
	"errors"
	"fmt"

	"github.com/zalando/go-keyring"
)

// System returns the keyring of this system.
func System() Keyring { return system{} }

// system asks through go-keyring. It cannot be interrupted, and where the keyring is
// locked the system asks the person by itself.
type system struct{}

func (system) Get(_ context.Context, id string) (string, error) {
	s, err := keyring.Get(service, id)
	return s, classify(err)
}

func (system) Set(_ context.Context, id, secret string) error {
	return classify(keyring.Set(service, id, secret))
}

func (system) Delete(_ context.Context, id string) error {
	return classify(keyring.Delete(service, id))
}

func (system) List(context.Context) ([]string, error) { return nil, errors.ErrUnsupported }

// Unlock reads something, for which the system asks if it has to.
func (s system) Unlock(ctx context.Context) error {
	if _, err := s.Get(ctx, "check"); !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil
}

func (system) Limit() int { return limit }

func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, keyring.ErrNotFound):
		return ErrNotFound
	case errors.Is(err, keyring.ErrSetDataTooBig):
		return ErrTooBig
	}
	if kind := kindOf(err); kind != nil {
		return fmt.Errorf("%w: %w", kind, err)
	}
	return fmt.Errorf("%w: %w", ErrNone, err)
}
