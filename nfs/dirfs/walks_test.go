//go:build linux || darwin

package dirfs

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
)

// TestManyWalkOneDirectory: several clients walk a large directory, each of them
// lets the listing grow and stores what it finds out of the entries.
func TestManyWalkOneDirectory(t *testing.T) {
	dir := t.TempDir()
	const entries = 2500
	for i := range entries {
		writeFile(t, filepath.Join(dir, fmt.Sprint("n", i)), "")
	}
	f := open(t, dir, Options{})
	time.Sleep(3 * coarseTime)
	var wg sync.WaitGroup
	for side := range 4 {
		wg.Go(func() {
			for round := range 2 {
				n := 0
				for cookie, eof := uint64(0), false; !eof; {
					var err error
					k := 0
					eof, err = f.ReadDir(t.Context(), me(), f.Root(), cookie, side%2 == 0, func(e nfs.DirEntry) bool {
						if k == 50+side {
							return false
						}
						k++
						cookie = e.Cookie
						return true
					})
					n += k
					if err != nil {
						t.Error(err)
						return
					}
				}
				if n != entries {
					t.Errorf("client %d, walk %d: %d entries", side, round, n)
				}
			}
		})
	}
	wg.Wait()
}
