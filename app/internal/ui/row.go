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
	ground  *canvas.Rectangle
	icon    *canvas.Image
	name    *widget.Label
	source  *widget.Label
	dot     *canvas.Circle
	busy    *widget.Activity
	status  *widget.Label
	primary *widget.Button
	more    *widget.Button
	notice  *noticeBox
}

func newDriveRow(r model.Row, do func(model.Action)) *driveRow {
	w := &driveRow{do: do}
	w.ground = canvas.NewRectangle(paint(colorCard))
	w.ground.CornerRadius = 12
	w.ground.StrokeWidth = 1
	w.icon = picture("kind-"+r.Kind, 40)
	w.name = widget.NewLabelWithStyle("", fyne.TextAlignLeading, fyne.TextStyle{Bold: true})
	w.name.Truncation = fyne.TextTruncateEllipsis
	w.source = caption()
	w.status = caption()
	w.dot = canvas.NewCircle(paint(theme.ColorNamePlaceHolder))
	w.busy = widget.NewActivity()
	w.primary = widget.NewButton("", func() { w.do(w.row.Primary) })
	w.more = widget.NewButtonWithIcon("", theme.MoreVerticalIcon(), w.menu)
	w.more.Importance = widget.LowImportance
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
	w.status.SetText(r.Status)
	w.primary.Text, w.primary.Icon = r.Primary.Label, verbIcon(r.Primary.Verb)
	w.primary.Importance = widget.MediumImportance
	if r.Primary.Verb == model.Open || r.Primary.Verb == model.SignIn {
		w.primary.Importance = widget.HighImportance
	}
	w.primary.Refresh()
	if r.Working {
		w.busy.Show()
		w.busy.Start()
		w.dot.Hide()
	} else {
		w.busy.Stop()
		w.busy.Hide()
		w.dot.Show()
	}
	w.notice.set(r.Notice)
	w.Refresh()
}

// Refresh takes up the colours of the theme and of the state.
func (w *driveRow) Refresh() {
	w.dot.FillColor = paint(toneColor(w.row.Tone))
	w.ground.FillColor = paint(colorCard)
	w.ground.StrokeColor = paint(colorEdge)
	w.ground.StrokeWidth = 1
	if w.focused {
		w.ground.StrokeColor = paint(theme.ColorNamePrimary)
		w.ground.StrokeWidth = 2
	}
	w.BaseWidget.Refresh()
}

func (w *driveRow) CreateRenderer() fyne.WidgetRenderer {
	mark := container.NewGridWrap(fyne.NewSquareSize(8), w.dot)
	turn := container.NewGridWrap(fyne.NewSquareSize(14), w.busy)
	status := container.NewBorder(nil, nil,
		container.New(layout.NewCustomPaddedLayout(0, 0, theme.InnerPadding()-3, -theme.InnerPadding()+1),
			container.NewCenter(container.NewStack(container.NewCenter(mark), container.NewCenter(turn)))),
		nil, w.status)
	text := container.New(layout.NewCustomPaddedVBoxLayout(tight), w.name, w.source, status)
	buttons := container.NewCenter(container.NewHBox(w.primary, w.more))
	top := container.NewBorder(nil, nil, container.NewCenter(w.icon), buttons, text)
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

func (w *driveRow) menu() {
	if c := w.canvas(); c != nil {
		widget.ShowPopUpMenuAtRelativePosition(w.items(), c, fyne.NewPos(0, w.more.Size().Height), w.more)
	}
}

func (w *driveRow) items() *fyne.Menu {
	m := fyne.NewMenu("")
	for _, a := range w.row.Menu {
		if a.Verb == model.Remove {
			m.Items = append(m.Items, fyne.NewMenuItemSeparator())
		}
		item := fyne.NewMenuItem(a.Label, func() { w.do(a) })
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
	w.Refresh()
}

// FocusLost takes the mark away.
func (w *driveRow) FocusLost() {
	w.focused = false
	w.Refresh()
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
