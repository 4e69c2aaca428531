//go:build !linux

package main

import "context"

// leaveService does nothing: only systemd ends what a service has started.
func leaveService(context.Context) error { return nil }
