package ui

import (
	"image/color"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/layout"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"github.com/moorage/moorage/app/internal/model"
)

// noticeBox shows what happened, what it means and what to do. Without a
// notice it takes no room.
type noticeBox struct {
	widget.BaseWidget
	notice model.Notice
	narrow bool // the button is below the text
	do     func(model.Action)

	ground *canvas.Rectangle
	bar    *canvas.Rectangle
	busy   *widget.Activity
	turn   *fyne.Container // around busy
	body   *fyne.Container
	what   *widget.Label
	means  *widget.Label
	remedy *widget.Label
	action *sheetButton
	other  *sheetButton
	escape func()          // what Esc does at a button; nil: nothing
	below  *fyne.Container // around action, if that is below the text
}

func newNoticeBox(narrow bool, do func(model.Action)) *noticeBox {
	b := &noticeBox{narrow: narrow, do: do}
	b.ground = canvas.NewRectangle(color.Transparent)
	b.ground.CornerRadius = 8
	b.bar = canvas.NewRectangle(color.Transparent)
	b.bar.CornerRadius = 2
	b.bar.SetMinSize(fyne.NewSize(4, 4))
	b.busy = widget.NewActivity()
	b.turn = container.NewCenter(container.NewGridWrap(fyne.NewSquareSize(theme.IconInlineSize()), b.busy))
	b.what = sentence(fyne.TextStyle{Bold: true})
	b.means = sentence(fyne.TextStyle{})
	b.remedy = sentence(fyne.TextStyle{})
	b.action = b.button(func() { b.do(b.notice.Action) })
	b.other = b.button(func() { b.do(b.notice.Other) })
	b.body = b.build()
	b.ExtendBaseWidget(b)
	b.Hide()
	return b
}

func (b *noticeBox) button(tapped func()) *sheetButton {
	n := &sheetButton{escape: func() {
		if b.escape != nil {
			b.escape()
		}
	}}
	n.OnTapped = tapped
	n.ExtendBaseWidget(n)
	return n
}

func sentence(style fyne.TextStyle) *widget.Label {
	l := widget.NewLabelWithStyle("", fyne.TextAlignLeading, style)
	l.Wrapping = fyne.TextWrapWord
	return l
}

func (b *noticeBox) set(n model.Notice) {
	if n == b.notice {
		return
	}
	b.notice = n
	if n.What == "" {
		b.busy.Stop()
		b.Hide()
		return
	}
	for label, text := range map[*widget.Label]string{b.what: n.What, b.means: n.Means, b.remedy: n.Do} {
		label.SetText(text)
		if text == "" {
			label.Hide()
		} else {
			label.Show()
		}
	}
	for button, a := range map[*sheetButton]model.Action{b.action: n.Action, b.other: n.Other} {
		button.Text, button.Icon = a.Label, verbIcon(a.Verb)
		button.Refresh()
		show(button, a.Verb != "")
	}
	if b.below != nil {
		show(b.below, n.Action.Verb != "")
	}
	if n.Tone == model.Busy {
		b.turn.Show()
		b.busy.Start()
	} else {
		b.busy.Stop()
		b.turn.Hide()
	}
	b.Show()
	b.body.Refresh()
	b.Refresh()
}

// Refresh takes up the colours of the theme and of the tone.
func (b *noticeBox) Refresh() {
	tone, _, _ := toneLook(b.notice.Tone)
	b.ground.FillColor = tint(tone)
	b.bar.FillColor = paint(tone)
	b.BaseWidget.Refresh()
}

func (b *noticeBox) build() *fyne.Container {
	text := container.New(layout.NewCustomPaddedVBoxLayout(tight), b.what, b.means, b.remedy)
	left := container.NewHBox(
		container.New(layout.NewCustomPaddedLayout(8, 8, 6, 0), b.bar), b.turn)
	if b.narrow {
		b.below = container.New(layout.NewCustomPaddedLayout(0, 8, theme.InnerPadding(), 0), container.NewHBox(b.action, b.other))
		return container.NewStack(b.ground, container.NewBorder(nil, nil, left, nil, container.NewVBox(text, b.below)))
	}
	return container.NewStack(b.ground, container.NewBorder(nil, nil, left,
		container.New(layout.NewCustomPaddedLayout(6, 6, 0, 8), container.NewCenter(container.NewVBox(b.action, b.other))), text))
}

func (b *noticeBox) CreateRenderer() fyne.WidgetRenderer { return widget.NewSimpleRenderer(b.body) }
