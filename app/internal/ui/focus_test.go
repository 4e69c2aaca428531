package ui

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"
)

// stops are what the keyboard can be on in o, as they are read: line by line, but first a
// column that chooses what is beside it.
func stops(o fyne.CanvasObject) (all []fyne.Focusable) {
	for _, o := range seen(o) {
		s, ok := o.(fyne.Focusable)
		if d, can := o.(fyne.Disableable); ok && (!can || !d.Disabled()) {
			all = append(all, s)
		}
	}
	at := func(f fyne.Focusable) fyne.Position {
		o := f.(fyne.CanvasObject)
		p := fyne.CurrentApp().Driver().AbsolutePositionForObject(o)
		return p.AddXY(0, o.MinSize().Height/2)
	}
	slices.SortStableFunc(all, func(a, b fyne.Focusable) int {
		_, first := a.(*navButton)
		if _, second := b.(*navButton); first != second {
			if first {
				return -1
			}
			return 1
		}
		p, q := at(a), at(b)
		if d := p.Y - q.Y; d < -8 || d > 8 {
			return int(d)
		}
		return int(p.X - q.X)
	})
	return all
}

// stop names what the keyboard is on.
func (f *fixture) stop(s fyne.Focusable) string {
	if s == nil {
		return "nothing"
	}
	o := s.(fyne.CanvasObject)
	text := ""
	switch w := o.(type) {
	case *widget.Button:
		text = w.Text
	case *sheetButton:
		text = w.Text
	case *navButton:
		text = w.Text
	case *sheetEntry:
		text = w.PlaceHolder
	case *sheetCheck:
		text = w.Text
	case *widget.Check:
		text = w.Text
	}
	return fmt.Sprintf("%s %q", strings.TrimPrefix(fmt.Sprintf("%T", o), "*"), text)
}

// tabs goes once around with next and names the stops, from the first one.
func (f *fixture) tabs(first fyne.Focusable, n int, next func()) (names []string) {
	f.win.Canvas().Focus(first)
	for range n {
		names = append(names, f.stop(f.win.Canvas().Focused()))
		next()
	}
	if at := f.win.Canvas().Focused(); at != first {
		f.t.Errorf("after %d stops the keyboard is on %s, not again on %s", n, f.stop(at), f.stop(first))
	}
	return names
}

// around makes sure that Tab goes over all stops, and Shift-Tab back.
func (f *fixture) around(all []fyne.Focusable) {
	f.t.Helper()
	if len(all) == 0 {
		return
	}
	var want []string
	for _, s := range all {
		want = append(want, f.stop(s))
	}
	if got := f.tabs(all[0], len(all), f.win.Canvas().FocusNext); !slices.Equal(got, want) {
		f.t.Errorf("Tab goes to\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	back := slices.Clone(want[1:])
	slices.Reverse(back)
	if got := f.tabs(all[0], len(all), f.win.Canvas().FocusPrevious); !slices.Equal(got[1:], back) {
		f.t.Errorf("Shift-Tab goes to\n%s\nwant\n%s", strings.Join(got[1:], "\n"), strings.Join(back, "\n"))
	}
}

// TestTabs: through the window and every sheet in every state; and Esc closes a sheet from
// wherever the keyboard is.
func TestTabs(t *testing.T) {
	test.NewTempApp(t).Settings().SetTheme(shot{}.theme(theme.VariantLight))
	for _, s := range shots {
		if s.language != "" || s.scale > 0 || s.text > 0 {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			f := s.fixture(t)
			sheet := f.ui.sheet
			if sheet == nil {
				if f.win.Canvas().Overlays().Top() == nil { // a menu has keys of its own
					f.around(slices.Concat(stops(f.ui.header), stops(f.ui.banner), stops(f.ui.empty), stops(f.ui.split)))
				}
				return
			}
			all := stops(sheet.popup.Content)
			// A button that was pressed with the mouse takes the keyboard from all.
			if at := f.win.Canvas().Focused(); at != nil && !slices.Contains(all, at) {
				t.Errorf("the keyboard is on %s", f.stop(at))
			}
			f.around(all)
			for _, at := range all {
				closed := false
				sheet.onClose = func() { closed = true }
				f.win.Canvas().Focus(at)
				at.TypedKey(&fyne.KeyEvent{Name: fyne.KeyEscape})
				if !closed {
					t.Errorf("Esc does not close the sheet from %s", f.stop(at))
				}
				sheet.popup.Show()
			}
		})
	}
}
