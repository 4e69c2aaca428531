package ui

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/layout"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"github.com/moorage/moorage/app/internal/model"
)

// tight is how far two lines of labels move together: labels carry padding
// for standing alone.
const tight = -14

// driveRow shows one drive of the list, and another one when the list is moved.
type driveRow struct {
	widget.BaseWidget
	row model.Row
	do  func(model.Action)

	ground  *card
	icon    *canvas.Image
	name    *widget.Label
	source  *widget.Label
	state   *stateLine
	primary *rowButton
	body    *fyne.Container
}

// stateLine is the line that tells how a drive is, with a mark of its own for
// each way of being: colours alone are not seen by everybody.
type stateLine struct {
	root   *fyne.Container
	mark   *widget.Icon
	busy   *widget.Activity
	status *widget.Label
	tone   model.Tone
}

func newStateLine() *stateLine {
	l := &stateLine{status: caption(), mark: widget.NewIcon(nil), busy: widget.NewActivity()}
	side := fyne.NewSquareSize(theme.CaptionTextSize() + 2)
	l.root = container.NewBorder(nil, nil,
		container.New(layout.NewCustomPaddedLayout(0, 0, theme.InnerPadding()-3, -theme.InnerPadding()+1),
			container.NewCenter(container.NewStack(container.NewGridWrap(side, l.mark), container.NewGridWrap(side, l.busy)))),
		nil, l.status)
	return l
}

// set shows how r is; what is wrong with it comes first.
func (l *stateLine) set(r model.Row) {
	text, tone := r.Status, r.Tone
	if r.Notice.What != "" && !r.Working {
		text, tone = r.Notice.What, r.Notice.Tone
	}
	if l.mark.Resource == nil || l.tone != tone {
		l.tone = tone
		l.mark.SetResource(toneMark(tone))
	}
	if l.status.Text != text {
		l.status.SetText(text)
	}
	if r.Working {
		l.busy.Show()
		l.busy.Start()
	} else {
		l.busy.Stop()
		l.busy.Hide()
	}
	show(l.mark, !r.Working)
}

func newDriveRow(do func(model.Action)) *driveRow {
	w := &driveRow{do: do}
	w.ground = newCard()
	w.icon = picture("kind-cloud", 40)
	w.name = widget.NewLabelWithStyle("", fyne.TextAlignLeading, fyne.TextStyle{Bold: true})
	w.name.Truncation = fyne.TextTruncateEllipsis
	w.source = caption()
	w.state = newStateLine()
	w.primary = &rowButton{}
	w.primary.OnTapped = func() { w.do(w.row.Primary) }
	w.primary.ExtendBaseWidget(w.primary)
	text := container.New(layout.NewCustomPaddedVBoxLayout(tight), w.name, w.source, w.state.root)
	w.body = container.New(layout.NewCustomPaddedLayout(2, 2, 1, 7), container.NewStack(w.ground,
		container.New(layout.NewCustomPaddedLayout(6, 8, 14, 8),
			container.NewBorder(nil, nil, container.NewCenter(w.icon), container.NewCenter(w.primary), text))))
	w.ExtendBaseWidget(w)
	return w
}

// rowButton is the button of a row. The keyboard does not stop at each of them: the list
// is one stop, where Enter does what the button of the chosen drive does.
type rowButton struct{ widget.Button }

// Disabled keeps the keyboard away. The button itself asks its own method.
func (b *rowButton) Disabled() bool { return true }

func caption() *widget.Label {
	l := widget.NewLabel("")
	l.SizeName = theme.SizeNameCaptionText
	l.Importance = widget.LowImportance
	l.Truncation = fyne.TextTruncateEllipsis
	return l
}

// set shows r. edge marks the row, see card.
func (w *driveRow) set(r model.Row, edge float32) {
	if w.ground.edge != edge {
		w.ground.mark(edge)
	}
	if w.row.Name != "" && w.row.Equal(r) {
		return
	}
	if w.row.Kind != r.Kind {
		w.icon.Resource = Icon("kind-" + r.Kind)
		w.icon.Refresh()
	}
	was := w.row
	w.row = r
	if was.Name != r.Name {
		w.name.SetText(r.Name)
	}
	if was.Source != r.Source {
		w.source.SetText(r.Source)
	}
	w.state.set(r)
	if was.Primary.Verb == r.Primary.Verb && was.Primary.Label == r.Primary.Label {
		return
	}
	setButton(&w.primary.Button, r.Primary)
	if r.Primary.Verb == model.Open { // a list of loud buttons says nothing
		w.primary.Importance = widget.MediumImportance
	}
	w.body.Refresh() // the button may be of another width
}

func (w *driveRow) CreateRenderer() fyne.WidgetRenderer { return widget.NewSimpleRenderer(w.body) }

// MouseIn shows that the pointer is over the row. The list's own mark would be
// beside the card.
func (w *driveRow) MouseIn(*desktop.MouseEvent) { w.ground.hover(true) }

func (w *driveRow) MouseMoved(*desktop.MouseEvent) {}

func (w *driveRow) MouseOut() { w.ground.hover(false) }

func (w *driveRow) canvas() fyne.Canvas {
	return fyne.CurrentApp().Driver().CanvasForObject(w)
}

// TappedSecondary opens the row's menu where the pointer is.
func (w *driveRow) TappedSecondary(e *fyne.PointEvent) {
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
