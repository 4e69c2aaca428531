package autostart

import (
	"errors"
	"syscall"

	"golang.org/x/sys/windows/registry"
)

const (
	// runKey lists what Windows starts when this user signs in.
	runKey = `Software\Microsoft\Windows\CurrentVersion\Run`
	// runValue is the value's name, beside "Moorage", which is the service.
	runValue = "Moorage Desktop"
)

type runEntry struct{ command string }

func newEntry(program string) (entry, error) {
	return &runEntry{syscall.EscapeArg(program) + " " + hiddenFlag}, nil
}

func (r *runEntry) enabled() (bool, error) {
	k, err := registry.OpenKey(registry.CURRENT_USER, runKey, registry.QUERY_VALUE)
	if err == nil {
		defer k.Close()
		_, _, err = k.GetStringValue(runValue)
	}
	if errors.Is(err, registry.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (r *runEntry) enable() error {
	k, _, err := registry.CreateKey(registry.CURRENT_USER, runKey, registry.SET_VALUE)
	if err != nil {
		return err
	}
	defer k.Close()
	return k.SetStringValue(runValue, r.command)
}

func (r *runEntry) disable() error {
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
