package client

import (
	"fmt"
	"os"
	"path/filepath"
)

// DefaultSocket is where the service listens: MOORAGE_SOCKET if set, else in
// the user's Library, or in a private folder under the temporary one if there
// is no home. It does not say that anything listens there.
func DefaultSocket() (string, error) {
	if s := os.Getenv(SocketEnv); s != "" {
		return s, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return ownFolder(os.TempDir())
	}
	s := filepath.Join(dir, "Moorage", "service.sock")
	if len(s) > 103 { // sun_path
		return "", fmt.Errorf("the path of the service's socket is too long: set %s to a shorter one", SocketEnv)
	}
	return s, nil
}
