package ui

import (
	"image/color"
	"io"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/layout"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/assets"
	"github.com/moorage/moorage/daemon/api"
)

// settingsSheet shows how the app and the service are set up.
type settingsSheet struct {
	*sheet
	parts            *fyne.Container
	scroll           *container.Scroll
	app, service     *switchLine
	version, running *fact
	settings         model.Settings
}

func newSettingsSheet(c fyne.Canvas, texts assets.Texts, do func(model.Action), look Look, setLook func(Look), diagnose, onClose func()) *settingsSheet {
	s := &settingsSheet{}
	s.sheet = newSheet(c, texts.Get("settings.title"), onClose)
	s.show = func(v model.View) { s.set(v.Settings) }
	s.page = true
	app, service := s.check(texts.Get("settings.app")), s.check(texts.Get("settings.service"))
	s.app, s.service = newSwitchLineOf(&app.Check, app, do), newSwitchLineOf(&service.Check, service, do)
	s.version, s.running = newFact(texts.Get("settings.version")), newFact(texts.Get("settings.service.name"))
	licence := newFact(texts.Get("settings.licence"))
	licence.set(texts.Get("settings.licence.name"))
	align(s.version, s.running, licence)

	looks := container.NewGridWithColumns(3)
	var buttons []*sheetButton
	choose := func(l Look) {
		for i, b := range buttons {
			b.Importance, b.Icon = widget.MediumImportance, nil
			if lookOrder[i] == l {
				b.Icon = theme.ConfirmIcon() // told by a shape as well as by a colour
				b.Importance = widget.HighImportance
			}
			b.Refresh()
		}
	}
	for _, l := range lookOrder {
		b := s.button(texts.Get("settings.look."+string(l)), widget.MediumImportance, func() {
			choose(l)
			setLook(l)
		})
		buttons = append(buttons, b)
		looks.Add(b)
	}
	choose(look)

	save := s.button(texts.Get("settings.diagnostics"), widget.MediumImportance, diagnose)
	done := s.button(texts.Get("do.understood"), widget.HighImportance, s.close)
	s.parts = container.NewVBox(
		heading(texts.Get("settings.general")),
		container.New(layout.NewCustomPaddedLayout(-10, 0, 0, 0),
			container.New(layout.NewCustomPaddedVBoxLayout(-8), s.app.root, s.service.root)),
		field(texts.Get("settings.look"), "", looks),
		section(container.New(layout.NewCustomPaddedVBoxLayout(-6),
			heading(texts.Get("settings.about")), s.version.root, s.running.root, licence.root)),
		inset(container.NewHBox(save)),
		container.New(layout.NewCustomPaddedLayout(-8, 0, 0, 0), hint(texts.Get("settings.diagnostics.help"))),
	)
	s.scroll = container.NewVScroll(s.parts)
	s.fill([]fyne.CanvasObject{s.scroll}, []fyne.CanvasObject{layout.NewSpacer(), done}, done)
	return s
}

// fit gives the parts all the height that they need, as far as the window has it.
func (s *settingsSheet) fit() {
	s.sheet.fit() // wrapped text knows its height only once it has a width
	others := s.popup.Content.MinSize().Height - s.scroll.MinSize().Height
	s.scroll.SetMinSize(fyne.NewSize(0, roomFor(s.canvas, s.parts.MinSize().Height, others+8)))
	s.sheet.fit()
}

func heading(text string) *widget.Label {
	return widget.NewLabelWithStyle(text, fyne.TextAlignLeading, fyne.TextStyle{Bold: true})
}

func (s *settingsSheet) set(v model.Settings) {
	if v == s.settings && s.version.value.Text == v.Version {
		return
	}
	s.settings = v
	s.app.set(v.App)
	s.service.set(v.Service)
	s.version.set(v.Version)
	s.running.set(v.Running)
	s.trouble.set(v.Trouble)
	s.fit()
}

// bundleSheet shows what is in a bundle, before it is saved.
type bundleSheet struct {
	*sheet
	texts  assets.Texts
	bundle model.Bundle
	busy   *noticeBox
	files  *sheetSelect
	text   *widget.Label
	scroll *container.Scroll
	ok     *sheetButton
	closed bool
}

func newBundleSheet(c fyne.Canvas, texts assets.Texts, collect func(func(model.Bundle)),
	save func(name string, write func(io.Writer) error, done func(place string, err error)), onClose func(),
) *bundleSheet {
	s := &bundleSheet{texts: texts}
	s.sheet = newWideSheet(c, texts.Get("bundle.title"), func() {
		s.closed = true
		onClose()
	})
	s.busy = newNoticeBox(false, func(model.Action) {})
	s.busy.set(model.Notice{What: texts.Get("bundle.working"), Tone: model.Busy})
	s.text = widget.NewLabelWithStyle("", fyne.TextAlignLeading, fyne.TextStyle{Monospace: true})
	s.text.SizeName = theme.SizeNameCaptionText
	s.scroll = container.NewScroll(s.text)
	s.files = s.selection(s.choose)
	s.files.Disable()
	room := canvas.NewRectangle(color.Transparent)
	room.SetMinSize(fyne.NewSize(0, roomFor(c, 280, 300)))
	s.ok = s.button(texts.Get("bundle.save"), widget.HighImportance, func() {
		s.tell(nil)
		save(s.bundle.Name(), s.bundle.Zip, func(place string, err error) { fyne.Do(func() { s.saved(place, err) }) })
	})
	s.ok.Disable()
	back := s.button(texts.Get("bundle.back"), widget.MediumImportance, s.close)
	s.fill([]fyne.CanvasObject{
		hint(texts.Get("bundle.help")), inset(s.busy), inset(s.files),
		inset(container.NewStack(newWell(), room, container.New(layout.NewCustomPaddedLayout(2, 2, 2, 2), s.scroll))),
	}, []fyne.CanvasObject{layout.NewSpacer(), back, s.ok}, back)
	collect(func(b model.Bundle) { fyne.Do(func() { s.set(b) }) })
	return s
}

func (s *bundleSheet) set(b model.Bundle) {
	if s.closed {
		return
	}
	s.bundle = b
	var names []string
	for _, f := range b.Files {
		names = append(names, f.Name)
	}
	s.busy.set(model.Notice{})
	s.files.Options = names
	s.files.Enable()
	if len(names) > 0 {
		s.files.SetSelectedIndex(0)
	}
	s.ok.Enable()
	s.fit()
}

// shownOfFile bounds what a label has to lay out; of a longer file the end is
// shown, which is the latest.
const shownOfFile = 64 << 10

func (s *bundleSheet) choose(name string) {
	for _, f := range s.bundle.Files {
		if f.Name != name {
			continue
		}
		text := strings.ToValidUTF8(f.Text[max(len(f.Text)-shownOfFile, 0):], "")
		if len(text) < len(f.Text) {
			text = "…\n" + text
		}
		s.text.SetText(strings.ReplaceAll(text, "\t", "    "))
		s.scroll.ScrollToTop()
		s.scroll.Refresh()
	}
}

// saved says how it went; place "" is that of a person who thought better of it.
func (s *bundleSheet) saved(place string, err error) {
	switch {
	case s.closed || place == "" && err == nil:
	case err != nil:
		s.tell(&api.Problem{What: s.texts.Get("bundle.failed", err), Do: s.texts.Get("bundle.failed.do")})
	default:
		s.trouble.set(model.Notice{What: s.texts.Get("bundle.saved", place), Tone: model.Good})
		s.fit()
	}
}

// well is the ground of a text that is only looked at. It follows the theme.
type well struct {
	widget.BaseWidget
	rect *canvas.Rectangle
}

func newWell() *well {
	w := &well{rect: canvas.NewRectangle(paint(theme.ColorNameInputBackground))}
	w.rect.CornerRadius, w.rect.StrokeWidth = 8, 1
	w.ExtendBaseWidget(w)
	w.Refresh()
	return w
}

func (w *well) Refresh() {
	w.rect.FillColor, w.rect.StrokeColor = paint(theme.ColorNameInputBackground), paint(theme.ColorNameInputBorder)
	w.BaseWidget.Refresh()
}

func (w *well) CreateRenderer() fyne.WidgetRenderer { return widget.NewSimpleRenderer(w.rect) }
