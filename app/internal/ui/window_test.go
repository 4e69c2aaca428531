package ui

import (
	"fmt"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/test"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/daemon/api"
)

// press taps the button with label that can be seen.
func (f *fixture) press(label string) {
	f.t.Helper()
	for _, o := range seen(f.top()) {
		switch b := o.(type) {
		case *widget.Button:
			if b.Text == label {
				test.Tap(b)
				return
			}
		case *navButton:
			if b.Text == label {
				test.Tap(b)
				return
			}
		case *sheetButton:
			if b.Text == label {
				test.Tap(b)
				return
			}
		case *rowButton:
			if b.Text == label {
				test.Tap(b)
				return
			}
		}
	}
	f.t.Fatalf("no button %q", label)
}

// seen are o and all in it that is not hidden.
func seen(o fyne.CanvasObject) []fyne.CanvasObject {
	if !o.Visible() {
		return nil
	}
	found := []fyne.CanvasObject{o}
	var children []fyne.CanvasObject
	switch c := o.(type) {
	case fyne.Widget:
		children = test.WidgetRenderer(c).Objects()
	case *fyne.Container:
		children = c.Objects
	}
	for _, c := range children {
		found = append(found, seen(c)...)
	}
	return found
}

// top is what is above all else: a sheet or a menu, else the window.
func (f *fixture) top() fyne.CanvasObject {
	if o := f.win.Canvas().Overlays().Top(); o != nil {
		return o
	}
	return f.win.Content()
}

// reads says whether a text can be read in what is above all else.
func (f *fixture) reads(text string) bool {
	for _, o := range seen(f.top()) {
		if l, ok := o.(*widget.Label); ok && l.Text == text {
			return true
		}
	}
	return false
}

// row is the row of a drive that is in view.
func (f *fixture) row(drive string) *driveRow {
	f.t.Helper()
	for _, o := range seen(f.win.Content()) {
		if r, ok := o.(*driveRow); ok && r.row.Name == drive {
			return r
		}
	}
	f.t.Fatalf("the row of %s is not in view", drive)
	return nil
}

// tap chooses a drive as with the mouse.
func (f *fixture) tap(drive string) {
	f.t.Helper()
	at := fyne.CurrentApp().Driver().AbsolutePositionForObject(f.row(drive).name)
	test.TapCanvas(f.win.Canvas(), at.AddXY(20, 10))
}

func (f *fixture) key(k fyne.KeyName) {
	e := &fyne.KeyEvent{Name: k}
	if o := f.win.Canvas().Focused(); o != nil {
		o.TypedKey(e)
		return
	}
	f.win.Canvas().OnTypedKey()(e)
}

func (f *fixture) ctrl(k fyne.KeyName) {
	f.ui.shortcut(&desktop.CustomShortcut{KeyName: k, Modifier: fyne.KeyModifierShortcutDefault})
}

func (f *fixture) calls(want string) {
	f.t.Helper()
	if got := f.service.last(); got != want {
		f.t.Errorf("called %q, want %q", got, want)
	}
}

func TestButtonsOfADrive(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	for _, c := range []struct{ drive, label, call string }{
		{"photos", "Mount", "mount photos"}, {"gpt-oss-20b", "Open", "open gpt-oss-20b"},
		{"linux", "Cancel", "unmount linux"}, {"scratch", "Try again", "mount scratch"},
	} {
		for _, d := range drives() {
			if d.Name == c.drive {
				f.show(d)
			}
		}
		f.press(c.label)
		f.calls(c.call)
	}
}

func TestProblemIsTold(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show(drives()...)
	for _, d := range drives() {
		f.ui.reveal(d.Name)
		f.show(drives()...)
		if p := d.Problem; p != nil && (!f.reads(p.What) || !f.reads(p.Means) || !f.reads(p.Do)) {
			t.Errorf("%s: the problem is not told: %+v", d.Name, p)
		}
	}
	f.show(api.Drive{Name: "notes"})
	if f.reads("The server refused the password.") {
		t.Error("the problem is told although it is over")
	}
}

func TestMenuOfADrive(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	d := drives()[0]
	d.Auto = true
	f.show(d)
	row := f.row(d.Name)
	test.TapSecondary(row)
	f.shoot("menu-light")
	var labels []string
	for _, i := range row.items().Items {
		labels = append(labels, i.Label)
		if i.Checked != (i.Label == "Mount at login") {
			t.Errorf("%s: checked %v", i.Label, i.Checked)
		}
		switch i.Label {
		case "Copy address":
			i.Action()
			if f.service.copied != d.URL {
				t.Errorf("copied %q", f.service.copied)
			}
		case "Unmount":
			i.Action()
			f.calls("unmount gpt-oss-20b")
		case "Mount at login":
			i.Action()
			f.calls("auto gpt-oss-20b")
		}
	}
	if len(labels) != 6 {
		t.Errorf("menu %q", labels)
	}
}

func TestRemoveAsksFirst(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show(drives()...)
	remove := model.Action{Verb: model.Remove, Drive: "photos"}
	f.ui.Do(remove)
	f.shoot("remove-light")
	f.calls("")
	f.press("Cancel")
	f.calls("")
	f.ui.Do(remove)
	f.key(fyne.KeyReturn) // the keyboard is on the harmless answer
	f.calls("")
	f.ui.Do(remove)
	f.press("Remove")
	f.calls("remove photos")
}

func TestKeysOfTheSelectedDrive(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show(drives()...)
	f.key(fyne.KeyDown) // to the one that is shown already
	f.key(fyne.KeyO)
	f.calls("open gpt-oss-20b")
	f.key(fyne.KeyM)
	f.calls("unmount gpt-oss-20b")
	f.key(fyne.KeyDown)
	f.key(fyne.KeyReturn)
	f.calls("unmount linux")
	f.key(fyne.KeyUp)
	f.key(fyne.KeyUp)
	f.ctrl(fyne.KeyM)
	f.calls("unmount gpt-oss-20b")
	f.tap("photos")
	f.key(fyne.KeyM)
	f.calls("mount photos")
	f.key(fyne.KeyO)
	f.calls("mount photos") // there is nothing to open
	f.key(fyne.KeyF5)
	f.calls("reconnect ")
	f.ctrl(fyne.KeyW)
	f.calls("hide")
	f.show(drives()[:5]...) // no uploads, else it asks
	f.ctrl(fyne.KeyQ)
	f.calls("quit")
}

func TestSelectionSurvivesChanges(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show(drives()...)
	f.tap("photos")
	list := drives()
	list[4].State = api.Mounted
	f.show(list...)
	f.key(fyne.KeyO)
	f.calls("open photos")
}

func TestSearch(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show(drives()[:3]...)
	if f.ui.search.Visible() {
		t.Error("a search in three drives")
	}
	f.show(drives()...)
	f.ctrl(fyne.KeyF)
	if f.win.Canvas().Focused() != f.ui.search {
		t.Fatal("the search has no keyboard")
	}
	test.Type(f.ui.search, "torvalds")
	if n := len(f.ui.list.rows); n != 1 {
		t.Errorf("%d drives found", n)
	}
	test.Type(f.ui.search, "xyz")
	if len(f.ui.list.rows) != 0 || !f.ui.none.Visible() {
		t.Error("an empty result is not told")
	}
	f.shoot("search-none-light")
	f.key(fyne.KeyEscape)
	if n := len(f.ui.list.rows); n != len(drives()) || f.ui.none.Visible() {
		t.Errorf("%d drives after Esc", n)
	}
}

func TestRevealScrollsTheDriveIntoView(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.win.Resize(fyne.NewSize(680, 360))
	f.show(drives()...)
	f.ui.Do(model.Action{Verb: model.Reveal, Drive: "scratch"})
	if f.win.Canvas().Focused() != f.ui.list || f.ui.last != "scratch" {
		t.Error("the drive is not selected")
	}
	f.wholly("scratch")
	f.shoot("reveal-light")
}

// wholly makes sure that all of a drive's row can be seen.
func (f *fixture) wholly(drive string) {
	f.t.Helper()
	d := fyne.CurrentApp().Driver()
	row := f.row(drive)
	top, list := d.AbsolutePositionForObject(row).Y, d.AbsolutePositionForObject(f.ui.list).Y
	if top < list || top+row.Size().Height > list+f.ui.list.Size().Height {
		f.t.Errorf("%s is at %v to %v, and the list at %v to %v", drive, top, top+row.Size().Height, list, list+f.ui.list.Size().Height)
	}
}

func TestWithoutDrivesTheWindowSaysHowToBegin(t *testing.T) {
	for name, v := range map[string]fyne.ThemeVariant{"light": theme.VariantLight, "dark": theme.VariantDark} {
		f := newFixture(t, v)
		m := model.New(f.texts, "")
		f.ui.Show(m.View(noon))
		if f.ui.empty.Visible() {
			t.Error("it says that there are no drives before it knows")
		}
		f.shoot("waiting-" + name)
		m.Lost(api.Problem{What: "The Moorage service could not be started.", Means: "Without it no drive can be mounted.",
			Do: "Install Moorage again, or put mooraged beside this program. (the program mooraged was not found beside this one or on PATH)"})
		f.ui.Show(m.View(noon))
		f.shoot("lost-" + name)
		f.press("Try now")
		f.calls("reconnect ")
		f.show()
		if !f.ui.empty.Visible() || f.ui.banner.Visible() {
			t.Error("an empty window does not say how to begin")
		}
		f.shoot("empty-" + name)
	}
}

func TestRefusedUnmountOffersForce(t *testing.T) {
	f := newFixture(t, theme.VariantDark)
	m := model.New(f.texts, "")
	m.Opened()
	m.Apply(api.Event{Kind: api.DriveChanged, Drive: &drives()[0]})
	m.Apply(api.Event{Kind: api.Ready})
	m.Ask("gpt-oss-20b", model.Unmount)
	m.Answer("gpt-oss-20b", model.Unmount, &api.Problem{Code: "busy", What: "The drive is in use.",
		Means: "2 programs have files open on it: vlc (4711) and bash (1234).", Do: "Close them and try again."})
	f.ui.Show(m.View(noon))
	m.Watch(f.service.watched)
	f.ui.Show(m.View(noon))
	f.shoot("busy-dark")
	f.press("Unmount anyway…")
	f.calls("")
	f.shoot("force-dark")
	f.press("Unmount anyway")
	f.calls("force gpt-oss-20b")
}

// TestPaneTellsAllOfTheChosenDrive: and follows the choice, by keyboard or mouse.
func TestPaneTellsAllOfTheChosenDrive(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show(drives()...)
	if f.service.watched != "gpt-oss-20b" {
		t.Errorf("at first %q is shown", f.service.watched)
	}
	f.tap("s3-builds")
	f.show(drives()...)
	for _, text := range []string{
		"~/Moorage/s3-builds", "3.4 GB of 10.0 GB", "4.2 GB read, 81.0 MB written since it was mounted",
		"nightly/moorage_1.4.0_amd64.deb", "Uploading: 7.1 MB of 11.9 MB", "Saved here, waits: 512 B", "To be removed from the remote",
		"The bucket forbids it. Ask its owner for the right to write, then upload again.", "and 8 others",
	} {
		if !f.reads(text) {
			t.Errorf("%q is not told", text)
		}
	}
	f.press("Upload now")
	f.calls("publish s3-builds")
	for _, s := range []struct {
		line *switchLine
		call string
	}{{f.ui.detail.auto, "auto s3-builds"}, {f.ui.detail.offline, "keep-here s3-builds"}} {
		test.Tap(s.line.check)
		f.calls(s.call)
	}
	if !f.ui.detail.readOnly.check.Disabled() {
		t.Error("a mounted drive can be made read-only")
	}
	f.ui.reveal("photos")
	f.show(drives()...)
	if f.reads("Uploading: 7.1 MB of 11.9 MB") || f.reads("Changes") || !f.reads("Its files are on this computer anyway.") {
		t.Error("the pane is about the drive before")
	}
	test.Tap(f.ui.detail.readOnly.check)
	f.calls("read-only photos")
	f.show()
	if f.ui.detail.root.Visible() && f.reads("photos") {
		t.Error("a drive is shown that is not there any more")
	}
}

func TestEditOfADrive(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	d := api.Drive{Name: "photos", URL: "file:///home/ann/Pictures", Kind: "folder", State: api.Stopped, Dir: "/home/ann/Moorage/photos", Remembered: true}
	f.show(d)
	f.ui.Do(model.Action{Verb: model.Edit, Drive: "photos"})
	f.shoot("edit-light")
	f.service.refuse = &api.Problem{What: "There is a drive of that name."}
	f.win.Canvas().Focused().TypedRune('2')
	f.press("Save")
	if len(f.service.edits) != 1 || f.service.edits[0].Name == nil || *f.service.edits[0].Name != "2photos" || f.service.edits[0].Dir != nil {
		t.Fatalf("%+v", f.service.edits)
	}
	if !f.reads("There is a drive of that name.") {
		t.Error("the refusal is not told")
	}
	f.service.refuse = nil
	f.press("Save")
	if f.ui.sheet != nil {
		t.Error("the sheet is still open")
	}
	f.ui.Do(model.Action{Verb: model.Edit, Drive: "photos"})
	f.press("Save")
	if f.ui.sheet != nil || len(f.service.edits) != 2 {
		t.Error("nothing was changed, but asked for")
	}
}

// TestManyDrives: hundreds of drives cost no more than those in view.
func TestManyDrives(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.win.Resize(fyne.NewSize(940, 760))
	var all []api.Drive
	for i := range 500 {
		all = append(all, api.Drive{Name: fmt.Sprintf("drive-%03d", i), URL: "mem:", Kind: "mem", State: api.Mounted})
	}
	f.show(all...)
	f.ui.reveal("drive-499")
	f.wholly("drive-499")
	f.ui.reveal("drive-250")
	f.wholly("drive-250")
	rows := 0
	for _, o := range seen(f.win.Content()) {
		if _, ok := o.(*driveRow); ok {
			rows++
		}
	}
	if rows == 0 || rows > 15 {
		t.Errorf("%d rows are drawn", rows)
	}
	all[250].Pending = api.Pending{Files: 3, Bytes: 5}
	f.show(all...)
	if !f.reads("Uploading 3 files, 5 B left") {
		t.Error("the change is not told")
	}
}
