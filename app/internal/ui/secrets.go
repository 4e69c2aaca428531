package ui

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/layout"
	"fyne.io/fyne/v2/widget"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/assets"
	"github.com/moorage/moorage/daemon/api"
)

// secretsSheet says where passwords are kept, and opens it.
type secretsSheet struct {
	*sheet
	texts   assets.Texts
	actions SetupActions
	how     *noticeBox
	entries []*sheetEntry // of passphrases
	keys    model.Keys
	built   bool
	working bool
	closed  bool
}

func newSecretsSheet(c fyne.Canvas, texts assets.Texts, actions SetupActions, onClose func()) *secretsSheet {
	s := &secretsSheet{texts: texts, actions: actions}
	s.sheet = newSheet(c, texts.Get("accounts.secrets"), func() {
		s.closed = true
		s.clear()
		onClose()
	})
	s.show = func(v model.View) { s.set(v.Settings) }
	s.remedy = func(api.Problem) model.Action { return model.Action{} } // it is this
	s.how = newNoticeBox(false, func(model.Action) {})
	done := s.button(texts.Get("accounts.close"), widget.MediumImportance, s.close)
	s.fill([]fyne.CanvasObject{hint(texts.Get("settings.looking"))}, []fyne.CanvasObject{layout.NewSpacer(), done}, done)
	return s
}

// clear takes passphrases out of memory, as far as that can be done.
func (s *secretsSheet) clear() {
	for _, e := range s.entries {
		e.SetText("")
	}
}

func (s *secretsSheet) set(v model.Settings) {
	if !v.Known || s.working || s.built && v.Accounts.Keys == s.keys {
		return
	}
	s.keys, s.built = v.Accounts.Keys, true
	s.build()
}

// build shows what can be done now.
func (s *secretsSheet) build() {
	t := s.texts
	s.clear()
	s.entries = nil
	s.how.set(s.keys.Text)
	body := []fyne.CanvasObject{inset(s.how)}
	var first fyne.Focusable
	if s.keys.Unlock {
		b := s.button(t.Get("accounts.keyring.ask"), widget.HighImportance, nil)
		b.OnTapped = func() {
			s.work(b, "accounts.keyring.asking", func(done func(*api.Problem)) { s.actions.Unlock("", done) })
		}
		body = append(body, inset(b))
		first = b
	}
	var last fyne.CanvasObject = layout.NewSpacer()
	file := ""
	var fields []string
	var do func(words []string, done func(*api.Problem))
	switch {
	case s.keys.Open:
		file, fields = "accounts.file.unlock", []string{"accounts.passphrase"}
		do = func(w []string, done func(*api.Problem)) { s.actions.Unlock(w[0], done) }
	case s.keys.Create:
		file, fields = "accounts.file.create", []string{"accounts.passphrase.new", "accounts.passphrase.again"}
		do = func(w []string, done func(*api.Problem)) { s.actions.CreateSecretFile(w[0], done) }
	case s.keys.Change:
		file, fields = "accounts.file.change", []string{"accounts.passphrase.old", "accounts.passphrase.new", "accounts.passphrase.again"}
		do = func(w []string, done func(*api.Problem)) { s.actions.ChangePassphrase(w[0], w[1], done) }
	}
	if do != nil {
		importance := widget.HighImportance
		if s.keys.Unlock || s.keys.Change { // beside what is usual
			importance = widget.MediumImportance
		}
		submit := s.button(t.Get(file), importance, nil)
		submit.OnTapped = func() { s.submit(submit, do) }
		body = append(body, container.New(layout.NewCustomPaddedVBoxLayout(-12), heading(t.Get("accounts.file")), hint(t.Get("accounts.file.help"))))
		for _, label := range fields {
			e := s.password("")
			e.OnChanged = func(string) { s.enable(submit) }
			s.entries = append(s.entries, e)
			body = append(body, field(t.Get(label), "", e))
		}
		for i, e := range s.entries {
			e.OnSubmitted = func(string) {
				if i+1 < len(s.entries) {
					s.canvas.Focus(s.entries[i+1])
				} else if !submit.Disabled() {
					submit.OnTapped()
				}
			}
		}
		s.enable(submit)
		last = submit
		if first == nil && !s.keys.Change {
			first = s.entries[0]
		}
	}
	done := s.button(t.Get("accounts.close"), widget.MediumImportance, s.close)
	if first == nil {
		first = done
	}
	s.fill(body, []fyne.CanvasObject{done, layout.NewSpacer(), last}, first)
}

func (s *secretsSheet) enable(submit *sheetButton) {
	for _, e := range s.entries {
		if e.Text == "" {
			submit.Disable()
			return
		}
	}
	submit.Enable()
}

func (s *secretsSheet) submit(b *sheetButton, do func(words []string, done func(*api.Problem))) {
	var words []string
	for _, e := range s.entries {
		words = append(words, e.Text)
	}
	if n := len(words); n > 1 && words[n-1] != words[n-2] {
		s.tell(&api.Problem{What: s.texts.Get("accounts.passphrase.differ")})
		s.entries[n-1].SetText("")
		s.canvas.Focus(s.entries[n-1])
		return
	}
	s.work(b, "accounts.working", func(done func(*api.Problem)) { do(words, done) })
}

// work has something done, which b says meanwhile.
func (s *secretsSheet) work(b *sheetButton, meanwhile string, do func(done func(*api.Problem))) {
	if s.working {
		return
	}
	s.working = true
	s.tell(nil)
	label := b.Text
	b.SetText(s.texts.Get(meanwhile))
	b.Disable()
	do(func(p *api.Problem) {
		fyne.Do(func() { s.answered(b, label, p) })
	})
}

func (s *secretsSheet) answered(b *sheetButton, label string, p *api.Problem) {
	if s.closed {
		return
	}
	s.working = false
	if p == nil {
		s.close()
		return
	}
	b.SetText(label)
	b.Enable()
	s.tell(p)
	if len(s.entries) > 0 && b.Text != s.texts.Get("accounts.keyring.ask") {
		s.entries[0].SetText("")
		s.canvas.Focus(s.entries[0])
		s.enable(b)
	}
}
