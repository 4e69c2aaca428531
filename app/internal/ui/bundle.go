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

// bundleSheet shows what is in a bundle, before it is saved.
type bundleSheet struct {
	*sheet
	texts  assets.Texts
	bundle model.Bundle
	busy   *noticeBox
	files  *sheetSelect
	text   *widget.Label
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
