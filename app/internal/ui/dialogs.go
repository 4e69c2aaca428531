package ui

import (
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/layout"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/assets"
	"github.com/moorage/moorage/daemon/api"
)

// secretSheet asks for the password or token of a drive that there is.
type secretSheet struct {
	*sheet
	texts  assets.Texts
	drive  string
	store  func(drive, secret string, done func(*api.Problem))
	secret *sheetEntry
	save   *sheetButton
	closed bool
}

func newSecretSheet(c fyne.Canvas, texts assets.Texts, drive string,
	store func(drive, secret string, done func(*api.Problem)), onClose func(),
) *secretSheet {
	s := &secretSheet{texts: texts, drive: drive, store: store}
	s.sheet = newSheet(c, texts.Get("secret.title", drive), func() {
		s.closed = true
		s.secret.SetText("")
		onClose()
	})
	s.secret = s.password("")
	s.secret.OnChanged = func(string) { s.enable() }
	s.secret.OnSubmitted = func(string) { s.submit() }
	s.save = s.button(texts.Get("secret.save"), widget.HighImportance, s.submit)
	s.fill([]fyne.CanvasObject{
		field(texts.Get("add.secret"), texts.Get("add.secret.help"), s.secret),
	}, []fyne.CanvasObject{
		s.button(texts.Get("add.cancel"), widget.MediumImportance, s.close), layout.NewSpacer(), s.save,
	}, s.secret)
	s.enable()
	return s
}

func (s *secretSheet) enable() {
	if s.secret.Text == "" {
		s.save.Disable()
	} else {
		s.save.Enable()
	}
}

func (s *secretSheet) submit() {
	if s.secret.Text == "" || s.save.Disabled() {
		return
	}
	s.tell(nil)
	s.save.Disable()
	s.save.SetText(s.texts.Get("secret.working"))
	s.store(s.drive, s.secret.Text, func(p *api.Problem) {
		fyne.Do(func() { s.answered(p) })
	})
}

func (s *secretSheet) answered(p *api.Problem) {
	if s.closed {
		return
	}
	if p == nil {
		s.close()
		return
	}
	s.save.SetText(s.texts.Get("secret.save"))
	s.enable()
	s.tell(p)
}

// newQuestion asks before something that cannot be undone. The keyboard is on
// the answer that does nothing.
func newQuestion(c fyne.Canvas, title, text, yes, no string, do func(), onClose func()) *sheet {
	s := newSheet(c, title, onClose)
	l := widget.NewLabel(text)
	l.Wrapping = fyne.TextWrapWord
	stay := s.button(no, widget.MediumImportance, s.close)
	s.fill([]fyne.CanvasObject{
		container.New(layout.NewCustomPaddedLayout(0, theme.InnerPadding(), 0, 0), l),
	}, []fyne.CanvasObject{
		layout.NewSpacer(), stay,
		s.button(yes, widget.DangerImportance, func() {
			s.close()
			do()
		}),
	}, stay)
	return s
}

// newMessage says something that needs no answer.
func newMessage(c fyne.Canvas, title, text, ok string, onClose func()) *sheet {
	s := newSheet(c, title, onClose)
	l := widget.NewLabel(text)
	l.Wrapping = fyne.TextWrapWord
	done := s.button(ok, widget.HighImportance, s.close)
	s.fill([]fyne.CanvasObject{
		container.New(layout.NewCustomPaddedLayout(0, theme.InnerPadding(), 0, 0), l),
	}, []fyne.CanvasObject{layout.NewSpacer(), done}, done)
	return s
}

// editSheet asks for another name and place of a drive.
type editSheet struct {
	*sheet
	texts  assets.Texts
	row    model.Row
	edit   func(drive string, e api.EditDrive, done func(*api.Problem))
	name   *sheetEntry
	place  *sheetEntry
	save   *sheetButton
	closed bool
}

func newEditSheet(c fyne.Canvas, texts assets.Texts, row model.Row,
	edit func(drive string, e api.EditDrive, done func(*api.Problem)), onClose func(),
) *editSheet {
	s := &editSheet{texts: texts, row: row, edit: edit}
	s.sheet = newSheet(c, texts.Get("edit.title", row.Name), func() {
		s.closed = true
		onClose()
	})
	s.name, s.place = s.entry(row.Name), s.entry(texts.Get("add.place.placeholder"))
	s.name.SetText(row.Name)
	s.place.SetText(row.Dir)
	s.save = s.button(texts.Get("edit.save"), widget.HighImportance, s.submit)
	for _, e := range []*sheetEntry{s.name, s.place} {
		e.OnSubmitted = func(string) { s.submit() }
	}
	s.fill([]fyne.CanvasObject{
		field(texts.Get("add.name"), "", s.name),
		field(texts.Get("add.place"), texts.Get("add.place.help"), s.place),
	}, []fyne.CanvasObject{
		s.button(texts.Get("add.cancel"), widget.MediumImportance, s.close), layout.NewSpacer(), s.save,
	}, s.name)
	return s
}

func (s *editSheet) submit() {
	if s.save.Disabled() {
		return
	}
	var e api.EditDrive
	if name := strings.TrimSpace(s.name.Text); name != s.row.Name && name != "" {
		e.Name = &name
	}
	if place := strings.TrimSpace(s.place.Text); place != s.row.Dir && place != "" {
		e.Dir = &place
	}
	if e == (api.EditDrive{}) {
		s.close()
		return
	}
	s.tell(nil)
	s.save.Disable()
	s.save.SetText(s.texts.Get("edit.working"))
	s.edit(s.row.Name, e, func(p *api.Problem) {
		fyne.Do(func() { s.answered(p) })
	})
}

func (s *editSheet) answered(p *api.Problem) {
	if s.closed {
		return
	}
	if p == nil {
		s.close()
		return
	}
	s.save.SetText(s.texts.Get("edit.save"))
	s.save.Enable()
	s.tell(p)
}
