package ui

import (
	"fmt"
	"strings"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"
	"fyne.io/fyne/v2/theme"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/daemon/api"
)

func (s *service) EditSettings(e api.EditSettings, done func(*api.Problem)) {
	var said []string
	say := func(name string, v any, set bool) {
		if set {
			said = append(said, fmt.Sprintf("%s=%v", name, v))
		}
	}
	for name, p := range map[string]*string{"cache": e.CacheDir, "proxy": e.Proxy, "mounts": e.MountDir} {
		if p != nil {
			say(name, *p, true)
		}
	}
	for name, p := range map[string]*int64{"limit": e.CacheLimit, "up": e.UploadLimit, "down": e.DownloadLimit} {
		if p != nil {
			say(name, *p, true)
		}
	}
	s.note("set %s", strings.Join(said, " "))
	done(s.refuse)
}

func (s *service) ForgetSecret(id string, done func(*api.Problem)) {
	s.note("forget %s", id)
	done(s.refuse)
}

func (s *service) Unlock(passphrase string, done func(*api.Problem)) {
	s.note("unlock %q", passphrase)
	done(s.refuse)
}

func (s *service) CreateSecretFile(passphrase string, done func(*api.Problem)) {
	s.note("create %q", passphrase)
	done(s.refuse)
}

func (s *service) ChangePassphrase(old, passphrase string, done func(*api.Problem)) {
	s.note("change %q %q", old, passphrase)
	done(s.refuse)
}

// wellSet is how things are with a service that works.
func wellSet() model.Setup {
	return model.Setup{
		Version: "v0.4.0", AppCan: true, AppOn: true, ServiceCan: true, Service: &api.Service{Version: "v0.4.1"},
		Wire: &api.Settings{CacheDir: "/home/ann/.cache/moorage", CacheDefault: "/home/ann/.cache/moorage", CacheLimit: 10 << 30, CacheUsed: 4_640_000_000,
			Proxy: api.ProxySystem, MountDir: "/home/ann/Moorage", MountDefault: "/home/ann/Moorage"},
		Secrets: &api.Secrets{Keyring: api.KeyringUsable, File: api.SecretFileAbsent,
			Kept: []api.KeptSecret{{ID: "1", Drive: "notes"}, {ID: "2", Drive: "s3-builds"}, {ID: "3"}}},
	}
}

// keptIn is wellSet with other places for passwords.
func keptIn(k api.KeyringState, f api.SecretFileState) model.Setup {
	s := wellSet()
	s.Secrets = &api.Secrets{Keyring: k, File: f}
	return s
}

// settings opens them with what the service says.
func (f *fixture) settings(s model.Setup) {
	f.t.Helper()
	f.ctrl(fyne.KeyComma)
	f.with(func(m *model.Model) { m.SetUp(s, nil) }, drives()...)
}

// selects are those in view.
func (f *fixture) selects() (found []*sheetSelect) {
	for _, o := range seen(f.top()) {
		if l, ok := o.(*sheetSelect); ok {
			found = append(found, l)
		}
	}
	return found
}

// write replaces the text of an entry as a person does who types.
func (f *fixture) write(e *sheetEntry, text string) {
	f.win.Canvas().Focus(e)
	e.SetText("")
	test.Type(e, text)
}

func TestSettingsSections(t *testing.T) {
	for name, v := range variants {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, v)
			f.show(drives()...)
			f.settings(wellSet())
			for i, section := range []string{"general", "cache", "network", "accounts", "about"} {
				if i > 0 {
					f.key(fyne.KeyDown)
				}
				f.shoot("settings-" + section + "-" + name)
			}
			if !f.reads("BSD 3-Clause") {
				t.Error("the arrows do not lead to the last section")
			}
			f.key(fyne.KeyDown)
			f.key(fyne.KeyUp)
			f.key(fyne.KeyUp)
			f.key(fyne.KeyUp)
			if !f.reads("4.6 GB, by the drives that are mounted") {
				t.Error("the cache is not told")
			}
			f.key(fyne.KeyEscape)
			if f.open() {
				t.Error("the sheet is still open")
			}
		})
	}
}

func TestSettingsOfTheCache(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show(drives()...)
	f.settings(wellSet())
	f.press("Cache")
	limit := f.selects()[0]
	if limit.Selected != "10 GiB (usual)" {
		t.Errorf("the limit is %q", limit.Selected)
	}
	limit.SetSelected("50 GiB")
	f.calls("set limit=53687091200")
	place := f.sheetEntries()[0]
	f.write(place, "/mnt/large")
	f.press("Save")
	f.calls("set cache=/mnt/large")
	s := wellSet()
	s.Wire.CacheDir, s.Wire.CacheLimit, s.Wire.CacheLater = "/mnt/large", 50<<30, []string{"nas", "notes"}
	f.with(func(m *model.Model) { m.SetUp(s, nil) }, drives()...)
	if !f.reads("Until they are mounted again, these keep their files at the earlier place: nas, notes.") {
		t.Error("it is not told that drives do not follow")
	}
	f.write(place, "/home/ann/.cache/moorage")
	test.Type(place, "\n")
	f.key(fyne.KeyReturn)
	f.calls("set cache=")
	f.service.refuse = &api.Problem{What: "The folder /etc is not empty."}
	f.write(place, "/etc")
	f.press("Save")
	if !f.reads("The folder /etc is not empty.") || place.Text != "/etc" {
		t.Errorf("a refusal is not told, or %q was taken away", place.Text)
	}
	limit.SetSelected("1 TiB")
	if limit.Selected == "1 TiB" {
		t.Error("a limit that was refused is shown")
	}
}

func TestSettingsOfTheNetwork(t *testing.T) {
	f := newFixture(t, theme.VariantDark)
	f.show(drives()...)
	s := wellSet()
	s.Wire.UploadLimit = 123_000
	f.settings(s)
	f.press("Network")
	l := f.selects()
	if len(l) != 3 || l[0].Selected != "123 kB per second" || l[1].Selected != "No limit" || l[2].Selected != "As the system" {
		t.Fatalf("%d choices: %q, %q, %q", len(l), l[0].Selected, l[1].Selected, l[2].Selected)
	}
	l[0].SetSelected("1.0 MB per second")
	f.calls("set up=1000000")
	l[1].SetSelected("500 kB per second")
	f.calls("set down=500000")
	if n := len(f.sheetEntries()); n != 0 {
		t.Errorf("%d addresses are asked for", n)
	}
	l[2].SetSelected("This one:")
	f.write(f.sheetEntries()[0], "socks5://127.0.0.1:1080")
	f.shoot("settings-proxy")
	f.press("Save")
	f.calls("set proxy=socks5://127.0.0.1:1080")
	l[2].SetSelected("None")
	f.calls("set proxy=none")
}

func TestSettingsWithoutAService(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show(drives()...)
	f.settings(model.Setup{Version: "v0.4.0"})
	f.press("Cache")
	if !f.reads("The service does not answer, so this cannot be changed now.") {
		t.Error("it is not told why nothing can be changed")
	}
	if e := f.sheetEntries()[0]; !e.Disabled() || !f.selects()[0].Disabled() {
		t.Error("what cannot be changed can be")
	}
}

func TestLanguage(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show(drives()...)
	f.settings(wellSet())
	l := f.selects()[0]
	if l.Selected != "As the system" {
		t.Errorf("the language is %q", l.Selected)
	}
	l.SetSelected("Deutsch")
	f.calls("language de")
	f.key(fyne.KeyEscape)
	f.settings(wellSet())
	if l := f.selects()[0]; l.Selected != "Deutsch" {
		t.Errorf("then the language is %q", l.Selected)
	}
}

func TestForgetAPassword(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show(drives()...)
	f.settings(wellSet())
	f.press("Accounts")
	if !f.reads("Passwords are in the keyring of this computer.") || !f.reads("A drive that is gone") {
		t.Error("it is not told what is kept, and where")
	}
	f.press("Forget…")
	if !f.reads("Forget the password of “notes”?") {
		t.Fatal("nothing is asked")
	}
	f.shoot("accounts-forget")
	f.press("Cancel")
	if !f.reads("Passwords are in the keyring of this computer.") {
		t.Error("the way back does not lead to the accounts")
	}
	f.press("Forget…")
	f.press("Forget")
	f.calls("forget 1")
	if !f.reads("in the keyring") {
		t.Error("the accounts are not in view again")
	}
}

func (f *fixture) called(want string) bool {
	f.service.mu.Lock()
	defer f.service.mu.Unlock()
	for _, c := range f.service.calls {
		if c == want {
			return true
		}
	}
	return false
}

func locked() []api.Drive {
	return []api.Drive{{Name: "notes", URL: "git@example.org:ann/notes.git", Kind: "git", State: api.NeedsYou, Problem: &api.Problem{
		Code: api.CodeLocked, What: "The keyring is locked.", Means: "The drive waits.", Do: "Unlock it."}}}
}

func TestDriveLeadsToLockedKeyring(t *testing.T) {
	for name, v := range variants {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, v)
			f.show(locked()...)
			f.press("Unlock…")
			f.calls("secrets ")
			s := wellSet()
			s.Secrets = &api.Secrets{Keyring: api.KeyringLocked, File: api.SecretFileAbsent}
			f.with(func(m *model.Model) { m.SetUp(s, nil) }, locked()...)
			f.shoot("secrets-locked-" + name)
			f.service.refuse = &api.Problem{What: "You have closed the question."}
			f.press("Unlock the keyring")
			f.calls(`unlock ""`)
			if !f.reads("You have closed the question.") {
				t.Error("the refusal is not told")
			}
			f.service.refuse = nil
			f.press("Unlock the keyring")
			if f.open() {
				t.Error("the sheet is still open")
			}
		})
	}
}

func TestSecretFile(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show(locked()...)
	f.press("Unlock…")
	s := wellSet()
	s.Secrets = &api.Secrets{Keyring: api.KeyringAbsent, File: api.SecretFileAbsent}
	f.with(func(m *model.Model) { m.SetUp(s, nil) }, locked()...)
	f.shoot("secrets-create")
	e := f.sheetEntries()
	if len(e) != 2 || !e[0].Password || !e[1].Password {
		t.Fatalf("%d entries", len(e))
	}
	f.write(e[0], "one")
	f.write(e[1], "two")
	f.press("Create the file")
	if !f.reads("The two are not the same.") || f.called(`create "one"`) {
		t.Error("two passphrases that differ are taken")
	}
	f.write(e[1], "one")
	e[1].TypedKey(&fyne.KeyEvent{Name: fyne.KeyReturn})
	f.calls(`create "one"`)
	if f.open() || e[0].Text != "" || e[1].Text != "" {
		t.Error("the passphrase is still there")
	}
	f.press("Unlock…")
	s.Secrets = &api.Secrets{Keyring: api.KeyringAbsent, File: api.SecretFileLocked}
	f.with(func(m *model.Model) { m.SetUp(s, nil) }, locked()...)
	f.shoot("secrets-file")
	e = f.sheetEntries()
	f.service.refuse = &api.Problem{Code: api.CodePassphrase, What: "That is not the passphrase."}
	f.write(e[0], "wrong")
	f.press("Unlock")
	f.calls(`unlock "wrong"`)
	if !f.reads("That is not the passphrase.") || e[0].Text != "" {
		t.Error("a wrong passphrase is not told, or kept")
	}
	f.write(e[0], "half")
	f.key(fyne.KeyEscape)
	if f.open() || e[0].Text != "" {
		t.Error("the passphrase is still there")
	}
}

func TestChangeThePassphrase(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show(drives()...)
	s := wellSet()
	s.Secrets = &api.Secrets{Keyring: api.KeyringAbsent, File: api.SecretFileOpen, Kept: []api.KeptSecret{{ID: "1", Drive: "notes", File: true}}}
	f.settings(s)
	f.press("Accounts")
	if !f.reads("in the encrypted file") {
		t.Error("it is not told where the password is")
	}
	f.press("How they are kept…")
	f.with(func(m *model.Model) { m.SetUp(s, nil) }, drives()...)
	f.shoot("secrets-change")
	e := f.sheetEntries()
	for i, word := range []string{"old", "new", "new"} {
		f.write(e[i], word)
	}
	f.press("Change the passphrase")
	if !f.called(`change "old" "new"`) {
		t.Errorf("called %q", f.service.calls)
	}
	if !f.reads("Passwords are in an encrypted file, which is open.") {
		t.Error("the way back does not lead to the accounts")
	}
}

func TestPauseIsShown(t *testing.T) {
	for name, v := range variants {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, v)
			paused := func(m *model.Model) {
				m.Apply(api.Event{Kind: api.ServiceChanged, Service: &api.Service{Paused: &api.Pause{Since: noon}}})
			}
			f.with(paused, drives()...)
			f.shoot("paused-" + name)
			if !f.reads("Transfers are paused") || !f.reads("12 files wait, 12.4 MB · paused") {
				t.Error("the pause is not told")
			}
			f.press("Resume")
			f.calls("resume ")
			f.show(drives()...)
			if f.reads("Transfers are paused") {
				t.Error("a pause is told that there is not")
			}
			f.ui.menu()
			f.shoot("menu-" + name)
			f.key(fyne.KeyDown)
			f.key(fyne.KeyReturn)
			f.calls("pause ")
		})
	}
}

// Who signs in without a keyring is led to another place for the password, and finds
// back with what was written.
func TestSignInWithoutAKeyring(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show(drives()...)
	f.ui.Do(model.Action{Verb: model.SignIn, Drive: "notes"})
	f.write(f.sheetEntries()[0], "hush")
	f.service.refuse = &api.Problem{Code: api.CodeKeyring, What: "There is no keyring."}
	f.press("Save")
	f.press("How they are kept…")
	f.calls("secrets ")
	f.with(func(m *model.Model) { m.SetUp(keptIn(api.KeyringAbsent, api.SecretFileAbsent), nil) }, drives()...)
	f.service.refuse = nil
	e := f.sheetEntries()
	f.write(e[0], "one")
	f.write(e[1], "one")
	f.press("Create the file")
	f.calls(`create "one"`)
	if e := f.sheetEntries(); len(e) != 1 || e[0].Text != "hush" {
		t.Fatalf("%d entries", len(e))
	}
	f.press("Save")
	f.calls("secret notes hush")
	if f.open() {
		t.Error("the sheet is still open")
	}
}
