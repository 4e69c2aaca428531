package ui

import (
	"image/color"
	"strings"

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

// Prospects tell of what may become a drive. They return at once; done is called from
// any goroutine, and not any more a moment after cancel.
type Prospects interface {
	Describe(d api.Describe, done func(model.Prospect)) (cancel func())
	Try(t api.Try, done func(model.Tried)) (cancel func())
	Found(done func([]model.Found)) (cancel func())
	Dropped(paths []string, done func(address string)) (cancel func()) // "": nothing of use
}

// addOptions are what an addSheet stands on.
type addOptions struct {
	texts     assets.Texts
	add       func(api.AddDrive, func(*api.Problem))
	prospects Prospects
	visit     func(address string) error // opens a web page
	added     func()                     // the service has taken the drive
	closed    func()
}

// addSheet asks for a new drive in three steps: its address, what is there, with a
// sign-in if need be, and how it appears here. What was typed stays for whoever goes
// back.
type addSheet struct {
	*sheet
	o     addOptions
	texts assets.Texts
	step  int // 1 to 3
	steps *stepBar
	gone  bool

	// Of the first step.
	address  *sheetEntry
	known    *kindLine
	finds    *foundList
	nothing  *fyne.Container // in the place of an empty list
	prospect model.Prospect
	of       string // the text that prospect is about
	going    bool   // the person wants to go on as soon as it is known what was typed

	// Of the second.
	user    *sheetEntry // nil: there is none
	secret  *sheetEntry
	fields  []*addField
	asked   question // what tried is about
	tried   *model.Tried
	looking bool
	busy    *widget.Activity // of the page in view, or nil
	hurry   bool             // the person wants to go on as soon as there is something to be seen

	// Of the third.
	name     *sheetEntry
	place    *sheetEntry
	letter   *sheetSelect
	readOnly *sheetCheck
	auto     *sheetCheck
	summary  *widget.Label
	working  bool

	room  *canvas.Rectangle // that all steps have
	next  *sheetButton      // of the step in view
	inits [inquiries]func()
	turns [inquiries]int
}

// What the sheet asks at most once at a time.
const (
	describing = iota
	trying
	finding
	inquiries
)

func newAddSheet(c fyne.Canvas, o addOptions) *addSheet {
	s := &addSheet{o: o, texts: o.texts}
	s.sheet = newWideSheet(c, o.texts.Get("add.title"), func() {
		s.gone = true
		for i := range s.inits {
			s.callOff(i)
		}
		s.forget()
		s.rest()
		s.prospect, s.of, s.address.Text = model.Prospect{}, "", "" // there may be a password in it
		o.closed()
	})
	s.enter = s.hurryOn
	s.room = canvas.NewRectangle(color.Transparent)
	s.steps = newStepBar()
	s.known = newKindLine()
	s.address = s.entry(s.texts.Get("add.address.placeholder"))
	s.address.other = func(k *fyne.KeyEvent) bool {
		if k.Name == fyne.KeyDown {
			s.toFinds()
		}
		return k.Name == fyne.KeyDown
	}
	s.address.OnChanged = func(string) { s.recognise() }
	s.address.OnSubmitted = func(string) { s.goOn() }
	s.finds = newFoundList(s.close, s.pick, func() { s.canvas.Focus(s.address) })
	examples := widget.NewLabelWithStyle(s.texts.Get("add.examples"), fyne.TextAlignLeading, fyne.TextStyle{Monospace: true})
	examples.SizeName, examples.Importance = theme.SizeNameCaptionText, widget.LowImportance
	s.nothing = container.New(layout.NewCustomPaddedVBoxLayout(-10), hint(s.texts.Get("add.address.help")), examples)
	s.secret = s.password("")
	s.secret.OnSubmitted = func(string) { s.look() }
	s.name = s.entry("")
	s.place = s.entry(s.texts.Get("add.place.placeholder"))
	for _, e := range []*sheetEntry{s.name, s.place} {
		e.OnChanged = func(string) { s.sum() }
		e.OnSubmitted = func(string) { s.submit() }
	}
	s.letter = s.selection(func(string) { s.sum() })
	s.readOnly = s.check(s.texts.Get("add.read-only"))
	s.auto = s.check(s.texts.Get("add.auto"))
	s.summary = hint("")
	s.first()
	s.inquire(finding, func(turn int) func() {
		return o.prospects.Found(func(f []model.Found) { s.answer(finding, turn, func() { s.offer(f) }) })
	})
	return s
}

// inquire asks something, and calls off what was asked of that before.
func (s *addSheet) inquire(what int, ask func(turn int) (cancel func())) {
	s.callOff(what)
	s.inits[what] = ask(s.turns[what])
}

func (s *addSheet) callOff(what int) {
	s.turns[what]++
	if s.inits[what] != nil {
		s.inits[what]()
		s.inits[what] = nil
	}
}

// answer calls f in the toolkit's goroutine, unless the question was called off.
func (s *addSheet) answer(what, turn int, f func()) {
	fyne.Do(func() {
		if !s.gone && s.turns[what] == turn {
			f()
		}
	})
}

// page shows a step: what is above, and what fills the rest of the room that all steps
// have.
func (s *addSheet) page(step int, above, rest fyne.CanvasObject, buttons []fyne.CanvasObject, focus fyne.Focusable) {
	s.step = step
	s.steps.set(step)
	s.rest()
	s.fitRoom(0)
	// The keyboard goes through objects in this order.
	s.fill([]fyne.CanvasObject{inset(s.steps), container.NewStack(s.room,
		container.New(layout.NewBorderLayout(above, nil, nil, nil), above, rest))}, buttons, focus)
}

// fitRoom makes room for a step beside what is told below it, so that the sheet stays as it
// is, as far as it can.
func (s *addSheet) fitRoom(told float32) {
	s.room.SetMinSize(fyne.NewSize(0, roomFor(s.canvas, max(366-told, 260), 190+told)))
}

// tell shows a problem below the step in view; nil takes it away.
func (s *addSheet) tell(p *api.Problem) {
	s.sheet.tell(p)
	told := float32(0)
	if p != nil {
		told = s.trouble.MinSize().Height + theme.Padding()
	}
	s.fitRoom(told)
	s.fit()
}

// rest stops what turns on the page before; the toolkit would draw it for another minute.
func (s *addSheet) rest() {
	if s.busy != nil {
		s.busy.Stop()
		s.busy = nil
	}
}

// line puts the first button at the left, the others at the right.
func (s *addSheet) line(first *sheetButton, others ...*sheetButton) []fyne.CanvasObject {
	objects := []fyne.CanvasObject{first, layout.NewSpacer()}
	for _, b := range others {
		objects = append(objects, b)
	}
	return objects
}

func (s *addSheet) first() {
	s.next = s.button(s.texts.Get("add.next"), widget.HighImportance, s.goOn)
	s.page(1,
		container.New(layout.NewCustomPaddedVBoxLayout(0), field(s.texts.Get("add.address"), "", s.address), s.known.root),
		s.finds.below(s.texts.Get("add.found"), s.nothing),
		s.line(s.button(s.texts.Get("add.cancel"), widget.MediumImportance, s.close), s.next), s.address)
	s.enable()
}

func (s *addSheet) typed() string { return strings.TrimSpace(s.address.Text) }

// enable lets the person go on where there is something to go on with.
func (s *addSheet) enable() {
	ok := s.typed() != "" && !s.working && !s.looking
	if ok == !s.next.Disabled() {
		return
	}
	if ok {
		s.next.Enable()
	} else {
		s.next.Disable()
	}
}

// recognise asks what is typed so far.
func (s *addSheet) recognise() {
	s.tell(nil)
	s.enable()
	text := s.typed()
	s.finds.match(text)
	if text == "" {
		s.callOff(describing)
		s.prospect, s.of, s.going = model.Prospect{}, "", false
		s.known.set("", "", model.Quiet)
		return
	}
	s.inquire(describing, func(turn int) func() {
		return s.o.prospects.Describe(api.Describe{URL: text}, func(p model.Prospect) {
			s.answer(describing, turn, func() { s.recognised(text, p) })
		})
	})
}

func (s *addSheet) recognised(text string, p model.Prospect) {
	if p.URL == "" || p.URL != s.prospect.URL {
		s.forget()
	}
	s.prospect, s.of = p, text
	line := p.Text
	if f, ok := s.finds.gap(text); ok {
		line += " · " + f.Title + ". " + s.texts.Get("add.gap")
	}
	s.known.set(p.Icon, line, p.Tone)
	if s.going {
		s.goOn()
	}
}

// forget lets go of what belongs to another address: nobody but whom it was typed for
// may get a password.
func (s *addSheet) forget() {
	s.secret.SetText("")
	s.callOff(trying)
	s.looking, s.tried, s.asked, s.user, s.fields = false, nil, question{}, nil, nil
}

// goOn leaves the first step, as soon as it is known what was typed.
func (s *addSheet) goOn() {
	if s.typed() == "" || s.step != 1 {
		return
	}
	if s.going = s.of != s.typed(); s.going {
		if s.inits[describing] == nil {
			s.recognise()
		}
		return
	}
	p := s.prospect
	if p.Problem != nil {
		s.of = "" // what kept the service from telling may be over when it is asked again
		s.callOff(describing)
		s.tell(p.Problem)
		return
	}
	s.tell(nil)
	if p.Secret != "" { // a password that was pasted is not to be seen any longer
		s.secret.SetText(p.Secret)
		s.prospect.Secret = ""
		s.address.Text = p.URL
		s.address.Refresh()
		s.of = p.URL
	}
	if s.fields == nil {
		s.ask(p)
	}
	s.second()
}

// ask makes the entries for what a person can say of p.
func (s *addSheet) ask(p model.Prospect) {
	s.fields, s.user = []*addField{}, nil
	for _, f := range p.Fields {
		s.fields = append(s.fields, s.field(f))
	}
	if p.SignIn != nil {
		s.secret.PlaceHolder = p.SignIn.Secret.Placeholder
		if u := p.SignIn.User; u != nil {
			s.user = s.entry(u.Placeholder)
			s.user.Text = u.Value
			s.user.OnSubmitted = func(string) { s.canvas.Focus(s.secret) }
		}
	}
	s.name.SetPlaceHolder(p.Name)
	if p.Letters != nil {
		s.letter.Options = p.Letters
		s.letter.SetSelectedIndex(0)
	}
	s.readOnly.Checked = p.ReadOnly
	if p.ReadOnly {
		s.readOnly.Disable()
	} else {
		s.readOnly.Enable()
	}
}

// with are the fields that are not as the address says.
func (s *addSheet) with() map[string]string {
	with := map[string]string{}
	for _, f := range s.fields {
		if v := f.value(); v != f.field.Value {
			with[f.field.Name] = v
		}
	}
	if s.user != nil {
		if v, u := strings.TrimSpace(s.user.Text), s.prospect.SignIn.User; v != u.Value {
			with[u.Name] = v
		}
	}
	return with
}

// resolve calls then with the address as all fields make it.
func (s *addSheet) resolve(then func(model.Prospect)) {
	with := s.with()
	if len(with) == 0 {
		then(s.prospect)
		return
	}
	s.inquire(describing, func(turn int) func() {
		return s.o.prospects.Describe(api.Describe{URL: s.prospect.URL, With: with}, func(p model.Prospect) {
			s.answer(describing, turn, func() { then(p) })
		})
	})
}

// back goes to the step before.
func (s *addSheet) back() {
	if s.working {
		return
	}
	s.tell(nil)
	if s.step == 3 {
		s.second()
		return
	}
	s.stop()
	s.first()
}

// toFinds moves the keyboard from the address into the list.
func (s *addSheet) toFinds() {
	if s.finds.enter() {
		s.canvas.Focus(s.finds)
	}
}

// offer shows what was found on this computer.
func (s *addSheet) offer(all []model.Found) {
	s.finds.offer(all)
	s.finds.match(s.typed())
	show(s.nothing, len(all) == 0)
}

// pick takes the address of what was found; go on says that there is no more to say.
func (s *addSheet) pick(f model.Found, goOn bool) {
	s.address.SetText(f.URL)
	s.address.CursorColumn = len([]rune(f.URL[:f.Gap]))
	if f.Gap == 0 {
		s.address.CursorColumn = len([]rune(f.URL))
	}
	s.canvas.Focus(s.address)
	s.address.Refresh()
	if goOn && f.Gap == 0 {
		s.goOn()
	}
}
