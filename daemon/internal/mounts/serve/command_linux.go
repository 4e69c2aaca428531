package serve

import (
	"fmt"
	"net/netip"
)

func mountCommand(a netip.AddrPort, export string, readOnly bool) string {
	proto, ro := "tcp", ""
	if a.Addr().Is6() {
		proto = "tcp6"
	}
	if readOnly {
		ro = ",ro"
	}
	return fmt.Sprintf("sudo mount -t nfs -o vers=3,proto=%s,mountproto=%s,port=%d,mountport=%d,nolock,noacl%s %s DIR",
		proto, proto, a.Port(), a.Port(), ro, quote(source(a, export)))
}
