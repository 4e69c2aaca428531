//go:build unix && !darwin

package places

import (
	"fmt"
	"os"
	"path/filepath"
)

// Default follows the XDG base directory specification; a variable that is no
// absolute path does not count, as it demands.
func Default() (Places, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return Places{}, fmt.Errorf("find the home folder: %w", err)
	}
	xdg := func(env, def string) string {
		if d := os.Getenv(env); filepath.IsAbs(d) {
			return filepath.Join(d, "moorage")
		}
		return filepath.Join(home, def, "moorage")
	}
	state := xdg("XDG_STATE_HOME", ".local/state")
	return Places{
		Config: filepath.Join(xdg("XDG_CONFIG_HOME", ".config"), "config.toml"),
		State:  state,
		Cache:  xdg("XDG_CACHE_HOME", ".cache"),
		Log:    filepath.Join(state, "mooraged.log"),
		Mounts: filepath.Join(home, "Moorage"),
	}, nil
}
