package autostart

import (
	"errors"
	"strings"
	"syscall"

	"golang.org/x/sys/windows/registry"
)

// runKey lists what Windows starts when this user signs in.
const runKey = `Software\Microsoft\Windows\CurrentVersion\Run`

// runValue is the value's name, as the Task Manager shows it.
const runValue = "Moorage"

type runEntry struct{ program string }

func newManager(program string) (manager, error) { return &runEntry{program}, nil }

func (r *runEntry) command() string { return syscall.EscapeArg(r.program) }

func (r *runEntry) install() error {
	k, _, err := registry.CreateKey(registry.CURRENT_USER, runKey, registry.SET_VALUE)
	if err != nil {
		return err
	}
	defer k.Close()
	return k.SetStringValue(runValue, r.command())
}

func (r *runEntry) uninstall() error {
	k, err := registry.OpenKey(registry.CURRENT_USER, runKey, registry.SET_VALUE)
	if err == nil {
		defer k.Close()
		err = k.DeleteValue(runValue)
	}
	if errors.Is(err, registry.ErrNotExist) {
		return nil
	}
	return err
}

func (r *runEntry) status() (Status, error) {
	st := Status{Manager: "the Run key"}
	k, err := registry.OpenKey(registry.CURRENT_USER, runKey, registry.QUERY_VALUE)
	if err == nil {
		defer k.Close()
		var v string
		if v, _, err = k.GetStringValue(runValue); err == nil {
			st.AtLogin = strings.EqualFold(v, r.command())
		}
	}
	if errors.Is(err, registry.ErrNotExist) {
		err = nil
	}
	return st, err
}
