//go:build unix

package main

import "testing"

// Without the mount helper nobody can take the port of a drive whose service was
// killed.
func TestRule11PortsAreKept(t *testing.T) {
	t.Setenv(keepPorts, "1")
	serviceIsKilled(t)
}
