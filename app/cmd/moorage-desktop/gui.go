package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/app"
	"fyne.io/fyne/v2/dialog"
	fynedesktop "fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/lang"
	"fyne.io/fyne/v2/storage"
	"fyne.io/systray"

	"github.com/moorage/moorage/app/internal/desktop"
	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/app/internal/tray"
	"github.com/moorage/moorage/app/internal/ui"
	"github.com/moorage/moorage/assets"
)

// appID names the app to the desktop.
const appID = "org.moorage.Moorage"

// toldNoTray is the preference that remembers that a person was told that
// there is no tray.
const toldNoTray = "told-no-tray"

// lookKey is the preference that keeps the ui.Look.
const lookKey = "look"

// gui is the toolkit's app with its one window and its tray.
type gui struct {
	app        fyne.App
	window     fyne.Window
	ui         *ui.Window
	texts      assets.Texts
	controller *desktop.Controller
	raised     <-chan struct{}
	session    *tray.Desktop // nil: none to put a tray into
	tray       *tray.Tray    // nil without a session
	ending     atomic.Bool   // nothing is drawn any more
	hidden     bool          // the window; nothing is drawn into it
	behind     bool          // it shows what was when it was hidden
	news       chan model.News
	log        *slog.Logger
	stop       chan struct{}
	wg         sync.WaitGroup
}

// languageKey is the preference that keeps the language of the next start; "" is that
// of the system.
const languageKey = "language"

// toolkit is what there is before texts.
type toolkit struct {
	app     fyne.App
	session *tray.Desktop // nil: none to put a tray into
}

func newToolkit(log *slog.Logger) toolkit {
	session, err := tray.Connect(context.Background())
	if err != nil {
		log.Info("no tray", "err", err)
		// Asked for the desktop's colours, the toolkit would start a bus of its
		// own that nobody ends. This is the address of none.
		if err := os.Setenv("DBUS_SESSION_BUS_ADDRESS", "disabled:"); err != nil {
			log.Warn("a session bus may be left behind", "err", err)
		}
	}
	app.SetMetadata(fyne.AppMetadata{
		ID: appID, Name: "Moorage", Icon: ui.Icon("moorage"),
		// All that comes from a goroutine of ours goes through fyne.Do.
		Migrations: map[string]bool{"fyneDo": true},
	})
	return toolkit{app.NewWithID(appID), session}
}

// language is the one to start in, a locale.
func (k toolkit) language() string {
	if l := k.app.Preferences().String(languageKey); l != "" {
		return l
	}
	return lang.SystemLocale().String()
}

func newGUI(k toolkit, texts assets.Texts, c *desktop.Controller, raised <-chan struct{}, log *slog.Logger) *gui {
	g := &gui{
		app: k.app, texts: texts, controller: c, raised: raised,
		session: k.session, stop: make(chan struct{}),
		news: make(chan model.News, 16), log: log,
	}
	look := ui.Look(g.app.Preferences().StringWithFallback(lookKey, string(ui.LookOfDesktop)))
	g.app.Settings().SetTheme(ui.NewTheme(look))
	g.window = g.app.NewWindow(texts.Get("app.name"))
	g.ui = ui.New(ui.Options{
		Window: g.window, Texts: texts, Actions: c, Prospects: c, Times: c, Clock: time.Now, Visit: g.visit,
		Hide: g.hide, Quit: g.quit, Copy: g.app.Clipboard().SetContent,
		Look: look, SetLook: g.setLook, Save: g.save, Setup: c,
		Language:    g.app.Preferences().String(languageKey),
		SetLanguage: func(l string) { g.app.Preferences().SetString(languageKey, l) },
	})
	if desk, ok := g.app.(fynedesktop.App); ok && g.session != nil {
		g.tray = tray.New(&trayHost{desk: desk, do: g.fromTray, log: log})
	}
	return g
}

// run shows the app until it is quit.
func (g *gui) run(hidden bool) {
	if g.tray != nil {
		// The toolkit takes up a tray that has a menu by now, and no later one.
		g.tray.Show(g.controller.View().Tray)
		systray.SetOnTapped(func() { g.draw(g.show) })
	}
	told := make(chan struct{})
	g.app.Lifecycle().SetOnStarted(func() {
		g.wg.Go(g.follow)
		go func() {
			defer close(told)
			g.notify()
		}()
	})
	g.ui.Show(g.controller.View())
	if g.hidden = hidden; !hidden {
		g.window.Show()
	}
	g.app.Run()
	close(g.stop)
	g.wg.Wait()
	select {
	case <-told:
	case <-time.After(notifyTimeout):
	}
	if g.session != nil {
		g.session.Close()
	}
}

// follow draws what changes, until the app is quit.
func (g *gui) follow() {
	for {
		select {
		case <-g.controller.Changes():
			v := g.controller.View()
			for _, n := range g.controller.News() {
				select {
				case g.news <- n:
				default:
					g.log.Warn("a notification is left out", "title", n.Title)
				}
			}
			g.draw(func() {
				if g.behind = g.hidden && !g.ui.Leaving(); !g.behind {
					g.ui.Show(v)
				}
				if g.tray != nil {
					g.tray.Show(v.Tray)
				}
			})
		case <-g.raised:
			g.draw(g.show)
		case <-g.stop:
			return
		}
	}
}

// notifyTimeout is how long the end of the app waits for a desktop that does not
// take a notification.
const notifyTimeout = time.Second

// notify sends notifications until the app is quit. The toolkit asks the desktop
// without a time-out, so that nobody else may do it.
func (g *gui) notify() {
	for {
		select {
		case n := <-g.news:
			n = n.Plain()
			g.app.SendNotification(fyne.NewNotification(n.Title, n.Text))
		case <-g.stop:
			return
		}
	}
}

// draw calls f in the goroutine of the toolkit, unless the app is about to end:
// the toolkit then calls what it is given in any goroutine, without its window.
func (g *gui) draw(f func()) {
	fyne.Do(func() {
		if !g.ending.Load() {
			f()
		}
	})
}

func (g *gui) quit() {
	g.ending.Store(true)
	g.app.Quit()
}

func (g *gui) setLook(l ui.Look) {
	g.app.Preferences().SetString(lookKey, string(l))
	g.app.Settings().SetTheme(ui.NewTheme(l))
}

// visit opens a web page in the person's browser.
func (g *gui) visit(address string) error {
	u, err := url.Parse(address)
	if err == nil {
		err = g.app.OpenURL(u)
	}
	if err != nil {
		g.log.Warn("open the browser", "address", address, "err", err)
	}
	return err
}

// save lets the person choose a place for a file. The place may be slow, so that
// nothing waits for it.
func (g *gui) save(name string, write func(io.Writer) error, done func(place string, err error)) {
	d := dialog.NewFileSave(func(f fyne.URIWriteCloser, err error) {
		if f == nil {
			done("", err)
			return
		}
		g.wg.Go(func() {
			err := errors.Join(write(f), f.Close())
			done(f.URI().Path(), err)
		})
	}, g.window)
	d.SetFileName(name)
	d.SetFilter(storage.NewExtensionFileFilter([]string{".zip"}))
	d.Show()
	d.Resize(fyne.NewSize(760, 520))
}

// catchUp has the window show what is. It is not done while the window is hidden,
// for whose widgets the toolkit takes memory and gives none back.
func (g *gui) catchUp() {
	if g.behind {
		g.behind = false
		g.ui.Show(g.controller.View())
	}
}

func (g *gui) show() {
	g.hidden = false
	g.catchUp()
	g.window.Show()
	g.window.RequestFocus()
}

// hide is for the person who closes the window: the app goes on in the tray,
// or ends where there is none to come back from.
func (g *gui) hide() {
	if g.session != nil && g.session.ShowsTray() {
		g.hidden = true
		g.window.Hide()
		return
	}
	if g.app.Preferences().Bool(toldNoTray) {
		g.quit()
		return
	}
	g.app.Preferences().SetBool(toldNoTray, true)
	g.ui.Tell(g.texts.Get("tray.missing.title"), g.texts.Get("tray.missing.text"), g.quit)
}

// fromTray does what was chosen in the tray's menu; what needs the window
// opens it.
func (g *gui) fromTray(i model.TrayItem) {
	g.catchUp() // what is asked may depend on it
	switch i.Verb {
	case model.Window, model.Add, model.Reveal, model.SignIn, model.Examine, model.Preferences, model.Secrets:
		g.show()
	case model.Quit:
		if g.ui.Quit() {
			g.show() // it asks
		}
		return
	}
	if i.Verb != model.Window {
		g.ui.Do(model.Action{Verb: i.Verb, Drive: i.Drive, Label: i.Label})
	}
}

// trayHost is the toolkit's tray. An icon has to be there before the menu, or
// the toolkit takes one of its own.
type trayHost struct {
	desk fynedesktop.App
	do   func(model.TrayItem)
	log  *slog.Logger
	menu *fyne.Menu
	gone bool // the desktop's session has ended
}

var _ tray.Host = (*trayHost)(nil)

func (h *trayHost) SetIcon(l model.Light) {
	// The toolkit panics when the session bus has gone, as it may at any
	// moment; the window goes on without it.
	defer func() {
		if p := recover(); p != nil {
			h.gone = true
			h.log.Warn("the tray has gone", "panic", p)
		}
	}()
	if icon := ui.Icon("tray-" + string(l)); icon != nil && !h.gone {
		h.desk.SetSystemTrayIcon(icon)
	}
}

func (h *trayHost) SetTooltip(text string) {
	if !h.gone {
		systray.SetTooltip(text)
	}
}

func (h *trayHost) SetMenu(items []model.TrayItem) {
	if h.gone {
		return
	}
	list := make([]*fyne.MenuItem, 0, len(items))
	for _, i := range items {
		if i.Label == "" {
			list = append(list, fyne.NewMenuItemSeparator())
			continue
		}
		item := fyne.NewMenuItem(i.Label, func() { h.do(i) })
		item.Checked = i.Checked
		item.IsQuit = i.Verb == model.Quit // else the toolkit adds its own
		list = append(list, item)
	}
	if h.menu == nil {
		h.menu = fyne.NewMenu("", list...)
		h.desk.SetSystemTrayMenu(h.menu)
		return
	}
	h.menu.Items = list
	h.menu.Refresh()
}
