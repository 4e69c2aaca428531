package ui

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/layout"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/assets"
)

// detailPane shows all that is known about the chosen drive.
type detailPane struct {
	texts  assets.Texts
	do     func(model.Action)
	detail model.Detail

	root    *fyne.Container
	ground  *card
	none    fyne.CanvasObject
	scroll  *container.Scroll
	icon    *canvas.Image
	name    *widget.Label
	state   *stateLine
	primary *widget.Button
	toggle  *widget.Button
	more    *widget.Button
	notice  *noticeBox

	place   *fact
	address *fact
	moment  *momentLine
	cache   *fact
	filled  *bar
	traffic *fact

	auto, readOnly, offline *switchLine

	publish *widget.Button
	changes fyne.CanvasObject
	calm    *widget.Label
	lines   *fyne.Container
	uploads []*uploadLine
	others  *widget.Label
}

func newDetailPane(texts assets.Texts, do func(model.Action)) *detailPane {
	p := &detailPane{texts: texts, do: do}
	p.icon = picture("kind-cloud", 44)
	p.name = widget.NewLabelWithStyle("", fyne.TextAlignLeading, fyne.TextStyle{Bold: true})
	p.name.SizeName = theme.SizeNameSubHeadingText
	p.name.Truncation = fyne.TextTruncateEllipsis
	p.state = newStateLine()
	p.primary = widget.NewButton("", func() { p.do(p.detail.Primary) })
	p.toggle = widget.NewButton("", func() { p.do(p.detail.Toggle) })
	p.more = widget.NewButtonWithIcon("", theme.MoreHorizontalIcon(), p.menu)
	head := container.NewBorder(nil, nil,
		container.New(layout.NewCustomPaddedLayout(0, 0, theme.InnerPadding(), 0), container.NewCenter(p.icon)), nil,
		container.New(layout.NewCustomPaddedVBoxLayout(tight), p.name, p.state.root))

	p.notice = newNoticeBox(true, do)

	p.place = newFact(texts.Get("detail.place"))
	p.address = newFact(texts.Get("detail.address"))
	p.moment = newMomentLine(texts.Get("detail.revision"), func(a model.Action) { p.do(a) })
	p.cache = newFact(texts.Get("detail.cache.title"))
	p.traffic = newFact(texts.Get("detail.traffic.title"))
	p.filled = newBar(9)
	align(p.place, p.address, p.moment.fact, p.cache, p.traffic)
	facts := container.New(layout.NewCustomPaddedVBoxLayout(-6),
		p.place.root, p.address.root, p.moment.root, p.cache.root,
		p.filled.root,
		p.traffic.root)

	p.auto = newSwitchLine(texts.Get("do.auto"), p.do)
	p.readOnly = newSwitchLine(texts.Get("add.read-only"), p.do)
	p.offline = newSwitchLine(texts.Get("do.offline"), p.do)

	title := widget.NewLabelWithStyle(texts.Get("detail.uploads"), fyne.TextAlignLeading, fyne.TextStyle{Bold: true})
	p.publish = widget.NewButton("", func() { p.do(p.detail.Publish) })
	p.calm = hint(texts.Get("detail.uploads.none"))
	p.lines = container.New(layout.NewCustomPaddedVBoxLayout(-4))
	p.others = caption()

	p.changes = section(container.NewVBox(
		container.NewBorder(nil, nil, title, p.publish),
		container.New(layout.NewCustomPaddedLayout(-12, 0, 0, 0), container.NewVBox(p.calm, p.lines, p.others))))

	body := container.NewVBox(
		head,
		container.New(layout.NewCustomPaddedLayout(4, 4, theme.InnerPadding(), theme.InnerPadding()),
			container.New(layout.NewCustomPaddedHBoxLayout(buttonGap), p.primary, p.toggle, layout.NewSpacer(), p.more)),
		container.New(layout.NewCustomPaddedLayout(0, 4, theme.InnerPadding(), theme.InnerPadding()), p.notice),
		section(facts),
		section(container.New(layout.NewCustomPaddedVBoxLayout(-8), p.auto.root, p.readOnly.root, p.offline.root)),
		p.changes)
	p.scroll = container.NewVScroll(container.New(layout.NewCustomPaddedLayout(6, 6, 8, 12), body))
	p.none = container.NewCenter(hintOneLine(texts.Get("detail.none")))
	p.ground = newCard()
	p.root = container.NewStack(p.ground, p.none, container.New(layout.NewCustomPaddedLayout(4, 6, 2, 2), p.scroll))
	p.scroll.Hide()
	return p
}

// section is a part of the pane, with a line above.
func section(o fyne.CanvasObject) fyne.CanvasObject {
	return container.NewVBox(container.New(layout.NewCustomPaddedLayout(4, 2, theme.InnerPadding(), theme.InnerPadding()), widget.NewSeparator()), o)
}

func hintOneLine(text string) *widget.Label {
	l := hint(text)
	l.Wrapping = fyne.TextWrapOff
	return l
}

// set shows d, and only what differs from before.
func (p *detailPane) set(d model.Detail) {
	if d.Equal(p.detail) {
		return
	}
	another := d.Name != p.detail.Name
	p.detail = d
	show(p.scroll, d.Name != "")
	show(p.none, d.Name == "")
	if d.Name == "" {
		return
	}
	p.icon.Resource = Icon("kind-" + d.Kind)
	p.icon.Refresh()
	p.name.SetText(d.Name)
	state := d.Row
	state.Notice = model.Notice{} // it is told whole below
	p.state.set(state)
	setButton(p.primary, d.Primary)
	other := d.Toggle
	if other.Verb == d.Primary.Verb {
		other = model.Action{}
	}
	setButton(p.toggle, other)
	p.toggle.Importance = widget.MediumImportance

	p.notice.set(d.Notice)

	p.place.set(d.Place)
	p.address.set(d.Address)
	p.moment.set(d.Moment)
	p.cache.set(d.Cache)
	p.filled.set(d.Filled)
	p.traffic.set(d.Traffic)

	p.auto.set(d.Auto)
	p.readOnly.set(d.ReadOnly)
	p.offline.set(d.Offline)

	show(p.changes, d.Changes)
	setButton(p.publish, d.Publish)
	p.publish.Importance = widget.LowImportance
	show(p.calm, len(d.Uploads) == 0 && d.Publish.Verb == "")
	p.setLines(d.Uploads)
	p.others.SetText(d.More)
	show(p.others, d.More != "")
	if another {
		p.scroll.ScrollToTop()
	}
	p.scroll.Refresh()
}

// setLines makes as few widgets as it can: an upload of many files changes all
// lines several times a second.
func (p *detailPane) setLines(lines []model.Line) {
	for len(p.uploads) < len(lines) {
		l := newUploadLine()
		p.uploads = append(p.uploads, l)
		p.lines.Add(l.root)
	}
	for i, l := range p.uploads {
		if i < len(lines) {
			l.set(lines[i])
		}
		show(l.root, i < len(lines))
	}
}

func (p *detailPane) menu() {
	if c := fyne.CurrentApp().Driver().CanvasForObject(p.more); c != nil {
		showBelow(p.more, c, rowMenu(p.detail.Row, p.do))
	}
}

// setButton makes a button of an action; it is hidden without one.
func setButton(b *widget.Button, a model.Action) {
	b.Text, b.Icon = a.Label, verbIcon(a.Verb)
	b.Importance = widget.MediumImportance
	if a.Verb == model.Open || a.Verb == model.SignIn || a.Verb == model.Secrets {
		b.Importance = widget.HighImportance
	}
	show(b, a.Verb != "")
	b.Refresh()
}

// fact is a line with a name and a value. Without a value it takes no room.
type fact struct {
	root  *fyne.Container
	name  *widget.Label
	value *widget.Label
}

func newFact(name string) *fact {
	f := &fact{name: caption(), value: widget.NewLabel("")}
	f.name.SetText(name)
	f.name.Truncation = fyne.TextTruncateOff
	f.value.SizeName = theme.SizeNameCaptionText
	f.value.Truncation = fyne.TextTruncateEllipsis
	f.root = container.New(&names{f.name}, f.name, f.value)
	f.root.Hide()
	return f
}

// align puts the values of facts below each other.
func align(facts ...*fact) {
	n := &names{}
	for _, f := range facts {
		*n = append(*n, f.name)
		f.root.Layout = n
	}
}

// belowValue lines an object up with the value of a fact.
type belowValue struct{ of *fact }

func (b belowValue) indent() float32 { return b.of.root.Layout.(*names).width() }

func (b belowValue) MinSize(objects []fyne.CanvasObject) fyne.Size {
	return objects[0].MinSize().AddWidthHeight(b.indent(), 0)
}

func (b belowValue) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	objects[0].Move(fyne.NewPos(b.indent(), 0))
	objects[0].Resize(fyne.NewSize(max(size.Width-b.indent(), 0), size.Height))
}

// names is the layout of facts, for the widest of their names.
type names []*widget.Label

func (n *names) width() float32 {
	width := float32(84)
	for _, l := range *n {
		width = max(width, l.MinSize().Width)
	}
	return width
}

func (n *names) MinSize(objects []fyne.CanvasObject) fyne.Size {
	name, value := objects[0].MinSize(), objects[1].MinSize()
	return fyne.NewSize(n.width()+value.Width, max(name.Height, value.Height))
}

func (n *names) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	width := n.width()
	objects[0].Move(fyne.NewPos(0, 0))
	objects[0].Resize(fyne.NewSize(width, size.Height))
	objects[1].Move(fyne.NewPos(width, 0))
	objects[1].Resize(fyne.NewSize(max(size.Width-width, 0), size.Height))
}

func (f *fact) set(value string) {
	if f.value.Text != value {
		f.value.SetText(value)
	}
	show(f.root, value != "")
}

// bar is a thin bar that fills.
type bar struct {
	root *fyne.Container
	bar  *widget.ProgressBar
}

func newBar(above float32) *bar {
	b := &bar{bar: widget.NewProgressBar()}
	b.bar.TextFormatter = func() string { return "" }
	b.root = container.New(layout.NewCustomPaddedLayout(above, 8, theme.InnerPadding(), theme.InnerPadding()), container.New(slim{}, b.bar))
	return b
}

// set fills it by a share, and hides it if that is below 0.
func (b *bar) set(share float64) {
	show(b.root, share >= 0)
	if share = max(share, 0); share != b.bar.Value {
		b.bar.SetValue(share)
	}
}

// slim is the layout of a thin bar.
type slim struct{}

func (slim) MinSize([]fyne.CanvasObject) fyne.Size { return fyne.NewSize(40, 5) }

func (slim) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	for _, o := range objects {
		o.Resize(size)
		o.Move(fyne.NewPos(0, 0))
	}
}

// switchLine is a model.Switch.
type switchLine struct {
	root  fyne.CanvasObject
	check *widget.Check
	why   *widget.Label
	s     model.Switch
}

func newSwitchLine(label string, do func(model.Action)) *switchLine {
	c := widget.NewCheck(label, nil)
	return newSwitchLineOf(c, c, do)
}

// newSwitchLineOf is for a check, and the object that is shown of it.
func newSwitchLineOf(check *widget.Check, object fyne.CanvasObject, do func(model.Action)) *switchLine {
	l := &switchLine{why: hint(""), check: check}
	check.OnChanged = func(on bool) {
		if on != l.s.On {
			do(l.s.Action)
		}
	}
	l.root = container.New(layout.NewCustomPaddedVBoxLayout(-12), object, underCheck(l.why))
	return l
}

// underCheck lines a label up with the text of a box to tick.
func underCheck(l *widget.Label) fyne.CanvasObject {
	indent := theme.IconInlineSize() + 2*theme.InputBorderSize()
	return container.New(layout.NewCustomPaddedLayout(0, 0, indent, 0), l)
}

func (l *switchLine) set(s model.Switch) {
	l.s = s
	l.check.SetChecked(s.On)
	if s.Can {
		l.check.Enable()
	} else {
		l.check.Disable()
	}
	l.why.SetText(s.Why)
}

// uploadLine is a model.Line.
type uploadLine struct {
	root   *fyne.Container
	path   *widget.Label
	status *widget.Label
	why    *widget.Label
	bar    *bar
	line   model.Line
}

func newUploadLine() *uploadLine {
	l := &uploadLine{path: widget.NewLabel(""), status: caption(), why: hint("")}
	l.path.SizeName = theme.SizeNameCaptionText
	l.path.Truncation = fyne.TextTruncateEllipsis
	l.bar = newBar(13)
	l.root = container.New(layout.NewCustomPaddedVBoxLayout(tight-2), l.path, l.status, l.why, l.bar.root)
	return l
}

func (l *uploadLine) set(n model.Line) {
	if l.line == n && l.path.Text != "" {
		return
	}
	l.line = n
	l.path.SetText(n.Path)
	_, l.status.Importance, _ = toneLook(n.Tone)
	l.status.SetText(n.Status)
	l.why.SetText(n.Why)
	show(l.why, n.Why != "")
	l.bar.set(n.Share)
}
