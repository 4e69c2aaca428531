//go:build !linux

package mounts

import "net"

// checkPeer takes every connection: macOS and Windows do not tell whose socket the
// other end of a loopback connection is.
func checkPeer(net.Conn) error { return nil }
