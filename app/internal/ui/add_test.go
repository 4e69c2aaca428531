package ui

import (
	"errors"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/storage"
	"fyne.io/fyne/v2/test"
	"fyne.io/fyne/v2/theme"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/daemon/api"
)

// addTo goes to a step of the sheet for a new drive.
func (f *fixture) addTo(step int, address string) {
	f.t.Helper()
	f.ui.Add()
	f.enter(address)
	for range step - 1 {
		f.press("Next")
	}
	f.at(step)
}

// at makes sure that the sheet is at a step.
func (f *fixture) at(step int) {
	f.t.Helper()
	if f.ui.adding == nil || f.ui.adding.step != step || f.ui.adding.steps.at != step {
		f.t.Fatalf("not at step %d: %+v", step, f.ui.adding)
	}
}

func (f *fixture) added(want ...api.AddDrive) {
	f.t.Helper()
	if len(f.service.added) != len(want) {
		f.t.Fatalf("added %+v, want %+v", f.service.added, want)
	}
	for i, w := range want {
		if f.service.added[i] != w {
			f.t.Errorf("added %+v, want %+v", f.service.added[i], w)
		}
	}
}

func TestAddByAddressAlone(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show()
	f.press("Add drive…")
	f.key(fyne.KeyReturn) // without an address nothing goes on
	f.at(1)
	f.enter("  https://example.org/project.git ")
	if !f.reads("Git repository · example.org/project.git") {
		t.Error("it is not told what was typed")
	}
	f.key(fyne.KeyReturn)
	f.at(2)
	if !f.reads("4 folders, 30 files") || !f.reads("Revision 3f9d2c51 · Read-only") || !f.reads("README.md") || !f.reads("12.3 kB") || !f.reads("and 25 others") {
		t.Error("what is there is not told")
	}
	f.key(fyne.KeyReturn)
	f.at(3)
	if !f.reads("It will be at ~/Moorage/project.") {
		t.Error("it is not told where it will be")
	}
	f.key(fyne.KeyReturn)
	f.added(api.AddDrive{URL: "https://example.org/project.git", Remember: true})
	if f.open() {
		t.Error("the sheet is still open")
	}
	if p := f.service.prospects.tried; len(p) != 1 || p[0] != (api.Try{URL: "https://example.org/project.git"}) {
		t.Errorf("tried %+v", p)
	}
}

func TestAddWithEverything(t *testing.T) {
	for name, v := range map[string]fyne.ThemeVariant{"light": theme.VariantLight, "dark": theme.VariantDark} {
		f := newFixture(t, v)
		f.service.prospects.found = finds
		f.service.prospects.wantsSignIn("hush")
		f.show(drives()[0])
		f.ctrl(fyne.KeyN)
		f.shoot("add-1-" + name)
		f.enter("https://example.org/project.git")
		f.shoot("add-1-typed-" + name)
		f.service.prospects.hold = true
		f.press("Next")
		f.shoot("add-2-looking-" + name)
		f.service.prospects.hold = false
		f.service.prospects.held()
		f.shoot("add-2-sign-in-" + name)
		f.enter("ann")
		f.key(fyne.KeyReturn) // to the password
		f.enter("wrong")
		f.key(fyne.KeyReturn)
		if !f.reads("example.org did not accept that sign-in.") {
			t.Error("it is not told that the password is wrong")
		}
		f.ui.adding.secret.SetText("")
		f.enter("hush")
		f.press("Sign in")
		f.shoot("add-2-listed-" + name)
		f.press("Next")
		f.enter("work")
		s := f.sheetEntries()
		test.Type(s[1], "/home/ann/work")
		test.Type(s[2], "v1.2")
		test.Tap(f.sheetChecks()[1])
		f.shoot("add-3-" + name)
		f.press("Back") // to another revision
		if n := len(f.service.prospects.tried); n != 4 {
			t.Errorf("tried %d times", n)
		}
		f.press("Next")
		f.press("Back")
		if n := len(f.service.prospects.tried); n != 4 {
			t.Errorf("what is known is asked again: tried %d times", n)
		}
		f.press("Next")
		f.press("Add drive")
		f.added(api.AddDrive{URL: "https://ann@example.org/project.git@v1.2", Name: "work", Dir: "/home/ann/work", Auto: true, Remember: true, Secret: "hush"})
	}
}

func TestAddStandsOnWhatWasTyped(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show()
	f.ui.Add()
	for _, c := range []struct{ text, line string }{
		{"/home/ann/Pictures", "Folder · ~/Pictures"}, {"mem:", "Drive in memory"}, {"sftp://nas/x", "SFTP · this version cannot open it yet"},
	} {
		f.ui.adding.address.SetText("")
		f.enter(c.text)
		if !f.reads(c.line) {
			t.Errorf("%s is not known as %q", c.text, c.line)
		}
	}
	f.key(fyne.KeyReturn)
	f.at(1)
	if !f.reads("SFTP drives are coming.") {
		t.Error("it is not told why it does not go on")
	}
	f.enter("y") // into the address
	if f.reads("SFTP drives are coming.") {
		t.Error("what was told of another address is still there")
	}
}

func TestAddTellsWhyItWasRefusedAndKeepsWhatWasTyped(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show()
	f.ui.Add()
	bad := &api.Problem{Code: api.CodeBadURL, What: "“htp:/x” is not an address that Moorage knows.",
		Do: "Write it as in https://github.com/owner/project, hf://org/model or /some/folder."}
	f.service.prospects.refuse = bad
	f.enter("htp:/x")
	f.press("Next")
	if f.at(1); !f.reads(bad.What) || !f.reads(bad.Do) {
		t.Error("the refusal is not told")
	}
	f.shoot("add-refused-1-light")
	f.service.prospects.refuse = nil
	f.press("Next") // the service may know more by now
	f.press("Next")
	f.service.refuse = &api.Problem{Code: api.CodeDirNotEmpty, What: "~/Moorage/x has files in it.", Do: "Choose another place."}
	f.enter("x")
	f.press("Add drive")
	if f.at(3); !f.reads("~/Moorage/x has files in it.") {
		t.Error("the second refusal is not told")
	}
	f.shoot("add-refused-3-light")
	f.service.refuse = nil
	f.press("Add drive")
	f.added(api.AddDrive{URL: "htp:/x", Name: "x", Remember: true}, api.AddDrive{URL: "htp:/x", Name: "x", Remember: true})
	if f.open() {
		t.Error("the sheet is still open")
	}
}

// A remote that is away, or has nobody signed in, does not keep a person from adding it.
func TestAddAnyway(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show()
	f.service.prospects.answers[""] = &api.Problem{Code: api.CodeOffline, What: "example.org cannot be reached.", Do: "Check the network and the address, then try again."}
	f.ui.Add()
	f.enter("https://example.org/project.git")
	f.press("Next")
	if f.at(2); !f.reads("example.org cannot be reached.") {
		t.Error("the problem is not told")
	}
	f.shoot("add-2-offline-light")
	f.press("Try again")
	if n := len(f.service.prospects.tried); n != 2 {
		t.Errorf("tried %d times", n)
	}
	f.press("Go on anyway")
	if f.at(3); f.reads("example.org cannot be reached.") {
		t.Error("the problem is told of another step")
	}
	f.press("Add drive")
	f.added(api.AddDrive{URL: "https://example.org/project.git", Remember: true})
}

func TestAddLooksNoLongerThanThePersonWants(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show()
	p := f.service.prospects
	p.hold = true
	f.addTo(2, "https://example.org/project.git")
	f.press("Stop")
	if p.off != 1 || !f.reads("Nobody has looked yet what is there.") {
		t.Errorf("called off %d times", p.off)
	}
	late := p.held
	f.press("Try again")
	late() // an answer to what was called off
	if f.reads("4 folders, 30 files") {
		t.Error("an answer that nobody waits for is shown")
	}
	f.key(fyne.KeyReturn) // goes on as soon as there is something to be seen
	f.at(2)
	p.held()
	f.at(3)
	f.key(fyne.KeyEscape)
	if f.open() {
		t.Error("the sheet is still open")
	}
	f.addTo(2, "https://example.org/project.git")
	s := f.ui.adding
	f.key(fyne.KeyEscape) // with the keyboard nowhere
	if f.open() || p.off < 2 {
		t.Errorf("a closed sheet goes on looking: %d", p.off)
	}
	p.held()
	if s.tried != nil {
		t.Error("a closed sheet takes an answer")
	}
}

// Who has to sign in after all sees first what is there.
func TestAddHurriesPastNoSignIn(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show()
	p := f.service.prospects
	p.wantsSignIn("hush")
	p.hold = true
	f.addTo(2, "https://example.org/project.git")
	f.key(fyne.KeyReturn)
	p.hold = false
	p.held()
	f.win.Canvas().Focus(f.ui.adding.secret)
	f.enter("hush")
	f.key(fyne.KeyReturn)
	if f.at(2); !f.reads("4 folders, 30 files") {
		t.Error("what is there is not told")
	}
}

// A password in an address is taken out of sight, and goes to nobody else.
func TestAddKeepsPasswordsToWhomTheyAreFor(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show()
	f.addTo(2, "https://ghp_token@example.org/project.git")
	p := f.service.prospects
	if got := p.tried[0]; got != (api.Try{URL: "https://example.org/project.git", Secret: "ghp_token"}) {
		t.Errorf("tried %+v", got)
	}
	f.press("Back")
	s := f.ui.adding
	if s.address.Text != "https://example.org/project.git" {
		t.Errorf("the address is %q", s.address.Text)
	}
	f.press("Next")
	if len(p.tried) != 1 || !f.reads("4 folders, 30 files") {
		t.Error("what is known is asked again")
	}
	f.press("Back")
	s.address.SetText("https://example.com/other.git")
	f.press("Next")
	if got := p.tried[1]; got != (api.Try{URL: "https://example.com/other.git"}) {
		t.Errorf("tried %+v", got)
	}
	f.press("Back")
	s.address.SetText("https://ghp_token@example.org/project.git")
	s.secret.SetText("hush")
	f.key(fyne.KeyEscape)
	if s.secret.Text != "" || s.address.Text != "" || s.of != "" || s.prospect.Secret != "" || s.asked.secret != "" {
		t.Error("a closed sheet keeps a password")
	}
}

func TestAddAsksForTheSecretWhenTheRemoteDoes(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show()
	f.addTo(3, "https://example.org/private.git")
	f.service.refuse = &api.Problem{Code: api.CodeAuth, What: "The server wants a login.", Do: "Enter a token."}
	f.press("Add drive")
	if f.at(2); !f.reads("The server wants a login.") {
		t.Error("it is not told why")
	}
	f.service.refuse = nil
	f.win.Canvas().Focus(f.ui.adding.secret)
	f.enter("hush")
	f.key(fyne.KeyReturn)
	f.press("Next")
	f.press("Add drive")
	if n := len(f.service.added); n != 2 || f.service.added[1].Secret != "hush" {
		t.Errorf("added %+v", f.service.added)
	}
}

func TestAddOpensThePageForTokens(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show()
	f.service.prospects.wantsSignIn("hush")
	f.addTo(2, "https://example.org/private.git")
	f.press("Make a token in the browser…")
	if f.service.prospects.visited != "https://example.org/tokens" {
		t.Errorf("visited %q", f.service.prospects.visited)
	}
	if f.win.Canvas().Focused() != f.ui.adding.secret {
		t.Error("the token cannot be pasted at once")
	}
	f.service.unvisited = errors.New("no browser")
	f.press("Make a token in the browser…")
	if !f.reads("The browser did not open. Go to this address: https://example.org/tokens") {
		t.Error("it is not told that there is no browser")
	}
}

// finds are what this computer has.
var finds = []api.Found{
	{Kind: "s3", Name: "work", URL: "s3://?profile=work", From: "/home/ann/.aws/config", Gap: 5},
	{Kind: "s3", Name: "minio", URL: "s3://ann@?endpoint=https%3A%2F%2Fminio.local%3A9000", From: "/home/ann/.config/rclone/rclone.conf", Gap: 9},
	{Kind: "git", Name: "moorage", URL: "git+https://github.com/moorage/moorage.git", From: "/home/ann/src/moorage/.git/config"},
	{Kind: "git", Name: "notes", URL: "git+ssh://git@example.org/ann/notes.git", From: "/home/ann/notes/.git/config"},
	{Kind: "git", Name: "linux", URL: "git+https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git", From: "/home/ann/src/linux/.git/config"},
}

func TestAddWhatWasFound(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.service.prospects.found = finds
	f.show()
	f.ui.Add()
	s := f.ui.adding
	if !f.reads("Found on this computer") || !f.reads("moorage") || !f.reads("github.com/moorage/moorage.git · ~/src/moorage") || !f.reads("S3 storage · ~/.aws/config") {
		t.Error("it is not told what was found")
	}
	f.key(fyne.KeyDown)
	f.key(fyne.KeyDown)
	f.key(fyne.KeyDown)
	f.shoot("add-1-found-light")
	f.key(fyne.KeyReturn)
	if f.at(2); s.prospect.URL != finds[2].URL {
		t.Errorf("took %q", s.prospect.URL)
	}
	f.press("Back")
	s.address.SetText("")
	f.key(fyne.KeyDown)
	f.key(fyne.KeyReturn) // a profile has no bucket yet
	f.at(1)
	if s.address.Text != "s3://?profile=work" || s.address.CursorColumn != 5 || !f.reads("S3 storage · work. Now type the name of the bucket.") {
		t.Errorf("the address is %q, the cursor at %d", s.address.Text, s.address.CursorColumn)
	}
	f.enter("b")
	if s.address.Text != "s3://b?profile=work" {
		t.Errorf("the address is %q", s.address.Text)
	}
	s.address.SetText("kern")
	if len(s.finds.rows) != 1 || s.finds.rows[0].Title != "linux" {
		t.Errorf("%d match what was typed", len(s.finds.rows))
	}
	f.key(fyne.KeyDown)
	f.key(fyne.KeyUp) // back into the address
	if f.win.Canvas().Focused() != s.address {
		t.Error("the keyboard is not in the address")
	}
	s.finds.Select(0) // the mouse
	if s.address.Text != finds[4].URL || s.step != 1 {
		t.Errorf("the address is %q", s.address.Text)
	}
	f.key(fyne.KeyDown)
	f.key(fyne.KeyEscape)
	if f.open() {
		t.Error("the sheet is still open")
	}
}

// Tab goes through a step as it is read.
func TestAddByTab(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.service.prospects.found = finds
	f.show()
	goes := func(want ...fyne.Focusable) {
		t.Helper()
		for i, w := range want {
			if got := f.win.Canvas().Focused(); got != w {
				t.Errorf("stop %d is %T, want %T", i, got, w)
			}
			f.win.Canvas().FocusNext()
		}
	}
	f.ui.Add()
	s := f.ui.adding
	test.Type(s.address, "https://example.org/project.git")
	goes(s.address, s.finds, s.buttons.Objects[0].(*sheetButton), s.next, s.address)
	f.service.prospects.wantsSignIn("hush")
	f.press("Next")
	goes(s.user, s.secret)
	f.press("Go on anyway")
	goes(s.name, s.place)
}

func TestAddWithALetter(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show()
	f.addTo(1, "mem:")
	s := f.ui.adding
	s.recognised("mem:", model.Prospect{Icon: "mem", Text: "Drive in memory", URL: "mem:", Name: "mem", Letters: []string{"Z:", "Y:", "D:"}})
	f.press("Next")
	f.press("Next")
	if s.letter.Selected != "Z:" || s.dir() != "" {
		t.Errorf("at first %q", s.letter.Selected)
	}
	s.letter.SetSelected("Y:")
	if !f.reads("It will be at Y:.") {
		t.Error("it is not told where it will be")
	}
	f.shoot("add-3-letter-light")
	f.press("Add drive")
	f.added(api.AddDrive{URL: "mem:", Dir: "Y:", Remember: true})
}

func TestPasteIntoTheWindow(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show()
	paste := func(text string) {
		c := test.NewClipboard()
		c.SetContent(text)
		f.ui.paste(&fyne.ShortcutPaste{Clipboard: c})
	}
	paste("two\nlines")
	paste("")
	f.service.prospects.refuse = &api.Problem{Code: api.CodeBadURL, What: "No."}
	paste("some words")
	if f.open() {
		t.Error("what is no address opens the sheet")
	}
	f.service.prospects.refuse = nil
	paste(" https://example.org/project.git\n")
	if f.at(1); f.ui.adding.address.Text != "https://example.org/project.git" || !f.reads("Git repository · example.org/project.git") {
		t.Errorf("the address is %q", f.ui.adding.address.Text)
	}
	paste("https://example.org/other.git") // over a sheet it is the entry's
	if f.ui.adding.address.Text != "https://example.org/project.git" {
		t.Errorf("the address is %q", f.ui.adding.address.Text)
	}
}

func TestDropOntoTheWindow(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show()
	drop := func() { f.ui.dropped(fyne.Position{}, []fyne.URI{storage.NewFileURI("/home/ann/x")}) }
	drop()
	if !f.reads("That cannot become a drive") {
		t.Error("it is not told that nothing can be made of it")
	}
	f.press("Close")
	f.service.prospects.dropped = "/home/ann/Pictures"
	drop()
	f.at(1)
	f.service.prospects.dropped = "https://example.org/project.git"
	drop()
	if f.ui.adding.address.Text != "https://example.org/project.git" {
		t.Errorf("the address is %q", f.ui.adding.address.Text)
	}
	f.key(fyne.KeyReturn)
	f.at(2)
	f.service.prospects.dropped = "/home/ann/Pictures"
	drop()
	if f.at(2); f.ui.adding.address.Text != "https://example.org/project.git" {
		t.Error("a later step gets another address")
	}
}

// In a small window no step is cut off.
func TestAddInASmallWindow(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.service.prospects.found = finds
	f.win.Resize(fyne.NewSize(680, 440))
	f.show(drives()...)
	f.service.prospects.answers[""] = &api.Problem{Code: api.CodeOffline, What: "example.org cannot be reached: dial tcp: connection refused.",
		Do: "Check the network and the address, then try again."}
	fits := func(name string) {
		t.Helper()
		f.shoot(name)
		if sheet, room := f.ui.adding.popup.Content.Size(), f.win.Canvas().Size(); sheet.Height > room.Height || sheet.Width > room.Width {
			t.Errorf("%s: the sheet is %v, the window %v", name, sheet, room)
		}
	}
	f.ui.Add()
	fits("small-1-light")
	f.enter("https://example.org/project.git")
	f.press("Next")
	fits("small-2-light")
	f.press("Go on anyway")
	fits("small-3-light")
	f.service.refuse = &api.Problem{Code: api.CodeDirNotEmpty, What: "The folder ~/Moorage/project is not empty.", Means: "What is in it would be hidden while the drive is mounted.", Do: "Choose an empty folder."}
	f.press("Add drive")
	fits("small-3-refused-light")
}
