package git

import "github.com/moorage/moorage/providers"

// tokenPages are where people make tokens, by host.
var tokenPages = map[string]string{
	"github.com":      "https://github.com/settings/personal-access-tokens/new",
	"gist.github.com": "https://github.com/settings/personal-access-tokens/new",
	"gitlab.com":      "https://gitlab.com/-/user_settings/personal_access_tokens?name=Moorage&scopes=read_repository",
	"codeberg.org":    "https://codeberg.org/user/settings/applications",
	"gitea.com":       "https://gitea.com/user/settings/applications",
	"bitbucket.org":   "https://id.atlassian.com/manage-profile/security/api-tokens",
	"huggingface.co":  "https://huggingface.co/settings/tokens",
}

// Form describes the repository that u names, without asking it.
func Form(u providers.URL) providers.Form {
	f := providers.Form{ReadOnly: true, Fields: []providers.Field{
		{Name: "revision", Kind: providers.FieldText, Label: "Branch, tag or commit", Default: "The default branch", Value: u.Revision,
			Set: func(u *providers.URL, value string) { u.Revision, u.SplitOpen = value, false }},
		{Name: "folder", Kind: providers.FieldText, Label: "Folder", Default: "The whole repository", Value: u.Subdir,
			Set: func(u *providers.URL, value string) { u.Subdir, u.SplitOpen = value, false }},
	}}
	if u.Transport == "http" || u.Transport == "https" { // ssh has keys of its own
		f.SignIn = &providers.SignIn{
			User: &providers.Field{Name: "user", Kind: providers.FieldText, Label: "User name", Default: "Not needed with a token", Value: u.User,
				Set: func(u *providers.URL, value string) { u.User = value }},
			Secret: providers.Field{Name: "secret", Kind: providers.FieldSecret, Label: "Password or token", Required: true},
			Page:   tokenPages[u.Host],
		}
	}
	return f
}
