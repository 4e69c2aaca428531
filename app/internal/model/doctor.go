package model

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/crash"
)

// Doctor is the report of what works on this computer.
type Doctor struct {
	Running bool   // it is being looked at, or about to be; Checks are those of before
	Verdict string // one line for all of it
	Tone    Tone
	Checks  []Check
	Report  string // all of it, to be sent to somebody
	Again   Action
}

// Check is one line of the report.
type Check struct {
	Name   string
	Detail string
	Advice string // what a person should do; "" for nothing
	Done   string // what was just done about it
	Tone   Tone
	Fix    Action // does it for the person; Verb "" where nothing can
}

// Equal says whether a and b look the same.
func (a Doctor) Equal(b Doctor) bool {
	return a.Running == b.Running && a.Verdict == b.Verdict && a.Tone == b.Tone && a.Report == b.Report &&
		slices.Equal(a.Checks, b.Checks)
}

// examination is what is known of a Doctor.
type examination struct {
	running bool
	checks  []api.Check // nil before the first
}

// Examining says that the computer is being looked at. It returns false if that
// was so already.
func (m *Model) Examining() bool {
	was := m.doctor.running
	m.doctor.running = true
	return !was
}

// Examined takes in what was found.
func (m *Model) Examined(checks []api.Check) {
	m.doctor = examination{checks: checks}
}

func (m *Model) examined() Doctor {
	d := Doctor{Running: m.doctor.running || m.doctor.checks == nil, Again: Action{Verb: Examine, Label: m.texts.Get("doctor.again")}}
	if d.Running {
		d.Verdict, d.Tone = m.texts.Get("doctor.running"), Busy
	} else {
		d.Verdict, d.Tone = m.verdict()
	}
	for _, c := range m.doctor.checks {
		l := Check{Name: title(c), Detail: m.brief(c.Detail), Done: m.brief(c.Done), Tone: Good}
		switch c.State {
		case api.CheckOK:
		case api.CheckNote:
			l.Tone = Warn
		default:
			l.Tone = Bad
		}
		if c.State != api.CheckOK {
			l.Advice = m.brief(c.Remedy)
			if c.Fix != "" {
				l.Fix = Action{Verb: Treat, Drive: c.Fix, Label: m.texts.Get("doctor.fix")}
			}
		}
		d.Checks = append(d.Checks, l)
	}
	if !d.Running {
		d.Report = crash.Redact(Report(m.doctor.checks)) // who gets it is not known
	}
	return d
}

// title is the name of a check as the beginning of a sentence; that of a drive
// is as the person wrote it.
func title(c api.Check) string {
	r, n := utf8.DecodeRuneInString(c.Name)
	if n == 0 || strings.HasPrefix(c.ID, "drive:") {
		return c.Name
	}
	return string(unicode.ToUpper(r)) + c.Name[n:]
}

func (m *Model) verdict() (string, Tone) {
	bad, notes := 0, 0
	for _, c := range m.doctor.checks {
		switch c.State {
		case api.CheckOK:
		case api.CheckNote:
			notes++
		default:
			bad++
		}
	}
	switch {
	case bad > 0:
		return m.texts.Count("doctor.bad", bad), Bad
	case notes > 0:
		return m.texts.Count("doctor.notes", notes), Warn
	}
	return m.texts.Get("doctor.good"), Good
}

// Report writes checks as a text, as the command line does.
func Report(checks []api.Check) string {
	var b strings.Builder
	for _, c := range checks {
		b.WriteString(string(c.State) + "\t" + c.Name + ": " + c.Detail + "\n")
		if c.State != api.CheckOK && c.Remedy != "" {
			b.WriteString("\t" + c.Remedy + "\n")
		}
		if c.Done != "" {
			b.WriteString("\t" + c.Done + "\n")
		}
	}
	return b.String()
}
