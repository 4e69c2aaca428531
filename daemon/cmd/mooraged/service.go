package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
	"github.com/moorage/moorage/daemon/internal/config"
	"github.com/moorage/moorage/daemon/internal/logfile"
	"github.com/moorage/moorage/daemon/internal/places"
	"github.com/moorage/moorage/daemon/internal/secrets"
	"github.com/moorage/moorage/daemon/internal/service"
	"github.com/moorage/moorage/daemon/internal/state"
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
	log := slog.New(slog.NewTextHandler(out, nil))
	successor, err := successors(foreground)
	if err != nil {
		return err
	}
	m := newMounter(log)
	return service.Run(ctx, service.Options{
		Places: p, Socket: socket, Version: version(), Opener: newOpener(), Mounter: m,
		Secrets: secrets.New(keyringTimeout), Logger: log, Successor: successor,
		Probe: func(ctx context.Context) []api.Check {
			var out []api.Check
			for _, c := range m.Probe(ctx) {
				out = append(out, api.Check{Name: c.Name, OK: c.OK, Detail: c.Detail, Remedy: c.Remedy})
			}
			return out
		},
	})
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
			return secrets.New(keyringTimeout).Get(ctx, d.ID)
		}
	}
	return "", secrets.ErrNotFound
}
