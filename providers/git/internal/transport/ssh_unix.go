//go:build unix

package transport

import (
	"context"
	"net"
	"os"
)

func systemSSHConfig() []string  { return []string{"/etc/ssh/ssh_config"} }
func systemKnownHosts() []string { return []string{"/etc/ssh/ssh_known_hosts"} }

func defaultAgent() string { return os.Getenv("SSH_AUTH_SOCK") }

func dialAgent(ctx context.Context, name string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", name)
}
