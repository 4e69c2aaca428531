package places

import (
	"fmt"
	"os"
	"path/filepath"
)

// Default are folders below %LOCALAPPDATA%; Mounts is empty, since drives get
// letters.
func Default() (Places, error) {
	local, err := os.UserCacheDir()
	if err != nil {
		return Places{}, fmt.Errorf("find the folder for local application data: %w", err)
	}
	dir := filepath.Join(local, "Moorage")
	return Places{
		Config: filepath.Join(dir, "config.toml"),
		State:  filepath.Join(dir, "state"),
		Cache:  filepath.Join(dir, "cache"),
		Log:    filepath.Join(dir, "mooraged.log"),
	}, nil
}
