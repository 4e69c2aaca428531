package s3

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/moorage/moorage/providers"
)

// connection is a client with what it was made of.
type connection struct {
	*awss3.Client
	slow      func(*awss3.Options) // option of requests that take the store long
	region    string
	anonymous bool
}

// firstRegion is asked where a bucket is, if nothing says it. Compatible stores
// take it, too, unless they are particular about it.
const firstRegion = "us-east-1"

// connect gives the connection, which it makes if there is none. The context of
// that is the first caller's; others wait for it.
func (r *Remote) connect(ctx context.Context) (*connection, error) {
	if conn, _ := r.current(); conn != nil {
		return conn, nil
	}
	select {
	case r.connecting <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-r.connecting }()
	conn, region := r.current()
	if conn != nil {
		return conn, nil
	}
	conn, err := r.dial(ctx, region)
	if err != nil {
		return nil, err
	}
	r.setConn(nil, conn)
	return conn, nil
}

// current gives the connection, or nil and the region to make it in.
func (r *Remote) current() (conn *connection, region string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.conn, r.region
}

// setConn replaces the connection if it still is old. Its region is kept.
func (r *Remote) setConn(old, conn *connection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn != old {
		return
	}
	if r.conn = conn; conn != nil {
		r.region = conn.region
	}
}

// dial makes a connection to the store; region "" is not known.
func (r *Remote) dial(ctx context.Context, region string) (*connection, error) {
	var own Credentials
	if r.o.Credentials != nil {
		var err error
		if own, err = r.o.Credentials(ctx); err != nil {
			return nil, err
		}
	}
	o := awss3.Options{Region: region}
	var roots *x509.CertPool
	conn := &connection{}
	if own.AccessKeyID != "" {
		o.Credentials = credentials.NewStaticCredentialsProvider(own.AccessKeyID, own.SecretAccessKey, own.SessionToken)
	} else if err := r.chain(ctx, &o, conn, &roots); err != nil {
		return nil, err
	}
	if r.endpoint != "" {
		o.BaseEndpoint = aws.String(r.endpoint)
	}
	if o.Region == "" {
		o.Region = firstRegion
	}
	o.UsePathStyle = o.BaseEndpoint != nil
	o.Retryer = retryer{}
	o.Logger = logging.Nop{}
	o.DisableLogOutputChecksumValidationSkipped = true
	// Content-MD5, which uploads carry, is what every store checks.
	o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	o.APIOptions = append(o.APIOptions, middleware.AddUserAgentKey("moorage"))

	r.mu.Lock()
	if r.net == nil {
		r.net = newNetwork(r.o.Transport, roots, r.o.Network)
	}
	n := r.net
	r.mu.Unlock()
	o.HTTPClient = n.usual
	conn.slow = func(o *awss3.Options) { o.HTTPClient = n.slow }
	conn.region = o.Region
	conn.Client = awss3.New(o)
	return conn, nil
}

// chain sets what the AWS tools of this user are set up with.
func (r *Remote) chain(ctx context.Context, o *awss3.Options, conn *connection, roots **x509.CertPool) error {
	load := []func(*config.LoadOptions) error{config.WithHTTPClient(awshttp.NewBuildableClient()), config.WithLogger(logging.Nop{})}
	if r.profile != "" {
		load = append(load, config.WithSharedConfigProfile(r.profile))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return fmt.Errorf("%w: the AWS configuration of this user cannot be used: %s", providers.ErrAuth, reason(err))
	}
	if c, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok {
		if t := c.GetTransport(); t.TLSClientConfig != nil {
			*roots = t.TLSClientConfig.RootCAs
		}
	}
	if o.Region == "" {
		o.Region = cfg.Region
	}
	full := awss3.NewFromConfig(cfg).Options() // with the endpoint of the configuration, if it has one
	o.BaseEndpoint = full.BaseEndpoint
	o.EndpointOptions.UseDualStackEndpoint = full.EndpointOptions.UseDualStackEndpoint
	o.EndpointOptions.UseFIPSEndpoint = full.EndpointOptions.UseFIPSEndpoint
	o.Credentials = chained{cfg.Credentials}
	if !onlyMachine(cfg.Credentials) {
		return nil
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		conn.anonymous = true
		o.Credentials = aws.AnonymousCredentials{}
	}
	return nil
}

// retryer tries once more what a connection broke that was kept from earlier,
// and what a clock broke that the client has corrected by then. Everything
// else is the caller's to try again.
type retryer struct{}

// IsErrorRetryable reports whether err is one of those.
func (retryer) IsErrorRetryable(err error) bool {
	var skew interface{ RetryableError() bool }
	if errors.As(err, &skew) {
		return skew.RetryableError()
	}
	var send *smithyhttp.RequestSendError
	var op *net.OpError
	var slow net.Error
	switch {
	case !errors.As(err, &send), errors.Is(err, errSource), errors.Is(err, context.Canceled), errors.Is(err, errStalled):
		return false
	case errors.As(err, &op) && op.Op == "dial", errors.As(err, &slow) && slow.Timeout():
		return false
	}
	return true
}

// MaxAttempts includes the first.
func (retryer) MaxAttempts() int { return 2 }

// RetryDelay is short: a new connection is all it takes.
func (retryer) RetryDelay(int, error) (time.Duration, error) { return 20 * time.Millisecond, nil }

// GetInitialToken limits nothing.
func (retryer) GetInitialToken() func(error) error { return release }

// GetRetryToken limits nothing.
func (retryer) GetRetryToken(context.Context, error) (func(error) error, error) { return release, nil }

func release(error) error { return nil }
