package model

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/moorage/moorage/assets"
	"github.com/moorage/moorage/daemon/api"
)

// Verb is something that a person may do.
type Verb string

// What a person may do with one drive, and with all.
const (
	Mount   Verb = "mount"
	Open    Verb = "open" // in the file manager
	Unmount Verb = "unmount"
	Force   Verb = "force" // unmount, taking the drive away from programs
	SignIn  Verb = "sign-in"
	Auto    Verb = "auto" // mount at login, or no longer
	Edit    Verb = "edit" // its name and place

	ReadOnly Verb = "read-only" // allow no changes, or allow them
	KeepHere Verb = "keep-here" // keep all of it on this computer, or no longer
	Publish  Verb = "publish"   // what waits, now
	Revise   Verb = "revise"    // choose another revision
	GoBack   Verb = "go-back"   // to the branch that it followed
	Copy     Verb = "copy"      // the address, to the clipboard
	Remove   Verb = "remove"
	Dismiss  Verb = "dismiss" // a refusal
	Reveal   Verb = "reveal"  // the drive in the window

	Add        Verb = "add"
	UnmountAll Verb = "unmount-all"
	Window     Verb = "window"
	Reconnect  Verb = "reconnect"
	Examine    Verb = "doctor" // this computer, and show what was found
	Treat      Verb = "treat"  // what the doctor can do
	Quit       Verb = "quit"

	Pause  Verb = "pause" // all transfers
	Resume Verb = "resume"

	Preferences    Verb = "settings"
	Secrets        Verb = "secrets"          // where passwords are kept
	AppAtLogin     Verb = "app-at-login"     // start the app at login, or no longer
	ServiceAtLogin Verb = "service-at-login" // start the service at login, or no longer
)

// Action is a thing that can be done now, and what its button says.
type Action struct {
	Verb    Verb // "" for none
	Drive   string
	Label   string
	Checked bool
}

// Tone is how a text is meant.
type Tone int

// The tones.
const (
	Quiet Tone = iota
	Good
	Busy
	Warn
	Bad
)

// Notice is something to know: what happened, what it means, what to do.
type Notice struct {
	What   string // "" for no notice
	Means  string
	Do     string
	Tone   Tone
	Action Action // the remedy, where the app has one
	Other  Action // what else can be done
}

// Row is one drive in the window.
type Row struct {
	Name    string
	Kind    string // the icon: folder git mem model bucket server cloud web
	Source  string // its address, written short
	Address string // its address, whole
	Dir     string // its place, whole
	Status  string
	Tone    Tone
	Working bool // something is under way
	Notice  Notice
	Primary Action   // its button
	Toggle  Action   // mount or unmount, whichever can be done
	Menu    []Action // all else that can be done
}

// Equal says whether a and b look the same.
func (a Row) Equal(b Row) bool {
	am, bm := a.Menu, b.Menu
	return slices.Equal(am, bm) && a.same(b)
}

func (a Row) same(b Row) bool {
	return a.Name == b.Name && a.Kind == b.Kind && a.Source == b.Source && a.Address == b.Address && a.Dir == b.Dir &&
		a.Status == b.Status && a.Tone == b.Tone && a.Working == b.Working &&
		a.Notice == b.Notice && a.Primary == b.Primary && a.Toggle == b.Toggle
}

// Filter returns the rows in which every word of query occurs, in the name or
// the address.
func Filter(rows []Row, query string) []Row {
	words := strings.Fields(strings.ToLower(query))
	if len(words) == 0 {
		return rows
	}
	var found []Row
	for _, r := range rows {
		text := strings.ToLower(r.Name + " " + r.Address)
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) }) {
			found = append(found, r)
		}
	}
	return found
}

func (m *Model) row(d api.Drive, now time.Time) Row {
	r := Row{
		Name: d.Name, Kind: icon(d.Kind), Source: m.source(d), Address: d.URL, Dir: d.Dir,
		Notice: m.notice(d),
	}
	r.Status, r.Tone = m.status(d, now)
	r.Working = d.State == api.Connecting && d.Step != stepWait || d.State == api.Mounted && waits(d) > 0 && m.paused() == nil
	mount := m.action(Mount, d, "do.mount")
	unmount := m.action(Unmount, d, "do.unmount")
	switch d.State {
	case api.Connecting:
		r.Primary = m.action(Unmount, d, "do.cancel")
		r.Toggle = r.Primary
	case api.Mounted, api.Degraded:
		r.Primary, r.Toggle = m.action(Open, d, "do.open"), unmount
		r.Menu = append(r.Menu, unmount)
	case api.NeedsYou, api.Failed:
		again := m.action(Mount, d, "do.retry")
		r.Primary, r.Toggle = again, again
		switch {
		case needsSecret(d):
			r.Primary = m.action(SignIn, d, "do.sign-in")
			r.Menu = append(r.Menu, again)
		case lacksKeeper(d):
			r.Primary = Remedy(m.texts, *d.Problem)
			r.Menu = append(r.Menu, again)
		}
		if d.State == api.NeedsYou { // the service may hold on to a half-made mount
			r.Menu = append(r.Menu, unmount)
		}
	default:
		r.Primary, r.Toggle = mount, mount
	}
	if d.Shown != nil && d.Shown.Turning != nil {
		r.Working, r.Status, r.Tone = true, m.turning(d.Shown), Busy
	}
	if verb, ok := m.asked[d.Name]; ok {
		r.Working = true
		if s := m.asking(verb); s != "" {
			r.Status, r.Tone = s, Busy
		}
	}
	if r.Primary.Verb != SignIn {
		r.Menu = append(r.Menu, m.action(SignIn, d, "do.secret"))
	}
	auto := m.action(Auto, d, "do.auto")
	auto.Checked = d.Auto
	if d.Remembered && (d.State == api.Stopped || d.State == api.Failed) {
		r.Menu = append(r.Menu, m.action(Edit, d, "do.edit"))
	}
	r.Menu = append(r.Menu, auto, m.action(Copy, d, "do.copy"), m.action(Remove, d, "do.remove"))
	return r
}

// needsSecret says whether a drive waits for a password or token.
func needsSecret(d api.Drive) bool {
	return (d.State == api.NeedsYou || d.State == api.Failed) && d.Problem != nil && d.Problem.Code == api.CodeAuth
}

func (m *Model) action(v Verb, d api.Drive, label string) Action {
	return Action{Verb: v, Drive: d.Name, Label: m.texts.Get(label)}
}

// asking says what the service is doing while its own state does not tell yet.
func (m *Model) asking(v Verb) string {
	switch v {
	case Mount:
		return m.texts.Get("state.mounting")
	case Unmount, Force:
		return m.texts.Get("state.unmounting")
	case Remove:
		return m.texts.Get("state.removing")
	}
	return ""
}

func (m *Model) status(d api.Drive, now time.Time) (string, Tone) {
	switch d.State {
	case api.Connecting:
		if d.Step == stepWait { // which may be for days
			return m.step(d.Step), Warn
		}
		return m.step(d.Step), Busy
	case api.Mounted:
		return m.mounted(d)
	case api.Degraded:
		return m.texts.Get("state.degraded", clock(d.Since, now)), Warn
	case api.NeedsYou:
		return m.texts.Get("state.needs-you"), Warn
	case api.Failed:
		return m.texts.Get("state.error"), Bad
	}
	return m.texts.Get("state.stopped"), Quiet
}

// stepWait is api.Drive.Step of a drive whose remote is away.
const stepWait = "wait"

func (m *Model) step(step string) string {
	key := "state.connecting." + step
	if s := m.texts.Get(key); s != key {
		return s
	}
	return m.texts.Get("state.connecting")
}

func (m *Model) mounted(d api.Drive) (string, Tone) {
	if n := waits(d); n > 0 {
		if m.paused() != nil {
			return m.texts.Count("pause.state", n, Bytes(m.texts, d.Pending.Bytes)), Quiet
		}
		return m.texts.Count("state.uploading", n, Bytes(m.texts, d.Pending.Bytes)), Busy
	}
	if d.Pending.Parked > 0 { // nothing is under way until the person has done something
		return m.texts.Get("upload.parked"), Warn
	}
	parts := []string{m.texts.Get("state.mounted")}
	if d.Dir != "" {
		parts[0] = m.texts.Get("state.mounted.at", m.place(d.Dir))
	}
	if d.ReadOnly {
		parts = append(parts, m.texts.Get("state.read-only"))
	}
	if d.Cache.Used > 0 {
		parts = append(parts, m.texts.Get("state.kept", Bytes(m.texts, d.Cache.Used)))
	}
	return strings.Join(parts, " · "), Good
}

// notice prefers what the service answered to the last wish: it is the newest
// thing that the person waits for.
func (m *Model) notice(d api.Drive) Notice {
	p, tone, action := d.Problem, Warn, Action{}
	if d.State == api.Failed {
		tone = Bad
	}
	if r, ok := m.refused[d.Name]; ok {
		p, tone, action = &r, Bad, m.action(Dismiss, d, "do.dismiss")
		if a := Remedy(m.texts, r); a.Verb != "" {
			action = a
		}
	}
	if p == nil || p.What == "" {
		return Notice{}
	}
	if p.Code == api.CodeBusy && d.State != api.Stopped {
		tone, action = Warn, m.action(Force, d, "do.force")
	}
	return Notice{What: m.brief(p.What), Means: m.brief(p.Means), Do: m.brief(p.Do), Tone: tone, Action: action}
}

// brief writes the person's home as "~" in a text.
func (m *Model) brief(text string) string {
	if m.home == "" {
		return text
	}
	return strings.NewReplacer(m.home+"/", "~/", m.home+`\`, `~\`).Replace(text)
}

// source writes the address of a drive for reading, not for pasting.
func (m *Model) source(d api.Drive) string {
	switch d.Kind {
	case "mem":
		return m.texts.Get("source.mem")
	case "folder":
		if u, err := url.Parse(d.URL); err == nil && u.Scheme == "file" {
			return m.place(u.Path)
		}
		return m.place(d.URL)
	}
	if u, err := url.Parse(d.URL); d.Kind == "s3" && err == nil {
		s := u.Host + u.Path
		if e, err := url.Parse(u.Query().Get("endpoint")); err == nil && e.Host != "" {
			s = e.Host + "/" + s
		}
		return s
	}
	s := strings.TrimPrefix(d.URL, "git+")
	for _, p := range []string{"https://", "http://", "ssh://"} {
		s = strings.TrimPrefix(s, p)
	}
	if d.Revision == "" {
		return s
	}
	rev := short(d.Revision)
	if strings.HasSuffix(s, "@"+d.Revision) {
		return strings.TrimSuffix(s, d.Revision) + rev
	}
	return s + " · " + rev
}

func (m *Model) place(dir string) string {
	if m.home == "" || !strings.HasPrefix(dir, m.home) {
		return dir
	}
	rest := dir[len(m.home):]
	if rest == "" || rest[0] == '/' || rest[0] == '\\' {
		return "~" + rest
	}
	return dir
}

// short cuts a commit to the length that people know it by.
func short(rev string) string {
	if len(rev) < 40 || strings.Trim(rev, "0123456789abcdef") != "" {
		return rev
	}
	return rev[:8]
}

// icon names the picture of a kind of drive.
func icon(kind string) string {
	switch kind {
	case "folder", "git", "mem":
		return kind
	case "hf":
		return "model"
	case "s3", "b2", "gcs", "azure":
		return "bucket"
	case "sftp", "ftp", "smb":
		return "server"
	case "http", "webdav":
		return "web"
	}
	return "cloud"
}

// clock writes the time of day, with the day when it was not today.
func clock(t, now time.Time) string {
	t = t.In(now.Location())
	ty, tm, td := t.Date()
	ny, nm, nd := now.Date()
	if ty == ny && tm == nm && td == nd {
		return t.Format("15:04")
	}
	return t.Format("2 Jan 15:04")
}

// Bytes writes a size in the units of file managers: powers of 1000, at most
// three digits, with the decimal point of the language.
func Bytes(texts assets.Texts, n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", max(n, 0))
	}
	v, unit := float64(n), 0
	for v >= 999.5 && unit < 6 {
		v /= 1000
		unit++
	}
	format := "%.1f %s"
	if v >= 99.95 {
		format = "%.0f %s"
	}
	size := fmt.Sprintf(format, v, [...]string{"B", "kB", "MB", "GB", "TB", "PB", "EB"}[unit])
	return strings.Replace(size, ".", texts.Get("number.point"), 1)
}
