package serve

import (
	"fmt"
	"net/netip"
	"strings"
)

// mountCommand is for a system whose client asks the portmapper for the port,
// since its command takes none.
func mountCommand(a netip.AddrPort, export string, _ bool) string {
	return fmt.Sprintf(`mount.exe -o anon,nolock \\%s%s X:`, a.Addr(), strings.ReplaceAll(export, "/", `\`))
}
