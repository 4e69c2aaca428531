package ui

import (
	"fmt"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/layout"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/daemon/api"
)

// second shows what is at the address, and looks if nobody has.
func (s *addSheet) second() {
	s.hurry = false
	if s.tried == nil || s.asked != s.question() {
		s.look()
		return
	}
	s.seen()
}

// question is all that an answer to a look depends on.
type question struct{ url, with, secret string }

func (s *addSheet) question() question {
	return question{s.prospect.URL, fmt.Sprint(s.with()), s.secret.Text}
}

// look has the service look what is there.
func (s *addSheet) look() {
	if s.looking {
		return
	}
	s.tell(nil)
	s.looking, s.tried, s.asked = true, nil, s.question()
	s.waits()
	s.resolve(func(p model.Prospect) {
		if p.Problem != nil {
			s.looked(model.Tried{Problem: p.Problem})
			return
		}
		t := api.Try{URL: p.URL, Secret: s.secret.Text}
		s.inquire(trying, func(turn int) func() {
			return s.o.prospects.Try(t, func(a model.Tried) { s.answer(trying, turn, func() { s.looked(a) }) })
		})
	})
}

// stop gives up looking.
func (s *addSheet) stop() {
	if !s.looking {
		return
	}
	s.callOff(describing)
	s.callOff(trying)
	s.looking, s.hurry = false, false
}

func (s *addSheet) looked(a model.Tried) {
	s.looking, s.tried = false, &a
	hurry := s.hurry && a.Problem == nil
	s.hurry = false
	switch {
	case s.step != 2:
	case hurry:
		s.third()
	default:
		s.seen()
	}
}

// hurryOn is what Enter means while nothing has the keyboard.
func (s *addSheet) hurryOn() {
	if s.looking && s.step == 2 {
		s.hurry = true
	}
}

// waits shows that it is looked.
func (s *addSheet) waits() {
	busy := widget.NewActivity()
	text := widget.NewLabelWithStyle(s.texts.Get("add.looking"), fyne.TextAlignCenter, fyne.TextStyle{})
	s.next = s.button(s.texts.Get("add.next"), widget.HighImportance, s.third)
	s.canvas.Unfocus()
	s.page(2, s.known.root,
		container.NewCenter(container.NewVBox(container.NewCenter(container.NewGridWrap(fyne.NewSquareSize(28), busy)), text)),
		s.line(s.button(s.texts.Get("add.back"), widget.MediumImportance, s.back),
			s.button(s.texts.Get("add.stop"), widget.MediumImportance, s.stopped), s.next), nil)
	s.busy = busy
	s.busy.Start()
	s.enable()
}

// stopped shows that nobody looks any more.
func (s *addSheet) stopped() {
	s.stop()
	s.choose(s.texts.Get("add.stopped"), false)
}

// seen shows what came of the look.
func (s *addSheet) seen() {
	a := s.tried
	switch {
	case a.Problem == nil:
		s.listed(*a)
	case a.SignIn != "" && s.prospect.SignIn != nil:
		s.choose(a.SignIn, true)
	default:
		// What a repository is hidden from may be somebody who has not signed in.
		s.choose("", a.Problem.Code == api.CodeNoRemote && s.prospect.SignIn != nil)
		s.tell(a.Problem)
	}
}

// listed shows the names that there are.
func (s *addSheet) listed(a model.Tried) {
	what := widget.NewLabelWithStyle(a.Summary, fyne.TextAlignLeading, fyne.TextStyle{Bold: true})
	what.Truncation = fyne.TextTruncateEllipsis
	note := caption()
	note.SetText(a.Note)
	mark := container.NewCenter(container.NewGridWrap(fyne.NewSquareSize(18), widget.NewIcon(toneMark(model.Good))))
	lines := container.New(layout.NewCustomPaddedVBoxLayout(tight))
	for _, l := range a.Lines {
		lines.Add(triedLine(l))
	}
	if a.Others != "" {
		others := caption()
		others.SetText(a.Others)
		lines.Add(container.New(layout.NewCustomPaddedLayout(0, 0, 18+theme.Padding(), 0), others))
	}
	s.next = s.button(s.texts.Get("add.next"), widget.HighImportance, s.third)
	s.page(2,
		container.NewVBox(s.known.root, inset(container.NewBorder(nil, nil, mark, nil, container.New(layout.NewCustomPaddedVBoxLayout(tight), what, note)))),
		container.New(layout.NewCustomPaddedLayout(0, 4, theme.InnerPadding(), theme.InnerPadding()),
			container.NewStack(newCard(), container.New(layout.NewCustomPaddedLayout(4, 4, 6, 4), container.NewVScroll(lines)))),
		s.line(s.button(s.texts.Get("add.back"), widget.MediumImportance, s.back), s.next), s.next)
	s.enable()
}

func triedLine(l model.TriedLine) fyne.CanvasObject {
	icon := theme.FileIcon()
	if l.Folder {
		icon = theme.NewPrimaryThemedResource(theme.FolderIcon())
	}
	name, size := widget.NewLabel(l.Name), caption()
	name.Truncation = fyne.TextTruncateEllipsis
	size.Truncation, size.Text = fyne.TextTruncateOff, l.Size
	return container.NewBorder(nil, nil, container.NewCenter(container.NewGridWrap(fyne.NewSquareSize(18), widget.NewIcon(icon))), size, name)
}

// choose shows what can be done if nothing is to be seen: another try, with a sign-in or
// without, or to go on all the same.
func (s *addSheet) choose(sentence string, signIn bool) {
	s.next = s.button(s.texts.Get("add.anyway"), widget.MediumImportance, s.third)
	again := s.button(s.texts.Get("do.retry"), widget.HighImportance, s.look)
	focus := fyne.Focusable(again)
	form := container.NewVBox()
	if sentence != "" {
		l := widget.NewLabelWithStyle(sentence, fyne.TextAlignLeading, fyne.TextStyle{Bold: true})
		l.Wrapping = fyne.TextWrapWord
		form.Add(l)
	}
	if signIn {
		p := s.prospect.SignIn
		secret := fieldOf(p.Secret.Label, s.secret)
		focus = s.secret
		if s.user != nil {
			form.Add(inset(beside(fieldOf(p.User.Label, s.user), secret)))
			if s.user.Text == "" && s.secret.Text == "" {
				focus = s.user
			}
		} else {
			form.Add(inset(secret))
		}
		form.Add(container.New(layout.NewCustomPaddedLayout(-10, 0, 0, 0), hint(s.texts.Get("add.secret.help"))))
		if p.Page != "" {
			b := s.button(s.texts.Get("add.page"), widget.LowImportance, s.visit)
			b.Icon = theme.ComputerIcon()
			form.Add(inset(container.NewHBox(b)))
		}
		again.Text = s.texts.Get("add.sign-in.do")
		again.Icon = theme.LoginIcon()
	}
	if len(s.fields) > 0 {
		form.Add(s.grid())
	}
	s.page(2, s.known.root, container.NewVScroll(form),
		s.line(s.button(s.texts.Get("add.back"), widget.MediumImportance, s.back), s.next, again), focus)
	s.enable()
}

// visit opens the page on which tokens are made.
func (s *addSheet) visit() {
	page := s.prospect.SignIn.Page
	if s.o.visit(page) != nil {
		s.tell(&api.Problem{What: s.texts.Get("add.page.failed", page)})
	}
	s.canvas.Focus(s.secret)
}
