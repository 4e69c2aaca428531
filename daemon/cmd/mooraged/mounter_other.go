//go:build !linux

package main

import (
	"log/slog"

	"github.com/moorage/moorage/mounter"
)

// newMounter mounts as the user who runs the service.
func newMounter(log *slog.Logger) *mounter.Mounter { return &mounter.Mounter{Logger: log} }
