package autostart

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/kardianos/service"

	"github.com/moorage/moorage/daemon/client"
)

// unit is the systemd unit; packaging/linux has the same for /usr/bin/mooraged.
//
//go:embed moorage.service
var unit string

// packaged is where a package has put a unit for all users.
const packaged = "/usr/lib/systemd/user/" + client.Unit

type systemd struct {
	s       service.Service
	program string
}

func newManager(program string) (manager, error) {
	s, err := library(strings.TrimSuffix(client.Unit, ".service"), program, service.KeyValue{"SystemdScript": unit})
	if err != nil {
		return nil, err
	}
	if s.Platform() != "linux-systemd" {
		return nil, ErrUnsupported
	}
	return &systemd{s, program}, nil
}

// own is the unit of this user alone. package service has it there, whatever
// XDG_CONFIG_HOME says.
func own() (string, error) {
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".config", "systemd", "user", client.Unit), err
}

// install enables the package's unit if it is for this program. Then a unit of
// this user's, from before the package came, would stand in its way.
func (s *systemd) install() error {
	f, err := own()
	if err != nil {
		return err
	}
	err = os.Remove(f)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if b, err := os.ReadFile(packaged); err == nil && bytes.Contains(b, []byte("\nExecStart="+s.program+"\n")) {
		return errors.Join(systemctl("daemon-reload"), systemctl("enable", client.Unit))
	}
	if err := s.s.Install(); err != nil {
		return errors.Join(err, os.Remove(f))
	}
	return nil
}

func (s *systemd) uninstall() error {
	st, err := s.status()
	if err != nil {
		return err
	}
	if !st.AtLogin {
		return nil
	}
	f, err := own()
	if err != nil {
		return err
	}
	if err := systemctl("disable", client.Unit); err != nil {
		return err
	}
	if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return systemctl("daemon-reload")
}

// status asks whether the unit is enabled, which is more than that it is there.
func (s *systemd) status() (Status, error) {
	st := Status{Manager: "systemd"}
	out, err := exec.Command("systemctl", "--user", "show", "--property=UnitFileState,ActiveState", client.Unit).CombinedOutput()
	if err != nil {
		return st, fmt.Errorf("systemctl --user show: %w: %s", err, bytes.TrimSpace(out))
	}
	for line := range strings.Lines(string(out)) {
		switch strings.TrimSpace(line) {
		case "UnitFileState=enabled":
			st.AtLogin = true
		case "ActiveState=active", "ActiveState=activating", "ActiveState=reloading":
			st.Running = true
		}
	}
	return st, nil
}

func systemctl(args ...string) error {
	out, err := exec.Command("systemctl", append([]string{"--user"}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("systemctl --user %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
