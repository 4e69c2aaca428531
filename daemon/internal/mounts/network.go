package mounts

import (
	"context"
	"net"
	"slices"
	"strings"
)

// addresses are those by which this computer reaches others.
func addresses() string {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return ""
	}
	var out []string
	for _, a := range all {
		n, ok := a.(*net.IPNet)
		if ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			out = append(out, n.String())
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// watchNetwork calls changed when the addresses are others than before, until ctx is
// done.
func watchNetwork(ctx context.Context, changed func()) error {
	was := addresses()
	return awaitNetwork(ctx, func() {
		if is := addresses(); is != was {
			was = is
			changed()
		}
	})
}
