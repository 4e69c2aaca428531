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
		ro = ",rdonly"
	}
	return fmt.Sprintf("mount_nfs -o vers=3,%s,port=%d,mountport=%d,locallocks%s %s DIR",
		proto, a.Port(), a.Port(), ro, quote(source(a, export)))
}
