package s3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/moorage/moorage/providers"
)

// What the store said, beside what all remotes may say.
var (
	errSource   = errors.New("what is uploaded cannot be read")
	errConflict = errors.New("another change of the object is under way")
	errNoUpload = errors.New("no such upload")
	errParts    = errors.New("the parts are not those that were sent")
	errRefused  = errors.New("the store refused the request")
)

// ask sends a request and maps its error. If the store says that the bucket is
// in another region, it is asked there.
func ask[T any](c *call, send func(context.Context, *connection) (T, error)) (T, error) {
	var none T
	for try := 0; ; try++ {
		conn, err := c.r.connect(c)
		if err != nil {
			return none, err
		}
		out, err := send(c, conn)
		if err == nil {
			return out, nil
		}
		var res *smithyhttp.ResponseError
		if region := ""; c.r.endpoint == "" && try == 0 && errors.As(err, &res) {
			if res.Response != nil {
				region = res.Response.Header.Get("X-Amz-Bucket-Region")
			}
			if validRegion(region) && region != conn.region {
				next, derr := c.r.dial(c, region)
				if derr != nil {
					return none, derr
				}
				c.r.setConn(conn, next)
				continue
			}
		}
		err = c.r.translate(conn, err)
		if errors.Is(err, providers.ErrAuth) {
			c.r.setConn(conn, nil) // there may be better credentials by then
		}
		return none, err
	}
}

// validRegion bounds what a store may make part of a host's name.
func validRegion(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" && s[0] != '-'
}

// codes are the meanings of S3's error codes.
var codes = map[string]error{
	"NoSuchKey": providers.ErrNotExist, "NotFound": providers.ErrNotExist, "NoSuchBucket": providers.ErrNoRemote, "InvalidBucketName": providers.ErrNoRemote,
	"NoSuchUpload": errNoUpload, "InvalidPart": errParts,
	"PreconditionFailed": providers.ErrChanged, "ConditionalRequestConflict": errConflict, "OperationAborted": errConflict,
	"InvalidAccessKeyId": providers.ErrAuth, "SignatureDoesNotMatch": providers.ErrAuth, "ExpiredToken": providers.ErrAuth,
	"InvalidToken": providers.ErrAuth, "TokenRefreshRequired": providers.ErrAuth, "AuthorizationHeaderMalformed": providers.ErrAuth,
	"InvalidSecurity": providers.ErrAuth, "NotSignedUp": providers.ErrAuth, "UnauthorizedAccess": providers.ErrAuth,
	"RequestTimeTooSkewed": providers.ErrClock, "RequestExpired": providers.ErrClock,
	"EntityTooLarge": providers.ErrTooLarge, "KeyTooLongError": fs.ErrInvalid, "KeyTooLong": fs.ErrInvalid, "InvalidObjectName": fs.ErrInvalid,
	"QuotaExceeded": providers.ErrFull, "StorageFull": providers.ErrFull, "XMinioStorageFull": providers.ErrFull,
	"XMinioAdminBucketQuotaExceeded": providers.ErrFull, "InsufficientStorage": providers.ErrFull,
	"NotImplemented": providers.ErrUnsupported, "MethodNotAllowed": providers.ErrUnsupported,
	"BadDigest": providers.ErrOffline, "XAmzContentSHA256Mismatch": providers.ErrOffline, "IncompleteBody": providers.ErrOffline,
	"RequestTimeout": providers.ErrOffline, "InternalError": providers.ErrOffline,
	"InvalidRange": providers.ErrProtocol,
}

// slowCodes ask for fewer requests.
var slowCodes = map[string]bool{
	"SlowDown": true, "SlowDownRead": true, "SlowDownWrite": true, "Throttling": true, "ThrottlingException": true,
	"RequestLimitExceeded": true, "TooManyRequests": true, "BandwidthLimitExceeded": true,
}

// translate gives an error of the client the meaning that it has to Moorage.
func (r *Remote) translate(conn *connection, err error) error {
	var signIn *signInError
	switch {
	case errors.As(err, &signIn):
		return signIn.error
	case errors.Is(err, errSource):
		return err
	}
	var bad *smithy.DeserializationError
	var res *smithyhttp.ResponseError
	var send *smithyhttp.RequestSendError
	var api smithy.APIError
	status, header := 0, http.Header{}
	if errors.As(err, &res) && res.Response != nil {
		status, header = res.HTTPStatusCode(), res.Response.Header
	}
	code := ""
	if errors.As(err, &api) {
		code = api.ErrorCode()
	}
	switch {
	case status == 0 && code == "" && (errors.As(err, &send) || errors.Is(err, context.DeadlineExceeded)):
		return fmt.Errorf("%w: %s", providers.ErrOffline, reason(err))
	case status == 0 && code == "":
		return fmt.Errorf("%w: it cannot be made: %s", errRefused, reason(err))
	case status/100 == 2 && (errors.As(err, &bad) || errors.Is(err, providers.ErrProtocol)):
		return fmt.Errorf("%w: the answer is not one of S3", providers.ErrProtocol)
	case slowCodes[code], status == http.StatusTooManyRequests,
		status == http.StatusServiceUnavailable && header.Get("Retry-After") != "":
		return &providers.RateLimitedError{After: retryAfter(header, r.o.Clock())}
	case codes[code] != nil:
		return meaning(codes[code], api)
	case status == http.StatusPreconditionFailed:
		return meaning(providers.ErrChanged, api)
	case conn.anonymous && (status == http.StatusUnauthorized || status == http.StatusForbidden):
		return fmt.Errorf("%w: it takes the secret ACCESS-KEY-ID:SECRET-ACCESS-KEY, or what the AWS tools of this user are set up with", providers.ErrAuth)
	case status == http.StatusUnauthorized:
		return meaning(providers.ErrAuth, api)
	case status == http.StatusForbidden:
		return meaning(providers.ErrPermission, api)
	case status == http.StatusNotFound:
		return meaning(providers.ErrNotExist, api)
	case status == http.StatusConflict:
		return meaning(errConflict, api)
	case status == http.StatusRequestEntityTooLarge:
		return meaning(providers.ErrTooLarge, api)
	case status == http.StatusInsufficientStorage:
		return meaning(providers.ErrFull, api)
	case status == http.StatusNotImplemented, status == http.StatusMethodNotAllowed:
		return meaning(providers.ErrUnsupported, api)
	case status/100 == 3:
		return fmt.Errorf("%w: the store sends us elsewhere; check its endpoint and region", providers.ErrProtocol)
	case status/100 == 5:
		return meaning(providers.ErrOffline, api)
	case status/100 == 2:
		return fmt.Errorf("%w: the store failed in the middle of its answer: %s", providers.ErrOffline, reason(err))
	}
	return fmt.Errorf("%w (status %d): %s", errRefused, status, reason(err))
}

// meaning is what an error of the store says, behind what it means.
func meaning(is error, api smithy.APIError) error {
	if api == nil {
		return is
	}
	text := clean(api.ErrorMessage())
	if text == "" {
		text = clean(api.ErrorCode())
	}
	if text == "" {
		return is
	}
	return fmt.Errorf("%w: %s", is, text)
}

// clean bounds text of the store and keeps it in one line.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "?")
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s[:min(len(s), 300)])
	return strings.TrimRight(strings.TrimSpace(strings.ToValidUTF8(s, "")), ".")
}

// reason is the innermost text of err that says something: without the request,
// whose address can be long.
func reason(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorMessage() != "" {
		return clean(api.ErrorMessage())
	}
	var web *url.Error
	if errors.As(err, &web) {
		err = web.Err
	}
	return clean(err.Error())
}

// retryAfter reads the header of that name: seconds or a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	const most = time.Hour
	v := h.Get("Retry-After")
	if n, err := strconv.ParseUint(v, 10, 32); err == nil {
		return min(time.Duration(n)*time.Second, most)
	}
	if t, err := http.ParseTime(v); err == nil {
		return min(max(t.Sub(now), 0), most)
	}
	return 0
}

// head asks for what is known about the object of that key. Answers to HEAD
// have no body that could say why it is refused, so that another request must
// find out, which gets the same answer. If it gets a better one, it may have
// found out by how much the clocks differ, so that the first is asked again.
func (c *call) head(key string) (*object, error) {
	for again := false; ; again = true {
		out, err := ask(c, func(ctx context.Context, conn *connection) (*awss3.HeadObjectOutput, error) {
			return conn.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: &c.r.bucket, Key: &key})
		})
		if err == nil {
			return newObject(key, out)
		}
		if again || !errors.Is(err, errRefused) && !errors.Is(err, providers.ErrPermission) {
			return nil, err
		}
		if _, lerr := c.list(listing{prefix: c.r.prefix, max: 1}); lerr != nil {
			return nil, lerr
		}
	}
}
