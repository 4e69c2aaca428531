package revise

import (
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/internal/kerneltest"
)

func TestRevise(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a kernel; not with -short")
	}
	kerneltest.Need(t, "git")
	bin := kerneltest.Build(t, "github.com/moorage/moorage/app/cmd/moorage", "github.com/moorage/moorage/daemon/cmd/mooraged")
	t.Log("\n" + kerneltest.Run(t, kerneltest.Guest{
		Scripts: []string{"testdata/revise.sh"}, Bin: bin, Needs: []string{"git"}, Timeout: 5 * time.Minute,
		Env: map[string]string{"GOGC": "400"}, // the guest is slow enough
	}))
}
