//go:build unix

package main

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/providers/s3/s3test"
)

// An address is known for what it is while it is typed, without asking anybody.
func TestDescribe(t *testing.T) {
	h := newHome(t)
	h.service()
	if _, err := h.client.Add(t.Context(), api.AddDrive{URL: "mem:", Name: "r"}); err != nil {
		t.Fatal(err)
	}
	describe := func(url string, with map[string]string) api.Description {
		t.Helper()
		d, err := h.client.Describe(t.Context(), api.Describe{URL: url, With: with})
		if err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		return d
	}
	d := describe("https://ghp_abcdefghijklmnopqrstuvwxyz0123456789@github.com/o/r/tree/v1", nil)
	if d.URL != "git+https://github.com/o/r.git@v1" || d.Kind != "git" || d.Secret != "ghp_abcdefghijklmnopqrstuvwxyz0123456789" ||
		d.Name != "r-2" || d.Dir != filepath.Join(h.dir, "Moorage", "r-2") || !d.ReadOnly || d.SignIn == nil || !strings.HasPrefix(d.SignIn.Page, "https://github.com/") || d.Problem != nil {
		t.Errorf("%+v", d)
	}
	if i := slices.IndexFunc(d.Fields, func(f api.Field) bool { return f.Name == "revision" && f.Value == "v1" }); i < 0 {
		t.Errorf("it has no revision to be changed: %+v", d.Fields)
	}
	if d := describe(d.URL, map[string]string{"revision": "main", "folder": "docs", "user": "me"}); d.URL != "git+https://me@github.com/o/r.git@main#docs" || d.Name != "docs" {
		t.Errorf("with other fields: %+v", d)
	}
	for _, c := range []struct {
		url, kind, code string
		with            map[string]string
	}{
		{"s3://", "s3", api.CodeBadURL, nil}, {"https://github.com/o", "git", api.CodeBadURL, nil}, {"htt", "", api.CodeBadURL, nil}, {"", "", api.CodeBadURL, nil},
		{"sftp://h/x", "sftp", api.CodeComing, nil}, {"mem:", "mem", "", nil}, {h.dir, "folder", "", nil},
		{"git+https://h/r.git", "git", api.CodeBadURL, map[string]string{"revision": "a..b"}},
		{"s3://b", "s3", api.CodeBadURL, map[string]string{"endpoint": "ftp://x"}},
		{"s3://b", "s3", "", map[string]string{"endpoint": "https://x", "unknown": "x"}},
	} {
		d := describe(c.url, c.with)
		code := ""
		if d.Problem != nil {
			code = d.Problem.Code
		}
		if d.Kind != c.kind || code != c.code {
			t.Errorf("%s with %v: %+v, %+v", c.url, c.with, d, d.Problem)
		}
	}
}

// left is what was kept of looking at an address.
func (h *home) left() (found []string) {
	for _, pattern := range []string{"tmp/*", ".cache/moorage/*", ".local/state/moorage/drives/*", ".config/moorage/*"} {
		l, _ := filepath.Glob(filepath.Join(h.dir, pattern))
		found = append(found, l...)
	}
	return found
}

func TestTryGit(t *testing.T) {
	h := newHome(t)
	p := h.service()
	const password = "hush-hush-hush"
	private := privateGit(t, repository(t, "hello", "hello\n"), password)
	address := "git+" + strings.Replace(private, "://", "://me@", 1) + "/repo.git"
	if _, err := h.client.Try(t.Context(), api.Try{URL: address}); code(err) != api.CodeAuth {
		t.Errorf("without a password: %v", err)
	}
	if _, err := h.client.Try(t.Context(), api.Try{URL: address, Secret: "wrong"}); code(err) != api.CodeAuth {
		t.Errorf("with a wrong one: %v", err)
	}
	for _, try := range []api.Try{{URL: address, Secret: password}, {URL: strings.Replace(address, "me@", "me:"+password+"@", 1)}} {
		l, err := h.client.Try(t.Context(), try)
		if err != nil || l.Files != 1 || l.Folders != 0 || l.More || l.Entries[0].Name != "hello" || l.Revision == "" || l.Writable {
			t.Errorf("tried: %+v, %v", l, err)
		}
	}
	for url, want := range map[string]string{address + "@nope": api.CodeNoRevision, strings.Replace(address, "repo.git", "none.git", 1): api.CodeNoRemote,
		"git+http://127.0.0.1:1/x.git": api.CodeOffline, "nonsense": api.CodeBadURL, "sftp://h/x": api.CodeComing} {
		if _, err := h.client.Try(t.Context(), api.Try{URL: url, Secret: password}); code(err) != want {
			t.Errorf("%s: %v, want %s", url, err, want)
		}
	}
	if l := h.left(); len(l) > 0 {
		t.Errorf("left behind: %v", l)
	}
	if l, err := h.client.Drives(t.Context()); err != nil || len(l) > 0 {
		t.Errorf("drives: %+v, %v", l, err)
	}
	if s, err := h.client.Secrets(t.Context()); err != nil || len(s.Kept) > 0 {
		t.Errorf("secrets: %+v, %v", s, err)
	}
	if said := p.stderr.String(); strings.Contains(said, password) {
		t.Errorf("the password was said: %s", said)
	}
}

func TestTryFolderAndBucket(t *testing.T) {
	h := newHome(t)
	h.service()
	folder := t.TempDir()
	for _, name := range []string{"b.txt", "a.txt"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("12345"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(folder, "z"), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := h.client.Try(t.Context(), api.Try{URL: folder})
	want := []api.TriedEntry{{Name: "z", Folder: true}, {Name: "a.txt", Size: 5}, {Name: "b.txt", Size: 5}}
	if err == nil && len(l.Entries) > 0 {
		l.Entries[0].Size = 0 // the file system's
	}
	if err != nil || !slices.Equal(l.Entries, want) || l.Folders != 1 || l.Files != 2 || l.More || !l.Writable {
		t.Errorf("the folder: %+v, %v", l, err)
	}
	for i := range 60 {
		if err := os.Mkdir(filepath.Join(folder, "many"+string(rune('A'+i))), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if l, err := h.client.Try(t.Context(), api.Try{URL: folder}); err != nil || len(l.Entries) != 50 || l.Folders != 61 || l.Files != 2 {
		t.Errorf("many: %d names, %d folders, %v", len(l.Entries), l.Folders, err)
	}
	if _, err := h.client.Try(t.Context(), api.Try{URL: folder + "/none"}); code(err) != api.CodeNoFolder {
		t.Errorf("no folder: %v", err)
	}
	if l, err := h.client.Try(t.Context(), api.Try{URL: "mem:"}); err != nil || len(l.Entries) != 0 || !l.Writable {
		t.Errorf("mem: %+v, %v", l, err)
	}

	srv := s3test.Start(t)
	bucket, key := srv.Bucket(t), "folder/hello"
	if _, err := srv.Client().PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("hello\n")}); err != nil {
		t.Fatal(err)
	}
	address := "s3://" + s3test.AccessKeyID + "@" + bucket + "?endpoint=" + url.QueryEscape(srv.Endpoint)
	if l, err := h.client.Try(t.Context(), api.Try{URL: address, Secret: s3test.SecretAccessKey}); err != nil || l.Folders != 1 || !l.Writable {
		t.Errorf("the bucket: %+v, %v", l, err)
	}
	if _, err := h.client.Try(t.Context(), api.Try{URL: address, Secret: "another-secret"}); code(err) != api.CodeAuth {
		t.Errorf("with another secret: %v", err)
	}
	if l := h.left(); len(l) > 0 {
		t.Errorf("left behind: %v", l)
	}
}

// A server that never answers is left when the person does not want to wait.
func TestTryIsCalledOff(t *testing.T) {
	h := newHome(t)
	p := h.service()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		if c, err := silent.Accept(); err == nil { // it has begun
			cancel()
			defer c.Close()
			var b [1 << 10]byte
			for err == nil { // until the service hangs up
				_, err = c.Read(b[:])
			}
		}
	}()
	if _, err := h.client.Try(ctx, api.Try{URL: "git+http://" + silent.Addr().String() + "/r.git"}); !errors.Is(err, context.Canceled) {
		t.Errorf("tried: %v", err)
	}
	if status := p.end(syscall.SIGTERM); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if l := h.left(); len(l) > 0 {
		t.Errorf("left behind: %v", l)
	}
	// What a service that was killed leaves, the next one takes away.
	if err := os.MkdirAll(filepath.Join(h.dir, ".cache", "moorage", "try-123", "cache"), 0o700); err != nil {
		t.Fatal(err)
	}
	h.service()
	if l := h.left(); len(l) > 0 {
		t.Errorf("left behind: %v", l)
	}
}

func TestFound(t *testing.T) {
	h := newHome(t)
	t.Setenv("AWS_CONFIG_FILE", "")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "")
	t.Setenv("RCLONE_CONFIG", "")
	repo := repository(t, "hello", "hello\n")
	for dir, url := range map[string]string{"src/mine": "git+file://" + repo, "src/known": "https://github.com/o/known.git"} {
		dir = filepath.Join(h.dir, dir)
		if out, err := exec.Command("git", "init", "-q", dir).CombinedOutput(); err != nil {
			t.Fatalf("git init: %v: %s", err, out)
		}
		if out, err := exec.Command("git", "-C", dir, "remote", "add", "origin", url).CombinedOutput(); err != nil {
			t.Fatalf("git remote: %v: %s", err, out)
		}
	}
	if err := os.Mkdir(filepath.Join(h.dir, ".aws"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.dir, ".aws", "credentials"), []byte("[work]\naws_secret_access_key = hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.service()
	if _, err := h.client.Add(t.Context(), api.AddDrive{URL: "https://github.com/o/known.git"}); err != nil {
		t.Fatal(err)
	}
	l, err := h.client.Found(t.Context())
	if err != nil || len(l) != 2 || l[0].URL != "s3://?profile=work" || l[0].Gap != 5 || l[1].URL != "git+file://"+repo {
		t.Errorf("found %+v, %v", l, err)
	}
}
