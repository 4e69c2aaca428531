// Package tray keeps the tray in step with the view, and touches it only when
// something changed: most desktops close or rebuild an open menu when they are
// told of a new one.
package tray

import (
	"errors"
	"slices"

	"github.com/moorage/moorage/app/internal/model"
)

// ErrNoDesktop means that there is no desktop session to put a tray into.
var ErrNoDesktop = errors.New("no desktop session")

// Host is the desktop's tray. Its methods are called in the goroutine of the
// window, the icon before the menu.
type Host interface {
	SetIcon(light model.Light)
	SetTooltip(text string)
	SetMenu(items []model.TrayItem)
}

// Tray is what the host was last told. Its methods may not be called
// concurrently.
type Tray struct {
	host  Host
	shown model.Tray
	any   bool // shown was told
}

// New returns a tray of which host has been told nothing.
func New(host Host) *Tray { return &Tray{host: host} }

// Show tells the host what is not as it was.
func (t *Tray) Show(next model.Tray) {
	if !t.any || next.Light != t.shown.Light {
		t.host.SetIcon(next.Light)
	}
	if !t.any || next.Tooltip != t.shown.Tooltip {
		t.host.SetTooltip(next.Tooltip)
	}
	if !t.any || !slices.Equal(next.Items, t.shown.Items) {
		t.host.SetMenu(next.Items)
	}
	t.shown, t.any = next, true
}
