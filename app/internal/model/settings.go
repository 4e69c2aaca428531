package model

import (
	"slices"
	"strconv"
	"strings"

	"github.com/moorage/moorage/assets"
	"github.com/moorage/moorage/daemon/api"
)

// Settings is how the app and the service are set up on this computer.
type Settings struct {
	App     Switch // started at login
	Service Switch // started at login
	Version string // of the app
	Running string // the version of the service that runs
	Trouble Notice // of the last change

	Wire     api.Settings // how the service is set up
	Known    bool         // Wire and Accounts are known
	Absent   string       // why they cannot be changed; "" if they can
	Used     string       // what all caches take
	Later    string       // which drives do not follow yet; "": all do
	Caches   []Amount     // for Wire.CacheLimit
	Uploads  []Amount     // for Wire.UploadLimit
	Received []Amount     // for Wire.DownloadLimit
	Accounts Accounts
}

// Amount is a value that can be chosen.
type Amount struct {
	Label string
	Value int64
}

// Accounts are the passwords that are kept.
type Accounts struct {
	Keeper Notice // where they are, with what can be done about it
	Kept   []Account
	Keys   Keys
}

// Account is one password. It is not known to the app.
type Account struct {
	ID    string
	Drive string // as it is told
	Where string
}

// Keys is what a person can do to have passwords kept.
type Keys struct {
	Text   Notice // how it stands
	Unlock bool   // the keyring can be asked for
	Open   bool   // the file can be opened
	Create bool   // the file can be made
	Change bool   // the file can get another passphrase
}

// Setup is what was found out about the settings.
type Setup struct {
	Version string // of the app
	Unknown bool   // nothing but Version was found out yet

	AppCan, AppOn         bool // the app can be, is started at login
	ServiceCan, ServiceOn bool
	Service               *api.Service // nil if none answers

	Wire    *api.Settings // nil if they are not known
	Secrets *api.Secrets  // likewise
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

// SetWire takes in how the service is set up.
func (m *Model) SetWire(s api.Settings) { m.setup.Wire = &s }

// SetSecrets takes in where passwords are kept.
func (m *Model) SetSecrets(s api.Secrets) { m.setup.Secrets = &s }

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
	m.wire(&v)
	return v
}

// wire tells how the service is set up.
func (m *Model) wire(v *Settings) {
	s := m.setup
	if s.Wire == nil || s.Secrets == nil {
		if !s.Unknown && !m.settingUp {
			v.Absent = m.texts.Get("settings.absent")
		}
		return
	}
	v.Known, v.Wire = true, *s.Wire
	v.Used = m.texts.Get("settings.cache.used.value", Bytes(m.texts, s.Wire.CacheUsed))
	if l := s.Wire.CacheLater; len(l) > 0 {
		v.Later = m.texts.Get("settings.cache.later", strings.Join(l, ", "))
	}
	v.Caches = choices(s.Wire.CacheLimit, cacheLimits, m.binary)
	for i, c := range v.Caches {
		if c.Value == usualCache {
			v.Caches[i].Label = m.texts.Get("settings.default", c.Label)
		}
	}
	rate := func(n int64) string {
		if n == 0 {
			return m.texts.Get("settings.unlimited")
		}
		return m.texts.Get("settings.rate", Bytes(m.texts, n))
	}
	v.Uploads = choices(s.Wire.UploadLimit, rates, rate)
	v.Received = choices(s.Wire.DownloadLimit, rates, rate)
	v.Accounts = m.accounts(*s.Secrets)
}

// usualCache is the limit of a cache that nobody has set.
const usualCache = 10 << 30

// What is offered; another value that is set is offered, too.
var (
	cacheLimits = []int64{1 << 30, 2 << 30, 5 << 30, usualCache, 20 << 30, 50 << 30, 100 << 30, 200 << 30, 500 << 30, 1 << 40}
	rates       = []int64{0, 100e3, 250e3, 500e3, 1e6, 2e6, 5e6, 10e6, 25e6, 50e6, 100e6}
)

// binary writes a size in powers of 1024 where that is a whole number, as in what is
// offered.
func (m *Model) binary(n int64) string {
	for i, unit := range []string{"TiB", "GiB", "MiB"} {
		if size := int64(1) << (40 - 10*i); n >= size && n%size == 0 {
			return strconv.FormatInt(n/size, 10) + " " + unit
		}
	}
	return Bytes(m.texts, n)
}

func choices(now int64, offered []int64, label func(int64) string) []Amount {
	all := slices.Clone(offered)
	if !slices.Contains(all, now) {
		all = append(all, now)
		slices.Sort(all)
	}
	var out []Amount
	for _, n := range all {
		out = append(out, Amount{label(n), n})
	}
	return out
}

// accounts tells of the passwords that are kept.
func (m *Model) accounts(s api.Secrets) Accounts {
	a := Accounts{Keys: m.keys(s)}
	a.Keeper = a.Keys.Text
	switch k := a.Keys; {
	case k.Open, k.Unlock && !k.Change:
		a.Keeper.Action = Action{Verb: Secrets, Label: m.texts.Get("accounts.unlock")}
	case k.Unlock, k.Create, k.Change:
		a.Keeper.Action = Action{Verb: Secrets, Label: m.texts.Get("accounts.manage")}
	}
	for _, k := range s.Kept {
		e := Account{ID: k.ID, Drive: k.Drive, Where: m.texts.Get("accounts.in.keyring")}
		if k.File {
			e.Where = m.texts.Get("accounts.in.file")
		}
		if e.Drive == "" {
			e.Drive = m.texts.Get("accounts.gone")
		}
		a.Kept = append(a.Kept, e)
	}
	return a
}

// keys tells how the places of passwords are, and what can be done about them.
func (m *Model) keys(s api.Secrets) Keys {
	k := Keys{
		Unlock: s.Keyring == api.KeyringLocked,
		Open:   s.File == api.SecretFileLocked,
		Create: s.File == api.SecretFileAbsent && s.Keyring != api.KeyringUsable,
		Change: s.File == api.SecretFileOpen,
	}
	t := m.texts
	switch {
	case s.File == api.SecretFileLocked:
		k.Text = Notice{What: t.Get("accounts.locked.file"), Means: t.Get("accounts.locked.means"), Tone: Warn}
	case s.File == api.SecretFileDamaged:
		k.Text = Notice{What: t.Get("accounts.damaged"), Means: t.Get("accounts.absent.means"), Tone: Bad}
	case s.Keyring == api.KeyringUsable:
		k.Text = Notice{What: t.Get("accounts.keeper.keyring"), Tone: Good}
	case s.File == api.SecretFileOpen:
		k.Text = Notice{What: t.Get("accounts.keeper.file"), Tone: Good}
	case s.Keyring == api.KeyringLocked:
		k.Text = Notice{What: t.Get("accounts.locked.keyring"), Means: t.Get("accounts.locked.means"), Tone: Warn}
	case s.Keyring == api.KeyringSlow:
		k.Text = Notice{What: t.Get("accounts.slow"), Means: t.Get("accounts.absent.means"), Tone: Warn}
	default:
		k.Text = Notice{What: t.Get("accounts.absent"), Means: t.Get("accounts.absent.means"), Tone: Warn}
	}
	return k
}

// lacksKeeper says whether a drive waits for what has its password.
func lacksKeeper(d api.Drive) bool {
	if d.State != api.NeedsYou && d.State != api.Failed || d.Problem == nil {
		return false
	}
	return ofKeeper(*d.Problem)
}

// Remedy is what the app can do about a problem.
func Remedy(t assets.Texts, p api.Problem) Action {
	switch {
	case p.Code == api.CodeKeyring: // there is none
		return Action{Verb: Secrets, Label: t.Get("accounts.manage")}
	case ofKeeper(p):
		return Action{Verb: Secrets, Label: t.Get("accounts.unlock")}
	}
	return Action{}
}

// ofKeeper says whether p is about what keeps passwords.
func ofKeeper(p api.Problem) bool {
	switch p.Code {
	case api.CodeKeyring, api.CodeLocked, api.CodeSlowKeyring, api.CodePassphrase, api.CodeSecretFile:
		return true
	}
	return false
}
