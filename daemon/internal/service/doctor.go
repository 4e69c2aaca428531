package service

import (
	"context"
	"strings"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/doctor"
	"github.com/moorage/moorage/daemon/internal/mounts"
	"github.com/moorage/moorage/daemon/internal/secrets"
	"github.com/moorage/moorage/daemon/internal/state"
)

// doctorOptions are for a doctor beside this service.
func (s *Service) doctorOptions(store *state.Store) doctor.Options {
	o := doctor.Options{
		Places: s.o.Places, Socket: s.o.Socket, Config: s.conf, Keyring: Keyring(s.o.Secrets), Login: s.o.Login, Logger: s.o.Logger,
		Probe: s.o.Probe, Table: Table(s.o.Mounter), Unmount: func(ctx context.Context, dir string) error { return s.o.Mounter.Unmount(ctx, dir, true) },
		Drives: s.m.List, Look: s.o.List,
		Try: func(ctx context.Context, d api.Drive) error { return s.try(ctx, store, d) },
	}
	if s.o.Transfers != nil {
		o.Proxy = s.o.Transfers.Proxy
	}
	return o
}

// Keyring tells the doctor where k stores passwords.
func Keyring(k *secrets.Store) func(ctx context.Context) (where string, err error) {
	return func(ctx context.Context) (string, error) {
		switch st := k.Status(ctx); {
		case st.Keyring == nil:
			return "Passwords can be stored.", nil
		case st.File == nil:
			return "Passwords are stored in an encrypted file, without a keyring.", nil
		default:
			return "", st.Keyring
		}
	}
}

// Table is the mount table of m as the doctor wants it.
func Table(m mounts.Mounter) func(ctx context.Context) ([]doctor.Mount, error) {
	return func(ctx context.Context) ([]doctor.Mount, error) {
		l, err := m.List(ctx)
		var all []doctor.Mount
		for _, mt := range l {
			host, _, _ := strings.Cut(mt.Source, ":")
			all = append(all, doctor.Mount{Dir: mt.Dir, Host: host, Port: mt.Port, Export: mt.Export})
		}
		return all, err
	}
}

// try signs in to the remote of a drive that is not mounted, and lists it, without
// touching what the drive keeps.
func (s *Service) try(ctx context.Context, store *state.Store, d api.Drive) error {
	_, err := s.lookAt(ctx, d.URL, 1, func(ctx context.Context) (string, error) { return s.secret(ctx, store, d.Name) })
	return err
}

// secret is that of the drive called name.
func (s *Service) secret(ctx context.Context, store *state.Store, name string) (string, error) {
	ids, err := store.IDs()
	if err != nil {
		return "", err
	}
	for _, id := range ids {
		if st, err := store.Load(id); err == nil && st.Name == name && st.Secret {
			return s.o.Secrets.Get(ctx, id)
		}
	}
	return "", secrets.ErrNotFound
}
