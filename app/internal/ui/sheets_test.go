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

func TestAddByAddressAlone(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show()
	f.press("Add drive…")
	f.key(fyne.KeyReturn) // without an address nothing goes on
	f.enter("  https://github.com/owner/project ")
	f.key(fyne.KeyReturn)
	f.key(fyne.KeyReturn)
	want := api.AddDrive{URL: "https://github.com/owner/project", Remember: true}
	if len(f.service.added) != 1 || f.service.added[0] != want {
		t.Errorf("added %+v, want %+v", f.service.added, want)
	}
	if f.open() {
		t.Error("the sheet is still open")
	}
}

func TestAddWithEverything(t *testing.T) {
	for name, v := range map[string]fyne.ThemeVariant{"light": theme.VariantLight, "dark": theme.VariantDark} {
		f := newFixture(t, v)
		f.show(drives()[0])
		f.ctrl(fyne.KeyN)
		f.enter("sftp://nas.local/photos")
		f.shoot("add-1-" + name)
		f.press("Next")
		f.enter("nas")
		s := f.sheetEntries()
		test.Type(s[1], "/home/ann/nas")
		for _, c := range f.sheetChecks() {
			test.Tap(c)
		}
		f.shoot("add-2-" + name)
		f.press("It needs a password or token…")
		f.enter("hush")
		f.shoot("add-3-" + name)
		f.press("Back")
		f.press("It needs a password or token…")
		f.press("Add drive")
		want := api.AddDrive{URL: "sftp://nas.local/photos", Name: "nas", Dir: "/home/ann/nas", ReadOnly: true, Auto: true,
			Remember: true, Secret: "hush"}
		if len(f.service.added) != 1 || f.service.added[0] != want {
			t.Errorf("added %+v, want %+v", f.service.added, want)
		}
	}
}

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

func TestAddTellsWhyItWasRefusedAndKeepsWhatWasTyped(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show()
	f.ui.Add()
	f.enter("htp:/x")
	f.press("Next")
	f.service.refuse = &api.Problem{Code: api.CodeBadURL, What: "“htp:/x” is not an address that Moorage knows.",
		Do: "Write it as in https://github.com/owner/project, hf://org/model or /some/folder."}
	told := func() bool { return f.reads(f.service.refuse.What) && f.reads(f.service.refuse.Do) }
	f.press("Add drive")
	if !f.open() || !told() {
		t.Error("the refusal is not told")
	}
	f.shoot("add-refused-1-light")
	f.enter("y") // into the address
	f.press("Next")
	if told() {
		t.Error("the refusal is told of another page")
	}
	f.service.refuse = &api.Problem{Code: api.CodeDirNotEmpty, What: "~/Moorage/x has files in it.", Do: "Choose another place."}
	f.press("Add drive")
	if !told() {
		t.Error("the second refusal is not told")
	}
	f.shoot("add-refused-2-light")
	f.service.refuse = nil
	f.press("Add drive")
	if n := len(f.service.added); n != 3 || f.service.added[2].URL != "htp:/xy" || f.open() {
		t.Errorf("added %+v", f.service.added)
	}
}

func TestAddAsksForTheSecretWhenTheRemoteDoes(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show()
	f.ui.Add()
	f.enter("https://example.org/private.git")
	f.press("Next")
	f.service.refuse = &api.Problem{Code: api.CodeAuth, What: "The server wants a login.", Do: "Enter a token."}
	f.press("Add drive")
	f.service.refuse = nil
	f.enter("hush")
	f.key(fyne.KeyReturn)
	if n := len(f.service.added); n != 2 || f.service.added[1].Secret != "hush" {
		t.Errorf("added %+v", f.service.added)
	}
}

func TestEscClosesASheetWhereverTheKeyboardIs(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show(drives()...)
	for _, open := range []func(){
		f.ui.Add,
		func() { f.ui.Add(); f.enter("x"); f.press("Next") },
		func() { f.ui.Add(); f.enter("x"); f.press("Next"); f.win.Canvas().Focus(f.sheetChecks()[0]) },
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
	f.ui.Add()
	f.enter("mem:")
	f.press("Next")
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
