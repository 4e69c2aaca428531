//go:build !linux

package mounts

import (
	"context"
	"time"
)

// watchTable calls changed every few seconds until ctx is done: there is no
// event for the mount table that needs no further rights.
func watchTable(ctx context.Context, changed func()) error {
	t := time.NewTicker(3 * time.Second)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			changed()
		case <-ctx.Done():
			return nil
		}
	}
}
