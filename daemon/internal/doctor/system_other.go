//go:build !linux

package doctor

import (
	"context"
	"errors"

	"github.com/moorage/moorage/daemon/api"
)

// sessionBus: the keyring and the tray need none here.
func sessionBus(_ context.Context, c *api.Check) { c.Detail = "None is needed on this system." }

func lingers() string { return "" }

func offerClient(*api.Check) {}

func loadClient(context.Context) (string, error) {
	return "", errors.New("this system's NFS client is not a module")
}
