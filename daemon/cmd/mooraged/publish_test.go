//go:build unix

package main

import (
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/nfstest"
	"github.com/moorage/moorage/providers/s3/s3test"
)

// bucket is a writable remote that can be away.
type bucket struct {
	t    *testing.T
	srv  *s3test.Server
	name string
}

func newBucket(t *testing.T) *bucket {
	t.Helper()
	srv := s3test.Start(t)
	return &bucket{t: t, srv: srv, name: srv.Bucket(t)}
}

func (b *bucket) url() string {
	return "s3://" + s3test.AccessKeyID + ":" + s3test.SecretAccessKey + "@" + b.name + "?endpoint=" + url.QueryEscape(b.srv.Endpoint)
}

// object is the content of an object, "" if it is not there.
func (b *bucket) object(key string) string {
	b.t.Helper()
	o, err := b.srv.Client().GetObject(b.t.Context(), &awss3.GetObjectInput{Bucket: &b.name, Key: &key})
	if err != nil {
		return ""
	}
	defer o.Body.Close()
	got, err := io.ReadAll(o.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(got)
}

// arrives waits for an object: nobody outside tells when it is there.
func (b *bucket) arrives(key, want string) {
	b.t.Helper()
	for deadline := time.Now().Add(60 * time.Second); b.object(key) != want; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("%s is %q after a minute, want %q", key, b.object(key), want)
		}
	}
}

// save writes a file as a program does that wants it on stable storage.
func save(t *testing.T, c *nfstest.Client, dir nfstest.Handle, name, content string) nfstest.Handle {
	t.Helper()
	f, err := c.Create(t.Context(), dir, name, nfs.Unchecked, nfstest.Sattr{}, [8]byte{})
	if err != nil || f.Status != 0 || !f.Handle.Has {
		t.Fatalf("CREATE %s: %+v, %v", name, f, err)
	}
	h := nfstest.Handle(f.Handle.Handle)
	if w, err := c.Write(t.Context(), h, 0, []byte(content), nfs.Unstable); err != nil || w.Status != 0 {
		t.Fatalf("WRITE %s: %v, %v", name, nfstest.Status(uint32(w.Status)), err)
	}
	if r, err := c.Commit(t.Context(), h, 0, 0); err != nil || r.Status != 0 {
		t.Fatalf("COMMIT %s: %v, %v", name, nfstest.Status(uint32(r.Status)), err)
	}
	return h
}

// What was changed while the remote was away is there in the next run with the same
// cache, port and URL, by the same handle, however the first one ended; and it is
// published when the remote is back.
func TestServeGoesOnPublishing(t *testing.T) {
	for name, sig := range map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGKILL": syscall.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			h, b := newHome(t), newBucket(t)
			args := []string{"serve", b.url(), "--cache", filepath.Join(h.dir, "cache")}
			p := h.run("main", args...)
			r := p.ready()
			if strings.Contains(r.Mount, "ro,") || strings.Contains(r.Mount, ",ro") {
				t.Errorf("mounted read-only: %s", r.Mount)
			}
			c := kernel(t, r.Address)
			root := mntRoot(t, c, r.Export)
			save(t, c, root, "before", "it is there")
			b.arrives("before", "it is there")
			b.srv.Stop()
			file := save(t, c, root, "while", "it was away")
			status := p.end(sig)
			if said := p.stderr.String(); sig == syscall.SIGTERM && (status != 0 || !strings.Contains(said, "changes=1")) {
				t.Errorf("exit status %d, said %s", status, said)
			}

			p = h.run("main", append(args, "--listen", r.Address)...)
			if again := p.ready(); again != r {
				t.Errorf("first %+v, then %+v", r, again)
			}
			c = kernel(t, r.Address)
			got, err := c.Read(t.Context(), file, 0, 100)
			if err != nil || got.Status != 0 || string(got.Data) != "it was away" {
				t.Errorf("READ by the old handle: %v, %q, %v", got.Status, got.Data, err)
			}
			if err := b.srv.Run(); err != nil {
				t.Fatal(err)
			}
			b.arrives("while", "it was away")
			if status := p.end(syscall.SIGTERM); status != 0 {
				t.Errorf("exit status %d", status)
			}
		})
	}
}

// Without a cache that stays, the end publishes what was changed; what it cannot
// publish stays in a folder that the last lines name, with the command to go on.
func TestServeWithoutCachePublishes(t *testing.T) {
	h, b := newHome(t), newBucket(t)
	p := h.run("main", "serve", b.url())
	r := p.ready()
	c := kernel(t, r.Address)
	save(t, c, mntRoot(t, c, r.Export), "last", "words")
	if status := p.end(syscall.SIGTERM); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if got := b.object("last"); got != "words" {
		t.Errorf("the remote has %q", got)
	}
	if l, err := filepath.Glob(filepath.Join(os.TempDir(), "moorage-serve-*")); err != nil || len(l) > 0 {
		t.Errorf("temporary folders are left: %v", l)
	}

	p = h.run("main", "serve", b.url())
	r = p.ready()
	c = kernel(t, r.Address)
	root := mntRoot(t, c, r.Export)
	b.srv.Stop()
	save(t, c, root, "more", "words")
	status := p.end(syscall.SIGTERM)
	said := p.stderr.String()
	goOn := regexp.MustCompile(`moorage serve (\S+) --cache (\S+) --listen (\S+)`).FindStringSubmatch(said)
	if status != api.ExitFailed || goOn == nil || !strings.Contains(said, "1 change is not on s3://") || strings.Contains(said, s3test.SecretAccessKey) {
		t.Fatalf("exit status %d, said %s", status, said)
	}
	if err := b.srv.Run(); err != nil {
		t.Fatal(err)
	}
	p = h.run("main", "serve", b.url(), "--cache", goOn[2], "--listen", goOn[3])
	if again := p.ready(); again.Address != r.Address {
		t.Errorf("first %+v, then %+v", r, again)
	}
	b.arrives("more", "words")
}

// drive waits for drive name to be as ok says.
func (h *home) drive(name string, ok func(api.Drive) bool) api.Drive {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 60*time.Second)
	defer cancel()
	s, err := h.client.Events(ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	defer s.Close()
	var last api.Drive
	for {
		e, err := s.Next(ctx)
		if err != nil {
			h.t.Fatalf("%v; %s was last %+v", err, name, last)
		}
		if e.Kind == api.DriveChanged && e.Drive.Name == name {
			if last = *e.Drive; ok(last) {
				return last
			}
		}
	}
}

// A mounted bucket tells what waits, publishes it on demand, and is not removed
// while this computer has the only copy of something.
func TestWritableDrive(t *testing.T) {
	h, b := newHome(t), newBucket(t)
	h.service()
	ctx := t.Context()
	d := h.mount(api.AddDrive{URL: b.url(), Name: "b"})
	if d.ReadOnly || strings.Contains(d.URL, s3test.SecretAccessKey) {
		t.Errorf("mounted %+v", d)
	}
	if tab, err := h.table.List(ctx); err != nil || len(tab) != 1 || tab[0].ReadOnly {
		t.Errorf("mount table %+v, %v", tab, err)
	}
	c := kernel(t, d.Address)
	save(t, c, h.root(), "one", "1")
	if s, err := h.client.Sync(ctx, "b", true); err != nil || s.Pending.Files != 0 || s.Failed != nil {
		t.Errorf("Sync: %+v, %v", s, err)
	}
	if got := b.object("one"); got != "1" {
		t.Errorf("after Sync the remote has %q", got)
	}
	l, err := h.client.Uploads(ctx, "b", 0)
	if err != nil || len(l) != 1 || l[0].Path != "one" || l[0].State != api.UploadDone || l[0].Total != 1 {
		t.Errorf("uploads %+v, %v", l, err)
	}
	if d, err := h.client.Drive(ctx, "b"); err != nil || d.Traffic.Published != 1 {
		t.Errorf("after Sync %+v, %v", d, err)
	}

	b.srv.Stop()
	save(t, c, h.root(), "two", "22")
	if d, err := h.client.Drive(ctx, "b"); err != nil || d.Pending.Files != 1 {
		t.Errorf("as soon as there is a change: %+v, %v", d, err)
	}
	h.drive("b", func(d api.Drive) bool { return d.Pending.Files == 1 && d.State == api.Degraded })
	sctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	if s, err := h.client.Sync(sctx, "b", true); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Sync while the remote is away: %+v, %v", s, err)
	}
	cancel()
	l, err = h.client.Uploads(ctx, "b", 1)
	if err != nil || len(l) != 1 || l[0].Path != "two" || l[0].State != api.UploadSaved || l[0].Problem == nil || l[0].Problem.Code != api.CodeOffline {
		t.Errorf("uploads %+v, %v", l, err)
	}
	if err := h.client.Remove(ctx, "b"); code(err) != api.CodeUnpublished {
		t.Errorf("Remove: %v", err)
	}
	d, err = h.client.Unmount(ctx, "b", api.UnmountDrive{Wait: true})
	if err != nil || d.State != api.Stopped || d.Pending.Files != 1 || d.Pending.Bytes < 2 {
		t.Errorf("unmounted %+v, %v", d, err)
	}
	if err := h.client.Remove(ctx, "b"); code(err) != api.CodeUnpublished || !strings.Contains(err.Error(), "two") {
		t.Errorf("Remove when it is unmounted: %v", err)
	}

	if err := b.srv.Run(); err != nil {
		t.Fatal(err)
	}
	if _, err := h.client.Mount(ctx, "b", true); err != nil {
		t.Fatal(err)
	}
	if s, err := h.client.Sync(ctx, "b", true); err != nil || s.Pending.Files != 0 {
		t.Errorf("Sync: %+v, %v", s, err)
	}
	if got := b.object("two"); got != "22" {
		t.Errorf("the remote has %q", got)
	}
	if err := h.client.Remove(ctx, "b"); err != nil {
		t.Errorf("Remove when all is published: %v", err)
	}
}

// A drive that was made read-only cannot be changed, whatever its remote allows.
func TestReadOnlyDrive(t *testing.T) {
	h, b := newHome(t), newBucket(t)
	h.service()
	d := h.mount(api.AddDrive{URL: b.url(), Name: "b", ReadOnly: true})
	if !d.ReadOnly {
		t.Errorf("mounted %+v", d)
	}
	w, err := kernel(t, d.Address).Create(t.Context(), h.root(), "x", nfs.Guarded, nfstest.Sattr{}, [8]byte{})
	if err != nil || nfstest.Status(uint32(w.Status)) != nfs.ErrROFS {
		t.Errorf("CREATE: %v, %v", w.Status, err)
	}
}

func TestHostName(t *testing.T) {
	for name, want := range map[string]string{
		"laptop": "laptop", "ann-pc.example.org": "ann-pc", "Анна": "Анна", "a/b:c": "a-b-c", "": "", ".local": "", "--": "", "a\xff\x00b": "a--b",
		strings.Repeat("x", 100): strings.Repeat("x", 32),
	} {
		if got := plainHost(name); got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
}
