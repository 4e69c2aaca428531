package main

import (
	"context"
	"fmt"

	"github.com/moorage/moorage/daemon/internal/mounts"
	"github.com/moorage/moorage/nfs/memfs"
	"github.com/moorage/moorage/providers"
)

// openFunc opens drives of one kind.
type openFunc func(ctx context.Context, u providers.URL, r mounts.Request) (*mounts.Source, error)

// kinds opens drives by the kind of their URL. This file and no other names
// the file systems and providers that there are.
type kinds map[string]openFunc

var _ mounts.Opener = kinds(nil)

func newOpener() kinds {
	return kinds{
		providers.KindMem: openMem,
	}
}

// Parse implements mounts.Opener.
func (k kinds) Parse(raw string) (mounts.Location, error) {
	u, secret, err := providers.ParseURL(raw)
	if err != nil {
		return mounts.Location{}, err
	}
	loc := mounts.Location{URL: u.String(), Kind: u.Kind, Name: u.DefaultName(), Secret: secret}
	if k[u.Kind] == nil {
		return loc, &providers.ComingError{Kind: u.Kind}
	}
	return loc, nil
}

// Open implements mounts.Opener.
func (k kinds) Open(ctx context.Context, r mounts.Request) (*mounts.Source, error) {
	u, _, err := providers.ParseURL(r.URL)
	if err != nil {
		return nil, err
	}
	open := k[u.Kind]
	if open == nil {
		return nil, &providers.ComingError{Kind: u.Kind}
	}
	src, err := open(ctx, u, r)
	if err != nil {
		return nil, fmt.Errorf("open drive: %w", err)
	}
	return src, nil
}

func openMem(_ context.Context, _ providers.URL, r mounts.Request) (*mounts.Source, error) {
	mode := uint32(0o755)
	if r.Private {
		mode = 0o700
	}
	return &mounts.Source{FS: memfs.New(memfs.Options{UID: r.UID, GID: r.GID, Mode: mode}), Volatile: true}, nil
}
