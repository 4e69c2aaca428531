//go:build !linux

package mounts

import (
	"context"
	"time"
)

// awaitNetwork calls look every few seconds until ctx is done.
func awaitNetwork(ctx context.Context, look func()) error {
	t := time.NewTicker(5 * time.Second)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			look()
		case <-ctx.Done():
			return nil
		}
	}
}
