package desktop

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"
)

// ErrNotAbsolute means that a folder to show has no absolute path.
var ErrNotAbsolute = errors.New("the path is not absolute")

// browseTimeout is how long a file manager has to fail; one that still runs
// then has the folder open.
const browseTimeout = 5 * time.Second

// Browse shows folder in the file manager. It returns an error if that cannot
// be started or fails within 5 seconds. It never looks at folder itself, whose
// remote may be slow.
func Browse(ctx context.Context, folder string) error {
	folder = root(folder)
	if !filepath.IsAbs(folder) {
		return fmt.Errorf("open %q: %w", folder, ErrNotAbsolute)
	}
	cmd := exec.Command(fileManager, folder)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("open %s: %w", folder, err)
	}
	ended := make(chan error, 1)
	// The file manager may stay as long as the person likes, so nobody waits
	// for this goroutine: it only takes up the program's end.
	go func() { ended <- cmd.Wait() }()
	timer := time.NewTimer(browseTimeout)
	defer timer.Stop()
	select {
	case err := <-ended:
		if err != nil && exitStatusCounts {
			return fmt.Errorf("open %s with %s: %w", folder, fileManager, err)
		}
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}
