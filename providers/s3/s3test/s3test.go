// Package s3test runs an S3 server for tests: versitygw, over a folder, on the
// loopback interface.
package s3test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/s3"
)

// The server's only login.
const (
	AccessKeyID     = "moorage-test"
	SecretAccessKey = "moorage-test-secret"
)

// Server is a running S3 server.
type Server struct {
	Endpoint string // http://127.0.0.1:PORT
	Dir      string // a bucket is a folder of it, an object a file below that

	args []string
	addr string

	mu     sync.Mutex
	cmd    *exec.Cmd
	output *bytes.Buffer
	exited chan struct{}
}

// Start runs a server until the test ends. Without versitygw the test is
// skipped, or fails with CI=true.
func Start(t testing.TB) *Server {
	t.Helper()
	bin, err := exec.LookPath("versitygw")
	if err != nil {
		const how = "versitygw, the S3 server that this test needs, is not in PATH: packaging/test installs it"
		if os.Getenv("CI") == "true" {
			t.Fatal(how)
		}
		t.Skip(how)
	}
	dir := t.TempDir()
	s := &Server{Dir: filepath.Join(dir, "objects")}
	for _, d := range []string{s.Dir, filepath.Join(dir, "meta")} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	l.Close()
	s.Endpoint = "http://" + s.addr
	// Metadata lies beside the files, since not every folder for temporary
	// files has extended attributes.
	s.args = []string{bin, "--access", AccessKeyID, "--secret", SecretAccessKey, "--port", s.addr, "--region", "us-east-1",
		"--keep-alive", "--quiet", "posix", "--sidecar", filepath.Join(dir, "meta"), s.Dir}
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// startTime is how long the server may take to answer.
const startTime = 30 * time.Second

// Run starts the server again after Stop, with what it had.
func (s *Server) Run() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		return nil
	}
	var out bytes.Buffer
	cmd := exec.Command(s.args[0], s.args[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd, s.output, s.exited = cmd, &out, make(chan struct{})
	go func(exited chan struct{}) {
		_ = cmd.Wait()
		close(exited)
	}(s.exited)
	for deadline := time.Now().Add(startTime); time.Now().Before(deadline); {
		res, err := http.Get(s.Endpoint)
		if err == nil {
			return res.Body.Close()
		}
		select {
		case <-s.exited:
			s.cmd = nil
			return fmt.Errorf("versitygw ended: %s", out.Bytes())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return fmt.Errorf("versitygw does not answer at %s", s.Endpoint)
}

// Stop kills the server, as a crash would.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	<-s.exited
	s.cmd = nil
}

// Client is a client of Amazon's own library, for what a test does behind a
// provider's back.
func (s *Server) Client() *awss3.Client {
	return awss3.New(awss3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(s.Endpoint), UsePathStyle: true,
		Credentials:                credentials.NewStaticCredentialsProvider(AccessKeyID, SecretAccessKey, ""),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	})
}

// Bucket makes a bucket of its own for the test and gives its name.
func (s *Server) Bucket(t testing.TB) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := 1; ; i++ {
		name := "bucket-" + strconv.Itoa(i)
		if _, err := os.Stat(filepath.Join(s.Dir, name)); err == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), startTime)
		defer cancel()
		if _, err := s.Client().CreateBucket(ctx, &awss3.CreateBucketInput{Bucket: &name}); err != nil {
			t.Fatal(err)
		}
		return name
	}
}

// URL is the drive URL of a bucket and a prefix in it.
func (s *Server) URL(t testing.TB, bucket, prefix string) providers.URL {
	t.Helper()
	u, secret, err := providers.ParseURL("s3://" + bucket + "/" + prefix + "?endpoint=" + url.QueryEscape(s.Endpoint) + "&region=us-east-1")
	if err != nil || secret != "" {
		t.Fatalf("the test's URL: %v", err)
	}
	return u
}

// Secret is what a person stores for a drive of this server.
func (s *Server) Secret() string { return AccessKeyID + ":" + SecretAccessKey }

// Credentials are the server's login in the form of [s3.Options].
func (s *Server) Credentials(context.Context) (s3.Credentials, error) {
	return s3.Credentials{AccessKeyID: AccessKeyID, SecretAccessKey: SecretAccessKey}, nil
}

// Open opens a bucket of this server. The caller closes the Remote.
func (s *Server) Open(t testing.TB, bucket, prefix string, o s3.Options) *s3.Remote {
	t.Helper()
	if o.Credentials == nil {
		o.Credentials = s.Credentials
	}
	r, err := s3.Open(s.URL(t, bucket, prefix), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
