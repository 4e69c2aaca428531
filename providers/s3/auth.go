package s3

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"

	"github.com/moorage/moorage/providers"
)

// Credentials sign requests. They print as nothing, so that no log has them.
type Credentials struct {
	AccessKeyID     string // "": none
	SecretAccessKey string
	SessionToken    string // "" for those that do not expire
}

// String says whether there are any.
func (c Credentials) String() string {
	if c.AccessKeyID == "" {
		return "no credentials"
	}
	return "credentials"
}

// GoString is String.
func (c Credentials) GoString() string { return c.String() }

// LogValue is String.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// ParseSecret makes Credentials of what a person stored for a drive: the secret
// access key if user, the login name of the drive's URL, is its id, else
// "ID:SECRET". The error is ErrAuth and does not show what was stored.
func ParseSecret(user, secret string) (Credentials, error) {
	secret = strings.TrimSpace(secret)
	if secret == "" {
		return Credentials{}, nil
	}
	id := user
	if before, after, ok := strings.Cut(secret, ":"); ok && (user == "" || user == before) {
		id, secret = strings.TrimSpace(before), strings.TrimSpace(after)
	}
	if id == "" || secret == "" || strings.ContainsAny(id+secret, " \t\r\n") {
		return Credentials{}, fmt.Errorf("%w: the secret of this drive must have the form ACCESS-KEY-ID:SECRET-ACCESS-KEY", providers.ErrAuth)
	}
	return Credentials{AccessKeyID: id, SecretAccessKey: secret}, nil
}

// chained are the credentials of the AWS tools' chain, with errors of this
// project.
type chained struct {
	aws.CredentialsProvider
}

// Retrieve implements aws.CredentialsProvider.
func (c chained) Retrieve(ctx context.Context) (aws.Credentials, error) {
	v, err := c.CredentialsProvider.Retrieve(ctx)
	if err == nil || ctx.Err() != nil {
		return v, err
	}
	var web *url.Error
	var op *net.OpError
	if errors.As(err, &web) || errors.As(err, &op) {
		return v, &signInError{fmt.Errorf("%w: for a sign-in with AWS: %s", providers.ErrOffline, reason(err))}
	}
	return v, &signInError{fmt.Errorf("%w: the AWS configuration of this user gives no sign-in: %s", providers.ErrAuth, reason(err))}
}

// signInError is an error of this project that went through the client.
type signInError struct{ error }

func (e *signInError) Unwrap() error { return e.error }

// onlyMachine reports whether the chain came to its end, the role of a machine
// in Amazon's cloud, so that there need not be any credentials.
func onlyMachine(p aws.CredentialsProvider) bool {
	return aws.IsCredentialsProvider(p, (*ec2rolecreds.Provider)(nil))
}
