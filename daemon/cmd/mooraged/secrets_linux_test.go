package main

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/godbus/dbus/v5"

	"github.com/moorage/moorage/daemon/api"
)

// waitsFor is for a drive that waits for a person, because of code.
func waitsFor(code string) func(api.Drive) bool {
	return func(d api.Drive) bool {
		return d.State == api.NeedsYou && d.Problem != nil && d.Problem.Code == code
	}
}

func mounted(d api.Drive) bool { return d.State == api.Mounted }

// In a session without a keyring passwords are in a file that a passphrase opens, once
// for each run of the service.
func TestWithoutKeyring(t *testing.T) {
	h := newHome(t)
	c := newCanary("me")
	server := privateGit(t, repository(t, "hello", "hello\n"), c.word)
	t.Setenv(realKeyring, "yes")
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+h.dir+"/none")
	p := h.service()
	add := api.AddDrive{URL: "git+" + strings.Replace(server, "://", "://me@", 1) + "/repo.git", Name: "r", Secret: c.word, Auto: true}
	_, err := h.client.Add(t.Context(), add)
	var e *api.Error
	if !errors.As(err, &e) || e.Problem.Code != api.CodeKeyring || e.Exit != api.ExitMissing || !strings.Contains(e.Problem.Do, "moorage secrets create") {
		t.Fatalf("without file: %v", err)
	}
	const passphrase = "correct horse battery"
	if err := h.client.CreateSecretFile(t.Context(), passphrase); err != nil {
		t.Fatal(err)
	}
	if _, err := h.client.Add(t.Context(), add); err != nil {
		t.Fatal(err)
	}
	if _, err := h.client.Mount(t.Context(), "r", true); err != nil {
		t.Fatal(err)
	}
	if s, err := h.client.Secrets(t.Context()); err != nil || s.Keyring != api.KeyringAbsent || s.File != api.SecretFileOpen || len(s.Kept) != 1 || s.Kept[0].Drive != "r" {
		t.Errorf("Secrets: %+v, %v", s, err)
	}
	p.end(syscall.SIGTERM)

	p = h.service()
	h.drive("r", waitsFor(api.CodePassphrase))
	if err := h.client.UnlockSecretFile(t.Context(), passphrase+"x"); code(err) != api.CodePassphrase {
		t.Errorf("wrong passphrase: %v", err)
	}
	if err := h.client.UnlockSecretFile(t.Context(), passphrase); err != nil {
		t.Fatal(err)
	}
	h.drive("r", mounted)
	s, err := h.client.Secrets(t.Context())
	if err != nil || len(s.Kept) != 1 {
		t.Fatalf("Secrets: %+v, %v", s, err)
	}
	if err := h.client.ForgetSecret(t.Context(), s.Kept[0].ID); err != nil {
		t.Error(err)
	}
	if s, err := h.client.Secrets(t.Context()); err != nil || len(s.Kept) != 0 {
		t.Errorf("forgotten: %+v, %v", s, err)
	}
	p.end(syscall.SIGTERM)
	for _, secret := range []string{c.word, passphrase} {
		if found := (canary{forms: [][]byte{[]byte(secret)}}).files(t, h.dir); len(found) > 0 || strings.Contains(p.stderr.String(), secret) {
			t.Errorf("%s is in %v, or in the log", secret, found)
		}
	}
}

// A keyring that is locked at login holds a drive up until somebody unlocks it, by
// whatever means.
func TestLockedKeyring(t *testing.T) {
	h := newHome(t)
	bus := h.session()
	c := newCanary("me")
	server := privateGit(t, repository(t, "hello", "hello\n"), c.word)
	p := h.service()
	if _, err := h.client.Add(t.Context(), api.AddDrive{URL: "git+" + strings.Replace(server, "://", "://me@", 1) + "/repo.git", Name: "r", Secret: c.word, Auto: true}); err != nil {
		t.Fatal(err)
	}
	p.end(syscall.SIGTERM)

	const login = dbus.ObjectPath("/org/freedesktop/secrets/collection/login")
	ring := bus.Object("org.freedesktop.secrets", "/org/freedesktop/secrets")
	var locked []dbus.ObjectPath
	var prompt dbus.ObjectPath
	if err := ring.Call("org.freedesktop.Secret.Service.Lock", 0, []dbus.ObjectPath{login}).Store(&locked, &prompt); err != nil || len(locked) != 1 {
		t.Fatal(locked, err)
	}
	h.service()
	h.drive("r", waitsFor(api.CodeLocked))
	if s, err := h.client.Secrets(t.Context()); err != nil || s.Keyring != api.KeyringLocked || s.Problem == nil {
		t.Errorf("Secrets: %+v, %v", s, err)
	}
	if err := h.client.UnlockKeyring(t.Context()); code(err) != api.CodeLocked { // there is no screen to ask on
		t.Errorf("Unlock: %v", err)
	}
	var none dbus.Variant
	var session dbus.ObjectPath
	if err := ring.Call("org.freedesktop.Secret.Service.OpenSession", 0, "plain", dbus.MakeVariant("")).Store(&none, &session); err != nil {
		t.Fatal(err)
	}
	password := struct {
		Session           dbus.ObjectPath
		Parameters, Value []byte
		ContentType       string
	}{session, []byte{}, []byte("pw"), "text/plain"}
	if err := ring.Call("org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface.UnlockWithMasterPassword", 0, login, password).Err; err != nil {
		t.Fatal(err)
	}
	h.drive("r", mounted)
}
