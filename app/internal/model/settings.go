package model

import "github.com/moorage/moorage/daemon/api"

// Settings is how the app and the service are set up on this computer.
type Settings struct {
	App     Switch // started at login
	Service Switch // started at login
	Version string // of the app
	Running string // the version of the service that runs
	Trouble Notice // of the last change
}

// Setup is what was found out about the settings.
type Setup struct {
	Version string // of the app
	Unknown bool   // nothing but Version was found out yet

	AppCan, AppOn         bool // the app can be, is started at login
	ServiceCan, ServiceOn bool
	Service               *api.Service // nil if none answers
}

// SettingUp says that it is being found out or changed how things are set up. It
// returns false if that was so already.
func (m *Model) SettingUp() bool {
	was := m.settingUp
	m.settingUp = true
	return !was
}

// SetUp takes in how things are set up; p is what went wrong when that was
// changed, or nil.
func (m *Model) SetUp(s Setup, p *api.Problem) {
	m.setup, m.setupTrouble, m.settingUp = s, p, false
}

func (m *Model) settings() Settings {
	s := m.setup
	v := Settings{
		App:     Switch{On: s.AppOn, Can: s.AppCan && !m.settingUp, Why: m.texts.Get("settings.app.help"), Action: Action{Verb: AppAtLogin, Label: m.texts.Get("settings.app")}},
		Service: Switch{On: s.ServiceOn, Can: s.ServiceCan && !m.settingUp, Why: m.texts.Get("settings.service.help"), Action: Action{Verb: ServiceAtLogin, Label: m.texts.Get("settings.service")}},
		Version: s.Version,
		Running: m.texts.Get("settings.no-service"),
	}
	if !s.Unknown && !s.AppCan {
		v.App.Why = m.texts.Get("settings.cannot")
	}
	if !s.Unknown && !s.ServiceCan {
		v.Service.Why = m.texts.Get("settings.cannot")
	}
	if s.Unknown {
		v.Running = m.texts.Get("settings.looking")
	}
	if s.Service != nil {
		v.Running = s.Service.Version
	}
	if p := m.setupTrouble; p != nil {
		v.Trouble = Notice{What: p.What, Means: p.Means, Do: p.Do, Tone: Bad}
	}
	return v
}
