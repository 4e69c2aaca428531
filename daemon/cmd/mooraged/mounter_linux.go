package main

import (
	"log/slog"

	"github.com/moorage/moorage/mounter"
	"github.com/moorage/moorage/mounter/helper/helperclient"
)

// newMounter mounts with the help of the system's mount helper, if there is one.
func newMounter(log *slog.Logger) *helperclient.Mounter {
	return helperclient.New(&mounter.Mounter{Logger: log})
}
