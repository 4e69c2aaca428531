package model

import (
	"time"

	"github.com/moorage/moorage/daemon/api"
)

// paused is the pause of transfers; nil: there is none.
func (m *Model) paused() *api.Pause {
	if m.service == nil {
		return nil
	}
	return m.service.Paused
}

// pauseVerb is what the switch for pauses does now.
func (m *Model) pauseVerb() Verb {
	if m.paused() != nil {
		return Resume
	}
	return Pause
}

// pauseAction is that switch.
func (m *Model) pauseAction() Action {
	return Action{Verb: m.pauseVerb(), Label: m.texts.Get("pause.menu"), Checked: m.paused() != nil}
}

// pauseNotice tells of a pause for as long as there is one.
func (m *Model) pauseNotice(now time.Time) Notice {
	p := m.paused()
	if p == nil {
		return Notice{}
	}
	what := m.texts.Get("pause.banner")
	if !p.Until.IsZero() {
		what = m.texts.Get("pause.banner.until", clock(p.Until, now))
	}
	return Notice{What: what, Means: m.texts.Get("pause.means"), Tone: Quiet, Action: Action{Verb: Resume, Label: m.texts.Get("pause.resume")}}
}
