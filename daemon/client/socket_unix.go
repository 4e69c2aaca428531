//go:build unix && !darwin

package client

import (
	"os"
	"path/filepath"
)

// DefaultSocket is where the service listens: MOORAGE_SOCKET if set, else
// moorage/service.sock in XDG_RUNTIME_DIR, else in a private folder under the
// temporary one. It does not say that anything listens there.
func DefaultSocket() (string, error) {
	if s := os.Getenv(SocketEnv); s != "" {
		return s, nil
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "moorage", "service.sock"), nil
	}
	return ownFolder(os.TempDir())
}
