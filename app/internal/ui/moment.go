package ui

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/layout"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"github.com/moorage/moorage/app/internal/model"
)

// momentLine is a model.Moment: a fact, a way to change it, and the way back.
type momentLine struct {
	root   *fyne.Container
	fact   *fact
	stays  *widget.Label
	change *widget.Button
	back   *widget.Button
	below  *fyne.Container
	moment model.Moment
}

func newMomentLine(name string, do func(model.Action)) *momentLine {
	l := &momentLine{fact: newFact(name), stays: hint("")}
	l.change = widget.NewButton("", func() { do(l.moment.Change) })
	l.back = widget.NewButton("", func() { do(l.moment.Back) })
	l.below = container.New(belowValue{l.fact}, container.New(layout.NewCustomPaddedVBoxLayout(0),
		container.New(layout.NewCustomPaddedLayout(-8, 0, 0, 0), l.stays),
		container.New(layout.NewCustomPaddedLayout(0, 8, theme.InnerPadding(), 0), container.NewHBox(l.back))))
	l.root = container.New(layout.NewCustomPaddedVBoxLayout(0), container.NewBorder(nil, nil, nil, container.New(layout.NewCustomPaddedLayout(-5, -5, 0, 0), l.change), l.fact.root), l.below)
	l.root.Hide()
	return l
}

func (l *momentLine) set(m model.Moment) {
	l.moment = m
	l.fact.set(m.Text)
	l.stays.SetText(m.Stays)
	show(l.stays, m.Stays != "")
	setButton(l.change, m.Change)
	setButton(l.back, m.Back)
	l.change.Importance = widget.LowImportance
	show(l.below, m.Stays != "" || m.Back.Verb != "")
	show(l.root, m.Text != "")
	l.root.Refresh()
}
