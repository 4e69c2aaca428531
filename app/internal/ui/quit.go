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

// Quit ends the app, and asks first how if uploads wait. It returns whether it
// asked.
func (w *Window) Quit() bool {
	if w.view.Backlog.Files == 0 {
		w.quit()
		return false
	}
	if w.leaving != nil {
		return true
	}
	if w.sheet != nil {
		w.sheet.close()
	}
	w.open(func() *sheet {
		w.leaving = newQuitSheet(w.win.Canvas(), w.texts, w.actions.StopService, w.quit, func() {
			w.leaving = nil
			w.closed()
		})
		return w.leaving.sheet
	})
	return true
}

// Leaving says whether it asks how, or ends the app as soon as all is uploaded, which
// it sees in what is shown.
func (w *Window) Leaving() bool { return w.leaving != nil }

// quitSheet asks how to end the app while uploads wait.
type quitSheet struct {
	*sheet
	texts   assets.Texts
	stop    func(done func(*api.Problem))
	quit    func()
	backlog model.Backlog
	waiting *noticeBox
	after   bool // it is ended when all is uploaded
	ending  bool // the service is being ended
	closed  bool
}

func newQuitSheet(c fyne.Canvas, texts assets.Texts, stop func(func(*api.Problem)), quit, onClose func()) *quitSheet {
	s := &quitSheet{texts: texts, stop: stop, quit: quit}
	s.sheet = newSheet(c, texts.Get("quit.title"), func() {
		s.closed = true
		onClose()
	})
	s.show = func(v model.View) { s.set(v.Backlog) }
	s.waiting = newNoticeBox(false, func(model.Action) {})
	s.choices()
	return s
}

// choices asks.
func (s *quitSheet) choices() {
	s.after, s.ending = false, false
	s.title.SetText(s.texts.Get("quit.title"))
	choice := func(key, help string, importance widget.Importance, f func()) (*sheetButton, fyne.CanvasObject) {
		b := s.button(s.texts.Get(key), importance, f)
		b.Alignment = widget.ButtonAlignLeading
		return b, inset(container.New(layout.NewCustomPaddedVBoxLayout(-4), b, hint(s.texts.Get(help))))
	}
	background, first := choice("quit.background", "quit.background.help", widget.HighImportance, s.quit)
	_, second := choice("quit.after", "quit.after.help", widget.MediumImportance, s.await)
	_, third := choice("quit.stop", "quit.stop.help", widget.MediumImportance, s.end)
	s.fill([]fyne.CanvasObject{container.New(layout.NewCustomPaddedLayout(0, 8, 0, 0), inset(s.waiting)), first, second, third},
		[]fyne.CanvasObject{layout.NewSpacer(), s.button(s.texts.Get("quit.cancel"), widget.MediumImportance, s.close)}, background)
	s.describe()
}

// await ends the app when all is uploaded.
func (s *quitSheet) await() {
	s.tell(nil)
	s.after = true
	s.title.SetText(s.texts.Get("quit.leaving.title"))
	stay := s.button(s.texts.Get("quit.stay"), widget.MediumImportance, s.close)
	s.fill([]fyne.CanvasObject{inset(s.waiting)}, []fyne.CanvasObject{
		s.button(s.texts.Get("quit.background"), widget.MediumImportance, s.quit), layout.NewSpacer(), stay,
	}, stay)
	s.set(s.backlog)
	s.describe()
}

// end unmounts the drives and ends the service with the app.
func (s *quitSheet) end() {
	s.tell(nil)
	s.ending = true
	s.title.SetText(s.texts.Get("quit.stopping"))
	s.fill([]fyne.CanvasObject{inset(s.waiting)}, nil, nil)
	s.describe()
	s.stop(func(p *api.Problem) {
		fyne.Do(func() {
			switch {
			case p == nil:
				s.quit()
			case !s.closed:
				s.choices()
				s.tell(p)
			}
		})
	})
}

func (s *quitSheet) set(b model.Backlog) {
	if b != s.backlog {
		s.backlog = b
		s.describe()
	}
	if s.after && b.Files == 0 {
		s.quit()
	}
}

func (s *quitSheet) describe() {
	n := model.Notice{What: s.backlog.Text, Means: s.texts.Get("quit.safe"), Tone: model.Quiet}
	if s.after || s.ending {
		n.Tone = model.Busy
	}
	s.waiting.set(n)
	s.fit()
}
