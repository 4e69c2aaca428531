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
	drawn  map[*driveRow]int // widgets, and the row that each showed last

	do      func(model.Action)
	choose  func(drive string)
	key     func(*fyne.KeyEvent) // keys that the list does not know itself
	focused bool
}

func newDriveList(do func(model.Action), choose func(string), key func(*fyne.KeyEvent)) *driveList {
	l := &driveList{do: do, choose: choose, key: key, drawn: map[*driveRow]int{}}
	l.HideSeparators = true
	l.Length = func() int { return len(l.rows) }
	l.CreateItem = func() fyne.CanvasObject {
		return newDriveRow(func(a model.Action) {
			l.choose(a.Drive) // what comes of it is told beside the list
			l.do(a)
		})
	}
	l.UpdateItem = func(i widget.ListItemID, o fyne.CanvasObject) {
		if i < len(l.rows) {
			l.drawn[o.(*driveRow)] = i
			l.draw(o.(*driveRow), i)
		}
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
	same := slices.EqualFunc(rows, l.rows, func(a, b model.Row) bool { return a.Name == b.Name })
	l.rows, l.chosen = rows, chosen
	if same { // each stays where it is
		l.redraw()
		return
	}
	clear(l.drawn) // those that are still in view are told anew
	l.Refresh()
}

// redraw draws what has changed of the rows in view. A Refresh would draw all of
// them and more.
func (l *driveList) redraw() {
	for w, i := range l.drawn {
		l.draw(w, i)
	}
}

func (l *driveList) draw(w *driveRow, i int) {
	edge := float32(0)
	switch {
	case l.rows[i].Name != l.chosen:
	case l.focused:
		edge = 2
	default:
		edge = 1
	}
	w.set(l.rows[i], edge)
}

// index is where a drive is in the list, -1 if it is not.
func (l *driveList) index(drive string) int {
	return slices.IndexFunc(l.rows, func(r model.Row) bool { return r.Name == drive })
}

func (l *driveList) FocusGained() {
	l.focused = true
	l.redraw()
}

func (l *driveList) FocusLost() {
	l.focused = false
	l.redraw()
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
