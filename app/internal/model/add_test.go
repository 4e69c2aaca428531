package model

import (
	"slices"
	"testing"

	"github.com/moorage/moorage/assets"
	"github.com/moorage/moorage/daemon/api"
)

func TestProspect(t *testing.T) {
	m := newModel(t)
	bad := &api.Problem{Code: api.CodeBadURL, What: "No."}
	coming := &api.Problem{Code: api.CodeComing, What: "Later."}
	for _, c := range []struct {
		d                      api.Description
		icon, text, url, place string
	}{
		{api.Description{URL: "git+https://github.com/o/r.git@v1", Kind: "git", Name: "r", Dir: "/home/ann/Moorage/r"}, "git", "Git repository · github.com/o/r.git@v1", "git+https://github.com/o/r.git@v1", "~/Moorage/x"},
		{api.Description{URL: "s3://b/p?endpoint=https%3A%2F%2Fminio.local%3A9000", Kind: "s3"}, "bucket", "S3 storage · minio.local:9000/b/p", "s3://b/p?endpoint=https%3A%2F%2Fminio.local%3A9000", ""},
		{api.Description{URL: "s3://b?region=auto", Kind: "s3", Letters: []string{"Z:"}}, "bucket", "S3 storage · b", "s3://b?region=auto", ""},
		{api.Description{URL: "/home/ann/x", Kind: "folder"}, "folder", "Folder · ~/x", "/home/ann/x", ""},
		{api.Description{URL: "mem:", Kind: "mem"}, "mem", "Drive in memory", "mem:", ""},
		{api.Description{Kind: "s3", Problem: bad}, "bucket", "S3 storage", "", ""},
		{api.Description{Problem: bad}, "", "", "", ""},
		{api.Description{URL: "sftp://h/", Kind: "sftp", Problem: coming}, "server", "SFTP · this version cannot open it yet", "", ""},
	} {
		p := m.Prospect(c.d, nil)
		if p.Icon != c.icon || p.Text != c.text || p.URL != c.url || p.Place("x") != c.place || p.Problem != c.d.Problem {
			t.Errorf("%+v is shown as %+v, place %q", c.d, p, p.Place("x"))
		}
	}
	if p := m.Prospect(api.Description{}, bad); p.Problem != bad || p.URL != "" {
		t.Errorf("without an answer: %+v", p)
	}
}

// The fields of a provider are in the person's language where there are texts, else as
// the provider has them.
func TestFieldsAreTranslated(t *testing.T) {
	texts, err := assets.For("de")
	if err != nil {
		t.Fatal(err)
	}
	p := New(texts, "").Prospect(api.Description{URL: "s3://b", Kind: "s3",
		SignIn: &api.SignIn{User: &api.Field{Name: "user", Label: "Access key ID"}, Secret: api.Field{Name: "secret", Label: "Secret access key"}, Page: "https://x"},
		Fields: []api.Field{{Name: "region", Label: "Region", Default: "Found out", Value: "auto"}, {Name: "storage-class", Label: "Storage class"}}}, nil)
	if p.SignIn.User.Label != "Zugriffsschlüssel-ID" || p.SignIn.Secret.Label != "Geheimer Zugriffsschlüssel" || p.SignIn.Page != "https://x" {
		t.Errorf("the sign-in is %+v", p.SignIn)
	}
	if f := p.Fields; len(f) != 2 || f[0].Placeholder != "Wird ermittelt" || f[0].Value != "auto" || f[1].Label != "Storage class" {
		t.Errorf("the fields are %+v", f)
	}
}

func TestTried(t *testing.T) {
	m := newModel(t)
	for _, c := range []struct {
		a                     api.Tried
		summary, note, others string
	}{
		{api.Tried{}, "It is empty.", "Read-only", ""},
		{api.Tried{Files: 1, Writable: true}, "1 file", "can be changed", "and 1 other"},
		{api.Tried{Folders: 2}, "2 folders", "Read-only", "and 2 others"},
		{api.Tried{Folders: 1, Files: 2000, More: true, Writable: true, Revision: "0123456789012345678901234567890123456789"},
			"More than 1 folder, 2000 files", "Revision 01234567 · can be changed", "and 2001 others"},
	} {
		if got := m.Tried(api.Try{}, c.a, nil); got.Summary != c.summary || got.Note != c.note || got.Others != c.others || got.Problem != nil {
			t.Errorf("%+v is shown as %+v", c.a, got)
		}
	}
	got := m.Tried(api.Try{}, api.Tried{Folders: 1, Files: 2, Entries: []api.TriedEntry{{Name: "d", Folder: true, Size: 4096}, {Name: "f", Size: 1200}, {Name: "g", Size: -1}}}, nil)
	if want := []TriedLine{{"d", true, ""}, {"f", false, "1.2 kB"}, {"g", false, ""}}; !slices.Equal(got.Lines, want) || got.Others != "" {
		t.Errorf("%+v", got)
	}
	for try, want := range map[api.Try]string{
		{URL: "git+https://me@h/r.git"}: "h wants to know who you are.", {URL: "git+https://h:8443/r.git", Secret: "x"}: "h:8443 did not accept that sign-in.",
		{URL: "s3://me@b"}: "Amazon S3 wants to know who you are.", {URL: "s3://b?endpoint=https%3A%2F%2Fminio.local%3A9000"}: "minio.local:9000 wants to know who you are.",
	} {
		a := m.Tried(try, api.Tried{}, &api.Problem{Code: api.CodeAuth, What: "No."})
		if a.SignIn != want || a.Problem == nil {
			t.Errorf("%+v: %+v", try, a)
		}
	}
	if a := m.Tried(api.Try{}, api.Tried{}, &api.Problem{Code: api.CodeNoFolder, What: "The folder /home/ann/x does not exist."}); a.SignIn != "" || a.Problem.What != "The folder ~/x does not exist." {
		t.Errorf("%+v", a)
	}
}

func TestFoundIsTold(t *testing.T) {
	got := newModel(t).Found([]api.Found{
		{Kind: "s3", Name: "work", URL: "s3://?profile=work", From: "/home/ann/.aws/config", Gap: 5},
		{Kind: "git", Name: "r", URL: "git+https://github.com/o/r.git", From: "/home/ann/src/r/.git/config"},
	})
	want := []Found{{"bucket", "work", "S3 storage · ~/.aws/config", "s3://?profile=work", 5}, {"git", "r", "github.com/o/r.git · ~/src/r", "git+https://github.com/o/r.git", 0}}
	if !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}

// TestEveryKindHasAName: also those that no provider opens yet.
func TestEveryKindHasAName(t *testing.T) {
	texts, err := assets.English()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"folder", "mem", "git", "hf", "s3", "sftp", "webdav", "ftp", "smb", "http", "gdrive", "onedrive", "dropbox", "box", "b2", "gcs", "azure"} {
		if texts["add.kind."+kind] == "" {
			t.Errorf("%s has no name", kind)
		}
	}
}
