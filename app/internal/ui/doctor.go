package ui

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/layout"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/assets"
)

// doctorSheet shows what works on this computer and what to do about the rest.
type doctorSheet struct {
	*sheet
	texts   assets.Texts
	do      func(model.Action)
	doctor  model.Doctor
	verdict *noticeBox
	lines   *fyne.Container
	checks  []*checkLine
	report  *sheetButton
	again   *sheetButton
}

func newDoctorSheet(c fyne.Canvas, texts assets.Texts, do func(model.Action), copy func(string), onClose func()) *doctorSheet {
	s := &doctorSheet{texts: texts, do: do}
	s.sheet = newWideSheet(c, texts.Get("doctor.title"), onClose)
	s.show = func(v model.View) { s.set(v.Doctor) }
	s.page = true
	s.verdict = newNoticeBox(false, do)
	s.lines = container.New(layout.NewCustomPaddedVBoxLayout(0))
	s.scroll = container.NewVScroll(s.lines)
	s.scroll.SetMinSize(fyne.NewSize(0, roomFor(c, 340, 240)))
	s.report = s.button(texts.Get("doctor.copy"), widget.MediumImportance, func() {
		copy(s.doctor.Report)
		s.report.SetText(texts.Get("doctor.copied"))
	})
	s.report.Icon = theme.ContentCopyIcon()
	s.again = s.button("", widget.MediumImportance, func() { s.do(s.doctor.Again) })
	s.again.Icon = theme.ViewRefreshIcon()
	done := s.button(texts.Get("do.understood"), widget.HighImportance, s.close)
	s.fill([]fyne.CanvasObject{inset(s.verdict), s.scroll},
		[]fyne.CanvasObject{s.report, s.again, layout.NewSpacer(), done}, done)
	return s
}

func (s *doctorSheet) set(d model.Doctor) {
	if d.Equal(s.doctor) && s.again.Text != "" {
		return
	}
	s.doctor = d
	s.verdict.set(model.Notice{What: d.Verdict, Tone: d.Tone})
	for len(s.checks) < len(d.Checks) {
		l := newCheckLine(s.button("", widget.MediumImportance, nil))
		s.checks = append(s.checks, l)
		s.lines.Add(l.root)
	}
	for i, l := range s.checks {
		show(l.root, i < len(d.Checks))
		if i < len(d.Checks) {
			l.set(d.Checks[i], i > 0, d.Running, s.do)
		}
	}
	s.again.SetText(d.Again.Label)
	s.report.SetText(s.texts.Get("doctor.copy"))
	for _, b := range []*sheetButton{s.again, s.report} {
		if d.Running || b == s.report && d.Report == "" {
			b.Disable()
		} else {
			b.Enable()
		}
	}
	s.fit()
	s.lines.Refresh()
}

// checkLine is a model.Check.
type checkLine struct {
	root   *fyne.Container
	rule   fyne.CanvasObject
	mark   *widget.Icon
	name   *widget.Label
	detail *widget.Label
	advice *widget.Label
	done   *widget.Label
	fix    *sheetButton
	check  model.Check
}

func newCheckLine(fix *sheetButton) *checkLine {
	l := &checkLine{mark: widget.NewIcon(nil), fix: fix, detail: hint(""), advice: sentence(fyne.TextStyle{}), done: hint("")}
	l.name = widget.NewLabelWithStyle("", fyne.TextAlignLeading, fyne.TextStyle{Bold: true})
	l.name.Truncation = fyne.TextTruncateEllipsis
	l.advice.SizeName = theme.SizeNameCaptionText
	l.done.Importance = widget.SuccessImportance
	l.rule = inset(widget.NewSeparator())
	mark := container.New(layout.NewCustomPaddedLayout(8, 0, theme.InnerPadding(), 0),
		container.NewVBox(container.NewGridWrap(fyne.NewSquareSize(theme.IconInlineSize()), l.mark)))
	text := container.New(layout.NewCustomPaddedVBoxLayout(-12), l.name, l.detail, l.advice, l.done)
	button := container.New(layout.NewCustomPaddedLayout(4, 0, 0, theme.InnerPadding()), container.NewVBox(l.fix))
	l.root = container.NewVBox(l.rule, container.NewBorder(nil, nil, mark, button, text))
	return l
}

func (l *checkLine) set(c model.Check, ruled, running bool, do func(model.Action)) {
	show(l.rule, ruled)
	l.mark.SetResource(toneMark(c.Tone))
	l.name.SetText(c.Name)
	for label, text := range map[*widget.Label]string{l.detail: c.Detail, l.advice: c.Advice, l.done: c.Done} {
		label.SetText(text)
		show(label, text != "")
	}
	l.fix.OnTapped = func() { do(c.Fix) }
	l.fix.SetText(c.Fix.Label)
	show(l.fix, c.Fix.Verb != "")
	if running {
		l.fix.Disable()
	} else {
		l.fix.Enable()
	}
	l.check = c
}
