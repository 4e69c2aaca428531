package ui

import (
	"strings"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/assets"
	"github.com/moorage/moorage/daemon/api"
)

// prospects stand for what the service knows of addresses. They answer at once, but for
// a Try that is held.
type prospects struct {
	model   *model.Model
	refuse  *api.Problem            // of Describe
	answers map[string]*api.Problem // of Try, by secret; "" for any other
	found   []api.Found
	dropped string

	hold bool
	held func() // answers Try
	off  int    // of Try

	described []api.Describe
	tried     []api.Try
	visited   string
}

func newProspects(texts assets.Texts) *prospects {
	return &prospects{model: model.New(texts, "/home/ann"), answers: map[string]*api.Problem{}}
}

// Describe takes all for git repositories on example.org but for folders and mem:.
func (p *prospects) Describe(d api.Describe, done func(model.Prospect)) func() {
	p.described = append(p.described, d)
	a := api.Description{URL: d.URL, Kind: "git", Name: "project", Dir: "/home/ann/Moorage/project", ReadOnly: true,
		SignIn: &api.SignIn{User: &api.Field{Name: "user", Kind: api.FieldText, Label: "User name", Default: "Not needed with a token"},
			Secret: api.Field{Name: "secret", Kind: api.FieldSecret, Label: "Password or token"}, Page: "https://example.org/tokens"},
		Fields: []api.Field{{Name: "revision", Kind: api.FieldText, Label: "Branch, tag or commit", Default: "The default branch"},
			{Name: "folder", Kind: api.FieldText, Label: "Folder", Default: "The whole repository"}}}
	switch {
	case p.refuse != nil:
		a = api.Description{Problem: p.refuse}
	case strings.HasPrefix(d.URL, "/"):
		a = api.Description{URL: d.URL, Kind: "folder", Name: "photos", Dir: "/home/ann/Moorage/photos"}
	case d.URL == "mem:":
		a = api.Description{URL: d.URL, Kind: "mem", Name: "mem", Dir: "/home/ann/Moorage/mem"}
	case strings.HasPrefix(d.URL, "s3://?"):
		a = api.Description{Kind: "s3", Problem: &api.Problem{Code: api.CodeBadURL, What: "Not a drive URL: the bucket is missing, as in s3://bucket/folder."}}
	case strings.HasPrefix(d.URL, "sftp:"):
		a = api.Description{URL: d.URL, Kind: "sftp", Problem: &api.Problem{Code: api.CodeComing, What: "SFTP drives are coming."}}
	case strings.Contains(d.URL, "ghp_token@"):
		a.Secret, a.URL = "ghp_token", strings.Replace(d.URL, "ghp_token@", "", 1)
	}
	if user := d.With["user"]; user != "" {
		a.URL = strings.Replace(a.URL, "://", "://"+user+"@", 1)
	}
	if rev := d.With["revision"]; rev != "" {
		a.URL += "@" + rev
	}
	done(p.model.Prospect(a, nil))
	return func() {}
}

func (p *prospects) Try(t api.Try, done func(model.Tried)) func() {
	p.tried = append(p.tried, t)
	answer := func() {
		trouble, ok := p.answers[t.Secret]
		if !ok {
			trouble = p.answers[""]
		}
		done(p.model.Tried(t, root, trouble))
	}
	if p.hold {
		p.held = answer
	} else {
		answer()
	}
	return func() { p.off++ }
}

// root is what all addresses have.
var root = api.Tried{Folders: 4, Files: 30, Revision: "3f9d2c51a0b4e6f78901234567890abcdef12345", Entries: []api.TriedEntry{
	{Name: "cmd", Folder: true}, {Name: "docs", Folder: true}, {Name: "internal", Folder: true}, {Name: "packaging", Folder: true},
	{Name: ".gitignore", Size: 120}, {Name: "LICENSE", Size: 1500}, {Name: "README.md", Size: 12_345}, {Name: "go.mod", Size: -1}, {Name: "main.go", Size: 3_456},
}}

func (p *prospects) Found(done func([]model.Found)) func() {
	done(p.model.Found(p.found))
	return func() {}
}

func (p *prospects) Dropped(paths []string, done func(string)) func() {
	done(p.dropped)
	return func() {}
}

// wantsSignIn makes all addresses want one, that takes secret.
func (p *prospects) wantsSignIn(secret string) {
	p.answers[""] = &api.Problem{Code: api.CodeAuth, What: "The server wants a login.", Do: "Give one."}
	p.answers[secret] = nil
}
