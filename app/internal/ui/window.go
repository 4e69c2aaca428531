// Package ui draws the window of the app. It shows a model.View and hands what
// a person wants to an Actions; it decides nothing. All of it runs in the
// goroutine of the toolkit.
package ui

import (
	"io"
	"slices"
	"time"

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
	StopService(done func(*api.Problem))
	Diagnose(done func(model.Bundle))
}

// searchFrom is the number of drives from which a search helps.
const searchFrom = 7

// Window is the window with the drives.
type Window struct {
	win     fyne.Window
	texts   assets.Texts
	actions Actions
	times   Times
	now     func() time.Time
	hide    func()
	quit    func()
	copy    func(string)
	save    func(name string, write func(io.Writer) error, done func(place string, err error))
	setLook func(Look)
	setup   SetupActions
	tongue  string       // Options.Language
	speak   func(string) // Options.SetLanguage

	prospects Prospects
	visit     func(address string) error
	adding    *addSheet // in view, or nil

	view   model.View
	root   *fyne.Container
	header *fyne.Container
	list   *driveList
	search *sheetEntry
	banner *noticeBox
	empty  *fyne.Container
	none   *widget.Label
	footer *widget.Label
	sheet  *sheet // in view, or nil
	more   *widget.Button
	look   Look
	last   string // the drive that was selected last, which the pane is about
	detail *detailPane
	split  *fyne.Container

	settled bool        // sheet is that of the settings
	leaving *quitSheet  // in view, or nil
	awaited func() bool // done when true; nil: nothing
}

// Options are what a Window stands on; every field must be set.
type Options struct {
	Window  fyne.Window
	Texts   assets.Texts
	Actions Actions

	Prospects Prospects
	Visit     func(address string) error // opens a web page

	Times   Times
	Clock   func() time.Time
	Hide    func()       // the person closes the window
	Quit    func()       // the person ends the app
	Copy    func(string) // to the clipboard
	Look    Look         // that of now
	SetLook func(Look)   // changes and keeps it
	Setup   SetupActions
	// Language is the one that is kept for the next start, "" for that of the system.
	Language    string
	SetLanguage func(string)
	// Save lets the person choose a place and writes there; done is called from
	// any goroutine, with the place, or "" if the person chose none.
	Save func(name string, write func(io.Writer) error, done func(place string, err error))
}

// New fills a window. It shows no drives before the first Show.
func New(o Options) *Window {
	w := &Window{
		win: o.Window, texts: o.Texts, actions: o.Actions, times: o.Times, now: o.Clock, hide: o.Hide, quit: o.Quit, copy: o.Copy,
		look: o.Look, setLook: o.SetLook, save: o.Save, prospects: o.Prospects, visit: o.Visit, setup: o.Setup, tongue: o.Language, speak: o.SetLanguage,
	}
	w.win.SetTitle(w.texts.Get("app.name"))
	w.win.SetIcon(Icon("moorage"))
	w.win.SetContent(w.build())
	w.win.Resize(fyne.NewSize(940, 640))
	w.win.SetCloseIntercept(w.hide)
	w.win.SetOnDropped(w.dropped)
	w.win.Canvas().SetOnTypedKey(w.typed)
	w.win.Canvas().AddShortcut(&fyne.ShortcutPaste{}, w.paste)
	for _, key := range []fyne.KeyName{
		fyne.KeyN, fyne.KeyF, fyne.KeyR, fyne.KeyO, fyne.KeyM, fyne.KeyW, fyne.KeyQ, fyne.KeyD, fyne.KeyComma,
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
	w.more = widget.NewButtonWithIcon("", theme.MenuIcon(), w.menu)
	w.header = container.New(layout.NewCustomPaddedLayout(6, 2, 12, 12),
		container.NewBorder(nil, nil, container.NewHBox(container.NewCenter(picture("moorage", 36)), title),
			container.NewCenter(container.NewHBox(add, w.more)),
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
		container.New(layout.NewCustomPaddedLayout(0, 4, 11, 0), w.list), container.NewCenter(w.none)),
		container.New(layout.NewCustomPaddedLayout(4, 8, 0, 12), w.detail.root))
	w.split.Hide()

	top := container.NewVBox(w.header, container.New(layout.NewCustomPaddedLayout(0, 4, 12, 12), w.banner))
	w.root = container.NewBorder(top,
		container.New(layout.NewCustomPaddedLayout(-6, -4, 8, 12), w.footer),
		nil, nil, container.NewStack(w.split, w.empty))
	return w.root
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
		for range 2 { // wrapped text knows its height only once it has a width
			w.root.Refresh()
		}
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
	if w.sheet != nil && w.sheet.show != nil {
		w.sheet.show(v)
	}
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
	if text := w.texts.Get("search.none", w.search.Text); nothing && w.none.Text != text {
		w.none.SetText(text)
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
	case model.Revise:
		w.revise(a.Drive)
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
		w.Quit()
	case model.Examine:
		w.doctor()
	case model.Preferences:
		w.settings()
	case model.Secrets:
		w.secrets()
	default:
		w.actions.Do(a.Verb, a.Drive)
	}
}

// Add opens the sheet for a new drive.
func (w *Window) Add() {
	w.open(func() *sheet {
		known := w.view.Rows
		w.adding = newAddSheet(w.win.Canvas(), addOptions{
			texts: w.texts, add: w.actions.Add, prospects: w.prospects, visit: w.visit,
			added: func() { w.reveals(known) }, closed: w.closed,
		})
		return w.adding.sheet
	})
}

// menu shows what can be done with the app as a whole.
func (w *Window) menu() {
	item := func(verb model.Verb, label string, icon fyne.Resource) *fyne.MenuItem {
		return fyne.NewMenuItemWithIcon(w.texts.Get(label), icon, func() { w.Do(model.Action{Verb: verb}) })
	}
	p := w.view.Pause
	pause := fyne.NewMenuItemWithIcon(p.Label, theme.MediaPauseIcon(), func() { w.Do(p) })
	pause.Checked = p.Checked
	showBelow(w.more, w.win.Canvas(), fyne.NewMenu("",
		pause, fyne.NewMenuItemSeparator(), item(model.Preferences, "menu.settings", theme.SettingsIcon()), item(model.Examine, "menu.doctor", theme.SearchIcon()),
		fyne.NewMenuItemSeparator(), item(model.Quit, "menu.quit", theme.LogoutIcon()),
	))
}

// showBelow shows a menu below the button that it belongs to, at whose end it ends.
func showBelow(button *widget.Button, c fyne.Canvas, menu *fyne.Menu) {
	m := widget.NewPopUpMenu(menu, c)
	size := button.Size()
	m.ShowAtRelativePosition(fyne.NewPos(size.Width-m.MinSize().Width, size.Height+theme.Padding()), button)
}

// doctor shows the doctor's report, and has it made.
func (w *Window) doctor() {
	w.turn()
	if w.opens(func() *sheet {
		return newDoctorSheet(w.win.Canvas(), w.texts, w.examine, w.copy, w.closed).sheet
	}) {
		w.actions.Do(model.Examine, "")
	}
}

// turn takes a page away, for another one.
func (w *Window) turn() {
	if w.sheet != nil && w.sheet.page {
		w.sheet.close()
	}
}

func (w *Window) examine(a model.Action) { w.actions.Do(a.Verb, a.Drive) }

func (w *Window) settings() { w.settingsAt(sectionGeneral) }

// settingsAt opens the settings at a section.
func (w *Window) settingsAt(section int) {
	w.turn()
	if w.opens(func() *sheet {
		w.settled = true
		return newSettingsSheet(w.win.Canvas(), w.texts, settingsActions{
			do: w.Do, edit: w.setup.EditSettings, diagnose: w.diagnose, forget: w.forget,
			prefs: Preferences{Look: w.look, SetLook: w.setLooks, Language: w.tongue, SetLanguage: w.setTongue},
		}, section, func() {
			w.settled = false
			w.closed()
		}).sheet
	}) {
		w.actions.Do(model.Preferences, "")
	}
}

// secrets shows where passwords are kept. What is in view comes back afterwards.
func (w *Window) secrets() {
	closed := w.closed
	switch under := w.sheet; {
	case w.settled:
		closed = func() {
			w.closed()
			w.settingsAt(sectionAccounts)
		}
	case under != nil && !under.page: // what was written there stays
		under.popup.Hide()
		w.sheet = nil
		closed = func() {
			w.sheet = under
			under.tell(nil)
		}
	}
	w.turn()
	if w.opens(func() *sheet { return newSecretsSheet(w.win.Canvas(), w.texts, w.setup, closed).sheet }) {
		w.actions.Do(model.Secrets, "")
	}
}

// forget asks before a password is taken away, and comes back to the settings.
func (w *Window) forget(a model.Account) {
	w.turn()
	w.open(func() *sheet {
		return newQuestion(w.win.Canvas(), w.texts.Get("accounts.forget.title", a.Drive), w.texts.Get("accounts.forget.text"),
			w.texts.Get("accounts.forget.yes"), w.texts.Get("no"), func() {
				w.setup.ForgetSecret(a.ID, func(p *api.Problem) {
					fyne.Do(func() {
						if p != nil && w.sheet != nil && w.settled {
							w.sheet.tell(p)
						}
					})
				})
			}, func() {
				w.closed()
				w.settingsAt(sectionAccounts)
			})
	})
}

func (w *Window) setTongue(language string) {
	w.tongue = language
	w.speak(language)
}

func (w *Window) setLooks(l Look) {
	w.look = l
	w.setLook(l)
}

// diagnose takes the place of the settings.
func (w *Window) diagnose() {
	w.turn()
	w.open(func() *sheet {
		return newBundleSheet(w.win.Canvas(), w.texts, w.actions.Diagnose, w.save, w.closed).sheet
	})
}

func (w *Window) edit(drive string) {
	for _, r := range w.view.Rows {
		if r.Name == drive {
			w.open(func() *sheet { return newEditSheet(w.win.Canvas(), w.texts, r, w.actions.Edit, w.closed).sheet })
		}
	}
}

// revise lets a person choose the revision that a drive shows.
func (w *Window) revise(drive string) {
	d, ok := w.times.Drive(drive)
	if !ok {
		return
	}
	w.open(func() *sheet {
		known := w.view.Rows
		return newTimeSheet(w.win.Canvas(), w.texts, d, model.NewTimeline(w.texts, d, w.now), w.times, func() { w.reveals(known) }, w.closed).sheet
	})
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
func (w *Window) open(sheet func() *sheet) { w.opens(sheet) }

// opens is open, and says whether there was none.
func (w *Window) opens(sheet func() *sheet) bool {
	if w.sheet != nil {
		return false
	}
	w.sheet = sheet()
	w.sheet.act = w.Do
	if w.sheet.remedy == nil {
		w.sheet.remedy = func(p api.Problem) model.Action { return model.Remedy(w.texts, p) }
	}
	if w.sheet.show != nil {
		w.sheet.show(w.view)
	}
	return true
}

func (w *Window) closed() {
	w.sheet, w.adding = nil, nil
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
