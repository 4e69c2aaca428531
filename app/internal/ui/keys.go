package ui

import (
	"slices"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/driver/desktop"

	"github.com/moorage/moorage/app/internal/model"
)

// shortcut does what Ctrl (on a Mac, Command) and a letter mean.
func (w *Window) shortcut(s fyne.Shortcut) {
	c, ok := s.(*desktop.CustomShortcut)
	if !ok || c.Modifier != fyne.KeyModifierShortcutDefault {
		return
	}
	switch c.KeyName {
	case fyne.KeyQ:
		w.Quit()
	case fyne.KeyW:
		w.hide()
	default:
		w.command(c.KeyName)
	}
}

// typed does what a key alone means while no text is being entered.
func (w *Window) typed(e *fyne.KeyEvent) {
	switch e.Name {
	case fyne.KeyF5:
		w.command(fyne.KeyR)
	case fyne.KeyEscape:
		if w.sheet != nil { // with the keyboard nowhere
			w.sheet.close()
			return
		}
		w.unsearch()
	case fyne.KeyDown:
		w.move(1)
	case fyne.KeyUp:
		w.move(-1)
	case fyne.KeyReturn, fyne.KeyEnter:
		if w.sheet != nil && w.sheet.enter != nil {
			w.sheet.enter()
		}
		w.command(fyne.KeyO)
	case fyne.KeyDelete:
		w.onSelected(func(r model.Row) model.Action { return model.Action{Verb: model.Remove, Drive: r.Name} })
	case fyne.KeyO, fyne.KeyM:
		w.command(e.Name)
	}
}

func (w *Window) command(key fyne.KeyName) {
	if w.sheet != nil {
		return
	}
	switch key {
	case fyne.KeyN:
		w.Add()
	case fyne.KeyD:
		w.doctor()
	case fyne.KeyComma:
		w.settings()
	case fyne.KeyF:
		if w.search.Visible() {
			w.win.Canvas().Focus(w.search)
		}
	case fyne.KeyR:
		w.actions.Do(model.Reconnect, "")
	case fyne.KeyO:
		w.onSelected(func(r model.Row) model.Action {
			if r.Primary.Verb == model.Open {
				return r.Primary
			}
			return model.Action{}
		})
	case fyne.KeyM:
		w.onSelected(func(r model.Row) model.Action { return r.Toggle })
	}
}

// onSelected does an action with the drive that was selected last.
func (w *Window) onSelected(pick func(model.Row) model.Action) {
	rows := w.shown()
	i := slices.IndexFunc(rows, func(r model.Row) bool { return r.Name == w.last })
	if w.sheet == nil && i >= 0 {
		w.Do(pick(rows[i]))
	}
}

// move selects the drive step rows below, the first one if there is none.
func (w *Window) move(step int) {
	rows := w.shown()
	if w.sheet != nil || len(rows) == 0 {
		return
	}
	i := slices.IndexFunc(rows, func(r model.Row) bool { return r.Name == w.last })
	switch {
	case i < 0:
		i = 0
	case w.list.focused: // else it is chosen already, and gets the keyboard first
		i = min(max(i+step, 0), len(rows)-1)
	}
	w.reveal(rows[i].Name)
}
