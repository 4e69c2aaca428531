package s3

import "github.com/moorage/moorage/providers"

// keysPage is where people make access keys of Amazon's.
const keysPage = "https://console.aws.amazon.com/iam/home#/security_credentials"

// Form describes the bucket that u names, without asking it.
func Form(u providers.URL) providers.Form {
	f := providers.Form{
		SignIn: &providers.SignIn{
			User: &providers.Field{Name: "user", Kind: providers.FieldText, Label: "Access key ID", Required: true, Value: u.User,
				Set: func(u *providers.URL, value string) { u.User = value }},
			Secret: providers.Field{Name: "secret", Kind: providers.FieldSecret, Label: "Secret access key", Required: true},
		},
		Fields: []providers.Field{
			param(u, "endpoint", "Server", "Amazon S3"),
			param(u, "region", "Region", "Found out"),
			param(u, "profile", "AWS profile", "The usual one"),
		},
	}
	if u.Param("endpoint") == "" {
		f.SignIn.Page = keysPage
	}
	return f
}

// param is a field that is a parameter of the URL.
func param(u providers.URL, name, label, otherwise string) providers.Field {
	return providers.Field{Name: name, Kind: providers.FieldText, Label: label, Default: otherwise, Value: u.Param(name),
		Set: func(u *providers.URL, value string) { *u = u.WithParam(name, value) }}
}
