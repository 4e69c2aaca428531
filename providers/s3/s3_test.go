package s3_test

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/providertest"
	"github.com/moorage/moorage/providers/s3"
	"github.com/moorage/moorage/providers/s3/s3test"
)

func TestProvider(t *testing.T) {
	srv := s3test.Start(t)
	providertest.Run(t, func(t *testing.T) providers.Provider {
		return srv.Open(t, srv.Bucket(t), "some/folder", s3.Options{PageSize: 7})
	})
}

// bucket is a bucket of a server with a client for what others do to it.
type bucket struct {
	*awss3.Client
	t    *testing.T
	srv  *s3test.Server
	name string
}

func newBucket(t *testing.T) *bucket {
	srv := s3test.Start(t)
	return &bucket{srv.Client(), t, srv, srv.Bucket(t)}
}

// open opens the bucket; w may be nil.
func (b *bucket) open(w *wire, pageSize int) *s3.Remote {
	o := s3.Options{PageSize: pageSize}
	if w != nil {
		o.Transport = w
	}
	r := b.srv.Open(b.t, b.name, "", o)
	b.t.Cleanup(func() { r.Close() })
	return r
}

// put stores an object as any program would.
func (b *bucket) put(key, data string, meta map[string]string) {
	b.t.Helper()
	_, err := b.PutObject(b.t.Context(), &awss3.PutObjectInput{Bucket: &b.name, Key: &key, Body: strings.NewReader(data), Metadata: meta})
	if err != nil {
		b.t.Fatalf("put %q: %v", key, err)
	}
}

// keys are all keys of the bucket, sorted.
func (b *bucket) keys() []string {
	b.t.Helper()
	out, err := b.ListObjectsV2(b.t.Context(), &awss3.ListObjectsV2Input{Bucket: &b.name})
	if err != nil {
		b.t.Fatal(err)
	}
	var keys []string
	for _, o := range out.Contents {
		keys = append(keys, *o.Key)
	}
	slices.Sort(keys)
	return keys
}

func (b *bucket) wantKeys(want ...string) {
	b.t.Helper()
	slices.Sort(want)
	if got := b.keys(); !slices.Equal(got, want) {
		b.t.Errorf("the bucket holds %q, want %q", got, want)
	}
}

// names lists a directory: "d/" a directory, "l@" a symbolic link, "f" a file.
func names(t *testing.T, p providers.Provider, dir string) []string {
	t.Helper()
	var out []string
	for cursor := ""; ; {
		page, err := p.ReadDir(t.Context(), dir, cursor)
		if err != nil {
			t.Fatalf("list %q: %v", dir, err)
		}
		for _, e := range page.Entries {
			out = append(out, e.Name+mark(e))
		}
		if page.Next == "" {
			slices.Sort(out)
			return out
		}
		cursor = page.Next
	}
}

func mark(e providers.Entry) string {
	switch e.Mode.Type() {
	case fs.ModeDir:
		return "/"
	case fs.ModeSymlink:
		return "@"
	}
	return ""
}

func content(t *testing.T, p providers.Provider, path string) string {
	t.Helper()
	o, err := p.Open(t.Context(), path, "")
	if err != nil {
		t.Errorf("open %q: %v", path, err)
		return ""
	}
	defer o.Close()
	b, err := readAll(t.Context(), o, 0, o.Entry().Size)
	if err != nil {
		t.Errorf("read %q: %v", path, err)
	}
	return string(b)
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// The first byte of a file that a listing told about costs one request, also
// on a provider that did nothing yet but list.
func TestFirstByteIsOneRequest(t *testing.T) {
	b := newBucket(t)
	b.put("dir/file", "0123456789", nil)
	b.put("dir/link.rclonelink", "file", nil)
	w := newWire()
	r := b.open(w, 0)
	page := must[providers.Page](t)(r.ReadDir(t.Context(), "dir", ""))
	w.take()
	for _, e := range page.Entries {
		o := must[providers.Object](t)(r.OpenEntry(t.Context(), "dir/"+e.Name, e))
		if n := w.take(); len(n) != 0 {
			t.Errorf("opening %q asked %v", e.Name, n)
		}
		if got, err := readAll(t.Context(), o, 1, 2); err != nil || len(got) != 2 {
			t.Errorf("read %q: %q, %v", e.Name, got, err)
		}
		if n := w.take(); len(n) != 1 || n["Get"] != 1 {
			t.Errorf("the first byte of %q asked %v", e.Name, n)
		}
	}
	for what, e := range map[string]providers.Entry{
		"no version": {Mode: 0o644, Size: 1}, "no size": {Mode: 0o644, Size: -1, Version: "v"},
	} {
		_, err := r.OpenEntry(t.Context(), "f", e)
		wantErr(t, what, err, providers.ErrUnsupported)
	}
	_, err := r.OpenEntry(t.Context(), "dir", providers.Entry{Mode: fs.ModeDir})
	wantErr(t, "a directory", err, providers.ErrIsDir)

	gone := must[providers.Object](t)(r.OpenEntry(t.Context(), "dir/none", providers.Entry{Mode: 0o644, Size: 1, Version: "v"}))
	_, err = gone.ReadRange(t.Context(), 0, 1)
	wantErr(t, "reading what is not there", err, providers.ErrNotExist)
}

// Every name is shown once, whatever objects make it and however the pages
// fall, and Stat says the same as the listing.
func TestNames(t *testing.T) {
	b := newBucket(t)
	for _, key := range []string{
		"a", "a-b", "a b", "a+b", "a%41", "a&<b>", "a\tb", "a.txt", "ä", "日本", "link.rclonelink", "linkx", "dir/f", "dir!", "dir.rclonelink",
		"file", "file.rclonelink", "file!", "only.rclonelink/x", ".rclonelink", ".moorage-probe-left", "deep/er/f",
	} {
		b.put(key, "data", nil)
	}
	b.put("marker/", "", nil)
	want := []string{
		"a", "a-b", "a b", "a+b", "a%41", "a&<b>", "a\tb", "a.txt", "ä", "日本", "link@", "linkx", "dir/", "dir!",
		"file", "file!", "only.rclonelink/", ".rclonelink", "marker/", "deep/",
	}
	slices.Sort(want)
	for _, size := range []int{0, 1, 2, 3, 5} {
		r := b.open(nil, size)
		got := names(t, r, "")
		if !slices.Equal(got, want) {
			t.Errorf("in pages of %d:\n%q, want\n%q", size, got, want)
		}
		for _, n := range got {
			name := strings.TrimRight(n, "/@")
			e, err := r.Stat(t.Context(), name)
			if err != nil || e.Name+mark(e) != n {
				t.Errorf("stat %q: %+v, %v", n, e, err)
			}
		}
	}
	r := b.open(nil, 0)
	for _, name := range []string{"link.rclonelink", "file.rclonelink", "dir.rclonelink", "d", "lin"} {
		_, err := r.Stat(t.Context(), name)
		wantErr(t, "stat "+name, err, providers.ErrNotExist)
	}
	if got := content(t, r, "link"); got != "data" {
		t.Errorf("the link leads to %q", got)
	}

	var all []string
	for cursor := ""; ; {
		page := must[providers.WalkPage](t)(r.Walk(t.Context(), "", cursor))
		for _, e := range page.Entries {
			all = append(all, e.Path+mark(e.Entry))
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	for _, p := range []string{"deep/er/f", "dir/f", "marker/", "link@", "file", "only.rclonelink/x"} {
		if !slices.Contains(all, p) {
			t.Errorf("the walk does not have %q: %q", p, all)
		}
	}
	if slices.Contains(all, "file@") || slices.Contains(all, ".moorage-probe-left") {
		t.Errorf("the walk shows what is hidden: %q", all)
	}
	page := must[providers.WalkPage](t)(r.Walk(t.Context(), "deep", ""))
	if len(page.Entries) == 0 || page.Entries[len(page.Entries)-1].Path != "er/f" || page.Entries[len(page.Entries)-1].Entry.Name != "f" {
		t.Errorf("the walk of a directory gave %+v", page.Entries)
	}
	_, err := r.Walk(t.Context(), "none", "")
	wantErr(t, "walk of nothing", err, providers.ErrNotExist)
	_, err = r.Walk(t.Context(), "a", "")
	wantErr(t, "walk of a file", err, providers.ErrNotDir)
}

// A file and a directory of one name: versitygw cannot have both, Amazon can.
func TestDirectoryHidesFile(t *testing.T) {
	for _, size := range []int{1, 2, 1000} {
		r, _ := fake(t, fakeURL, listStore("a", "a!", "a.rclonelink", "a/b", "c.rclonelink", "c/d", "e", "e-", "e.rclonelink", "x//y", "x/./z", "x/../z", "x/ok", "/lead", "n\x00l", "bad\xff"))
		s3.SetPageSize(r, size)
		if got := names(t, r, ""); !slices.Equal(got, []string{"a!", "a/", "c/", "e", "e-", "x/"}) {
			t.Errorf("in pages of %d: %q", size, got)
		}
		if got := names(t, r, "x"); !slices.Equal(got, []string{"ok"}) {
			t.Errorf("in pages of %d below x: %q", size, got)
		}
		for path, want := range map[string]string{"a": "/", "c": "/", "e": ""} {
			if e, err := r.Stat(t.Context(), path); err != nil || mark(e) != want {
				t.Errorf("stat %q: %+v, %v", path, e, err)
			}
		}
	}
}

// Times and modes are what Put was given, in the form that rclone has them.
func TestTimesAndModes(t *testing.T) {
	b := newBucket(t)
	r := b.open(nil, 0)
	when := time.Date(2021, 3, 4, 5, 6, 7, 123456789, time.UTC)
	e := must[providers.Entry](t)(r.Put(t.Context(), "f", strings.NewReader("x"), providers.PutOptions{ModTime: when, Mode: 0o750}))
	if !e.ModTime.Equal(when) || e.Mode != 0o750 {
		t.Errorf("put gave %+v", e)
	}
	key := "f"
	head := must[*awss3.HeadObjectOutput](t)(b.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: &b.name, Key: &key}))
	if m := head.Metadata; m["mtime"] != "1614834367.123456789" || m["mode"] != "100750" {
		t.Errorf("the object has %v", m)
	}
	for _, of := range []func() (providers.Entry, error){
		func() (providers.Entry, error) { return r.Stat(t.Context(), "f") },
		func() (providers.Entry, error) {
			o, err := r.Open(t.Context(), "f", "")
			if err != nil {
				return providers.Entry{}, err
			}
			return o.Entry(), nil
		},
	} {
		if e, err := of(); err != nil || !e.ModTime.Equal(when) || e.Mode != 0o750 {
			t.Errorf("there is %+v, %v", e, err)
		}
	}
	b.put("others", "x", map[string]string{"mtime": "1000000000.5", "mode": "100600"})
	if e, err := r.Stat(t.Context(), "others"); err != nil || !e.ModTime.Equal(time.Unix(1e9, 5e8)) || e.Mode != 0o600 {
		t.Errorf("what rclone stored is %+v, %v", e, err)
	}
	b.put("wild", "x", map[string]string{"mtime": "99999999999999999999", "mode": "rwx"})
	if e, err := r.Stat(t.Context(), "wild"); err != nil || time.Since(e.ModTime).Abs() > time.Hour || e.Mode != 0o644 {
		t.Errorf("what makes no sense is %+v, %v", e, err)
	}
	e = must[providers.Entry](t)(r.Put(t.Context(), "now", strings.NewReader("x"), providers.PutOptions{}))
	if st, err := r.Stat(t.Context(), "now"); err != nil || e != st {
		t.Errorf("put without a time gave %+v, then there is %+v, %v", e, st, err)
	}
}

// A folder stays when its last file goes, and goes when it is removed.
func TestEmptyFoldersStay(t *testing.T) {
	b := newBucket(t)
	r := b.open(nil, 0)
	b.put("a/b/f", "x", nil)
	b.put("a/b/g", "x", nil)
	for _, f := range []string{"a/b/f", "a/b/g"} {
		if err := r.Remove(t.Context(), f, providers.Cond{}); err != nil {
			t.Fatal(err)
		}
	}
	if got := names(t, r, "a/b"); len(got) != 0 {
		t.Errorf("in the empty folder there is %q", got)
	}
	must[providers.Entry](t)(r.Put(t.Context(), "a/b/h", strings.NewReader("x"), providers.PutOptions{}))
	must[providers.Entry](t)(r.Move(t.Context(), "a/b/h", "h", providers.Cond{}))
	if err := r.Rmdir(t.Context(), "a/b"); err != nil {
		t.Fatal(err)
	}
	if got := names(t, r, ""); !slices.Equal(got, []string{"a/", "h"}) {
		t.Errorf("there is %q", got)
	}
	if err := r.Rmdir(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "rmdir of nothing", r.Rmdir(t.Context(), "a"), providers.ErrNotExist)
	wantErr(t, "put into what was removed", func() error {
		_, err := r.Put(t.Context(), "a/x", strings.NewReader("x"), providers.PutOptions{})
		return err
	}(), providers.ErrNotExist)
	b.wantKeys("h")
}

// A symbolic link is one name with a file: either takes the other's place.
func TestLinksAndFilesOfOneName(t *testing.T) {
	b := newBucket(t)
	r := b.open(nil, 0)
	ctx := t.Context()
	link := must[providers.Entry](t)(r.Symlink(ctx, "n", "../to/ünïcode"))
	if st, err := r.Stat(ctx, "n"); err != nil || st != link || st.Mode.Type() != fs.ModeSymlink {
		t.Errorf("the link is %+v, stat says %+v, %v", link, st, err)
	}
	_, err := r.Symlink(ctx, "n", "other")
	wantErr(t, "a second link", err, providers.ErrExist)
	_, err = r.Put(ctx, "n", strings.NewReader("file"), providers.PutOptions{Cond: providers.Cond{IfAbsent: true}})
	wantErr(t, "a file where a link is", err, providers.ErrExist)
	_, err = r.Put(ctx, "n", strings.NewReader("file"), providers.PutOptions{Cond: providers.Cond{IfVersion: "other"}})
	wantErr(t, "a file over another link", err, providers.ErrChanged)
	must[providers.Entry](t)(r.Put(ctx, "n", strings.NewReader("file"), providers.PutOptions{Cond: providers.Cond{IfVersion: link.Version}}))
	b.wantKeys("n")
	_, err = r.Symlink(ctx, "n", "other")
	wantErr(t, "a link where a file is", err, providers.ErrExist)
	must[providers.Entry](t)(r.Symlink(ctx, "l", "target"))
	must[providers.Entry](t)(r.Move(ctx, "l", "n", providers.Cond{}))
	b.wantKeys("n.rclonelink")
	must[providers.Entry](t)(r.Put(ctx, "n", strings.NewReader("file"), providers.PutOptions{}))
	b.wantKeys("n")
	for _, name := range []string{"x.rclonelink", "d/x.rclonelink"} {
		_, err = r.Put(ctx, name, strings.NewReader("file"), providers.PutOptions{})
		wantErr(t, "a file of a link's name", err, fs.ErrInvalid)
	}
	_, err = r.Symlink(ctx, "empty", "")
	wantErr(t, "a link to nothing", err, fs.ErrInvalid)
}

// The server's end is one of the connection, not of the files.
func TestServerGoesAway(t *testing.T) {
	b := newBucket(t)
	b.put("f", "x", nil)
	r := b.open(nil, 0)
	e := must[providers.Entry](t)(r.Stat(t.Context(), "f"))
	b.srv.Stop()
	_, err := r.Stat(t.Context(), "f")
	wantErr(t, "stat", err, providers.ErrOffline)
	_, err = r.ReadDir(t.Context(), "", "")
	wantErr(t, "list", err, providers.ErrOffline)
	_, err = r.Put(t.Context(), "g", strings.NewReader("x"), providers.PutOptions{})
	wantErr(t, "put", err, providers.ErrOffline)
	if strings.Contains(err.Error(), s3test.SecretAccessKey) {
		t.Errorf("the error shows the secret: %v", err)
	}
	if err := b.srv.Run(); err != nil {
		t.Fatal(err)
	}
	if again, err := r.Stat(t.Context(), "f"); err != nil || again != e {
		t.Errorf("after it came back: %+v, %v", again, err)
	}
}

// Wrong names and logins are told apart.
func TestWrongBucketAndLogin(t *testing.T) {
	b := newBucket(t)
	r := b.srv.Open(t, "no-such-bucket", "", s3.Options{})
	defer r.Close()
	for _, f := range []func(p string) error{
		func(p string) error { _, err := r.Stat(t.Context(), p); return err },
		func(p string) error { _, err := r.ReadDir(t.Context(), p, ""); return err },
		func(p string) error { _, err := r.Open(t.Context(), p, ""); return err },
		func(p string) error {
			_, err := r.Put(t.Context(), p, strings.NewReader(""), providers.PutOptions{})
			return err
		},
	} {
		wantErr(t, "without a bucket", f("f"), providers.ErrNoRemote)
	}
	asked := 0
	wrong := b.srv.Open(t, b.name, "", s3.Options{Credentials: func(ctx context.Context) (s3.Credentials, error) {
		asked++
		c, err := b.srv.Credentials(ctx)
		if asked == 1 {
			c.SecretAccessKey = "another"
		}
		return c, err
	}})
	defer wrong.Close()
	_, err := wrong.ReadDir(t.Context(), "", "")
	wantErr(t, "with a wrong secret", err, providers.ErrAuth)
	if _, err := wrong.ReadDir(t.Context(), "", ""); err != nil {
		t.Errorf("with the secret that a person stored then: %v", err)
	}
}
