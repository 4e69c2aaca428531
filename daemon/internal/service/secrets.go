package service

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/problem"
	"github.com/moorage/moorage/daemon/internal/secrets"
)

// Secrets implements control.Secrets, as the methods below.
func (s *Service) Secrets(ctx context.Context) api.Secrets {
	st := s.o.Secrets.Status(ctx)
	out := api.Secrets{Keyring: keyringState(st.Keyring), File: fileState(st.File), Kept: []api.KeptSecret{}}
	if st.Keyring != nil {
		out.Problem = &problem.Of(st.Keyring, "the keyring").Problem
	}
	names := s.m.Secrets()
	for _, k := range st.Kept {
		out.Kept = append(out.Kept, api.KeptSecret{ID: k.ID, Drive: names[k.ID], File: k.File})
		delete(names, k.ID)
	}
	if !st.Listed { // then what was stored is believed to be there
		for id, name := range names {
			out.Kept = append(out.Kept, api.KeptSecret{ID: id, Drive: name})
		}
	}
	slices.SortFunc(out.Kept, func(a, b api.KeptSecret) int {
		return cmp.Or(cmp.Compare(a.Drive, b.Drive), cmp.Compare(a.ID, b.ID))
	})
	return out
}

func keyringState(err error) api.KeyringState {
	switch {
	case err == nil:
		return api.KeyringUsable
	case errors.Is(err, secrets.ErrLocked):
		return api.KeyringLocked
	case errors.Is(err, secrets.ErrTimeout):
		return api.KeyringSlow
	}
	return api.KeyringAbsent
}

func fileState(err error) api.SecretFileState {
	switch {
	case err == nil:
		return api.SecretFileOpen
	case errors.Is(err, secrets.ErrNoFile):
		return api.SecretFileAbsent
	case errors.Is(err, secrets.ErrFileLocked):
		return api.SecretFileLocked
	}
	return api.SecretFileDamaged
}

// ForgetSecret takes a secret away, also one whose drive is not known any more.
func (s *Service) ForgetSecret(ctx context.Context, id string) error {
	if name, ok := s.m.Secrets()[id]; ok {
		return s.m.SetSecret(ctx, name, "")
	}
	st := s.o.Secrets.Status(ctx)
	if !slices.ContainsFunc(st.Kept, func(k secrets.Kept) bool { return k.ID == id }) {
		if st.Keyring != nil {
			return explained(st.Keyring)
		}
		return explained(secrets.ErrNotFound)
	}
	return explained(s.o.Secrets.Delete(ctx, id))
}

// UnlockSecrets opens the keyring or the file, and has drives that wait tried again.
func (s *Service) UnlockSecrets(ctx context.Context, u api.UnlockSecrets) error {
	var err error
	if u.Passphrase == "" {
		err = s.o.Secrets.UnlockKeyring(ctx)
	} else {
		err = s.o.Secrets.UnlockFile(u.Passphrase)
	}
	if err != nil {
		return explained(err)
	}
	s.m.Unlocked()
	return nil
}

// CreateSecretFile makes the file that takes the place of a keyring.
func (s *Service) CreateSecretFile(f api.SecretFile) error {
	return explained(s.o.Secrets.CreateFile(f.Passphrase))
}

// ChangePassphrase also opens the file.
func (s *Service) ChangePassphrase(f api.SecretFile) error {
	if err := s.o.Secrets.ChangePassphrase(f.Old, f.Passphrase); err != nil {
		return explained(err)
	}
	s.m.Unlocked()
	return nil
}

// explained is err as a person reads it.
func explained(err error) error {
	if err == nil {
		return nil
	}
	return problem.Of(err, "the passwords of drives")
}
