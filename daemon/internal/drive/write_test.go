package drive

import (
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/nfstest"
	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/local"
	"github.com/moorage/moorage/providers/mem"
)

// TestWritableFileSystem runs the suite of the server over drives that are
// changed, while it is published, and while nothing is.
func TestWritableFileSystem(t *testing.T) {
	for _, c := range []struct {
		name  string
		quiet time.Duration
		open  func(*testing.T) providers.Provider
	}{
		{"published later", time.Hour, func(t *testing.T) providers.Provider { return mem.New(mem.Options{}) }},
		{"published soon", 20 * time.Millisecond, func(t *testing.T) providers.Provider { return mem.New(mem.Options{}) }},
		{"a folder, later", time.Hour, func(t *testing.T) providers.Provider {
			l, err := local.Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			return l
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			nfstest.TestFS(t, func(t *testing.T) nfs.FileSystem {
				p := c.open(t)
				d, err := Open(t.Context(), Options{Provider: p, StateDir: t.TempDir(), UID: uid, GID: gid, Quiet: c.quiet})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := d.Close(); err != nil {
						t.Error(err)
					}
					if err := p.Close(); err != nil {
						t.Error(err)
					}
				})
				return d
			}, nfstest.Unprivileged(uid, gid), nfstest.UTF8Names())
		})
	}
}
