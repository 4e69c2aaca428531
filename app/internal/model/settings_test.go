package model

import (
	"testing"

	"github.com/moorage/moorage/daemon/api"
)

func TestSettings(t *testing.T) {
	m := newModel(t)
	m.SetUp(Setup{Version: "v1", Unknown: true}, nil)
	if s := m.View(noon).Settings; s.Version != "v1" || s.Running != "…" || s.App.Can || s.Service.Can {
		t.Errorf("before anything is known: %+v", s)
	}
	set := Setup{Version: "v1", AppCan: true, AppOn: true, Service: &api.Service{Version: "v2"}}
	m.SetUp(set, nil)
	s := m.View(noon).Settings
	if s.Running != "v2" || !s.App.On || !s.App.Can || s.Service.Can || s.Service.Why != "Nothing on this system could start it." {
		t.Errorf("%+v", s)
	}
	if !m.SettingUp() || m.SettingUp() {
		t.Error("it is looked at twice at a time")
	}
	if s := m.View(noon).Settings; s.App.Can {
		t.Error("it can be changed while it is being changed")
	}
	set.Service = nil
	m.SetUp(set, &api.Problem{What: "It could not."})
	if s := m.View(noon).Settings; s.Trouble.What != "It could not." || s.Running != "Does not answer" || !s.App.Can {
		t.Errorf("%+v", s)
	}
}
