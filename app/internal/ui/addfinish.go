package ui

import (
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/layout"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/daemon/api"
)

// third asks how the drive appears here.
func (s *addSheet) third() {
	s.tell(nil)
	s.next = s.button(s.texts.Get("add.finish"), widget.HighImportance, s.submit)
	place := fieldOf(s.texts.Get("add.place"), s.place)
	if s.prospect.Letters != nil {
		place = fieldOf(s.texts.Get("add.letter"), s.letter)
	}
	only := s.texts.Get("add.read-only.help")
	if s.prospect.ReadOnly {
		only = s.texts.Get("add.always-read-only.help")
	}
	form := container.NewVBox(
		inset(beside(fieldOf(s.texts.Get("add.name"), s.name), place)))
	if len(s.fields) > 0 {
		form.Add(s.grid())
	}
	form.Add(inset(beside(flush(option(s.readOnly, only)), flush(option(s.auto, s.texts.Get("add.auto.help"))))))
	form.Add(s.summary)
	s.page(3, s.known.root, container.NewVScroll(form),
		s.line(s.button(s.texts.Get("add.back"), widget.MediumImportance, s.back), s.next), s.name)
	s.sum()
	s.enable()
}

// flush lines the box of a check up with entries.
func flush(check fyne.CanvasObject) fyne.CanvasObject {
	return container.New(layout.NewCustomPaddedLayout(0, 0, -theme.InnerPadding()/2-theme.InputBorderSize(), 0), check)
}

// option is a box to tick with a word on what it does.
func option(c *sheetCheck, help string) fyne.CanvasObject {
	return container.New(layout.NewCustomPaddedVBoxLayout(-12), c, underCheck(hint(help)))
}

// sum says what will come of it.
func (s *addSheet) sum() {
	name, at := strings.TrimSpace(s.name.Text), s.dir()
	if name == "" {
		name = s.prospect.Name
	}
	usual := s.prospect.Place(name)
	if at == "" {
		at = usual
	}
	s.place.SetPlaceHolder(usual)
	text := ""
	if at != "" {
		text = s.texts.Get("add.summary", at)
	}
	if s.summary.Text != text {
		s.summary.SetText(text)
	}
}

// dir is where the person wants the drive; "" where it is up to the service.
func (s *addSheet) dir() string {
	if s.prospect.Letters != nil {
		if i := s.letter.SelectedIndex(); i > 0 { // the first one is what a drive gets anyway
			return s.letter.Options[i]
		}
		return ""
	}
	return strings.TrimSpace(s.place.Text)
}

func (s *addSheet) submit() {
	if s.working || s.step != 3 {
		return
	}
	s.working = true
	s.tell(nil)
	s.enable()
	s.next.SetText(s.texts.Get("add.working"))
	s.resolve(func(p model.Prospect) {
		if p.Problem != nil {
			s.answered(p.Problem)
			return
		}
		s.o.add(api.AddDrive{
			URL: p.URL, Name: strings.TrimSpace(s.name.Text), Dir: s.dir(),
			ReadOnly: s.readOnly.Checked && !p.ReadOnly, Auto: s.auto.Checked, Remember: true, Secret: s.secret.Text,
		}, func(p *api.Problem) {
			fyne.Do(func() { s.answered(p) })
		})
	})
}

func (s *addSheet) answered(p *api.Problem) {
	s.working = false
	if s.gone {
		return
	}
	if p == nil {
		s.o.added()
		s.close()
		return
	}
	s.next.SetText(s.texts.Get("add.finish"))
	switch p.Code {
	case api.CodeAuth:
		s.step = 2
		s.choose("", s.prospect.SignIn != nil)
	case api.CodeComing, api.CodeNoFolder:
		s.first()
	}
	s.enable()
	s.tell(p)
}

// addField is the entry for a model.Field.
type addField struct {
	field  model.Field
	object fyne.CanvasObject
	value  func() string
}

func (s *addSheet) field(f model.Field) *addField {
	out := &addField{field: f}
	switch f.Kind {
	case api.FieldBool:
		c := s.check(f.Help)
		c.Checked = f.Value != ""
		out.object, out.value = c, func() string {
			if c.Checked {
				return "true"
			}
			return ""
		}
	case api.FieldChoice:
		l := s.selection(nil)
		l.Options, l.Selected, l.PlaceHolder = f.Choices, f.Value, f.Placeholder
		out.object, out.value = l, func() string { return l.Selected }
	default:
		e := s.entry(f.Placeholder)
		e.Text, e.Password = f.Value, f.Kind == api.FieldSecret
		e.OnSubmitted = func(string) {
			if s.step == 3 {
				s.submit()
			} else {
				s.look()
			}
		}
		out.object, out.value = e, func() string { return strings.TrimSpace(e.Text) }
	}
	return out
}

// grid has all fields, two beside each other.
func (s *addSheet) grid() fyne.CanvasObject {
	var objects []fyne.CanvasObject
	for _, f := range s.fields {
		objects = append(objects, fieldOf(f.field.Label, f.object))
	}
	return inset(beside(objects...))
}

// fieldOf is an entry with its label above, for a grid.
func fieldOf(label string, entry fyne.CanvasObject) fyne.CanvasObject {
	l := widget.NewLabelWithStyle(label, fyne.TextAlignLeading, fyne.TextStyle{Bold: true})
	l.Truncation = fyne.TextTruncateEllipsis
	return container.NewVBox(container.New(layout.NewCustomPaddedLayout(0, -6, -theme.InnerPadding(), 0), l), entry)
}
