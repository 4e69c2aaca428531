// Package model turns what the service tells into what the app shows: the
// rows of the window and the items of the tray. It draws nothing, waits for
// nothing and decides nothing about drives; it knows no toolkit.
package model

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/moorage/moorage/assets"
	"github.com/moorage/moorage/daemon/api"
)

// Link is how the app stands with the service.
type Link int

// The links, in the order in which an app meets them.
const (
	Waiting  Link = iota // no answer yet
	Starting             // the service was not there and is being started
	Up                   // events arrive
	Lost                 // they arrived once, or the start failed
)

// Model is the state of the view. Its methods may not be called concurrently.
type Model struct {
	texts assets.Texts
	home  string // of the person, "" when not known

	link    Link
	trouble api.Problem // why the link is not Up, with What "" for none

	drives map[string]api.Drive
	order  []string             // names of drives, in order; nil when they are to be sorted
	staged map[string]api.Drive // of a stream that has not said "ready" yet; else nil

	asked   map[string]Verb        // what the service was asked and has not answered
	refused map[string]api.Problem // what it answered, until the drive changes

	watched string     // the drive of which all is to be known
	whole   *api.Drive // the last answer about it, nil if there is none

	doctor examination
	teller teller
	setup  Setup

	service *api.Service // as its events tell; nil: not told yet

	settingUp    bool         // the setup is being looked at
	setupTrouble *api.Problem // of its last change
}

// New returns a model without drives that waits for the service. In the paths
// that it shows, home is written as "~".
func New(texts assets.Texts, home string) *Model {
	return &Model{
		texts:   texts,
		home:    strings.TrimRight(home, `/\`),
		drives:  map[string]api.Drive{},
		asked:   map[string]Verb{},
		refused: map[string]api.Problem{},
		teller: teller{
			told: map[string]map[string]bool{}, bursts: map[string]burst{}, ended: map[string][]api.Upload{},
		},
	}
}

// Starting says that the service is being started.
func (m *Model) Starting() {
	m.link, m.trouble = Starting, api.Problem{}
}

// Opened says that a stream of events begins. What was known stays in view
// until the stream has told all drives.
func (m *Model) Opened() {
	m.staged = map[string]api.Drive{}
}

// Lost says that there is no stream of events, and why.
func (m *Model) Lost(p api.Problem) {
	m.link, m.trouble, m.staged = Lost, p, nil
}

// Apply takes in the next event of the stream.
func (m *Model) Apply(e api.Event) {
	drives := m.drives
	if m.staged != nil {
		drives = m.staged
	}
	switch e.Kind {
	case api.ServiceChanged:
		m.service = e.Service
	case api.DriveChanged:
		if e.Drive == nil {
			return
		}
		d := *e.Drive
		// A drive that is not known yet may be told after a refusal.
		if old, ok := m.drives[d.Name]; ok && old.State != d.State {
			delete(m.refused, d.Name)
		}
		if _, ok := drives[d.Name]; !ok {
			m.order = nil
		}
		drives[d.Name] = d
	case api.DriveRemoved:
		if e.Drive == nil {
			return
		}
		delete(drives, e.Drive.Name)
		m.order = nil
		delete(m.refused, e.Drive.Name)
	case api.Ready:
		if m.staged != nil {
			m.drives, m.staged, m.order = m.staged, nil, nil
		}
		m.link, m.trouble = Up, api.Problem{}
		maps.DeleteFunc(m.refused, func(name string, _ api.Problem) bool {
			_, ok := m.drives[name]
			return !ok
		})
	}
}

// Ask says that the service is asked to do verb with the drive.
func (m *Model) Ask(drive string, verb Verb) {
	m.asked[drive] = verb
	delete(m.refused, drive)
}

// Answer says that the service has answered what it was asked; p is nil when
// it agreed. A refusal is shown until the drive's state changes, unless the
// drive tells the same trouble itself.
func (m *Model) Answer(drive string, verb Verb, p *api.Problem) {
	if m.asked[drive] == verb {
		delete(m.asked, drive)
	}
	d := m.drives[drive]
	if p == nil || d.Problem != nil && d.Problem.What == p.What {
		return
	}
	m.refused[drive] = *p
}

// Dismiss takes the last refusal for the drive out of view.
func (m *Model) Dismiss(drive string) {
	delete(m.refused, drive)
}

// Drive returns what is known of a drive.
func (m *Model) Drive(name string) (api.Drive, bool) {
	d, ok := m.drives[name]
	return d, ok
}

// Drives returns what is known of all drives, in order.
func (m *Model) Drives() []api.Drive { return m.sorted() }

// Active returns the names of the drives that are mounted or on the way to
// it, in order.
func (m *Model) Active() []string { return active(m.sorted()) }

func active(drives []api.Drive) []string {
	var names []string
	for _, d := range drives {
		switch d.State {
		case api.Mounted, api.Degraded, api.Connecting:
			names = append(names, d.Name)
		}
	}
	return names
}

// View is everything that is to be shown at one moment. It shares nothing
// with the model.
type View struct {
	Banner   Notice // about the service itself
	Pause    Action // has transfers wait, or go on
	Rows     []Row
	Detail   Detail // of the drive that is watched; Name "" if there is none
	Summary  string // one line for all drives
	Tray     Tray
	Doctor   Doctor
	Settings Settings
	Backlog  Backlog // what an end of the service would interrupt
}

// View returns the view as of now, which serves to write times of day.
func (m *Model) View(now time.Time) View {
	drives := m.sorted()
	v := View{Banner: m.banner(now), Pause: m.pauseAction(), Summary: m.summary(drives), Tray: m.tray(drives), Detail: m.detail(now),
		Doctor: m.examined(), Settings: m.settings(), Backlog: m.backlog(drives)}
	v.Rows = make([]Row, 0, len(drives))
	for _, d := range drives {
		v.Rows = append(v.Rows, m.row(d, now))
	}
	return v
}

// sorted orders drives as a person reads their names; a drive never moves
// because of its state.
func (m *Model) sorted() []api.Drive {
	if m.order == nil { // with hundreds of drives it takes longer than all else
		m.order = slices.SortedFunc(maps.Keys(m.drives), func(a, b string) int {
			return cmp.Or(cmp.Compare(strings.ToLower(a), strings.ToLower(b)), cmp.Compare(a, b))
		})
	}
	drives := make([]api.Drive, len(m.order))
	for i, name := range m.order {
		drives[i] = m.drives[name]
	}
	return drives
}

func (m *Model) banner(now time.Time) Notice {
	switch m.link {
	case Waiting:
		return Notice{What: m.texts.Get("link.waiting"), Tone: Busy}
	case Starting:
		return Notice{What: m.texts.Get("link.starting"), Tone: Busy}
	case Lost:
		return Notice{
			What: m.trouble.What, Means: m.trouble.Means, Do: m.trouble.Do, Tone: Bad,
			Action: Action{Verb: Reconnect, Label: m.texts.Get("link.retry")},
			Other:  Action{Verb: Examine, Label: m.texts.Get("link.doctor")},
		}
	}
	if r, ok := m.refused[""]; ok { // what is of no drive
		return Notice{What: r.What, Means: r.Means, Do: r.Do, Tone: Bad, Action: Action{Verb: Dismiss, Label: m.texts.Get("do.dismiss")}}
	}
	return m.pauseNotice(now)
}

// counts of the drives, by what a person asks about them.
type counts struct{ mounted, busy, uploading, attention, offline int }

func count(drives []api.Drive) counts {
	var c counts
	for _, d := range drives {
		switch d.State {
		case api.Connecting:
			c.busy++
		case api.Mounted:
			c.mounted++
			c.uploading += waits(d)
			if d.Pending.Parked > 0 {
				c.attention++
			}
		case api.Degraded:
			c.mounted++
			c.offline++
		case api.NeedsYou, api.Failed:
			c.attention++
		}
	}
	return c
}

func (m *Model) summary(drives []api.Drive) string {
	switch {
	case len(drives) == 0 && m.link != Up:
		return ""
	case len(drives) == 0:
		return m.texts.Get("summary.none")
	}
	c := count(drives)
	parts := []string{m.texts.Count("summary.drives", len(drives))}
	if c.mounted > 0 {
		parts = append(parts, m.texts.Get("summary.mounted", c.mounted))
	}
	if c.uploading > 0 {
		parts = append(parts, m.texts.Count("summary.uploading", c.uploading))
	}
	if c.attention > 0 {
		parts = append(parts, m.texts.Count("summary.attention", c.attention))
	}
	return strings.Join(parts, " · ")
}
