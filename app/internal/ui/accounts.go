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

// accountsPart shows which passwords are kept, and where.
type accountsPart struct {
	root   *fyne.Container
	sheet  *sheet
	texts  assets.Texts
	keeper *noticeBox
	none   *widget.Label
	list   *fyne.Container
	forget func(model.Account)
}

func newAccountsPart(s *sheet, texts assets.Texts, do func(model.Action), forget func(model.Account)) *accountsPart {
	p := &accountsPart{sheet: s, texts: texts, forget: forget, keeper: newNoticeBox(true, do), list: container.NewVBox()}
	p.keeper.escape = s.close
	p.none = hint(texts.Get("accounts.none"))
	p.none.Hide()
	p.root = container.NewVBox(inset(p.keeper), p.none, p.list)
	return p
}

func (p *accountsPart) set(a model.Accounts, known bool) {
	p.keeper.set(a.Keeper)
	show(p.none, known && len(a.Kept) == 0)
	p.list.RemoveAll()
	for _, k := range a.Kept {
		p.list.Add(p.line(k))
	}
	p.list.Refresh()
}

func (p *accountsPart) line(k model.Account) fyne.CanvasObject {
	name := widget.NewLabelWithStyle(k.Drive, fyne.TextAlignLeading, fyne.TextStyle{Bold: true})
	name.Truncation = fyne.TextTruncateEllipsis
	where := caption()
	where.SetText(k.Where)
	forget := p.sheet.button(p.texts.Get("accounts.forget"), widget.MediumImportance, func() { p.forget(k) })
	icon := container.NewCenter(widget.NewIcon(theme.LoginIcon()))
	return inset(container.NewBorder(nil, nil, icon, container.NewCenter(forget),
		container.New(layout.NewCustomPaddedVBoxLayout(-14), name, where)))
}
