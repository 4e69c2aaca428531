// Package autostart has the desktop start the app at login, hidden in the tray. That is
// the app's own setting: the service, and drives that are there at login, come from
// "moorage service install".
package autostart

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// hiddenFlag has the app start without its window.
const hiddenFlag = "--hidden"

// Entry is what the desktop has for this user and the app's program.
type Entry struct{ e entry }

// entry is what a system has. Its methods are not called concurrently.
type entry interface {
	enabled() (bool, error)
	enable() error
	disable() error // also if it is not enabled
}

// New is for the app's program, an absolute path.
func New(program string) (*Entry, error) {
	e, err := newEntry(program)
	if err != nil {
		return nil, fmt.Errorf("find out how programs are started at login: %w", err)
	}
	return &Entry{e}, nil
}

// Enabled tells whether the app is started at login.
func (e *Entry) Enabled() (bool, error) {
	on, err := e.e.enabled()
	if err != nil {
		return false, fmt.Errorf("look whether the app is started at login: %w", err)
	}
	return on, nil
}

// Set has the app started at login from the next one on, or no more.
func (e *Entry) Set(on bool) error {
	do := e.e.disable
	if on {
		do = e.e.enable
	}
	if err := do(); err != nil {
		return fmt.Errorf("change whether the app is started at login: %w", err)
	}
	return nil
}

// file is an entry that consists of a file.
type file struct {
	path string
	text []byte
	on   func(text []byte) bool // whether a file with this text, which may be edited, is in force
}

// maxFile bounds what is read; the files here have some hundred bytes.
const maxFile = 64 << 10

func (f *file) enabled() (bool, error) {
	st, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if st.Size() > maxFile {
		return false, fmt.Errorf("%s is too long", f.path)
	}
	b, err := os.ReadFile(f.path)
	return err == nil && f.on(b), err
}

// enable replaces the file as a whole, so that no login finds half of it.
func (f *file) enable() error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return err
	}
	t, err := os.CreateTemp(filepath.Dir(f.path), ".moorage-*")
	if err != nil {
		return err
	}
	_, err = t.Write(f.text)
	if err = errors.Join(err, t.Close()); err == nil {
		err = os.Rename(t.Name(), f.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(t.Name()))
	}
	return nil
}

func (f *file) disable() error {
	if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
