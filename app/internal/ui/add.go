package ui

import (
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/layout"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"github.com/moorage/moorage/assets"
	"github.com/moorage/moorage/daemon/api"
)

// addSheet asks for a new drive in three short pages: its address, how it
// appears here, and, only for those that need one, its password or token.
type addSheet struct {
	*sheet
	texts assets.Texts
	add   func(api.AddDrive, func(*api.Problem))
	added func() // the service has taken the drive

	address  *sheetEntry
	name     *sheetEntry
	place    *sheetEntry
	readOnly *sheetCheck
	auto     *sheetCheck
	secret   *sheetEntry

	next, finish *sheetButton // of the page in view
	page         int
	closed       bool
	working      bool
}

func newAddSheet(c fyne.Canvas, texts assets.Texts, add func(api.AddDrive, func(*api.Problem)), added, onClose func()) *addSheet {
	s := &addSheet{texts: texts, add: add, added: added}
	s.sheet = newSheet(c, texts.Get("add.title"), func() {
		s.closed = true
		s.secret.SetText("")
		onClose()
	})
	s.address = s.entry(texts.Get("add.address.placeholder"))
	s.address.OnChanged = func(string) { s.enable() }
	s.address.OnSubmitted = func(string) { s.goOn() }
	s.name = s.entry(texts.Get("add.name.placeholder"))
	s.name.OnSubmitted = func(string) { s.submit() }
	s.place = s.entry(texts.Get("add.place.placeholder"))
	s.place.OnSubmitted = func(string) { s.submit() }
	s.readOnly = s.check(texts.Get("add.read-only"))
	s.auto = s.check(texts.Get("add.auto"))
	s.secret = s.password(texts.Get("add.secret.placeholder"))
	s.secret.OnSubmitted = func(string) { s.submit() }
	s.first()
	return s
}

func (s *addSheet) first() {
	s.page = 1
	s.next = s.button(s.texts.Get("add.next"), widget.HighImportance, s.goOn)
	s.finish = nil
	examples := widget.NewLabelWithStyle(s.texts.Get("add.examples"), fyne.TextAlignLeading, fyne.TextStyle{Monospace: true})
	examples.SizeName = theme.SizeNameCaptionText
	examples.Importance = widget.LowImportance
	s.fill([]fyne.CanvasObject{
		field(s.texts.Get("add.address"), s.texts.Get("add.address.help"), s.address),
		container.New(layout.NewCustomPaddedLayout(-10, 0, theme.InnerPadding(), 0), examples),
	}, s.row(s.button(s.texts.Get("add.cancel"), widget.MediumImportance, s.close), s.next), s.address)
	s.enable()
}

func (s *addSheet) second() {
	s.page = 2
	s.next = s.button(s.texts.Get("add.needs-secret"), widget.MediumImportance, s.third)
	s.finish = s.button(s.texts.Get("add.finish"), widget.HighImportance, s.submit)
	s.fill([]fyne.CanvasObject{
		field(s.texts.Get("add.name"), "", s.name),
		field(s.texts.Get("add.place"), s.texts.Get("add.place.help"), s.place),
		option(s.readOnly, s.texts.Get("add.read-only.help")),
		option(s.auto, s.texts.Get("add.auto.help")),
	}, s.row(s.button(s.texts.Get("add.back"), widget.MediumImportance, s.back), s.next, s.finish), s.name)
	s.enable()
}

func (s *addSheet) third() {
	s.page = 3
	s.next = nil
	s.finish = s.button(s.texts.Get("add.finish"), widget.HighImportance, s.submit)
	s.fill([]fyne.CanvasObject{
		field(s.texts.Get("add.secret"), s.texts.Get("add.secret.help"), s.secret),
	}, s.row(s.button(s.texts.Get("add.back"), widget.MediumImportance, s.back), s.finish), s.secret)
	s.enable()
}

// row puts the first button at the left, the others at the right.
func (s *addSheet) row(first *sheetButton, others ...*sheetButton) []fyne.CanvasObject {
	objects := []fyne.CanvasObject{first, layout.NewSpacer()}
	for _, b := range others {
		objects = append(objects, b)
	}
	return objects
}

// option is a box to tick with a word on what it does.
func option(c *sheetCheck, help string) fyne.CanvasObject {
	return container.New(layout.NewCustomPaddedVBoxLayout(-12), c, underCheck(hint(help)))
}

func (s *addSheet) typed() string { return strings.TrimSpace(s.address.Text) }

func (s *addSheet) enable() {
	ok := s.typed() != "" && !s.working
	for _, b := range []*sheetButton{s.next, s.finish} {
		if b == nil {
			continue
		}
		if ok {
			b.Enable()
		} else {
			b.Disable()
		}
	}
}

func (s *addSheet) goOn() {
	if s.typed() == "" {
		return
	}
	s.tell(nil)
	s.second()
}

func (s *addSheet) back() {
	if s.working {
		return
	}
	s.tell(nil)
	if s.page == 3 {
		s.second()
		return
	}
	s.first()
}

func (s *addSheet) submit() {
	if s.typed() == "" || s.working {
		return
	}
	s.working = true
	s.tell(nil)
	s.enable()
	s.finish.SetText(s.texts.Get("add.working"))
	s.add(api.AddDrive{
		URL:      s.typed(),
		Name:     strings.TrimSpace(s.name.Text),
		Dir:      strings.TrimSpace(s.place.Text),
		ReadOnly: s.readOnly.Checked,
		Auto:     s.auto.Checked,
		Remember: true,
		Secret:   s.secret.Text,
	}, func(p *api.Problem) {
		fyne.Do(func() { s.answered(p) })
	})
}

func (s *addSheet) answered(p *api.Problem) {
	s.working = false
	if s.closed {
		return
	}
	if p == nil {
		s.added()
		s.close()
		return
	}
	s.finish.SetText(s.texts.Get("add.finish"))
	switch p.Code {
	case api.CodeAuth:
		s.third()
	case api.CodeBadURL, api.CodeComing, api.CodeNoFolder:
		s.first()
	}
	s.enable()
	s.tell(p)
}
