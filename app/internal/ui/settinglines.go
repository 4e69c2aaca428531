package ui

import (
	"slices"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/widget"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/daemon/api"
)

// choiceLine is a setting that has one of some values.
type choiceLine struct {
	root    *sheetSelect
	choices []model.Amount
	now     int64
	quiet   bool // what is selected was not selected by a person
}

// choice makes one; what a person chooses is what edit makes of it.
func (s *settingsSheet) choice(edit func(int64) api.EditSettings) *choiceLine {
	l := &choiceLine{}
	l.root = s.selection(func(string) {
		i := l.root.SelectedIndex()
		if l.quiet || i < 0 || l.choices[i].Value == l.now {
			return
		}
		l.root.Disable()
		s.change(edit(l.choices[i].Value), func(ok bool) {
			l.root.Enable()
			if ok {
				l.now = l.choices[i].Value
			}
			l.draw()
		})
	})
	l.root.Disable()
	return l
}

func (l *choiceLine) set(choices []model.Amount, now int64, can bool) {
	if can != !l.root.Disabled() {
		if can {
			l.root.Enable()
		} else {
			l.root.Disable()
		}
	}
	l.choices, l.now = choices, now
	l.draw()
}

func (l *choiceLine) draw() {
	l.quiet = true
	defer func() { l.quiet = false }()
	l.root.Options = nil
	for _, c := range l.choices {
		l.root.Options = append(l.root.Options, c.Label)
	}
	if i := slices.IndexFunc(l.choices, func(c model.Amount) bool { return c.Value == l.now }); i >= 0 {
		l.root.SetSelectedIndex(i)
	}
	l.root.Refresh()
}

// textLine is a setting that a person writes. It counts when it is saved.
type textLine struct {
	root  *fyne.Container
	entry *sheetEntry
	save  *sheetButton
	now   string
	usual string // where none is set; "" saves that
	can   bool
}

func (s *settingsSheet) text(edit func(string) api.EditSettings) *textLine {
	l := &textLine{entry: s.entry("")}
	l.save = s.button(s.texts.Get("settings.save"), widget.MediumImportance, func() {
		text := strings.TrimSpace(l.entry.Text)
		if text == l.usual {
			text = ""
		}
		l.save.Disable()
		s.change(edit(text), func(ok bool) {
			if ok {
				l.now = text
				if text == "" {
					l.now = l.usual
				}
				l.entry.SetText(l.now)
			}
			l.enable()
		})
	})
	l.entry.OnChanged = func(string) { l.enable() }
	l.entry.OnSubmitted = func(string) {
		if !l.save.Disabled() {
			l.save.OnTapped()
		}
	}
	l.root = container.NewBorder(nil, nil, nil, l.save, l.entry)
	l.enable()
	return l
}

// set shows what is set, unless a person is about to change it.
func (l *textLine) set(now, usual string, can bool) {
	untouched := l.entry.Text == l.now
	l.now, l.usual, l.can = now, usual, can
	l.entry.SetPlaceHolder(usual)
	if untouched {
		l.entry.SetText(now)
	}
	l.enable()
}

func (l *textLine) enable() {
	if l.can {
		l.entry.Enable()
	} else {
		l.entry.Disable()
	}
	if text := strings.TrimSpace(l.entry.Text); l.can && text != l.now && (text != "" || l.now != l.usual) {
		l.save.Importance = widget.HighImportance
		l.save.Enable()
	} else {
		l.save.Importance = widget.MediumImportance
		l.save.Disable()
	}
	l.save.Refresh()
}

// proxyLine is the proxy: one of two words, or an address.
type proxyLine struct {
	root  *fyne.Container
	kind  *sheetSelect
	other *textLine
	now   string
	quiet bool
}

var proxyWords = []string{api.ProxySystem, api.ProxyNone}

func (s *settingsSheet) proxyOf() *proxyLine {
	l := &proxyLine{}
	l.other = s.text(func(address string) api.EditSettings { return api.EditSettings{Proxy: &address} })
	l.other.entry.SetPlaceHolder("http://proxy.example:3128")
	l.kind = s.selection(func(string) {
		i := l.kind.SelectedIndex()
		show(l.other.root, i == len(proxyWords))
		s.scroll.Refresh()
		if l.quiet || i < 0 {
			return
		}
		if i == len(proxyWords) {
			s.canvas.Focus(l.other.entry)
			return
		}
		word := proxyWords[i]
		if word == l.now {
			return
		}
		s.change(api.EditSettings{Proxy: &word}, func(ok bool) {
			if ok {
				l.now = word
			}
			l.draw()
		})
	})
	l.kind.Options = []string{s.texts.Get("settings.proxy.system"), s.texts.Get("settings.proxy.none"), s.texts.Get("settings.proxy.own")}
	l.kind.Disable()
	l.other.root.Hide()
	l.root = container.NewVBox(l.kind, l.other.root)
	return l
}

func (l *proxyLine) set(now string, can bool) {
	if can {
		l.kind.Enable()
	} else {
		l.kind.Disable()
	}
	address := ""
	if !slices.Contains(proxyWords, now) {
		address = now
	}
	l.other.now, l.other.can = address, can
	if l.now != now {
		l.other.entry.SetText(address)
		l.now = now
		l.draw()
	}
	l.other.enable()
}

func (l *proxyLine) draw() {
	l.quiet = true
	defer func() { l.quiet = false }()
	i := slices.Index(proxyWords, l.now)
	if i < 0 && l.now != "" {
		i = len(proxyWords)
	}
	if i >= 0 {
		l.kind.SetSelectedIndex(i)
	}
	show(l.other.root, i == len(proxyWords))
}
