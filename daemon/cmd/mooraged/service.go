package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/moorage/moorage/daemon/client"
	"github.com/moorage/moorage/daemon/crash"
	"github.com/moorage/moorage/daemon/internal/config"
	"github.com/moorage/moorage/daemon/internal/logfile"
	"github.com/moorage/moorage/daemon/internal/secrets"
	"github.com/moorage/moorage/daemon/internal/service"
	"github.com/moorage/moorage/daemon/internal/state"
	"github.com/moorage/moorage/daemon/internal/transfer"
	"github.com/moorage/moorage/daemon/places"
)

const (
	keyringTimeout = 10 * time.Second
	logLimit       = 4 << 20 // bytes; twice that is kept
)

// runService runs the service, with its log on standard error or in a file.
func runService(ctx context.Context, foreground bool) error {
	p, err := places.Default()
	if err != nil {
		return err
	}
	socket, err := client.DefaultSocket()
	if err != nil {
		return err
	}
	var out io.Writer = os.Stderr
	if !foreground {
		f, err := logfile.Open(p.Log, logLimit)
		if err != nil {
			return err
		}
		defer f.Close()
		out = f
	}
	log := slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{ReplaceAttr: crash.RedactAttr}))
	successor, err := successors(foreground)
	if err != nil {
		return err
	}
	m := newMounter(log)
	store := newSecrets(p)
	defer store.Close()
	transfers := transfer.New(nil)
	opener := newOpener(transfers.Network())
	return service.Run(ctx, service.Options{
		Places: p, Socket: socket, Version: version(), Opener: opener, Mounter: m,
		Secrets: store, Logger: log, Look: look, Successor: successor, Transfers: transfers, Keep: keeperOf(socket),
		Probe: probe(m), Prospects: opener, List: listByChild, Login: loginOrNone(),
	})
}

func newSecrets(p places.Places) *secrets.Store {
	return secrets.New(secrets.Options{Keyring: secrets.System(), Dir: p.Secrets(), Timeout: keyringTimeout, Rand: rand.Reader})
}

// storedSecret finds the secret of a remembered drive with this URL, for a
// drive that is served in the foreground.
func storedSecret(ctx context.Context, url string) (string, error) {
	p, err := places.Default()
	if err != nil {
		return "", err
	}
	drives, err := config.New(p.Config).Read()
	if err != nil {
		return "", fmt.Errorf("look for a remembered drive: %w", err)
	}
	store, err := state.Open(p.Drives())
	if err != nil {
		return "", err
	}
	for _, d := range drives {
		if d.URL != url {
			continue
		}
		if st, err := store.Load(d.ID); err == nil && st.Secret {
			kept := newSecrets(p)
			defer kept.Close()
			return kept.Get(ctx, d.ID)
		}
	}
	return "", secrets.ErrNotFound
}
