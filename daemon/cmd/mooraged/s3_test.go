//go:build unix

package main

import (
	"net/url"
	"strings"
	"syscall"
	"testing"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/nfs/nfstest"
	"github.com/moorage/moorage/providers/s3/s3test"
)

// A bucket is a drive; its login is in the address or in the keyring, and in
// nothing that is said.
func TestServeS3(t *testing.T) {
	h := newHome(t)
	srv := s3test.Start(t)
	bucket, key := srv.Bucket(t), "folder/below/hello"
	if _, err := srv.Client().PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("hello\n")}); err != nil {
		t.Fatal(err)
	}
	address := func(secret, bucket string) string {
		return "s3://" + s3test.AccessKeyID + ":" + secret + "@" + bucket + "/folder?endpoint=" + url.QueryEscape(srv.Endpoint)
	}
	p := h.run("main", "serve", address(s3test.SecretAccessKey, bucket))
	r := p.ready()
	c := kernel(t, r.Address)
	handle := mntRoot(t, c, r.Export)
	for _, name := range []string{"below", "hello"} {
		l, err := c.Lookup(t.Context(), handle, name)
		if err != nil || l.Status != 0 {
			t.Fatalf("LOOKUP %s: %v, %v", name, l.Status, err)
		}
		handle = nfstest.Handle(l.Handle)
	}
	got, err := c.Read(t.Context(), handle, 0, 100)
	if err != nil || got.Status != 0 || string(got.Data) != "hello\n" {
		t.Errorf("READ: %v, %q, %v", got.Status, got.Data, err)
	}
	if status := p.end(syscall.SIGTERM); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if said := p.stderr.String(); strings.Contains(said, s3test.SecretAccessKey) || !strings.Contains(said, "all users of this computer see") {
		t.Errorf("the secret was said, or nothing of who sees it: %s", said)
	}

	for name, tt := range map[string]struct{ address, says string }{
		"wrong secret": {address("another-secret", bucket), "sign-in"},
		"no bucket":    {address(s3test.SecretAccessKey, "no-such-bucket"), "nothing at s3://"},
	} {
		p := h.run("main", "serve", tt.address)
		status := p.wait()
		said := p.stderr.String()
		if status != api.ExitFailed || !strings.Contains(said, tt.says) || strings.Contains(said, "secret@") {
			t.Errorf("%s: exit status %d, said %s", name, status, said)
		}
	}
}
