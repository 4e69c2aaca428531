package transport

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/Microsoft/go-winio"
)

func systemSSHConfig() []string {
	return []string{filepath.Join(os.Getenv("ProgramData"), "ssh", "ssh_config")}
}

func systemKnownHosts() []string {
	return []string{filepath.Join(os.Getenv("ProgramData"), "ssh", "ssh_known_hosts")}
}

// defaultAgent is the pipe of the agent that comes with Windows.
func defaultAgent() string {
	if s := os.Getenv("SSH_AUTH_SOCK"); s != "" {
		return s
	}
	return `\\.\pipe\openssh-ssh-agent`
}

func dialAgent(ctx context.Context, name string) (net.Conn, error) {
	if strings.HasPrefix(name, `\\.\pipe\`) {
		return winio.DialPipeContext(ctx, name)
	}
	var d net.Dialer
	return d.DialContext(ctx, "unix", name)
}
