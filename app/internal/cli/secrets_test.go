//go:build unix

package cli

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/moorage/moorage/daemon/api"
)

// typing answers one prompt after the other, as a person at a terminal.
func typing(words ...string) func(*Env) {
	return func(e *Env) {
		e.ReadPassword = func(context.Context) (string, error) {
			if len(words) == 0 {
				return "", errors.New("asked too often")
			}
			w := words[0]
			words = words[1:]
			return w, nil
		}
	}
}

func piped(s string) func(*Env) { return func(e *Env) { e.Stdin = strings.NewReader(s) } }

func TestSecrets(t *testing.T) {
	f := newFake(t)
	f.kept = api.Secrets{Keyring: api.KeyringAbsent, File: api.SecretFileLocked,
		Problem: &api.Problem{Code: api.CodeKeyring, What: "No program of this session keeps passwords.", Do: "Start one."},
		Kept:    []api.KeptSecret{{ID: "11", File: true}, {ID: "22", Drive: "notes"}}}
	want := `Keyring: absent
Encrypted file: locked

DRIVE   ID  KEPT IN
(gone)  11  encrypted file
notes   22  keyring

No program of this session keeps passwords.
  Start one.
`
	if r := f.run(t, nil, "secrets"); r.status != 0 || r.out != want {
		t.Errorf("%+v", r)
	}
	if r := f.run(t, nil, "secrets", "--json"); r.status != 0 || !strings.Contains(r.out, `"keyring": "absent"`) {
		t.Errorf("%+v", r)
	}
	wrong := &api.Error{Exit: api.ExitFailed, Problem: api.Problem{Code: api.CodePassphrase, What: "That is not it."}}
	for _, tc := range []struct {
		name   string
		args   string
		env    func(*Env)
		unlock []*api.Error
		status int
		calls  []string
	}{
		{name: "unlock", args: "unlock", env: piped("the passphrase\n"), calls: []string{`POST /v1/secrets/unlock {"passphrase":"the passphrase"}`}},
		{name: "wrong, then right", args: "unlock", env: typing("wrong", "right"), unlock: []*api.Error{wrong},
			calls: []string{`POST /v1/secrets/unlock {"passphrase":"wrong"}`, `POST /v1/secrets/unlock {"passphrase":"right"}`}},
		{name: "wrong, by a pipe", args: "unlock", env: piped("wrong"), unlock: []*api.Error{wrong}, status: api.ExitFailed,
			calls: []string{`POST /v1/secrets/unlock {"passphrase":"wrong"}`}},
		{name: "none", args: "unlock", env: piped(""), status: api.ExitUsage},
		{name: "create", args: "create", env: typing("hunter2 x", "hunter2 x"), calls: []string{`POST /v1/secrets/file {"passphrase":"hunter2 x"}`}},
		{name: "not the same", args: "create", env: typing("hunter2 x", "hunter3 x"), status: api.ExitFailed},
		{name: "change", args: "passphrase", env: piped("hunter1 x\nhunter2 x\n"), calls: []string{`PUT /v1/secrets/file {"passphrase":"hunter2 x","old":"hunter1 x"}`}},
		{name: "forget", args: "forget notes", calls: []string{"DELETE /v1/secrets/22"}},
		{name: "forget what a drive left", args: "forget 11", calls: []string{"DELETE /v1/secrets/11"}},
		{name: "forget nothing", args: "forget x", status: api.ExitNotFound},
	} {
		f.unlock = tc.unlock
		r := f.run(t, tc.env, append([]string{"secrets"}, strings.Fields(tc.args)...)...)
		if calls := f.said(); r.status != tc.status || !reflect.DeepEqual(calls, tc.calls) {
			t.Errorf("%s: %+v, called %q", tc.name, r, calls)
		}
		if strings.Contains(r.out+r.err, "hunter") || strings.Contains(r.err, "wrong") {
			t.Errorf("%s shows what was typed: %+v", tc.name, r)
		}
	}
	f.kept = api.Secrets{Keyring: api.KeyringLocked, File: api.SecretFileAbsent}
	if r, calls := f.run(t, nil, "secrets", "unlock"), f.said(); r.status != 0 || len(calls) != 1 || calls[0] != `POST /v1/secrets/unlock {}` {
		t.Errorf("%+v, called %q", r, calls)
	}
	f.kept = api.Secrets{Keyring: api.KeyringUsable, File: api.SecretFileAbsent}
	if r, calls := f.run(t, nil, "secrets", "unlock"), f.said(); r.status != api.ExitNotFound || calls != nil {
		t.Errorf("%+v, called %q", r, calls)
	}
}

// What is typed with a password in it goes on without being in an argument, and the
// person is told what she gave away.
func TestPasswordsInAddresses(t *testing.T) {
	program := onPath(t, "mooraged")
	f := newFake(t)
	for name, tc := range map[string]struct {
		args  []string
		stdin string
		argv  []string
		input string
		warns bool
	}{
		"none":       {args: []string{"https://h/r.git"}, argv: []string{"https://h/r.git"}},
		"a user":     {args: []string{"https://u@h/r.git", "--read-only"}, argv: []string{"-", "--read-only"}, input: "https://u@h/r.git\n"},
		"a password": {args: []string{"https://u:hunter2@h/r.git"}, argv: []string{"-"}, input: "https://u:hunter2@h/r.git\n", warns: true},
		"asked for":  {args: []string{"https://u@h/r.git", "--secret"}, stdin: "hunter2\n", argv: []string{"-"}, input: "https://u@h/r.git\nhunter2\n"},
	} {
		r := f.run(t, piped(tc.stdin), append([]string{"serve"}, tc.args...)...)
		if want := [][]string{append([]string{program, "serve"}, tc.argv...)}; r.status != 0 || !reflect.DeepEqual(r.ran, want) || r.input != tc.input {
			t.Errorf("%s: ran %q with %q, %s", name, r.ran, r.input, r.err)
		}
		if strings.Contains(r.err, "history") != tc.warns || strings.Contains(r.err, "hunter2") {
			t.Errorf("%s: says %q", name, r.err)
		}
	}
	for _, cmd := range []string{"add", "mount"} {
		if r := f.run(t, nil, cmd, "https://u:hunter2@h/r.git", "--name", cmd); r.status != 0 || !strings.Contains(r.err, "--secret") || strings.Contains(r.err, "hunter2") {
			t.Errorf("%s: %+v", cmd, r)
		}
	}
}
