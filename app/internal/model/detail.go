package model

import (
	"slices"
	"strings"
	"time"

	"github.com/moorage/moorage/daemon/api"
)

// Switch is something that is on or off.
type Switch struct {
	On     bool
	Can    bool   // it can be changed now
	Why    string // what it means, or why it cannot be changed
	Action Action // changes it
}

// Line is a change of a drive that waits or ended lately, or a thing that is kept
// on this computer.
type Line struct {
	Path   string
	Status string
	Why    string // what is in its way, and what to do
	Tone   Tone
	Share  float64 // of it that is done, 0 to 1; below 0: not known
}

// Detail is all that is to be known about one drive.
type Detail struct {
	Row

	Place   string // where it is on this computer
	Moment  Moment
	Cache   string  // what it keeps here; "" if it keeps nothing
	Filled  float64 // share of the limit; below 0: no limit
	Traffic string  // "" if nothing went over the network yet

	Auto, ReadOnly, Offline Switch

	Changes bool   // changes made here go to a remote
	Uploads []Line // what waits first
	More    string // how many others wait; "" for none
	Publish Action // all that waits, now; Verb "" if nothing does
}

// Equal says whether a and b look the same.
func (a Detail) Equal(b Detail) bool {
	return a.Row.Equal(b.Row) && a.Place == b.Place && a.Moment == b.Moment &&
		a.Cache == b.Cache && a.Filled == b.Filled && a.Traffic == b.Traffic &&
		a.Changes == b.Changes && a.Auto == b.Auto && a.ReadOnly == b.ReadOnly && a.Offline == b.Offline &&
		slices.Equal(a.Uploads, b.Uploads) && a.More == b.More && a.Publish == b.Publish
}

// Watch says of which drive all is to be known; "" for none.
func (m *Model) Watch(drive string) {
	if m.watched != drive {
		m.watched, m.whole = drive, nil
	}
}

// Watched is the drive of which all is to be known, if it is there.
func (m *Model) Watched() (string, bool) {
	_, ok := m.drives[m.watched]
	return m.watched, ok
}

// Whole takes in the answer to a question about one drive, with its uploads and
// pins. One that is not watched any more is let go.
func (m *Model) Whole(d api.Drive) {
	if d.Name == m.watched {
		m.whole = &d
	}
}

// Kept reports whether all of a drive, which is watched, is kept on this computer.
func (m *Model) Kept(drive string) bool {
	return m.whole != nil && m.whole.Name == drive &&
		slices.ContainsFunc(m.whole.Pins, func(p api.Pin) bool { return p.Path == "" })
}

// uploadLines is how many uploads are shown: more would not be read.
const uploadLines = 50

func (m *Model) detail(now time.Time) Detail {
	d, ok := m.drives[m.watched]
	if !ok {
		return Detail{}
	}
	t := Detail{Row: m.row(d, now), Moment: m.moment(d, now), Filled: -1}
	t.Place = m.place(d.Dir)
	if d.State == api.Mounted && t.Tone == Good { // the rest is in the facts
		t.Status = m.texts.Get("state.mounted")
		if d.ReadOnly {
			t.Status += " · " + m.texts.Get("state.read-only")
		}
	}
	if d.Cache.Used > 0 || d.Cache.Limit > 0 {
		t.Cache = Bytes(m.texts, d.Cache.Used)
		if d.Cache.Limit > 0 {
			t.Cache = m.texts.Get("detail.cache.of", Bytes(m.texts, d.Cache.Used), Bytes(m.texts, d.Cache.Limit))
			t.Filled = min(float64(d.Cache.Used)/float64(d.Cache.Limit), 1)
		}
	}
	if d.Traffic.Fetched > 0 || d.Traffic.Published > 0 {
		t.Traffic = m.texts.Get("detail.traffic", Bytes(m.texts, d.Traffic.Fetched), Bytes(m.texts, d.Traffic.Published))
	}
	idle := d.State == api.Stopped || d.State == api.Failed || d.State == api.NeedsYou
	t.Auto = Switch{On: d.Auto, Can: d.Remembered, Why: m.texts.Get("add.auto.help"), Action: m.action(Auto, d, "do.auto")}
	if !d.Remembered {
		t.Auto.Why = m.texts.Get("detail.auto.passing")
	}
	t.ReadOnly = Switch{On: d.ReadOnly, Can: idle, Why: m.texts.Get("add.read-only.help"), Action: m.action(ReadOnly, d, "add.read-only")}
	if !idle {
		t.ReadOnly.Why = m.texts.Get("detail.read-only.mounted")
	}
	t.Offline = m.offline(d)
	m.uploads(d, &t, now)
	return t
}

// offline is the switch that keeps all of a drive on this computer.
func (m *Model) offline(d api.Drive) Switch {
	s := Switch{Why: m.texts.Get("detail.offline.help"), Action: m.action(KeepHere, d, "do.offline")}
	if d.Kind == "folder" || d.Kind == "mem" {
		s.Why = m.texts.Get("detail.offline.here")
		return s
	}
	s.Can = d.State == api.Mounted || d.State == api.Degraded
	if !s.Can {
		s.Why = m.texts.Get("detail.offline.stopped")
	}
	if m.whole == nil {
		s.Can = false
		return s
	}
	s.On = m.Kept(d.Name)
	for _, p := range m.whole.Pins {
		if p.Path != "" {
			continue
		}
		switch {
		case p.Problem != nil:
			s.Why = m.brief(strings.TrimSpace(p.Problem.What + " " + p.Problem.Do))
		case p.State == api.PinKept:
			s.Why = m.texts.Get("detail.offline.kept", Bytes(m.texts, p.Here))
		default:
			s.Why = m.texts.Get("detail.offline.fetching", Bytes(m.texts, p.Here), Bytes(m.texts, p.Total))
		}
	}
	return s
}

func (m *Model) uploads(d api.Drive, t *Detail, now time.Time) {
	t.Changes = d.Pending.Files > 0 || !d.ReadOnly && d.Kind != "folder" && d.Kind != "mem"
	if d.Pending.Files > 0 {
		t.Publish = m.action(Publish, d, "do.publish")
	}
	if m.whole == nil {
		return
	}
	waiting := 0
	for _, u := range m.whole.Uploads {
		if len(t.Uploads) == uploadLines {
			break
		}
		if u.Waits() {
			waiting++
		}
		t.Uploads = append(t.Uploads, m.upload(u, now))
	}
	if more := d.Pending.Files - waiting; more > 0 {
		t.More = m.texts.Count("detail.more", more)
	}
}

func (m *Model) upload(u api.Upload, now time.Time) Line {
	l := Line{Path: u.Path, Share: -1}
	size := Bytes(m.texts, u.Total)
	switch u.State {
	case api.UploadRunning:
		l.Tone, l.Status = Busy, m.texts.Get("upload.running")
		if u.Total > 0 {
			l.Share = min(float64(u.Done)/float64(u.Total), 1)
			l.Status = m.texts.Get("upload.running.of", Bytes(m.texts, u.Done), size)
		}
	case api.UploadDone:
		l.Tone, l.Status = Good, m.texts.Get("upload.done", clock(u.Since, now))
	case api.UploadConflict:
		l.Tone, l.Status = Warn, m.texts.Get("upload.conflict")
	case api.UploadParked:
		l.Tone, l.Status = Bad, m.texts.Get("upload.parked")
	default:
		l.Tone, l.Status = Quiet, m.texts.Get("upload.saved")
		if u.Total > 0 {
			l.Status = m.texts.Get("upload.saved.size", size)
		}
	}
	if u.Removed && u.Waits() {
		l.Status = m.texts.Get("upload.removal")
	}
	if u.Problem != nil {
		l.Why = m.brief(strings.TrimSpace(u.Problem.What + " " + u.Problem.Do))
	}
	return l
}
