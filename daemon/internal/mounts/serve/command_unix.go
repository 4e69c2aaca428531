//go:build unix

package serve

import (
	"net/netip"
	"strings"
)

// quote makes s one word of a shell.
func quote(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/:+@") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// source is how mount commands name an export.
func source(a netip.AddrPort, export string) string {
	if a.Addr().Is6() {
		return "[" + a.Addr().String() + "]:" + export
	}
	return a.Addr().String() + ":" + export
}
