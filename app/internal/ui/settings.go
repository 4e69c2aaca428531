package ui

import (
	"image/color"
	"reflect"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/layout"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/assets"
	"github.com/moorage/moorage/daemon/api"
)

// SetupActions change how the service is set up. They return at once; done is called
// from any goroutine with nil, or with what to tell the person.
type SetupActions interface {
	EditSettings(e api.EditSettings, done func(*api.Problem))
	ForgetSecret(id string, done func(*api.Problem))
	Unlock(passphrase string, done func(*api.Problem)) // "": the keyring
	CreateSecretFile(passphrase string, done func(*api.Problem))
	ChangePassphrase(old, passphrase string, done func(*api.Problem))
}

// Preferences are what this app keeps for itself.
type Preferences struct {
	Look        Look // that of now
	SetLook     func(Look)
	Language    string // as assets.Languages; "": that of the system
	SetLanguage func(string)
}

// The sections of the settings, in their order.
const (
	sectionGeneral = iota
	sectionCache
	sectionNetwork
	sectionAccounts
	sectionAbout
)

// Sizes of the settings.
const (
	settingsWidth  = 720
	settingsHeight = 400 // of a section
	settingsNav    = 150
)

// settingsSheet shows how the app and the service are set up.
type settingsSheet struct {
	*sheet
	texts    assets.Texts
	edit     func(e api.EditSettings, done func(*api.Problem))
	nav      []*navButton
	sections []*fyne.Container
	settings model.Settings
	told     bool // settings were told
	closed   bool

	app, service           *switchLine
	version, running, used *fact
	absent                 []*widget.Label
	places                 *fyne.Container // around mount
	mount                  *textLine
	place                  *textLine
	limit                  *choiceLine
	later                  *widget.Label
	upload, download       *choiceLine
	proxy                  *proxyLine
	accounts               *accountsPart
}

// settingsActions is what the settings can have done.
type settingsActions struct {
	do       func(model.Action)
	edit     func(e api.EditSettings, done func(*api.Problem))
	diagnose func()
	forget   func(model.Account)
	prefs    Preferences
}

func newSettingsSheet(c fyne.Canvas, texts assets.Texts, a settingsActions, first int, onClose func()) *settingsSheet {
	s := &settingsSheet{texts: texts, edit: a.edit}
	s.sheet = newSheetOf(settingsWidth, c, texts.Get("settings.title"), func() {
		s.closed = true
		onClose()
	})
	s.show = func(v model.View) { s.set(v.Settings) }
	s.page = true
	s.sections = []*fyne.Container{s.general(a), s.cache(), s.network(), s.accountsOf(a), s.about(a)}

	column := container.New(layout.NewCustomPaddedVBoxLayout(2))
	for i, part := range []struct {
		label string
		icon  fyne.ThemeIconName
	}{
		{"settings.general", theme.IconNameSettings}, {"settings.cache", theme.IconNameStorage},
		{"settings.network", theme.IconNameUpload}, {"accounts.title", theme.IconNameAccount}, {"settings.about", theme.IconNameInfo},
	} {
		b := &navButton{move: func(step int) { s.choose(i+step, true) }}
		b.escape = s.close
		b.Text, b.Icon, b.Alignment = texts.Get(part.label), theme.Icon(part.icon), widget.ButtonAlignLeading
		b.OnTapped = func() { s.choose(i, false) }
		b.ExtendBaseWidget(b)
		s.nav = append(s.nav, b)
		column.Add(b)
	}
	wide := canvas.NewRectangle(color.Transparent)
	wide.SetMinSize(fyne.NewSize(settingsNav, 0))
	left := container.New(layout.NewCustomPaddedLayout(0, 0, theme.InnerPadding(), 4), container.NewStack(wide, column))

	s.scroll = container.NewVScroll(container.NewVBox())
	scale := theme.TextSize() / theme.DefaultTheme().Size(theme.SizeNameText)
	s.scroll.SetMinSize(fyne.NewSize(0, roomFor(c, settingsHeight*scale, 190*scale)))
	done := s.button(texts.Get("settings.done"), widget.HighImportance, s.close)
	s.fill([]fyne.CanvasObject{container.New(layout.NewBorderLayout(nil, nil, left, nil), left, s.scroll)}, // as the keyboard goes
		[]fyne.CanvasObject{layout.NewSpacer(), done}, s.nav[first])
	s.choose(first, true)
	return s
}

// choose brings a section into view.
func (s *settingsSheet) choose(i int, focus bool) {
	i = min(max(i, 0), len(s.nav)-1)
	for n, b := range s.nav {
		b.Importance = widget.LowImportance
		if n == i {
			b.Importance = widget.MediumImportance
		}
		b.Refresh()
	}
	s.tell(nil)
	s.scroll.Content = s.sections[i]
	s.scroll.ScrollToTop()
	s.scroll.Refresh()
	if focus {
		s.canvas.Focus(s.nav[i])
	}
}

// navButton is one of a column of buttons, among which the arrows go up and down.
type navButton struct {
	sheetButton
	move func(step int)
}

func (b *navButton) TypedKey(e *fyne.KeyEvent) {
	switch e.Name {
	case fyne.KeyUp:
		b.move(-1)
	case fyne.KeyDown:
		b.move(1)
	default:
		b.sheetButton.TypedKey(e)
	}
}

func (s *settingsSheet) general(a settingsActions) *fyne.Container {
	t := s.texts
	app, service := s.check(t.Get("settings.app")), s.check(t.Get("settings.service"))
	s.app, s.service = newSwitchLineOf(&app.Check, app, a.do), newSwitchLineOf(&service.Check, service, a.do)

	looks := container.NewGridWithColumns(3)
	var buttons []*sheetButton
	choose := func(l Look) {
		for i, b := range buttons {
			b.Importance, b.Icon = widget.MediumImportance, nil
			if lookOrder[i] == l {
				b.Icon = theme.ConfirmIcon() // told by a shape as well as by a colour
				b.Importance = widget.HighImportance
			}
			b.Refresh()
		}
	}
	for _, l := range lookOrder {
		b := s.button(t.Get("settings.look."+string(l)), widget.MediumImportance, func() {
			choose(l)
			a.prefs.SetLook(l)
		})
		buttons = append(buttons, b)
		looks.Add(b)
	}
	choose(a.prefs.Look)

	s.places = container.NewVBox()
	s.mount = s.text(func(dir string) api.EditSettings { return api.EditSettings{MountDir: &dir} })
	s.places.Add(field(t.Get("settings.mount"), t.Get("settings.mount.help"), s.mount.root))
	return container.NewVBox(
		container.New(layout.NewCustomPaddedLayout(-6, 0, 0, 0),
			container.New(layout.NewCustomPaddedVBoxLayout(-8), s.app.root, s.service.root)),
		field(t.Get("settings.look"), "", looks),
		field(t.Get("settings.language"), t.Get("settings.language.help"), s.languages(a.prefs)),
		s.places,
	)
}

// languageNames are what languages are called by those who speak them.
var languageNames = map[string]string{"de": "Deutsch", "en": "English", "es": "Español", "fr": "Français", "ja": "日本語", "zh": "中文"}

func (s *settingsSheet) languages(p Preferences) fyne.CanvasObject {
	names := []string{s.texts.Get("settings.language.system")}
	tags := []string{""}
	now := 0
	for _, tag := range assets.Languages() {
		if tag == p.Language {
			now = len(tags)
		}
		tags, names = append(tags, tag), append(names, languageNames[tag])
	}
	l := s.selection(nil)
	l.Options = names
	l.SetSelectedIndex(now)
	l.OnChanged = func(string) { p.SetLanguage(tags[l.SelectedIndex()]) }
	return l
}

func (s *settingsSheet) cache() *fyne.Container {
	t := s.texts
	s.used = newFact(t.Get("settings.cache.used"))
	s.limit = s.choice(func(n int64) api.EditSettings { return api.EditSettings{CacheLimit: &n} })
	s.place = s.text(func(dir string) api.EditSettings { return api.EditSettings{CacheDir: &dir} })
	s.later = hint("")
	s.later.Importance = widget.WarningImportance
	s.later.Hide()
	return container.NewVBox(s.missing(), s.used.root,
		field(t.Get("settings.cache.limit"), t.Get("settings.cache.limit.help"), s.limit.root),
		field(t.Get("settings.cache.dir"), t.Get("settings.cache.dir.help"), s.place.root),
		s.later)
}

func (s *settingsSheet) network() *fyne.Container {
	t := s.texts
	s.upload = s.choice(func(n int64) api.EditSettings { return api.EditSettings{UploadLimit: &n} })
	s.download = s.choice(func(n int64) api.EditSettings { return api.EditSettings{DownloadLimit: &n} })
	s.proxy = s.proxyOf()
	return container.NewVBox(s.missing(),
		field(t.Get("settings.upload"), "", s.upload.root),
		field(t.Get("settings.download"), t.Get("settings.limits.help"), s.download.root),
		field(t.Get("settings.proxy"), t.Get("settings.proxy.help"), s.proxy.root))
}

func (s *settingsSheet) accountsOf(a settingsActions) *fyne.Container {
	s.accounts = newAccountsPart(s.sheet, s.texts, a.do, a.forget)
	return container.NewVBox(s.missing(), s.accounts.root)
}

func (s *settingsSheet) about(a settingsActions) *fyne.Container {
	t := s.texts
	s.version, s.running = newFact(t.Get("settings.version")), newFact(t.Get("settings.service.name"))
	licence := newFact(t.Get("settings.licence"))
	licence.set(t.Get("settings.licence.name"))
	align(s.version, s.running, licence)
	save := s.button(t.Get("settings.diagnostics"), widget.MediumImportance, a.diagnose)
	return container.NewVBox(
		container.New(layout.NewCustomPaddedVBoxLayout(-6), s.version.root, s.running.root, licence.root),
		inset(container.NewHBox(save)),
		container.New(layout.NewCustomPaddedLayout(-8, 0, 0, 0), hint(t.Get("settings.diagnostics.help"))),
	)
}

// missing says that the service does not answer, in a section that needs it.
func (s *settingsSheet) missing() *widget.Label {
	l := hint("")
	l.Hide()
	s.absent = append(s.absent, l)
	return l
}

// change has a setting changed, and calls back with whether it is.
func (s *settingsSheet) change(e api.EditSettings, back func(ok bool)) {
	s.tell(nil)
	s.edit(e, func(p *api.Problem) {
		fyne.Do(func() {
			if s.closed {
				return
			}
			back(p == nil)
			if p != nil {
				s.tell(p)
			}
		})
	})
}

func heading(text string) *widget.Label {
	return widget.NewLabelWithStyle(text, fyne.TextAlignLeading, fyne.TextStyle{Bold: true})
}

func (s *settingsSheet) set(v model.Settings) {
	if s.told && reflect.DeepEqual(v, s.settings) {
		return
	}
	if v.Trouble != s.settings.Trouble {
		s.trouble.set(v.Trouble)
	}
	s.settings, s.told = v, true
	s.app.set(v.App)
	s.service.set(v.Service)
	s.version.set(v.Version)
	s.running.set(v.Running)
	for _, l := range s.absent {
		l.SetText(v.Absent)
		show(l, v.Absent != "")
	}
	show(s.places, !v.Known || v.Wire.MountDir != "") // elsewhere drives get letters
	s.mount.set(v.Wire.MountDir, v.Wire.MountDefault, v.Known && v.Wire.MountDir != "")
	s.used.set(v.Used)
	s.limit.set(v.Caches, v.Wire.CacheLimit, v.Known)
	s.place.set(v.Wire.CacheDir, v.Wire.CacheDefault, v.Known)
	s.later.SetText(v.Later)
	show(s.later, v.Later != "")
	s.upload.set(v.Uploads, v.Wire.UploadLimit, v.Known)
	s.download.set(v.Received, v.Wire.DownloadLimit, v.Known)
	s.proxy.set(v.Wire.Proxy, v.Known)
	s.accounts.set(v.Accounts, v.Known)
	s.fit()
}
