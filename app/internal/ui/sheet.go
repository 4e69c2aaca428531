package ui

import (
	"image/color"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/layout"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/daemon/api"
)

// Widths of sheets, in pixels of the theme.
const (
	sheetWidth = 470
	wideWidth  = 620 // of those with a report in them
)

// buttonGap is the room between two buttons that are beside each other.
const buttonGap = 8

// sheet is a form over the window. Esc closes it wherever the keyboard is.
type sheet struct {
	popup   *widget.PopUp
	canvas  fyne.Canvas
	title   *widget.Label
	body    *fyne.Container
	buttons *fyne.Container
	trouble *noticeBox
	scroll  *container.Scroll // what the keys for it move; nil: nothing
	onClose func()
	enter   func()           // Enter with the keyboard nowhere; nil: nothing
	show    func(model.View) // what it shows of that; nil: nothing
	page    bool             // nothing is lost when it gives way to another

	remedy func(api.Problem) model.Action // what the app can do about a problem; nil: nothing
	act    func(model.Action)             // does that
}

func newSheet(c fyne.Canvas, title string, onClose func()) *sheet {
	return newSheetOf(sheetWidth, c, title, onClose)
}

func newWideSheet(c fyne.Canvas, title string, onClose func()) *sheet {
	return newSheetOf(wideWidth, c, title, onClose)
}

// roomFor is the height of a part of a sheet that scrolls: best, unless the window
// has no room for that and all others, which are others high.
func roomFor(c fyne.Canvas, best, others float32) float32 {
	return max(min(best, c.Size().Height-others), 100)
}

func newSheetOf(across float32, c fyne.Canvas, title string, onClose func()) *sheet {
	s := &sheet{canvas: c, onClose: onClose}
	s.title = widget.NewLabelWithStyle(title, fyne.TextAlignLeading, fyne.TextStyle{Bold: true})
	s.title.SizeName = theme.SizeNameSubHeadingText
	s.title.Truncation = fyne.TextTruncateEllipsis
	s.body = container.NewVBox()
	s.buttons = container.New(layout.NewCustomPaddedHBoxLayout(buttonGap))
	s.trouble = newNoticeBox(false, func(a model.Action) { s.act(a) })
	s.trouble.escape = s.close
	width := canvas.NewRectangle(color.Transparent)
	width.SetMinSize(fyne.NewSize(max(min(across, c.Size().Width-60), sheetWidth), 0))
	s.popup = widget.NewModalPopUp(container.New(layout.NewCustomPaddedLayout(10, 14, 14, 14),
		container.NewVBox(width, s.title, s.body,
			inset(s.trouble), container.New(layout.NewCustomPaddedLayout(6, 0, 0, 0), inset(s.buttons)))), c)
	return s
}

// inset lines an object up with the text of labels.
func inset(o fyne.CanvasObject) fyne.CanvasObject {
	return container.New(layout.NewCustomPaddedLayout(0, 0, theme.InnerPadding(), theme.InnerPadding()), o)
}

// fill shows another page of the sheet and puts the keyboard into focus.
func (s *sheet) fill(body []fyne.CanvasObject, buttons []fyne.CanvasObject, focus fyne.Focusable) {
	s.body.Objects, s.buttons.Objects = body, buttons
	s.fit()
	if focus != nil {
		s.canvas.Focus(focus)
	}
}

// fit gives the sheet the height of what is in it, in the middle of the
// window.
func (s *sheet) fit() {
	s.popup.Show()
	for range 2 { // wrapped text knows its height only once it has a width
		s.popup.Resize(s.popup.Content.MinSize())
		s.popup.Content.Refresh()
	}
	for _, o := range s.canvas.Overlays().List() {
		o.Refresh()
	}
}

// tell shows a problem in the sheet; nil takes it away.
func (s *sheet) tell(p *api.Problem) {
	n := model.Notice{}
	if p != nil {
		n = model.Notice{What: p.What, Means: p.Means, Do: p.Do, Tone: model.Bad}
		if s.remedy != nil {
			n.Action = s.remedy(*p)
		}
	}
	s.trouble.set(n)
	s.fit()
}

func (s *sheet) close() {
	s.popup.Hide()
	s.onClose()
}

// button makes one that closes the sheet on Esc.
func (s *sheet) button(label string, importance widget.Importance, tapped func()) *sheetButton {
	b := &sheetButton{escape: s.close, scroll: s.scrolls}
	b.Text, b.Importance, b.OnTapped = label, importance, tapped
	b.ExtendBaseWidget(b)
	return b
}

// entry makes one that closes the sheet on Esc.
func (s *sheet) entry(placeholder string) *sheetEntry {
	e := &sheetEntry{escape: s.close}
	e.PlaceHolder = placeholder
	e.Scroll = fyne.ScrollHorizontalOnly
	e.ExtendBaseWidget(e)
	return e
}

func (s *sheet) password(placeholder string) *sheetEntry {
	e := s.entry(placeholder)
	e.Password = true
	return e
}

func (s *sheet) check(label string) *sheetCheck {
	c := &sheetCheck{escape: s.close}
	c.Text = label
	c.ExtendBaseWidget(c)
	return c
}

func (s *sheet) selection(chosen func(string)) *sheetSelect {
	l := &sheetSelect{escape: s.close}
	l.OnChanged = chosen
	l.ExtendBaseWidget(l)
	return l
}

type sheetSelect struct {
	widget.Select
	escape func()
}

func (l *sheetSelect) TypedKey(e *fyne.KeyEvent) {
	if e.Name == fyne.KeyEscape {
		l.escape()
		return
	}
	l.Select.TypedKey(e)
}

type sheetButton struct {
	widget.Button
	escape func()
	scroll func(fyne.KeyName) bool // whether that was a key for it; nil: there is none
}

// scrolls moves what scrolls in the sheet.
func (s *sheet) scrolls(key fyne.KeyName) bool {
	if s.scroll == nil {
		return false
	}
	step, page := theme.TextSize()*3, s.scroll.Size().Height-theme.TextSize()*2
	by, ok := map[fyne.KeyName]float32{
		fyne.KeyDown: step, fyne.KeyUp: -step, fyne.KeyPageDown: page, fyne.KeyPageUp: -page,
	}[key]
	if ok {
		most := max(s.scroll.Content.Size().Height-s.scroll.Size().Height, 0)
		s.scroll.ScrollToOffset(fyne.NewPos(0, min(max(s.scroll.Offset.Y+by, 0), most)))
	}
	return ok
}

func (b *sheetButton) TypedKey(e *fyne.KeyEvent) {
	switch e.Name {
	case fyne.KeyEscape:
		b.escape()
	case fyne.KeyReturn, fyne.KeyEnter:
		if !b.Disabled() {
			b.OnTapped()
		}
	default:
		if b.scroll == nil || !b.scroll(e.Name) {
			b.Button.TypedKey(e)
		}
	}
}

type sheetCheck struct {
	widget.Check
	escape func()
}

func (c *sheetCheck) TypedKey(e *fyne.KeyEvent) {
	if e.Name == fyne.KeyEscape {
		c.escape()
		return
	}
	c.Check.TypedKey(e)
}

type sheetEntry struct {
	widget.Entry
	escape   func()
	shortcut func(fyne.Shortcut)       // of the window; nil: none
	other    func(*fyne.KeyEvent) bool // takes keys before the entry does; nil: none
}

func (e *sheetEntry) TypedKey(k *fyne.KeyEvent) {
	if k.Name == fyne.KeyEscape {
		e.escape()
		return
	}
	if e.other != nil && e.other(k) {
		return
	}
	e.Entry.TypedKey(k)
}

// TypedShortcut lets the window have those that no entry knows.
func (e *sheetEntry) TypedShortcut(s fyne.Shortcut) {
	if _, ok := s.(*desktop.CustomShortcut); ok && e.shortcut != nil {
		e.shortcut(s)
	}
	e.Entry.TypedShortcut(s)
}

// field is an entry with its label above and its help below.
func field(label, help string, entry fyne.CanvasObject) fyne.CanvasObject {
	l := widget.NewLabelWithStyle(label, fyne.TextAlignLeading, fyne.TextStyle{Bold: true})
	lines := []fyne.CanvasObject{
		container.New(layout.NewCustomPaddedLayout(0, -6, -theme.InnerPadding(), 0), l), entry,
	}
	if help != "" {
		lines = append(lines, container.New(layout.NewCustomPaddedLayout(-8, 0, -theme.InnerPadding(), 0), hint(help)))
	}
	return inset(container.NewVBox(lines...))
}

func hint(text string) *widget.Label {
	l := widget.NewLabel(text)
	l.SizeName = theme.SizeNameCaptionText
	l.Importance = widget.LowImportance
	l.Wrapping = fyne.TextWrapWord
	return l
}
