package memfs_test

import (
	"testing"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/memfs"
	"github.com/moorage/moorage/nfs/nfstest"
)

func TestConformance(t *testing.T) {
	nfstest.TestFS(t, func(*testing.T) nfs.FileSystem { return memfs.New(memfs.Options{}) }, nfstest.ExactWCC())
}
