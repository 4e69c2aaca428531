package autostart

import (
	_ "embed"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/kardianos/service"

	"github.com/moorage/moorage/daemon/client"
)

//go:embed launchd.plist
var plist string

type launchd struct{ s service.Service }

func newManager(program string) (manager, error) {
	s, err := library(client.Label, program, service.KeyValue{"LaunchdConfig": plist})
	if err != nil {
		return nil, err
	}
	return &launchd{s}, nil
}

func file() (string, error) {
	home, err := os.UserHomeDir()
	return filepath.Join(home, "Library", "LaunchAgents", client.Label+".plist"), err
}

func (l *launchd) install() error {
	f, err := file()
	if err != nil {
		return err
	}
	if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return l.s.Install()
}

// uninstall takes the file away, and no more: package service would end the
// running service as well.
func (l *launchd) uninstall() error {
	f, err := file()
	if err != nil {
		return err
	}
	if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (l *launchd) status() (Status, error) {
	st := Status{Manager: "launchd"}
	s, err := l.s.Status()
	switch {
	case errors.Is(err, service.ErrNotInstalled):
		return st, nil
	case err != nil:
		return st, err
	}
	st.AtLogin, st.Running = true, s == service.StatusRunning
	return st, nil
}
