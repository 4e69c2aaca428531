package ui

import (
	"image/color"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/layout"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"github.com/moorage/moorage/app/internal/model"
)

// stepBar shows how far a person is in three steps.
type stepBar struct {
	widget.BaseWidget
	at   int
	bars [3]*canvas.Rectangle
	body *fyne.Container
}

func newStepBar() *stepBar {
	b := &stepBar{}
	b.body = container.NewGridWithColumns(len(b.bars))
	for i := range b.bars {
		b.bars[i] = canvas.NewRectangle(color.Transparent)
		b.bars[i].CornerRadius = 1.5
		b.bars[i].SetMinSize(fyne.NewSize(0, 3))
		b.body.Add(b.bars[i])
	}
	b.ExtendBaseWidget(b)
	return b
}

func (b *stepBar) set(at int) {
	b.at = at
	b.Refresh()
}

// Refresh takes up the colours of the theme.
func (b *stepBar) Refresh() {
	for i, r := range b.bars {
		name := colorEdge
		if i < b.at {
			name = theme.ColorNamePrimary
		}
		r.FillColor = paint(name)
		r.Refresh()
	}
	b.BaseWidget.Refresh()
}

func (b *stepBar) CreateRenderer() fyne.WidgetRenderer { return widget.NewSimpleRenderer(b.body) }

// beside puts objects into two columns, with room between these.
func beside(objects ...fyne.CanvasObject) fyne.CanvasObject {
	g := container.NewGridWithColumns(2)
	for i, o := range objects {
		left, right := float32(0), float32(6)
		if i%2 == 1 {
			left, right = right, left
		}
		g.Add(container.New(layout.NewCustomPaddedLayout(0, 0, left, right), o))
	}
	return g
}

// kindLine says what an address is.
type kindLine struct {
	root *fyne.Container
	icon *canvas.Image
	kind string
	text *widget.Label
}

func newKindLine() *kindLine {
	l := &kindLine{icon: picture("kind-cloud", 24), text: widget.NewLabel("")}
	l.text.Truncation = fyne.TextTruncateEllipsis
	l.icon.Hide()
	l.root = container.New(layout.NewCustomPaddedLayout(0, 0, theme.InnerPadding(), theme.InnerPadding()),
		container.NewBorder(nil, nil, container.NewCenter(container.NewGridWrap(fyne.NewSquareSize(24), l.icon)), nil, l.text))
	return l
}

func (l *kindLine) set(kind, text string, tone model.Tone) {
	if kind != "" && kind != l.kind {
		l.icon.Resource = Icon("kind-" + kind)
		l.icon.Refresh()
	}
	l.kind = kind
	show(l.icon, kind != "")
	l.text.Importance = widget.MediumImportance
	if tone == model.Warn {
		l.text.Importance = widget.WarningImportance
	}
	if l.text.Text == text {
		l.text.Refresh()
		return
	}
	l.text.SetText(text)
}

// foundList is the list of what was found on this computer. With the keyboard in it,
// one of them is chosen.
type foundList struct {
	widget.List
	all    []model.Found
	rows   []model.Found
	chosen int // -1: none
	root   *fyne.Container

	escape func()
	pick   func(f model.Found, goOn bool)
	leave  func() // upwards
}

func newFoundList(escape func(), pick func(f model.Found, goOn bool), leave func()) *foundList {
	l := &foundList{escape: escape, pick: pick, leave: leave, chosen: -1}
	l.HideSeparators = true
	l.Length = func() int { return len(l.rows) }
	l.CreateItem = func() fyne.CanvasObject { return newFoundRow() }
	l.UpdateItem = func(i widget.ListItemID, o fyne.CanvasObject) {
		if i < len(l.rows) {
			o.(*foundRow).set(l.rows[i], i == l.chosen)
		}
	}
	l.OnSelected = func(i widget.ListItemID) {
		l.UnselectAll()
		if i < len(l.rows) {
			l.pick(l.rows[i], false)
		}
	}
	l.ExtendBaseWidget(l)
	return l
}

// below is the list under its title, or other while there is nothing in it.
func (l *foundList) below(title string, other fyne.CanvasObject) fyne.CanvasObject {
	head := widget.NewLabelWithStyle(title, fyne.TextAlignLeading, fyne.TextStyle{Bold: true})
	l.root = container.NewBorder(container.New(layout.NewCustomPaddedLayout(0, -6, 0, 0), head), nil, nil, nil,
		container.New(layout.NewCustomPaddedLayout(0, 4, theme.InnerPadding(), theme.InnerPadding()),
			container.NewStack(newCard(), container.New(layout.NewCustomPaddedLayout(4, 4, 4, 4), l))))
	show(l.root, len(l.all) > 0)
	return container.NewStack(container.NewVBox(other), l.root)
}

func (l *foundList) offer(all []model.Found) {
	l.all = all
	show(l.root, len(all) > 0)
}

// match shows what text is a part of, or all if there is no such.
func (l *foundList) match(text string) {
	text = strings.ToLower(text)
	rows := make([]model.Found, 0, len(l.all))
	for _, f := range l.all {
		if strings.Contains(strings.ToLower(f.Title+"\n"+f.URL), text) {
			rows = append(rows, f)
		}
	}
	if len(rows) == 0 {
		rows = l.all
	}
	l.rows, l.chosen = rows, -1
	l.Refresh()
	l.ScrollToTop()
}

// gap is what was found with this address, if a part of it has to be put in yet.
func (l *foundList) gap(text string) (model.Found, bool) {
	for _, f := range l.all {
		if f.Gap > 0 && f.URL == text {
			return f, true
		}
	}
	return model.Found{}, false
}

// enter chooses the first one; false: there is none.
func (l *foundList) enter() bool {
	if len(l.rows) == 0 {
		return false
	}
	l.choose(0)
	return true
}

func (l *foundList) choose(i int) {
	l.chosen = i
	l.Refresh()
	if i >= 0 {
		l.ScrollTo(i)
	}
}

func (l *foundList) FocusGained() {
	if l.chosen < 0 {
		l.enter()
	}
}

func (l *foundList) FocusLost() { l.choose(-1) }

func (l *foundList) TypedKey(e *fyne.KeyEvent) {
	switch e.Name {
	case fyne.KeyEscape:
		l.escape()
	case fyne.KeyReturn, fyne.KeyEnter, fyne.KeySpace:
		if l.chosen >= 0 && l.chosen < len(l.rows) {
			l.pick(l.rows[l.chosen], e.Name != fyne.KeySpace)
		}
	case fyne.KeyUp:
		if l.chosen <= 0 {
			l.leave()
			return
		}
		l.choose(l.chosen - 1)
	case fyne.KeyDown:
		l.choose(min(l.chosen+1, len(l.rows)-1))
	}
}

// foundRow is one of them.
type foundRow struct {
	widget.BaseWidget
	ground *canvas.Rectangle
	icon   *canvas.Image
	kind   string
	title  *widget.Label
	from   *widget.Label
	chosen bool
	body   *fyne.Container
}

func newFoundRow() *foundRow {
	r := &foundRow{ground: canvas.NewRectangle(color.Transparent), icon: picture("kind-git", 28), kind: "git", title: widget.NewLabel(""), from: caption()}
	r.ground.CornerRadius = 7
	r.title.Truncation = fyne.TextTruncateEllipsis
	r.body = container.NewStack(r.ground, container.New(layout.NewCustomPaddedLayout(-3, -3, 8, 4),
		container.NewBorder(nil, nil, container.NewCenter(r.icon), nil, container.New(layout.NewCustomPaddedVBoxLayout(tight-2), r.title, r.from))))
	r.ExtendBaseWidget(r)
	return r
}

func (r *foundRow) set(f model.Found, chosen bool) {
	if r.kind != f.Icon {
		r.kind = f.Icon
		r.icon.Resource = Icon("kind-" + f.Icon)
		r.icon.Refresh()
	}
	r.title.SetText(f.Title)
	r.from.SetText(f.From)
	if r.chosen != chosen {
		r.chosen = chosen
		r.Refresh()
	}
}

// Refresh takes up the colours of the theme.
func (r *foundRow) Refresh() {
	r.ground.FillColor = color.Transparent
	if r.chosen {
		r.ground.FillColor = paint(theme.ColorNameSelection)
	}
	r.BaseWidget.Refresh()
}

func (r *foundRow) CreateRenderer() fyne.WidgetRenderer { return widget.NewSimpleRenderer(r.body) }
