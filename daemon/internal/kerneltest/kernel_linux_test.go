package kerneltest

import (
	"os"
	"testing"
	"time"
)

func TestTmpfs(t *testing.T) {
	t.Log(Run(t, Guest{Scripts: []string{"testdata/tmpfs.sh", "testdata/lib.sh", "testdata/disk.sh"}, Timeout: 3 * time.Minute}))
}

func TestMem(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Log(Run(t, Guest{Scripts: []string{"testdata/mem.sh", "testdata/lib.sh", "testdata/disk.sh", self}, Env: map[string]string{"BINARY": "/mnt/job/kerneltest.test"}, Timeout: 3 * time.Minute}))
}
