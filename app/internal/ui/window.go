// Package ui draws the window of the app. It shows a model.View and hands what
// a person wants to an Actions; it decides nothing. All of it runs in the
// goroutine of the toolkit.
package ui

import (
	"slices"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/layout"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/assets"
	"github.com/moorage/moorage/daemon/api"
)

// Actions do what a person wants. They return at once; done is called from any
// goroutine with nil, or with what to tell the person.
type Actions interface {
	Do(verb model.Verb, drive string)
	Add(a api.AddDrive, done func(*api.Problem))
	SetSecret(drive, secret string, done func(*api.Problem))
	Edit(drive string, e api.EditDrive, done func(*api.Problem))
	Watch(drive string) // which drive View.Detail is to be about
}

// searchFrom is the number of drives from which a search helps.
const searchFrom = 7

// Window is the window with the drives.
type Window struct {
	win     fyne.Window
	texts   assets.Texts
	actions Actions
	hide    func()
	quit    func()
	copy    func(string)

	view   model.View
	top    *fyne.Container
	header *fyne.Container
	list   *driveList
	search *sheetEntry
	banner *noticeBox
	empty  *fyne.Container
	none   *widget.Label
	footer *widget.Label
	sheet  *sheet // in view, or nil
	last   string // the drive that was selected last, which the pane is about
	detail *detailPane
	split  *fyne.Container

	awaited func() bool // done when true; nil: nothing
}

// Options are what a Window stands on; every field must be set.
type Options struct {
	Window  fyne.Window
	Texts   assets.Texts
	Actions Actions
	Hide    func()       // the person closes the window
	Quit    func()       // the person ends the app
	Copy    func(string) // to the clipboard
}

// New fills a window. It shows no drives before the first Show.
func New(o Options) *Window {
	w := &Window{
		win: o.Window, texts: o.Texts, actions: o.Actions, hide: o.Hide, quit: o.Quit, copy: o.Copy,
	}
	w.win.SetTitle(w.texts.Get("app.name"))
	w.win.SetIcon(Icon("moorage"))
	w.win.SetContent(w.build())
	w.win.Resize(fyne.NewSize(940, 640))
	w.win.SetCloseIntercept(w.hide)
	w.win.Canvas().SetOnTypedKey(w.typed)
	for _, key := range []fyne.KeyName{
		fyne.KeyN, fyne.KeyF, fyne.KeyR, fyne.KeyO, fyne.KeyM, fyne.KeyW, fyne.KeyQ,
	} {
		s := &desktop.CustomShortcut{KeyName: key, Modifier: fyne.KeyModifierShortcutDefault}
		w.win.Canvas().AddShortcut(s, w.shortcut)
	}
	return w
}

func (w *Window) build() fyne.CanvasObject {
	title := widget.NewLabelWithStyle(w.texts.Get("app.drives"), fyne.TextAlignLeading, fyne.TextStyle{Bold: true})
	title.SizeName = theme.SizeNameHeadingText
	w.search = &sheetEntry{escape: w.unsearch, shortcut: w.shortcut}
	w.search.PlaceHolder = w.texts.Get("search.placeholder")
	w.search.Icon = theme.SearchIcon()
	w.search.OnChanged = func(string) { w.arrange() }
	w.search.ExtendBaseWidget(w.search)
	w.search.Hide()
	add := widget.NewButtonWithIcon(w.texts.Get("do.add"), theme.ContentAddIcon(), w.Add)
	add.Importance = widget.HighImportance
	w.header = container.New(layout.NewCustomPaddedLayout(6, 2, 12, 12),
		container.NewBorder(nil, nil, container.NewHBox(container.NewCenter(picture("moorage", 36)), title),
			container.NewCenter(add),
			container.New(layout.NewCustomPaddedLayout(0, 0, 20, 12),
				container.NewVBox(layout.NewSpacer(), w.search, layout.NewSpacer()))))

	w.banner = newNoticeBox(false, w.Do)
	w.list = newDriveList(w.Do, w.choose, w.typed)
	w.none = widget.NewLabelWithStyle("", fyne.TextAlignCenter, fyne.TextStyle{Italic: true})
	w.none.Hide()
	w.empty = w.welcome()
	w.footer = caption()

	w.detail = newDetailPane(w.texts, w.Do)
	w.split = container.New(columns{0.54}, container.NewStack(
		container.New(layout.NewCustomPaddedLayout(0, 4, 11, 0), w.list.withoutMarks()), container.NewCenter(w.none)),
		container.New(layout.NewCustomPaddedLayout(4, 8, 0, 12), w.detail.root))
	w.split.Hide()

	w.top = container.NewVBox(w.header, container.New(layout.NewCustomPaddedLayout(0, 4, 12, 12), w.banner))
	return container.NewBorder(w.top,
		container.New(layout.NewCustomPaddedLayout(-6, -4, 8, 12), w.footer),
		nil, nil, container.NewStack(w.split, w.empty))
}

// welcome is what a window without drives says.
func (w *Window) welcome() *fyne.Container {
	title := widget.NewLabelWithStyle(w.texts.Get("empty.title"), fyne.TextAlignCenter, fyne.TextStyle{Bold: true})
	title.SizeName = theme.SizeNameSubHeadingText
	text := widget.NewLabelWithStyle(w.texts.Get("empty.text"), fyne.TextAlignCenter, fyne.TextStyle{})
	text.Wrapping = fyne.TextWrapWord
	add := widget.NewButtonWithIcon(w.texts.Get("do.add"), theme.ContentAddIcon(), w.Add)
	add.Importance = widget.HighImportance
	return container.NewCenter(container.NewVBox(
		picture("moorage", 96), title,
		container.NewGridWrap(fyne.NewSize(380, 60), text),
		container.NewCenter(add)))
}

// Show draws v, and only what differs from before.
func (w *Window) Show(v model.View) {
	changed := v.Banner != w.view.Banner
	w.view = v
	if changed {
		w.banner.set(v.Banner)
		w.top.Refresh()
	}
	if w.footer.Text != v.Summary {
		w.footer.SetText(v.Summary)
	}
	w.arrange()
	if !slices.ContainsFunc(v.Rows, func(r model.Row) bool { return r.Name == w.last }) {
		first := ""
		if len(v.Rows) > 0 {
			first = v.Rows[0].Name
		}
		w.choose(first)
	}
	w.detail.set(v.Detail)
	w.await()
}

// choose makes the pane show a drive.
func (w *Window) choose(drive string) {
	if w.last != drive {
		w.last = drive
		w.actions.Watch(drive)
	}
	w.list.show(w.list.rows, drive)
}

// arrange puts the rows that match the search into the list.
func (w *Window) arrange() {
	if many := len(w.view.Rows) >= searchFrom; many != w.search.Visible() {
		w.search.Text = ""
		show(w.search, many)
		w.header.Refresh()
	}
	rows := w.shown()
	w.list.show(rows, w.last)
	show(w.empty, len(w.view.Rows) == 0 && w.view.Banner.What == "")
	show(w.split, len(w.view.Rows) > 0)
	nothing := len(rows) == 0 && len(w.view.Rows) > 0
	if nothing {
		w.none.SetText(w.texts.Get("search.none", w.search.Text))
	}
	show(w.none, nothing)
}

func show(o fyne.CanvasObject, visible bool) {
	if visible {
		o.Show()
	} else {
		o.Hide()
	}
}

func (w *Window) shown() []model.Row { return model.Filter(w.view.Rows, w.search.Text) }

func (w *Window) unsearch() {
	w.search.SetText("")
	w.win.Canvas().Unfocus()
}

// Do does an action from a button, a menu or the tray; it asks first where
// something would be lost.
func (w *Window) Do(a model.Action) {
	t := w.texts
	switch a.Verb {
	case "":
	case model.SignIn:
		w.open(func() *sheet {
			return newSecretSheet(w.win.Canvas(), t, a.Drive, w.actions.SetSecret, w.closed).sheet
		})
	case model.Force:
		w.question(t.Get("force.title", a.Drive), t.Get("force.text"), t.Get("force.yes"), a)
	case model.Remove:
		w.question(t.Get("remove.title", a.Drive), t.Get("remove.text"), t.Get("remove.yes"), a)
	case model.Edit:
		w.edit(a.Drive)
	case model.Copy:
		for _, r := range w.view.Rows {
			if r.Name == a.Drive {
				w.copy(r.Address)
			}
		}
	case model.Reveal:
		w.reveal(a.Drive)
	case model.Add:
		w.Add()
	case model.Quit:
		w.quit()
	default:
		w.actions.Do(a.Verb, a.Drive)
	}
}

// Add opens the sheet for a new drive.
func (w *Window) Add() {
	w.open(func() *sheet {
		known := w.view.Rows
		added := func() { w.reveals(known) }
		return newAddSheet(w.win.Canvas(), w.texts, w.actions.Add, added, w.closed).sheet
	})
}

func (w *Window) edit(drive string) {
	for _, r := range w.view.Rows {
		if r.Name == drive {
			w.open(func() *sheet { return newEditSheet(w.win.Canvas(), w.texts, r, w.actions.Edit, w.closed).sheet })
		}
	}
}

func (w *Window) question(title, text, yes string, a model.Action) {
	w.open(func() *sheet {
		return newQuestion(w.win.Canvas(), title, text, yes, w.texts.Get("no"),
			func() { w.actions.Do(a.Verb, a.Drive) }, w.closed)
	})
}

// reveals brings the first drive that is not among known into view, as soon as
// there is one: it may have been told already, or may be on its way.
func (w *Window) reveals(known []model.Row) {
	w.awaited = func() bool {
		for _, r := range w.view.Rows {
			if !slices.ContainsFunc(known, func(k model.Row) bool { return k.Name == r.Name }) {
				return w.reveal(r.Name)
			}
		}
		return false
	}
}

// await does what waits for a drive or for the end of a sheet.
func (w *Window) await() {
	if w.awaited != nil && w.awaited() {
		w.awaited = nil
	}
}

// Tell says something that needs no answer, then calls done. It takes the
// place of a sheet that is open.
func (w *Window) Tell(title, text string, done func()) {
	if w.sheet != nil {
		w.sheet.close()
	}
	w.open(func() *sheet {
		return newMessage(w.win.Canvas(), title, text, w.texts.Get("do.understood"), func() {
			w.closed()
			done()
		})
	})
}

// open shows a sheet, unless there is one.
func (w *Window) open(sheet func() *sheet) {
	if w.sheet == nil {
		w.sheet = sheet()
	}
}

func (w *Window) closed() {
	w.sheet = nil
	w.await()
}

// reveal scrolls to a drive and gives it the keyboard. It returns false while
// a sheet is open or there is no such drive.
func (w *Window) reveal(drive string) bool {
	if w.sheet != nil {
		return false
	}
	if !slices.ContainsFunc(w.shown(), func(r model.Row) bool { return r.Name == drive }) {
		w.search.SetText("")
	}
	i := w.list.index(drive)
	if i < 0 {
		return false
	}
	w.choose(drive)
	w.win.Canvas().Focus(w.list)
	w.list.ScrollTo(i)
	return true
}
