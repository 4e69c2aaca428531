package ui

import (
	"slices"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/widget"

	"github.com/moorage/moorage/app/internal/model"
)

// driveList is the list of drives, of which one is chosen. It makes widgets for
// the drives in view alone. The keyboard is the list's, for the chosen drive.
type driveList struct {
	widget.List
	rows   []model.Row
	chosen string

	do      func(model.Action)
	choose  func(drive string)
	key     func(*fyne.KeyEvent) // keys that the list does not know itself
	focused bool
}

func newDriveList(do func(model.Action), choose func(string), key func(*fyne.KeyEvent)) *driveList {
	l := &driveList{do: do, choose: choose, key: key}
	l.HideSeparators = true
	l.Length = func() int { return len(l.rows) }
	l.CreateItem = func() fyne.CanvasObject {
		return newDriveRow(func(a model.Action) {
			l.choose(a.Drive) // what comes of it is told beside the list
			l.do(a)
		})
	}
	l.UpdateItem = func(i widget.ListItemID, o fyne.CanvasObject) {
		if i >= len(l.rows) {
			return
		}
		edge := float32(0)
		switch {
		case l.rows[i].Name != l.chosen:
		case l.focused:
			edge = 2
		default:
			edge = 1
		}
		o.(*driveRow).set(l.rows[i], edge)
	}
	l.OnSelected = func(i widget.ListItemID) {
		l.UnselectAll() // the rows are marked by themselves
		if i < len(l.rows) {
			l.choose(l.rows[i].Name)
		}
	}
	l.ExtendBaseWidget(l)
	return l
}

// show draws rows, of which that of the drive chosen is marked.
func (l *driveList) show(rows []model.Row, chosen string) {
	if chosen == l.chosen && slices.EqualFunc(rows, l.rows, model.Row.Equal) {
		return
	}
	l.rows, l.chosen = rows, chosen
	l.Refresh()
}

// index is where a drive is in the list, -1 if it is not.
func (l *driveList) index(drive string) int {
	return slices.IndexFunc(l.rows, func(r model.Row) bool { return r.Name == drive })
}

func (l *driveList) FocusGained() {
	l.focused = true
	l.Refresh()
}

func (l *driveList) FocusLost() {
	l.focused = false
	l.Refresh()
}

// TypedKey does what the keys of the chosen drive do.
func (l *driveList) TypedKey(e *fyne.KeyEvent) {
	switch e.Name {
	case fyne.KeyReturn, fyne.KeyEnter, fyne.KeySpace:
		if i := l.index(l.chosen); i >= 0 {
			l.do(l.rows[i].Primary)
		}
	default:
		l.key(e)
	}
}
