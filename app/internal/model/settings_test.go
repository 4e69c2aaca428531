package model

import (
	"strings"
	"testing"
	"time"

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

func TestWhatKeepsPasswords(t *testing.T) {
	for name, c := range map[string]struct {
		keyring api.KeyringState
		file    api.SecretFileState
		want    Keys // without its text
		tone    Tone
		button  string
	}{
		"keyring":            {api.KeyringUsable, api.SecretFileAbsent, Keys{}, Good, ""},
		"locked keyring":     {api.KeyringLocked, api.SecretFileAbsent, Keys{Unlock: true, Create: true}, Warn, "Unlock…"},
		"nothing":            {api.KeyringAbsent, api.SecretFileAbsent, Keys{Create: true}, Warn, "How they are kept…"},
		"slow keyring":       {api.KeyringSlow, api.SecretFileAbsent, Keys{Create: true}, Warn, "How they are kept…"},
		"locked file":        {api.KeyringAbsent, api.SecretFileLocked, Keys{Open: true}, Warn, "Unlock…"},
		"both locked":        {api.KeyringLocked, api.SecretFileLocked, Keys{Unlock: true, Open: true}, Warn, "Unlock…"},
		"open file":          {api.KeyringAbsent, api.SecretFileOpen, Keys{Change: true}, Good, "How they are kept…"},
		"file beside a lock": {api.KeyringLocked, api.SecretFileOpen, Keys{Unlock: true, Change: true}, Good, "How they are kept…"},
		"damaged file":       {api.KeyringAbsent, api.SecretFileDamaged, Keys{}, Bad, ""},
	} {
		m := newModel(t)
		m.SetUp(Setup{Wire: &api.Settings{}, Secrets: &api.Secrets{Keyring: c.keyring, File: c.file}}, nil)
		a := m.View(noon).Settings.Accounts
		got := a.Keys
		got.Text = Notice{}
		if got != c.want || a.Keeper.Tone != c.tone || a.Keeper.What == "" || a.Keeper.Action.Label != c.button {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

func TestAmounts(t *testing.T) {
	m := newModel(t)
	m.SetUp(Setup{Wire: &api.Settings{CacheLimit: 3 << 30, UploadLimit: 2e6}, Secrets: &api.Secrets{}}, nil)
	s := m.View(noon).Settings
	if len(s.Caches) != len(cacheLimits)+1 || s.Caches[2] != (Amount{"3 GiB", 3 << 30}) || s.Caches[4].Label != "10 GiB (usual)" {
		t.Errorf("caches: %v", s.Caches)
	}
	if len(s.Uploads) != len(rates) || s.Uploads[0].Label != "No limit" || s.Uploads[5].Label != "2.0 MB per second" {
		t.Errorf("limits: %v", s.Uploads)
	}
}

func TestDriveThatWaitsForAKeyring(t *testing.T) {
	for code, label := range map[string]string{api.CodeLocked: "Unlock…", api.CodePassphrase: "Unlock…", api.CodeKeyring: "How they are kept…"} {
		m := newModel(t, api.Drive{Name: "a", State: api.NeedsYou, Problem: &api.Problem{Code: code, What: "It waits."}})
		v := m.View(noon)
		if p := v.Rows[0].Primary; p.Verb != Secrets || p.Label != label {
			t.Errorf("%s: %+v", code, p)
		}
		if i := v.Tray.Items[0]; i.Verb != Secrets {
			t.Errorf("%s: the tray has %+v", code, i)
		}
	}
}

func TestPausedTransfers(t *testing.T) {
	m := newModel(t, api.Drive{Name: "a", State: api.Mounted, Pending: api.Pending{Files: 2, Bytes: 3000}})
	if v := m.View(noon); v.Pause.Verb != Pause || v.Pause.Checked || v.Tray.Light != Working || !v.Rows[0].Working {
		t.Errorf("before: %+v, %s", v.Pause, v.Tray.Light)
	}
	m.Apply(api.Event{Kind: api.ServiceChanged, Service: &api.Service{Paused: &api.Pause{Since: noon, Until: noon.Add(2 * time.Hour)}}})
	v := m.View(noon)
	if v.Pause.Verb != Resume || !v.Pause.Checked || v.Tray.Light != Idle || v.Rows[0].Working {
		t.Errorf("paused: %+v, %s, %+v", v.Pause, v.Tray.Light, v.Rows[0])
	}
	if v.Banner.What != "Transfers are paused until 14:30" || v.Banner.Action.Verb != Resume || v.Rows[0].Status != "2 files wait, 3.0 kB · paused" {
		t.Errorf("paused: %+v, %q", v.Banner, v.Rows[0].Status)
	}
	checked := false
	for _, i := range v.Tray.Items {
		checked = checked || i.Verb == Resume && i.Checked && i.Label == "Pause transfers"
	}
	if !checked || !strings.Contains(v.Backlog.Text, "nothing is uploaded before you resume") {
		t.Errorf("the tray has %+v; %q", v.Tray.Items, v.Backlog.Text)
	}
	m.Lost(api.Problem{What: "Gone."})
	if b := m.View(noon).Banner; b.What != "Gone." {
		t.Errorf("without a service: %+v", b)
	}
}
