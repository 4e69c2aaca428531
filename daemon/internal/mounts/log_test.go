package mounts_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/mounter"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/nfstest"
)

// buffer is a log that several goroutines write.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *buffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *buffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// The log of a whole session, with all that can be told, holds nothing that opens a
// drive: no token, no handle, no key, no secret.
func TestRule14LogsHoldNoHandlesOrTokens(t *testing.T) {
	w := newWorld(t)
	var log buffer
	w.log = slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})
	var refuse atomic.Bool
	w.peer = func(net.Conn) error {
		if refuse.Load() {
			return errors.New("not the kernel")
		}
		return nil
	}
	k := &kernel{}
	fail := true
	w.mounter.OnMount = func(ctx context.Context, s mounter.Spec) error {
		if fail { // what mounter says of a system that refuses
			fail = false
			k.spec = s
			return &mounter.Error{Op: "mount", Dir: s.Dir, Kind: mounter.ErrRefused, What: "The system could not mount."}
		}
		return k.onMount(ctx, s)
	}
	w.start()
	const canary = "hunter2-canary"
	w.add(api.AddDrive{URL: "fake:x?secret=" + canary, Remember: true})
	if _, err := w.m.Mount(t.Context(), "x", true); err == nil {
		t.Fatal("mounted although the system refused")
	}
	tokens := []string{token(k.spec)}
	w.mount("x")
	tokens = append(tokens, token(k.spec))
	if r, err := k.client.Mnt(t.Context(), k.spec.Export); err != nil || nfstest.Status(uint32(r.Status)) != nfs.ErrAccess {
		t.Errorf("a second MNT: %v, %v", r.Status, err)
	}
	bad := append(nfstest.Handle(nil), k.root...)
	bad[20] ^= 1
	if r, err := k.client.Getattr(t.Context(), bad); err != nil || nfstest.Status(uint32(r.Status)) != nfs.ErrBadHandle {
		t.Errorf("a bad handle: %v, %v", r.Status, err)
	}
	if r, err := k.client.Create(t.Context(), k.root, "file", nfs.Unchecked, nfstest.Sattr{}, [8]byte{}); err != nil || r.Status != 0 {
		t.Errorf("CREATE: %v, %v", r.Status, err)
	}
	refuse.Store(true)
	stranger, err := net.Dial("tcp", net.JoinHostPort(k.spec.Address, fmt.Sprint(k.spec.Port)))
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := stranger.Read(make([]byte, 1)); n != 0 { // closed, and logged by then
		t.Error("a stranger was answered")
	}
	stranger.Close()
	refuse.Store(false)
	key := w.stateOf("x").Key
	w.leave()
	w.start() // takes the mount up
	w.until("x", in(api.Mounted))
	if r, err := k.dial(t, me()).Getattr(t.Context(), k.root); err != nil || r.Status != 0 {
		t.Errorf("after a restart: %v, %v", r.Status, err)
	}
	if _, err := w.m.Unmount(t.Context(), "x", api.UnmountDrive{Wait: true}); err != nil {
		t.Error(err)
	}
	w.leave()

	text := strings.ToLower(log.String())
	for _, told := range []string{"mounted", "refused a connection", "took up the mount"} {
		if !strings.Contains(text, told) {
			t.Errorf("the log does not tell of %q, so it shows nothing:\n%s", told, text)
		}
	}
	for what, secret := range map[string][]byte{"handle": k.root, "bad handle": bad, "key": key, "seal": k.root[16:]} {
		for _, form := range []string{hex.EncodeToString(secret), base64.StdEncoding.EncodeToString(secret),
			strings.Trim(fmt.Sprint([]byte(secret)), "[]"), strings.Trim(fmt.Sprintf("%q", string(secret)), `"`)} {
			if strings.Contains(text, strings.ToLower(form)) {
				t.Errorf("the log tells the %s", what)
			}
		}
	}
	for _, s := range append(tokens, canary) {
		if s == "" || strings.Contains(text, s) {
			t.Errorf("the log tells the secret %q", s)
		}
	}
}

// token is the first part of an export's path.
func token(s mounter.Spec) string { return strings.Split(s.Export, "/")[1] }
