package s3_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/s3"
	"github.com/moorage/moorage/providers/s3/s3test"
)

func TestParseSecret(t *testing.T) {
	for _, tt := range []struct {
		user, secret, id, key string
		bad                   bool
	}{
		{"", "ID:k3y", "ID", "k3y", false},
		{"", " ID : k3y\n", "ID", "k3y", false},
		{"ID", "k3y", "ID", "k3y", false},
		{"ID", "ID:k3y", "ID", "k3y", false},
		{"ID", "a:b", "ID", "a:b", false},
		{"", "ID:a:b", "ID", "a:b", false},
		{"", "", "", "", false},
		{"ID", "", "", "", false},
		{"", "k3y", "", "", true},
		{"", ":k3y", "", "", true},
		{"", "ID:", "", "", true},
		{"", "ID:k3 y", "", "", true},
	} {
		c, err := s3.ParseSecret(tt.user, tt.secret)
		if tt.bad {
			if !errors.Is(err, providers.ErrAuth) || strings.Contains(err.Error(), "k3") {
				t.Errorf("ParseSecret(%q, %q): %v", tt.user, tt.secret, err)
			}
			continue
		}
		if err != nil || c.AccessKeyID != tt.id || c.SecretAccessKey != tt.key {
			t.Errorf("ParseSecret(%q, %q) = %q, %q, %v", tt.user, tt.secret, c.AccessKeyID, c.SecretAccessKey, err)
		}
	}
}

// Credentials are in no text that is made of them.
func TestCredentialsDoNotPrint(t *testing.T) {
	c := s3.Credentials{AccessKeyID: "the-id", SecretAccessKey: topSecret, SessionToken: "the-token"}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "credentials", c)
	for _, s := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v %s %q", c, c, c, c), log.String()} {
		for _, part := range []string{"the-id", topSecret, "the-token"} {
			if strings.Contains(s, part) {
				t.Errorf("%q shows %q", s, part)
			}
		}
	}
}

// aws sets the AWS tools' configuration of this test.
func aws(t *testing.T, credentials, config string) {
	dir := t.TempDir()
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
			os.Unsetenv(name)
		}
	}
	for name, data := range map[string]string{"AWS_SHARED_CREDENTIALS_FILE": credentials, "AWS_CONFIG_FILE": config} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv(name, file)
	}
	t.Setenv("HOME", dir)
	t.Setenv("USERPROFILE", dir)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

// Without a secret of its own, a drive has what the AWS tools have; without
// that, its requests are not signed.
func TestWhereCredentialsComeFrom(t *testing.T) {
	const keys = "[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n"
	own := func(context.Context) (s3.Credentials, error) {
		return s3.Credentials{AccessKeyID: "own-id", SecretAccessKey: topSecret}, nil
	}
	locked := errors.New("locked")
	for _, tt := range []struct {
		name        string
		aws, config string
		own         func(context.Context) (s3.Credentials, error)
		signed      string // the id that requests are signed with
		status      int    // of the store's answer
		want        error
	}{
		{"own", fmt.Sprintf(keys, "aws-id", "x"), "", own, "own-id", 200, nil},
		{"own with a broken configuration", "nonsense", "[", own, "own-id", 200, nil},
		{"the tools'", fmt.Sprintf(keys, "aws-id", "x"), "", nil, "aws-id", 200, nil},
		{"none of its own", fmt.Sprintf(keys, "aws-id", "x"), "", func(context.Context) (s3.Credentials, error) { return s3.Credentials{}, nil }, "aws-id", 200, nil},
		{"none", "", "", nil, "", 200, nil},
		{"none, and it takes one", "", "", nil, "", 403, providers.ErrAuth},
		{"one that may not", fmt.Sprintf(keys, "aws-id", "x"), "", nil, "aws-id", 403, providers.ErrPermission},
		{"the keyring is locked", fmt.Sprintf(keys, "aws-id", "x"), "", func(context.Context) (s3.Credentials, error) { return s3.Credentials{}, locked }, "", 0, locked},
		{"a program that fails", "", "[default]\ncredential_process = /nonexistent/program\n", nil, "", 0, providers.ErrAuth},
		{"a session that ended", "", "[default]\nsso_start_url = https://127.0.0.1:9/start\nsso_region = us-east-1\nsso_account_id = 1\nsso_role_name = r\n", nil, "", 0, providers.ErrAuth},
	} {
		t.Run(tt.name, func(t *testing.T) {
			aws(t, tt.aws, tt.config)
			var log bytes.Buffer
			signed, asked := "", false
			w := &wire{plays: func(q *http.Request, _ http.RoundTripper) (*http.Response, error) {
				asked = true
				_, after, _ := strings.Cut(q.Header.Get("Authorization"), "Credential=")
				signed, _, _ = strings.Cut(after, "/")
				if tt.status != 200 {
					return answer(q, tt.status, nil, s3Error("AccessDenied", "Access Denied")), nil
				}
				return answer(q, 200, nil, "<ListBucketResult><Name>bucket</Name></ListBucketResult>"), nil
			}}
			u, _, err := providers.ParseURL(fakeURL)
			if err != nil {
				t.Fatal(err)
			}
			r, err := s3.Open(u, s3.Options{Transport: w, Credentials: tt.own, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			_, err = r.ReadDir(t.Context(), "", "")
			if !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if signed != tt.signed || asked != (tt.status != 0) {
				t.Errorf("asked: %v, signed by %q, want %q", asked, signed, tt.signed)
			}
			if err != nil && strings.Contains(err.Error(), topSecret) || strings.Contains(log.String(), topSecret) {
				t.Error("the secret is shown")
			}
		})
	}
}

// The authorities that the AWS tools are told to trust are trusted here.
func TestOwnAuthority(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		_, _ = io.WriteString(w, "<ListBucketResult><Name>bucket</Name></ListBucketResult>")
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	aws(t, "[default]\naws_access_key_id = id\naws_secret_access_key = x\n", "")
	list := func() error {
		u, _, err := providers.ParseURL("s3://bucket?endpoint=" + srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		r, err := s3.Open(u, s3.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		_, err = r.ReadDir(t.Context(), "", "")
		return err
	}
	if err := list(); !errors.Is(err, providers.ErrOffline) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate of nobody: %v", err)
	}
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CA_BUNDLE", bundle)
	if err := list(); err != nil {
		t.Errorf("a certificate that the tools trust: %v", err)
	}
}

// Nothing that a drive logs or fails with shows its login.
func TestNoSecretInLogs(t *testing.T) {
	b := newBucket(t)
	var log bytes.Buffer
	r := b.srv.Open(t, b.name, "", s3.Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	defer r.Close()
	var errs []error
	note := func(err error) { errs = append(errs, err) }
	_, err := r.Put(t.Context(), "a/b", strings.NewReader("x"), providers.PutOptions{})
	note(err)
	_, err = r.Put(t.Context(), "f", strings.NewReader("x"), providers.PutOptions{Cond: providers.Cond{IfVersion: "v"}})
	note(err)
	b.srv.Stop()
	_, err = r.Stat(t.Context(), "f")
	note(err)
	note(r.Remove(t.Context(), "f", providers.Cond{}))
	for _, err := range errs {
		if err == nil {
			t.Error("nothing went wrong")
			continue
		}
		for _, part := range []string{s3test.SecretAccessKey, "Signature", "AWS4"} {
			if strings.Contains(err.Error(), part) {
				t.Errorf("%v shows %q", err, part)
			}
		}
	}
	if strings.Contains(log.String(), s3test.SecretAccessKey) || strings.Contains(log.String(), "AWS4") {
		t.Errorf("the log shows the login: %s", log.String())
	}
}

// A drive with a profile in its URL signs in with that of the AWS tools, whatever
// the environment says.
func TestProfile(t *testing.T) {
	aws(t, "[work]\naws_access_key_id = work-id\naws_secret_access_key = x\n[default]\naws_access_key_id = usual-id\naws_secret_access_key = x\n", "[profile work]\nregion = eu-central-1\n")
	t.Setenv("AWS_ACCESS_KEY_ID", "environment-id")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "x")
	for profile, want := range map[string]string{"work": "work-id", "nobody's": ""} {
		signed := ""
		w := &wire{plays: func(q *http.Request, _ http.RoundTripper) (*http.Response, error) {
			_, signed, _ = strings.Cut(q.Header.Get("Authorization"), "Credential=")
			return answer(q, 200, nil, "<ListBucketResult><Name>bucket</Name></ListBucketResult>"), nil
		}}
		r, err := s3.Open(providers.URL{Kind: providers.KindS3, Host: "bucket", Query: url.Values{"profile": {profile}}.Encode()}, s3.Options{Transport: w})
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.ReadDir(t.Context(), "", "")
		r.Close()
		if want == "" {
			if !errors.Is(err, providers.ErrAuth) || signed != "" {
				t.Errorf("a profile that is not there: %v, signed %q", err, signed)
			}
			continue
		}
		if err != nil || !strings.HasPrefix(signed, want+"/") || !strings.Contains(signed, "/eu-central-1/") {
			t.Errorf("signed with %q, %v", signed, err)
		}
	}
}

func TestForm(t *testing.T) {
	u, _, err := providers.ParseURL("s3://bucket?region=auto")
	if err != nil {
		t.Fatal(err)
	}
	f := s3.Form(u)
	if f.ReadOnly || f.SignIn == nil || f.SignIn.Page == "" {
		t.Errorf("the form of Amazon's is %+v", f)
	}
	f.SignIn.User.Set(&u, "AKIA")
	for _, field := range f.Fields {
		if field.Name == "region" && field.Value != "auto" {
			t.Errorf("the region is %q", field.Value)
		}
		field.Set(&u, map[string]string{"endpoint": "https://127.0.0.1:9000"}[field.Name])
	}
	if s := u.String(); s != "s3://AKIA@bucket?endpoint=https%3A%2F%2F127.0.0.1%3A9000" {
		t.Errorf("filled in, it is %s", s)
	}
	if f := s3.Form(u); f.SignIn.Page != "" {
		t.Errorf("keys of another store are made at %s", f.SignIn.Page)
	}
}
