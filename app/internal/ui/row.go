package ui

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/layout"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"github.com/moorage/moorage/app/internal/model"
)

// tight is how far two lines of labels move together: labels carry padding
// for standing alone.
const tight = -14

// driveRow is one drive in the window. It has the keyboard when it is the
// selected one.
type driveRow struct {
	widget.BaseWidget
	row      model.Row
	do       func(model.Action)
	key      func(*fyne.KeyEvent) // keys that the row does not know itself
	selected func(*driveRow)

	focused bool
	chosen  bool // the pane beside the list is about it
	ground  *card
	icon    *canvas.Image
	name    *widget.Label
	source  *widget.Label
	state   *stateLine
	primary *widget.Button
	notice  *noticeBox
}

// stateLine is the line that tells how a drive is, with a mark of its own for
// each way of being: colours alone are not seen by everybody.
type stateLine struct {
	root   *fyne.Container
	tone   model.Tone
	mark   *widget.Icon
	busy   *widget.Activity
	status *widget.Label
}

func newStateLine() *stateLine {
	l := &stateLine{status: caption(), mark: widget.NewIcon(nil), busy: widget.NewActivity()}
	side := fyne.NewSquareSize(14)
	l.root = container.NewBorder(nil, nil,
		container.New(layout.NewCustomPaddedLayout(0, 0, theme.InnerPadding()-3, -theme.InnerPadding()+1),
			container.NewCenter(container.NewStack(container.NewGridWrap(side, l.mark), container.NewGridWrap(side, l.busy)))),
		nil, l.status)
	return l
}

func (l *stateLine) set(r model.Row) {
	l.tone = r.Tone
	l.mark.SetResource(toneMark(r.Tone))
	l.status.SetText(r.Status)
	if r.Working {
		l.busy.Show()
		l.busy.Start()
	} else {
		l.busy.Stop()
		l.busy.Hide()
	}
	show(l.mark, !r.Working)
}

func newDriveRow(r model.Row, do func(model.Action)) *driveRow {
	w := &driveRow{do: do}
	w.ground = newCard()
	w.icon = picture("kind-"+r.Kind, 40)
	w.name = widget.NewLabelWithStyle("", fyne.TextAlignLeading, fyne.TextStyle{Bold: true})
	w.name.Truncation = fyne.TextTruncateEllipsis
	w.source = caption()
	w.state = newStateLine()
	w.primary = widget.NewButton("", func() { w.do(w.row.Primary) })
	w.notice = newNoticeBox(do)
	w.ExtendBaseWidget(w)
	w.set(r)
	return w
}

func caption() *widget.Label {
	l := widget.NewLabel("")
	l.SizeName = theme.SizeNameCaptionText
	l.Importance = widget.LowImportance
	l.Truncation = fyne.TextTruncateEllipsis
	return l
}

// set shows r. It is for the first time, and for a change.
func (w *driveRow) set(r model.Row) {
	if w.row.Kind != r.Kind {
		w.icon.Resource = Icon("kind-" + r.Kind)
		w.icon.Refresh()
	}
	w.row = r
	w.name.SetText(r.Name)
	w.source.SetText(r.Source)
	w.state.set(r)
	setButton(w.primary, r.Primary)
	w.notice.set(r.Notice)
	w.Refresh()
}

// mark shows whether the row has the keyboard, or is what the pane is about.
func (w *driveRow) mark() {
	switch {
	case w.focused:
		w.ground.mark(2)
	case w.chosen:
		w.ground.mark(1)
	default:
		w.ground.mark(0)
	}
}

func (w *driveRow) CreateRenderer() fyne.WidgetRenderer {
	text := container.New(layout.NewCustomPaddedVBoxLayout(tight), w.name, w.source, w.state.root)
	top := container.NewBorder(nil, nil, container.NewCenter(w.icon), container.NewCenter(w.primary), text)
	body := container.NewVBox(top, w.notice)
	return widget.NewSimpleRenderer(container.NewStack(w.ground,
		container.New(layout.NewCustomPaddedLayout(6, 8, 14, 8), body)))
}

func (w *driveRow) canvas() fyne.Canvas {
	return fyne.CurrentApp().Driver().CanvasForObject(w)
}

// Tapped gives the row the keyboard.
func (w *driveRow) Tapped(*fyne.PointEvent) {
	if c := w.canvas(); c != nil {
		c.Focus(w)
	}
}

// TappedSecondary opens the row's menu where the pointer is.
func (w *driveRow) TappedSecondary(e *fyne.PointEvent) {
	w.Tapped(e)
	if c := w.canvas(); c != nil {
		widget.ShowPopUpMenuAtPosition(w.items(), c, e.AbsolutePosition)
	}
}

func (w *driveRow) items() *fyne.Menu { return rowMenu(w.row, w.do) }

// rowMenu is all that can be done with a drive beside its button.
func rowMenu(r model.Row, do func(model.Action)) *fyne.Menu {
	m := fyne.NewMenu("")
	for _, a := range r.Menu {
		if a.Verb == model.Remove {
			m.Items = append(m.Items, fyne.NewMenuItemSeparator())
		}
		item := fyne.NewMenuItem(a.Label, func() { do(a) })
		item.Checked = a.Checked
		m.Items = append(m.Items, item)
	}
	return m
}

// FocusGained marks the row as the selected one.
func (w *driveRow) FocusGained() {
	w.focused = true
	if w.selected != nil {
		w.selected(w)
	}
	w.mark()
}

// FocusLost takes the mark away.
func (w *driveRow) FocusLost() {
	w.focused = false
	w.mark()
}

// TypedRune does nothing: letters come as keys too.
func (w *driveRow) TypedRune(rune) {}

// TypedKey does what the keys of a selected drive do.
func (w *driveRow) TypedKey(e *fyne.KeyEvent) {
	switch e.Name {
	case fyne.KeyReturn, fyne.KeyEnter, fyne.KeySpace:
		w.do(w.row.Primary)
	default:
		if w.key != nil {
			w.key(e)
		}
	}
}
