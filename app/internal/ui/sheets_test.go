package ui

import (
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"
	"fyne.io/fyne/v2/theme"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/daemon/api"
)

// enter types text where the keyboard is.
func (f *fixture) enter(text string) {
	f.t.Helper()
	e, ok := f.win.Canvas().Focused().(*sheetEntry)
	if !ok {
		f.t.Fatalf("the keyboard is on %T", f.win.Canvas().Focused())
	}
	test.Type(e, text)
}

func (f *fixture) open() bool { return f.win.Canvas().Overlays().Top() != nil }

// sheetEntries are the entries of the page in view.
func (f *fixture) sheetEntries() (found []*sheetEntry) {
	for _, o := range seen(f.top()) {
		if e, ok := o.(*sheetEntry); ok {
			found = append(found, e)
		}
	}
	return found
}

func (f *fixture) sheetChecks() (found []*sheetCheck) {
	for _, o := range seen(f.top()) {
		if c, ok := o.(*sheetCheck); ok {
			found = append(found, c)
		}
	}
	return found
}

func TestEscClosesASheetWhereverTheKeyboardIs(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show(drives()...)
	for _, open := range []func(){
		f.ui.Add,
		func() { f.ui.Add(); f.enter("x"); f.press("Next") },
		func() { f.addTo(3, "x") },
		func() { f.addTo(3, "x"); f.win.Canvas().Focus(f.sheetChecks()[1]) },
		func() { f.ui.Do(model.Action{Verb: model.SignIn, Drive: "notes"}) },
		func() { f.ui.Do(model.Action{Verb: model.Remove, Drive: "notes"}) },
	} {
		open()
		if !f.open() {
			t.Fatal("no sheet")
		}
		f.ctrl(fyne.KeyN) // of no effect over a sheet
		f.key(fyne.KeyEscape)
		if f.open() || f.ui.sheet != nil {
			t.Error("the sheet is still open")
		}
	}
	if len(f.service.added) > 0 || f.service.last() != "" {
		t.Errorf("called %q", f.service.calls)
	}
}

func TestNewDriveIsBroughtIntoView(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.win.Resize(fyne.NewSize(680, 400))
	list := drives()
	f.show(list...)
	f.addTo(3, "mem:")
	f.press("Add drive")
	f.show(append(list, api.Drive{Name: "zebra", State: api.Connecting})...)
	if f.win.Canvas().Focused() != f.ui.list || f.ui.last != "zebra" {
		t.Error("the new drive is not selected")
	}
	f.wholly("zebra")
}

func TestSignIn(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show(drives()...)
	f.press("Sign in…")
	f.key(fyne.KeyReturn)
	f.calls("") // an empty secret would take one away
	f.enter("hush")
	f.service.refuse = &api.Problem{Code: "keyring", What: "The keyring is locked.", Means: "The token was not kept.", Do: "Unlock it and try again."}
	f.press("Save")
	f.calls("secret notes hush")
	if !f.reads("The keyring is locked.") {
		t.Error("the refusal is not told")
	}
	f.shoot("sign-in-light")
	f.service.refuse = nil
	f.press("Save")
	if f.open() {
		t.Error("the sheet is still open")
	}
}

func TestTellThenDone(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show()
	f.ui.Add()
	f.ui.Tell("Moorage has no tray here", "Closing the window ends the app.", func() { f.service.note("done") })
	f.shoot("tell-light")
	f.calls("")
	f.press("Close")
	f.calls("done")
}
