package git

import (
	"strings"
	"testing"

	"github.com/moorage/moorage/providers"
)

func TestForm(t *testing.T) {
	for in, page := range map[string]string{
		"https://github.com/o/r/tree/main/docs": "https://github.com/", "https://gitlab.com/o/r": "https://gitlab.com/",
		"https://bitbucket.org/o/r": "https://id.atlassian.com/", "https://codeberg.org/o/r": "https://codeberg.org/", "https://example.org/r.git": "",
	} {
		u, _, err := providers.ParseURL(in)
		if err != nil {
			t.Fatal(err)
		}
		f := Form(u)
		if !f.ReadOnly || f.SignIn == nil || !strings.HasPrefix(f.SignIn.Page, page) || page == "" && f.SignIn.Page != "" {
			t.Errorf("the form of %s is %+v", in, f)
		}
		f.SignIn.User.Set(&u, "me")
		for _, field := range f.Fields {
			field.Set(&u, map[string]string{"revision": "feature/x", "folder": "sub"}[field.Name])
		}
		if again, _, err := providers.ParseURL(u.String()); err != nil || again != u || again.Revision != "feature/x" || again.Subdir != "sub" || again.User != "me" {
			t.Errorf("%s, filled in, is %s, which reads as %+v, %v", in, u, again, err)
		}
	}
	u, _, err := providers.ParseURL("git@github.com:o/r.git")
	if err != nil {
		t.Fatal(err)
	}
	if f := Form(u); f.SignIn != nil {
		t.Errorf("ssh asks for %+v", f.SignIn)
	}
}
