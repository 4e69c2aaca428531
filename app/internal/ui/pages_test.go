package ui

import (
	"errors"
	"strings"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"
	"fyne.io/fyne/v2/theme"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/daemon/api"
)

var variants = map[string]fyne.ThemeVariant{"light": theme.VariantLight, "dark": theme.VariantDark}

// with shows the drives, and what f has told the model besides.
func (f *fixture) with(change func(*model.Model), list ...api.Drive) {
	f.t.Helper()
	m := model.New(f.texts, "/home/ann")
	m.Opened()
	for _, d := range list {
		m.Apply(api.Event{Kind: api.DriveChanged, Drive: &d})
	}
	m.Apply(api.Event{Kind: api.Ready})
	change(m)
	f.ui.Show(m.View(noon))
}

var report = []api.Check{
	{ID: "service", Name: "service", State: api.CheckOK, Detail: "It runs, version v0.4.0."},
	{ID: "nfs-client", Name: "NFS client", State: api.CheckOK, Detail: "The kernel has one."},
	{ID: "mount", Name: "right to mount", State: api.CheckBad, Detail: "The mount helper is not installed.",
		Remedy: "Install the package moorage again, or ask who looks after this computer."},
	{ID: "login", Name: "login", State: api.CheckNote, Detail: "The service is started when it is first used.",
		Remedy: "For drives that are there at login: moorage service install", Fix: "login"},
	{ID: "folders", Name: "folders", State: api.CheckOK, Detail: "They are yours alone.", Done: "The mode of /home/ann/.cache/moorage was changed to 0700."},
	{ID: "drive:photos:remote", Name: "photos: remote", State: api.CheckOK, Detail: "It answered after 24 ms."},
	{ID: "drive:nas:remote", Name: "nas: remote", State: api.CheckBad, Detail: "sftp://nas.local/photos cannot be reached: no route to host.",
		Remedy: "See whether this computer is in the network of nas.local."},
}

func TestDoctorSheet(t *testing.T) {
	for name, v := range variants {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, v)
			f.show(drives()...)
			f.ctrl(fyne.KeyD)
			f.calls("doctor ")
			f.with(func(m *model.Model) { m.Examining() }, drives()...)
			if !f.reads("Looking at this computer and its drives…") {
				t.Error("nothing says that it is under way")
			}
			f.shoot("doctor-running-" + name)
			f.with(func(m *model.Model) { m.Examined(report) }, drives()...)
			f.shoot("doctor-" + name)
			for _, text := range []string{"2 things need you.", "Right to mount", "The mount helper is not installed.",
				"For drives that are there at login: moorage service install"} {
				if !f.reads(text) {
					t.Errorf("%q is not told", text)
				}
			}
			f.win.Canvas().Focus(f.ui.sheet.buttons.Objects[3].(fyne.Focusable))
			f.key(fyne.KeyPageDown)
			if f.ui.sheet.scroll.Offset.Y <= 0 {
				t.Error("the keyboard does not scroll")
			}
			for range 3 {
				f.key(fyne.KeyUp)
				f.key(fyne.KeyPageUp)
			}
			if f.ui.sheet.scroll.Offset.Y != 0 {
				t.Error("the keyboard does not scroll back")
			}
			f.press("Fix")
			f.calls("treat login")
			f.press("Copy report")
			if !strings.Contains(f.service.copied, "bad\tright to mount: The mount helper is not installed.") {
				t.Errorf("copied %q", f.service.copied)
			}
			f.press("Look again")
			f.calls("doctor ")
			f.with(func(m *model.Model) { m.Examined(report[:2]) }, drives()...)
			if !f.reads("All is well.") || f.reads("Right to mount") {
				t.Error("what is over is still told")
			}
			f.key(fyne.KeyEscape)
			if f.open() {
				t.Error("the sheet is still open")
			}
		})
	}
}

func TestBannerLeadsToTheDoctor(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.with(func(m *model.Model) { m.Lost(api.Problem{What: "The service is gone."}) }, drives()...)
	f.press("Find out why…")
	f.calls("doctor ")
}

func TestSettingsSheet(t *testing.T) {
	for name, v := range variants {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, v)
			f.show(drives()...)
			f.ctrl(fyne.KeyComma)
			f.calls("settings ")
			set := model.Setup{Version: "v0.4.0", AppCan: true, AppOn: true, ServiceCan: true, Service: &api.Service{Version: "v0.4.1"}}
			f.with(func(m *model.Model) { m.SetUp(set, nil) }, drives()...)
			f.shoot("settings-" + name)
			f.press("About")
			if !f.reads("v0.4.0") || !f.reads("v0.4.1") || !f.reads("BSD 3-Clause") {
				t.Error("the versions are not told")
			}
			f.press("General")
			c := f.sheetChecks()
			if len(c) != 2 || !c[0].Checked || c[1].Checked {
				t.Fatalf("%d switches", len(c))
			}
			test.Tap(c[0])
			f.calls("app-at-login ")
			test.Tap(c[1])
			f.calls("service-at-login ")
			f.press("Dark")
			f.calls("look dark")
			f.with(func(m *model.Model) {
				m.SetUp(set, &api.Problem{What: "The setting could not be changed: no manager.", Do: "Try again; the Doctor may know more."})
			}, drives()...)
			f.shoot("settings-refused-" + name)
			if !f.reads("The setting could not be changed: no manager.") {
				t.Error("the refusal is not told")
			}
			f.win.Canvas().Focus(c[0])
			f.key(fyne.KeyEscape)
			if f.open() {
				t.Error("the sheet is still open")
			}
		})
	}
}

func TestBundleIsShownBeforeItIsSaved(t *testing.T) {
	for name, v := range variants {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, v)
			f.show(drives()...)
			f.service.bundle = model.Bundle{Made: noon, Files: []model.BundleFile{
				{Name: "about.txt", Text: "made\t2026-03-05T12:30:00Z\napp\tv0.4.0\nsystem\tlinux amd64\n"},
				{Name: "service.log", Text: strings.Repeat("time=2026-03-05T12:30:00Z level=INFO msg=\"mounted\" drive=photos dir=/home/ann/Moorage/photos\n", 40)},
			}}
			f.ui.Do(model.Action{Verb: model.Preferences})
			f.press("About")
			f.press("Save diagnostics…")
			if !f.reads("made    2026-03-05T12:30:00Z\napp    v0.4.0\nsystem    linux amd64\n") {
				t.Error("the first file is not shown")
			}
			f.shoot("bundle-" + name)
			for _, o := range seen(f.top()) {
				if l, ok := o.(*sheetSelect); ok {
					l.SetSelected("service.log")
				}
			}
			if !f.reads(f.service.bundle.Files[1].Text) {
				t.Error("the log is not shown")
			}
			f.shoot("bundle-log-" + name)
			f.service.full = errors.New("no space")
			f.press("Save…")
			f.calls("save moorage-20260305-123000.zip")
			if !f.reads("It could not be saved: no space.") {
				t.Error("the failure is not told")
			}
			f.service.full = nil
			f.press("Save…")
			if !f.reads("Saved as /home/ann/moorage-20260305-123000.zip.") {
				t.Error("the place is not told")
			}
			f.shoot("bundle-saved-" + name)
		})
	}
}

func TestQuitWithoutUploadsAsksNothing(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show(drives()[0])
	f.ctrl(fyne.KeyQ)
	f.calls("quit")
}

func TestQuitAsksWhileUploadsWait(t *testing.T) {
	for name, v := range variants {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, v)
			f.show(drives()...)
			f.ui.Add() // gives way
			f.ctrl(fyne.KeyQ)
			f.calls("")
			f.shoot("quit-" + name)
			if !f.reads("12 files are not on their remotes yet, 12.4 MB.") {
				t.Error("what waits is not told")
			}
			f.press("Cancel")
			f.calls("")
			f.ui.Do(model.Action{Verb: model.Quit})
			f.press("Keep uploading in the background")
			f.calls("quit")
			f.service.note("asked again")
			f.ctrl(fyne.KeyQ)
			f.press("Cancel")

			f.ctrl(fyne.KeyQ)
			f.press("Quit when all is uploaded")
			f.shoot("quit-after-" + name)
			f.calls("asked again")
			list := drives()
			list[5].Pending = api.Pending{Files: 1, Bytes: 1000}
			f.show(list...)
			f.calls("asked again")
			if !f.reads("1 file is not on its remote yet, 1.0 kB.") {
				t.Error("the count does not go down")
			}
			list[5].Pending = api.Pending{}
			f.show(list...)
			f.calls("quit")
		})
	}
}

func TestQuitStopsTheService(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show(drives()...)
	f.ctrl(fyne.KeyQ)
	f.service.refuse = &api.Problem{Code: api.CodeBusy, What: "The drive nas is in use.", Do: "Close its files."}
	f.press("Stop now, go on next time")
	if !f.reads("The drive nas is in use.") {
		t.Error("the refusal is not told")
	}
	f.shoot("quit-refused-light")
	f.calls("stop")
	f.service.refuse = nil
	f.service.hold = true
	f.press("Stop now, go on next time")
	f.shoot("quit-stopping-light")
	f.calls("stop")
	f.service.held(nil)
	f.calls("quit")
}

func TestLookOfThePersonsOwn(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show(drives()...)
	a := fyne.CurrentApp()
	a.Settings().SetTheme(NewTheme(LookDark))
	f.shoot("look-changed")
	dark := paint(theme.ColorNameBackground)
	a.Settings().SetTheme(NewTheme(LookLight))
	if light := paint(theme.ColorNameBackground); light == dark {
		t.Errorf("both are %v", light)
	}
}

// TestSheetsInASmallWindow: they keep their buttons in it.
func TestSheetsInASmallWindow(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.win.Resize(fyne.NewSize(700, 480))
	for name, verb := range map[string]model.Verb{"doctor": model.Examine, "settings": model.Preferences, "quit": model.Quit} {
		f.show(drives()...)
		f.ui.Do(model.Action{Verb: verb})
		f.with(func(m *model.Model) {
			m.Examined(report)
			m.SetUp(model.Setup{Version: "v0.4.0"}, nil)
		}, drives()...)
		f.shoot("small-" + name)
		if got, room := f.ui.sheet.popup.Content.MinSize(), f.win.Canvas().Size(); got.Height > room.Height || got.Width > room.Width {
			t.Errorf("%s is %v, and the window %v", name, got, room)
		}
		f.ui.sheet.close()
	}
}

// TestPagesGiveWay: what the tray asks for is shown, but not in place of something
// that is being entered.
func TestPagesGiveWay(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show(drives()...)
	f.ui.Do(model.Action{Verb: model.Preferences})
	f.ui.Do(model.Action{Verb: model.Examine})
	f.calls("doctor ")
	if !f.reads("Doctor") || f.reads("Settings") {
		t.Error("the doctor is not in view")
	}
	f.ui.Do(model.Action{Verb: model.Preferences})
	if !f.reads("Settings") || len(f.win.Canvas().Overlays().List()) != 1 {
		t.Error("the settings are not in view")
	}
	f.key(fyne.KeyEscape)
	f.ui.Add()
	f.enter("https://example.org/x")
	f.ui.Do(model.Action{Verb: model.Preferences})
	if f.reads("Settings") {
		t.Error("what was being entered is gone")
	}
}

func TestMenuOfTheApp(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show(drives()...)
	test.Tap(f.ui.more)
	f.shoot("app-menu-light")
	if !f.open() {
		t.Error("no menu")
	}
}
