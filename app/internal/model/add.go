package model

import (
	"net/url"
	"path/filepath"
	"strings"

	"github.com/moorage/moorage/daemon/api"
)

// Prospect is what an address is, before there is a drive of it.
type Prospect struct {
	Icon string // as Row.Kind; "" if it cannot be told
	Text string // what it is, in one line; "" if there is nothing to say yet
	Tone Tone

	URL      string // "" while it names no drive
	Secret   string // that was in the address, and is to be shown nowhere
	Name     string // of the drive, unless the person wants another one
	Parent   string // the folder in which that is a folder, as it is shown; "": it gets one of Letters
	Letters  []string
	ReadOnly bool
	SignIn   *Login // nil: a password or token is of no use
	Fields   []Field
	Problem  *api.Problem // why it names no drive that can be opened
}

// Login is what a person signs in with.
type Login struct {
	User   *Field
	Secret Field
	Page   string // where a token is made in the browser; "" if that is not known
}

// Field is one thing that a person may say.
type Field struct {
	Name        string
	Kind        api.FieldKind
	Label       string
	Help        string
	Placeholder string // what holds if it is empty
	Choices     []string
	Value       string
}

// Place is where a drive called name is mounted unless told otherwise, as it is shown;
// "" for a letter.
func (p Prospect) Place(name string) string {
	if p.Parent == "" {
		return ""
	}
	return filepath.Join(p.Parent, name)
}

// Prospect puts d in words; trouble is why the service did not tell.
func (m *Model) Prospect(d api.Description, trouble *api.Problem) Prospect {
	t := m.texts
	p := Prospect{
		URL: d.URL, Secret: d.Secret, Name: d.Name, Letters: d.Letters, ReadOnly: d.ReadOnly, Problem: d.Problem,
	}
	if trouble != nil {
		p.Problem = trouble
		return p
	}
	if d.Dir != "" {
		p.Parent = m.place(filepath.Dir(d.Dir))
	}
	if d.SignIn != nil {
		p.SignIn = &Login{Secret: m.field(d.Kind, d.SignIn.Secret), Page: d.SignIn.Page}
		if d.SignIn.User != nil {
			user := m.field(d.Kind, *d.SignIn.User)
			p.SignIn.User = &user
		}
	}
	for _, f := range d.Fields {
		p.Fields = append(p.Fields, m.field(d.Kind, f))
	}
	if d.Kind == "" {
		return p
	}
	p.Icon, p.Text = icon(d.Kind), t.Get("add.kind."+d.Kind)
	switch {
	case d.Problem != nil && d.Problem.Code == api.CodeComing:
		p.URL, p.Tone = "", Warn
		p.Text += " · " + t.Get("add.coming")
	case d.URL != "" && d.Kind != "mem":
		p.Text += " · " + m.source(api.Drive{URL: d.URL, Kind: d.Kind})
	}
	return p
}

// field puts f into the person's language, if there are texts for it.
func (m *Model) field(kind string, f api.Field) Field {
	out := Field{Name: f.Name, Kind: f.Kind, Label: f.Label, Help: f.Help, Placeholder: f.Default, Choices: f.Choices, Value: f.Value}
	for prefix, text := range map[string]*string{"add.field.": &out.Label, "add.default.": &out.Placeholder} {
		if own, ok := m.texts[prefix+kind+"-"+f.Name]; ok {
			*text = own
		}
	}
	return out
}

// Tried is what was found at an address.
type Tried struct {
	Summary string // how much there is
	Note    string // what else is to be known
	Lines   []TriedLine
	Others  string       // what is not among Lines; "" for nothing
	Problem *api.Problem // why nothing can be told; nil: all of the above
	SignIn  string       // the remote wants a sign-in, in a sentence; "": it does not
}

// TriedLine is one name.
type TriedLine struct {
	Name   string
	Folder bool
	Size   string // "" if it has none, or it is not known
}

// Tried puts what the service answered to try in words.
func (m *Model) Tried(try api.Try, a api.Tried, trouble *api.Problem) Tried {
	t := m.texts
	if trouble != nil {
		out := Tried{Problem: &api.Problem{Code: trouble.Code, What: m.brief(trouble.What), Means: m.brief(trouble.Means), Do: m.brief(trouble.Do)}}
		if trouble.Code == api.CodeAuth {
			out.SignIn = t.Get("add.sign-in", server(try.URL))
			if try.Secret != "" {
				out.SignIn = t.Get("add.sign-in.again", server(try.URL))
			}
		}
		return out
	}
	folders, files := t.Count("add.folders", a.Folders), t.Count("add.files", a.Files)
	out := Tried{Note: t.Get("add.read-only")}
	switch {
	case a.Folders+a.Files == 0 && !a.More:
		out.Summary = t.Get("add.nothing")
	case a.Files == 0:
		out.Summary = folders
	case a.Folders == 0:
		out.Summary = files
	default:
		out.Summary = t.Get("add.both", folders, files)
	}
	if a.More {
		out.Summary = t.Get("add.more", out.Summary)
	}
	if a.Writable {
		out.Note = t.Get("add.writable")
	}
	if a.Revision != "" {
		out.Note = t.Get("add.revision", short(a.Revision)) + " · " + out.Note
	}
	for _, e := range a.Entries {
		l := TriedLine{Name: e.Name, Folder: e.Folder}
		if !e.Folder && e.Size >= 0 {
			l.Size = Bytes(t, e.Size)
		}
		out.Lines = append(out.Lines, l)
	}
	if n := a.Folders + a.Files - len(a.Entries); n > 0 {
		out.Others = t.Count("detail.more", n)
	}
	return out
}

// server is who wants a sign-in at an address, as people call it.
func server(address string) string {
	u, err := url.Parse(strings.TrimPrefix(address, "git+"))
	switch {
	case err != nil || u.Host == "":
		return address
	case u.Scheme != "s3":
		return u.Host
	}
	if e, err := url.Parse(u.Query().Get("endpoint")); err == nil && e.Host != "" {
		return e.Host
	}
	return "Amazon S3"
}

// Found is something on this computer that may become a drive.
type Found struct {
	Icon  string
	Title string
	From  string // where it was found
	URL   string
	Gap   int // the byte of URL before which the person has something to put in; 0: nothing
}

// Found puts what the service found in words.
func (m *Model) Found(all []api.Found) []Found {
	var out []Found
	for _, f := range all {
		l := Found{Icon: icon(f.Kind), Title: f.Name, From: m.place(f.From), URL: f.URL, Gap: f.Gap}
		if f.Gap == 0 {
			l.From = m.source(api.Drive{URL: f.URL, Kind: f.Kind}) + " · " + m.place(cloneOf(f.From))
		} else {
			l.From = m.texts.Get("add.kind."+f.Kind) + " · " + l.From
		}
		out = append(out, l)
	}
	return out
}

// cloneOf is the folder of the git clone whose configuration file is given, or path.
func cloneOf(path string) string {
	if dir := filepath.Dir(path); filepath.Base(dir) == ".git" {
		return filepath.Dir(dir)
	}
	return path
}
