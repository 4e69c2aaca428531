package ui

import (
	"strings"

	"fyne.io/fyne/v2"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/daemon/api"
)

// maxPaste is the number of bytes up to which something pasted can be an address.
const maxPaste = 4096

// paste opens the sheet for a new drive with the address on the clipboard, if there is
// one.
func (w *Window) paste(s fyne.Shortcut) {
	p, ok := s.(*fyne.ShortcutPaste)
	if !ok || w.sheet != nil || p.Clipboard == nil {
		return
	}
	text := strings.TrimSpace(p.Clipboard.Content())
	if text == "" || len(text) > maxPaste || strings.ContainsAny(text, "\r\n") {
		return
	}
	w.prospects.Describe(api.Describe{URL: text}, func(a model.Prospect) {
		fyne.Do(func() {
			if a.URL != "" && w.sheet == nil {
				w.AddFrom(text)
			}
		})
	})
}

// dropped opens the sheet for a new drive with a folder, or the address of a link, that
// was dropped onto the window.
func (w *Window) dropped(_ fyne.Position, items []fyne.URI) {
	var paths []string
	for _, u := range items {
		if u.Scheme() == "file" {
			paths = append(paths, u.Path())
		}
	}
	if len(paths) == 0 || w.sheet != nil && w.adding == nil {
		return
	}
	w.prospects.Dropped(paths, func(address string) {
		fyne.Do(func() {
			switch {
			case address != "":
				w.AddFrom(address)
			case w.sheet == nil:
				w.Tell(w.texts.Get("add.drop.title"), w.texts.Get("add.drop.text"), func() {})
			}
		})
	})
}

// AddFrom opens the sheet for a new drive with an address in it. If it is open already,
// at its first step, the address takes the place of the one there.
func (w *Window) AddFrom(address string) {
	if w.sheet == nil {
		w.Add()
	}
	if w.adding != nil && w.adding.step == 1 {
		w.adding.address.SetText(address)
	}
}
