package ui

import (
	"image/color"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/layout"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/assets"
	"github.com/moorage/moorage/daemon/api"
)

// Times is what the picker of revisions asks for. It returns at once; done is called from
// any goroutine.
type Times interface {
	Drive(name string) (api.Drive, bool)
	Revisions(drive string, q api.RevisionQuery, done func(api.Revisions, *api.Problem))
	Revise(drive, revision string, done func(*api.Problem))
	Add(a api.AddDrive, done func(*api.Problem))
}

// timeSheet picks the revision that a drive is to show, or another drive beside it.
type timeSheet struct {
	*sheet
	texts    assets.Texts
	times    Times
	drive    string
	timeline *model.Timeline
	offer    model.Offer
	chosen   model.Choice // Name "" for none
	older    int          // where older commits come, of which the first is to be chosen then; -1: none do
	added    func()       // a drive beside was made
	closed   bool
	working  bool

	search   *sheetEntry
	sections []*sheetButton
	list     *choiceList
	busy     *widget.Activity
	turn     *fyne.Container // around busy
	note     *widget.Label
	again    *sheetButton
	cancel   *sheetButton
	beside   *sheetButton
	ok       *sheetButton
}

func newTimeSheet(c fyne.Canvas, texts assets.Texts, d api.Drive, t *model.Timeline, times Times, added, onClose func()) *timeSheet {
	s := &timeSheet{texts: texts, times: times, drive: d.Name, timeline: t, added: added, older: -1}
	s.sheet = newWideSheet(c, texts.Get("time.title", d.Name), func() {
		s.closed = true
		s.busy.Stop()
		onClose()
	})
	s.search = s.entry(texts.Get("time.search"))
	s.search.Icon = theme.SearchIcon()
	s.search.OnChanged = func(text string) {
		s.timeline.Find(text)
		s.chosen, s.older = model.Choice{}, -1
		s.ask()
	}
	s.search.OnSubmitted = func(string) { s.submit() }
	row := container.NewGridWithColumns(3)
	for i := range 3 {
		b := s.button("", widget.MediumImportance, func() {
			s.timeline.Turn(model.Section(i))
			s.chosen, s.older = model.Choice{}, -1
			s.ask()
			s.typeOn()
		})
		s.sections = append(s.sections, b)
		row.Add(b)
	}
	s.list = newChoiceList(s.choose, s.submit, s.close)
	room := canvas.NewRectangle(color.Transparent)
	room.SetMinSize(fyne.NewSize(0, roomFor(c, 300, 330)))
	s.busy = widget.NewActivity()
	s.turn = container.NewCenter(container.NewGridWrap(fyne.NewSquareSize(theme.IconInlineSize()), s.busy))
	s.note = caption()
	s.again = s.button(texts.Get("time.again"), widget.LowImportance, func() {
		s.timeline.Again()
		s.ask()
		s.typeOn()
	})
	s.again.Icon = theme.ViewRefreshIcon()
	s.cancel = s.button(texts.Get("add.cancel"), widget.MediumImportance, s.close)
	s.beside = s.button(texts.Get("time.beside"), widget.MediumImportance, s.open)
	s.ok = s.button(texts.Get("time.show"), widget.HighImportance, s.submit)
	s.fill([]fyne.CanvasObject{
		inset(s.keysTo(s.search)), container.New(layout.NewCustomPaddedLayout(4, 4, 0, 0), inset(row)),
		inset(container.NewStack(newWell(), room, container.New(layout.NewCustomPaddedLayout(4, 4, 4, 4), s.list))),
		inset(container.New(layout.NewCustomPaddedLayout(0, 0, -theme.InnerPadding(), 0), container.NewBorder(nil, nil,
			container.New(layout.NewCustomPaddedLayout(0, 0, theme.InnerPadding(), -theme.InnerPadding()), s.turn), s.again, s.note))),
	}, []fyne.CanvasObject{
		s.cancel, layout.NewSpacer(), s.beside, s.ok,
	}, s.search)
	s.ask()
	return s
}

// ask has asked what the remote has to answer by now, and shows what is known.
func (s *timeSheet) ask() {
	for _, q := range s.timeline.Asks() {
		s.times.Revisions(s.drive, q, func(r api.Revisions, p *api.Problem) {
			fyne.Do(func() {
				if !s.closed {
					s.timeline.Answer(q, r, p)
					s.ask()
				}
			})
		})
	}
	s.set(s.timeline.Offer())
}

func (s *timeSheet) set(o model.Offer) {
	s.offer = o
	for i, b := range s.sections {
		b.Text, b.Importance, b.Icon = o.Labels[i], widget.MediumImportance, nil
		if model.Section(i) == o.Section {
			b.Importance, b.Icon = widget.HighImportance, theme.ConfirmIcon()
		}
		b.Refresh()
	}
	// What was chosen stays so, as long as it is offered; else it is what is shown now, or
	// the only one that a search has left.
	if !offers(o.Choices, s.chosen) {
		s.chosen = model.Choice{}
	}
	switch {
	case s.older < 0 || o.Waiting:
	case s.older < len(o.Choices) && !o.Choices[s.older].Older:
		s.chosen = o.Choices[s.older]
		fallthrough
	default:
		s.older = -1
	}
	for _, c := range o.Choices {
		if s.older < 0 && s.chosen.Name == "" && (c.Now || s.search.Text != "" && !c.Older) {
			s.chosen = c
		}
	}
	s.list.set(o.Choices, s.chosen)
	s.note.SetText(o.Note)
	if show(s.turn, o.Waiting); o.Waiting {
		s.busy.Start()
	} else {
		s.busy.Stop()
	}
	show(s.again, o.Trouble.What != "" && !o.Waiting)
	if !s.working {
		s.trouble.set(o.Trouble)
	}
	s.enable()
	s.fit()
}

func offers(l []model.Choice, c model.Choice) bool {
	for _, o := range l {
		if o == c {
			return true
		}
	}
	return false
}

func (s *timeSheet) choose(c model.Choice) {
	if c.Older {
		s.chosen, s.older = model.Choice{}, len(s.offer.Choices)-1
		s.timeline.Older()
		s.ask()
		return
	}
	s.chosen = c
	s.timeline.Choose(c)
	s.list.set(s.offer.Choices, c)
	s.enable()
}

func (s *timeSheet) enable() {
	for _, b := range []*sheetButton{s.beside, s.ok} {
		if s.chosen.Name == "" || s.working || b == s.ok && s.chosen.Now {
			b.Disable()
		} else {
			b.Enable()
		}
	}
}

// submit moves the drive.
func (s *timeSheet) submit() {
	if s.ok.Disabled() {
		return
	}
	s.begin(s.texts.Get("time.moving", s.chosen.Name))
	s.times.Revise(s.drive, s.chosen.Revision, func(p *api.Problem) {
		fyne.Do(func() { s.answered(p, nil) })
	})
}

// open makes a drive beside.
func (s *timeSheet) open() {
	if s.beside.Disabled() {
		return
	}
	s.begin(s.texts.Get("time.opening"))
	s.times.Add(api.AddDrive{Beside: s.drive, Revision: s.chosen.Revision, Remember: true}, func(p *api.Problem) {
		fyne.Do(func() { s.answered(p, s.added) })
	})
}

func (s *timeSheet) begin(text string) {
	s.working = true
	s.cancel.SetText(s.texts.Get("do.understood")) // what was begun goes on
	s.trouble.set(model.Notice{What: text, Tone: model.Busy})
	s.enable()
	s.fit()
}

func (s *timeSheet) answered(p *api.Problem, then func()) {
	if s.closed {
		return
	}
	s.working = false
	if p == nil {
		if then != nil {
			then()
		}
		s.close()
		return
	}
	s.cancel.SetText(s.texts.Get("add.cancel"))
	s.enable()
	s.tell(p)
}

// typeOn gives the keyboard to the text, if the mouse has taken it from it.
func (s *timeSheet) typeOn() {
	if s.canvas.Focused() == nil {
		s.canvas.Focus(s.search)
	}
}

// keysTo lets the keys Up and Down, while a text is entered, go to the list.
func (s *timeSheet) keysTo(e *sheetEntry) fyne.CanvasObject {
	e.other = func(k *fyne.KeyEvent) bool {
		if k.Name != fyne.KeyDown && k.Name != fyne.KeyUp {
			return false
		}
		s.canvas.Focus(s.list)
		s.list.TypedKey(k)
		return true
	}
	return e
}

// choiceList is the list of what may be chosen. The keyboard moves what is chosen.
type choiceList struct {
	widget.List
	choices []model.Choice
	chosen  int // -1: none
	choose  func(model.Choice)
	submit  func()
	escape  func()
}

func newChoiceList(choose func(model.Choice), submit, escape func()) *choiceList {
	l := &choiceList{choose: choose, submit: submit, escape: escape, chosen: -1}
	l.HideSeparators = true
	l.Length = func() int { return len(l.choices) }
	l.CreateItem = func() fyne.CanvasObject { return newChoiceRow() }
	l.UpdateItem = func(i widget.ListItemID, o fyne.CanvasObject) {
		if i < len(l.choices) {
			o.(*choiceRow).set(l.choices[i])
		}
	}
	l.OnSelected = func(i widget.ListItemID) {
		if i < len(l.choices) && i != l.chosen {
			l.chosen = i
			l.choose(l.choices[i])
		}
	}
	l.ExtendBaseWidget(l)
	return l
}

// set shows choices, of which one is chosen.
func (l *choiceList) set(choices []model.Choice, chosen model.Choice) {
	l.choices, l.chosen = choices, -1
	for i, c := range choices {
		if c == chosen {
			l.chosen = i
		}
	}
	l.Refresh()
	if l.chosen < 0 {
		l.UnselectAll()
		return
	}
	l.Select(l.chosen)
}

func (l *choiceList) TypedKey(e *fyne.KeyEvent) {
	switch e.Name {
	case fyne.KeyEscape:
		l.escape()
	case fyne.KeyReturn, fyne.KeyEnter:
		l.submit()
	case fyne.KeyDown:
		l.move(1)
	case fyne.KeyUp:
		l.move(-1)
	case fyne.KeyPageDown:
		l.move(8)
	case fyne.KeyPageUp:
		l.move(-8)
	}
}

func (l *choiceList) move(step int) {
	if len(l.choices) > 0 {
		l.Select(min(max(l.chosen+step, 0), len(l.choices)-1))
	}
}

// choiceRow is a model.Choice.
type choiceRow struct {
	widget.BaseWidget
	name  *widget.Label
	about *widget.Label
	mark  *widget.Icon
	body  *fyne.Container
}

func newChoiceRow() *choiceRow {
	r := &choiceRow{name: widget.NewLabel(""), about: caption(), mark: widget.NewIcon(theme.ConfirmIcon())}
	r.name.Truncation = fyne.TextTruncateEllipsis
	r.body = container.NewBorder(nil, nil, nil,
		container.New(layout.NewCustomPaddedLayout(0, 0, 0, theme.InnerPadding()),
			container.NewCenter(container.NewGridWrap(fyne.NewSquareSize(theme.IconInlineSize()), r.mark))),
		container.New(layout.NewCustomPaddedLayout(-4, -4, 0, 0), container.New(layout.NewCustomPaddedVBoxLayout(tight), r.name, r.about)))
	r.ExtendBaseWidget(r)
	return r
}

func (r *choiceRow) CreateRenderer() fyne.WidgetRenderer { return widget.NewSimpleRenderer(r.body) }

func (r *choiceRow) set(c model.Choice) {
	r.name.TextStyle.Bold = c.Now
	r.name.SetText(c.Name)
	r.about.SetText(c.About)
	show(r.mark, c.Now)
}
