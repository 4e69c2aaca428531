package places

import (
	"fmt"
	"os"
	"path/filepath"
)

// Default are the folders of the user's Library.
func Default() (Places, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return Places{}, fmt.Errorf("find the home folder: %w", err)
	}
	lib := filepath.Join(home, "Library")
	support := filepath.Join(lib, "Application Support", "Moorage")
	return Places{
		Config: filepath.Join(support, "config.toml"),
		State:  filepath.Join(support, "state"),
		Cache:  filepath.Join(lib, "Caches", "Moorage"),
		Log:    filepath.Join(lib, "Logs", "Moorage", "mooraged.log"),
		Mounts: filepath.Join(home, "Moorage"),
	}, nil
}
