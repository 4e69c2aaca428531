// Package client speaks to the service. It is all that the app and the command
// line know of it.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/moorage/moorage/daemon/api"
)

// ErrNoService means that no service listens; Start starts one.
var ErrNoService = errors.New("the Moorage service is not running")

// SocketEnv names the environment variable that moves the service's socket (on
// Windows, its pipe) away from its usual place, for the service and its clients.
const SocketEnv = "MOORAGE_SOCKET"

// maxBody bounds an answer; a list of ten thousand drives is smaller.
const maxBody = 16 << 20

// Client calls the service. Its methods may be called concurrently. They
// return when ctx is done; failures that the service reports are *api.Error.
type Client struct {
	socket string
	http   *http.Client
}

// New returns a client of the service at socket (see DefaultSocket). It does no
// I/O and needs no Close.
func New(socket string) *Client {
	return &Client{socket: socket, http: &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dial(ctx, socket)
			},
			// A connection left over from a service that has ended would fail
			// the next call, so none is kept.
			DisableKeepAlives: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Service describes the service.
func (c *Client) Service(ctx context.Context) (s api.Service, err error) {
	return s, c.call(ctx, http.MethodGet, "/v1/service", nil, &s)
}

// Drives lists all drives by name.
func (c *Client) Drives(ctx context.Context) (d []api.Drive, err error) {
	return d, c.call(ctx, http.MethodGet, "/v1/drives", nil, &d)
}

// Drive describes one drive.
func (c *Client) Drive(ctx context.Context, name string) (d api.Drive, err error) {
	return d, c.call(ctx, http.MethodGet, path(name, ""), nil, &d)
}

// Add makes a drive known; it is not mounted by that.
func (c *Client) Add(ctx context.Context, a api.AddDrive) (d api.Drive, err error) {
	return d, c.call(ctx, http.MethodPost, "/v1/drives", a, &d)
}

// Edit changes a drive.
func (c *Client) Edit(ctx context.Context, name string, e api.EditDrive) (d api.Drive, err error) {
	return d, c.call(ctx, http.MethodPatch, path(name, ""), e, &d)
}

// Remove unmounts a drive and forgets it with its secret. It fails with
// api.CodeUnpublished while changes are not on the remote.
func (c *Client) Remove(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, path(name, ""), nil, nil)
}

// Discard is Remove that also gives up what is not on the remote.
func (c *Client) Discard(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, path(name, "")+"?discard=true", nil, nil)
}

// Sync publishes what was changed on a drive now. With wait it returns when
// nothing is left that is tried; the publishing goes on if ctx is done before.
func (c *Client) Sync(ctx context.Context, name string, wait bool) (s api.Synced, err error) {
	return s, c.call(ctx, http.MethodPost, path(name, "/sync"), api.SyncDrive{Wait: wait}, &s)
}

// Uploads lists at most limit changes of a drive, what waits first; 0: 100.
func (c *Client) Uploads(ctx context.Context, name string, limit int) (l []api.Upload, err error) {
	query := ""
	if limit > 0 {
		query = "?limit=" + strconv.Itoa(limit)
	}
	return l, c.call(ctx, http.MethodGet, path(name, "/uploads")+query, nil, &l)
}

// Pins lists what is kept of a drive on this computer, by path.
func (c *Client) Pins(ctx context.Context, name string) (l []api.Pin, err error) {
	return l, c.call(ctx, http.MethodGet, path(name, "/pins"), nil, &l)
}

// Pin keeps a file or folder of a drive on this computer; "" is all of it. It
// returns when that is stored; Pins tells how far it is.
func (c *Client) Pin(ctx context.Context, name, at string) (p api.Pin, err error) {
	return p, c.call(ctx, http.MethodPost, path(name, "/pin"), api.PinPath{Path: at}, &p)
}

// Unpin ends that; what was kept goes when there is need for room.
func (c *Client) Unpin(ctx context.Context, name, at string) error {
	return c.call(ctx, http.MethodPost, path(name, "/unpin"), api.PinPath{Path: at}, nil)
}

// Revisions tells what a drive with a history may show; see api.RevisionQuery.
func (c *Client) Revisions(ctx context.Context, name string, q api.RevisionQuery) (r api.Revisions, err error) {
	v := url.Values{}
	set := func(key, value string) {
		if value != "" {
			v.Set(key, value)
		}
	}
	set("find", q.Find)
	set("of", q.Of)
	set("page", q.Page)
	if q.Commits {
		v.Set("commits", "true")
	}
	if !q.At.IsZero() {
		v.Set("at", q.At.Format(time.RFC3339))
	}
	query := ""
	if len(v) > 0 {
		query = "?" + v.Encode()
	}
	return r, c.call(ctx, http.MethodGet, path(name, "/revisions")+query, nil, &r)
}

// Mount mounts a drive. With wait it returns when the drive is mounted or
// failed to be; the drive goes on connecting if ctx is done before.
func (c *Client) Mount(ctx context.Context, name string, wait bool) (d api.Drive, err error) {
	return d, c.call(ctx, http.MethodPost, path(name, "/mount"), api.MountDrive{Wait: wait}, &d)
}

// Unmount unmounts a drive.
func (c *Client) Unmount(ctx context.Context, name string, u api.UnmountDrive) (d api.Drive, err error) {
	return d, c.call(ctx, http.MethodPost, path(name, "/unmount"), u, &d)
}

// SetSecret stores the password or token of a drive in the keyring; "" takes
// it away.
func (c *Client) SetSecret(ctx context.Context, name, secret string) error {
	return c.call(ctx, http.MethodPut, path(name, "/secret"), api.Secret{Secret: secret}, nil)
}

// Settings tells how the service is set up.
func (c *Client) Settings(ctx context.Context) (s api.Settings, err error) {
	return s, c.call(ctx, http.MethodGet, "/v1/settings", nil, &s)
}

// EditSettings changes how the service is set up, and tells how it is then.
func (c *Client) EditSettings(ctx context.Context, e api.EditSettings) (s api.Settings, err error) {
	return s, c.call(ctx, http.MethodPatch, "/v1/settings", e, &s)
}

// Pause has changes wait on this computer until Resume, or until a time (zero: no time).
func (c *Client) Pause(ctx context.Context, until time.Time) (s api.Service, err error) {
	return s, c.call(ctx, http.MethodPost, "/v1/pause", api.PauseTransfers{Until: until}, &s)
}

// Resume has changes published again.
func (c *Client) Resume(ctx context.Context) (s api.Service, err error) {
	return s, c.call(ctx, http.MethodPost, "/v1/resume", nil, &s)
}

// Describe tells what an address is. It asks nobody else.
func (c *Client) Describe(ctx context.Context, d api.Describe) (out api.Description, err error) {
	return out, c.call(ctx, http.MethodPost, "/v1/describe", d, &out)
}

// Try looks what is at an address, and is called off when ctx is done.
func (c *Client) Try(ctx context.Context, t api.Try) (out api.Tried, err error) {
	return out, c.call(ctx, http.MethodPost, "/v1/try", t, &out)
}

// Found lists what on this computer may become a drive.
func (c *Client) Found(ctx context.Context) (l []api.Found, err error) {
	return l, c.call(ctx, http.MethodGet, "/v1/found", nil, &l)
}

// Secrets tells where secrets are kept, and of what there are some.
func (c *Client) Secrets(ctx context.Context) (s api.Secrets, err error) {
	return s, c.call(ctx, http.MethodGet, "/v1/secrets", nil, &s)
}

// ForgetSecret takes the secret of that id away.
func (c *Client) ForgetSecret(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/v1/secrets/"+url.PathEscape(id), nil, nil)
}

// UnlockKeyring has the system ask for the keyring's password, and returns when the
// person has answered. It is called off when ctx is done.
func (c *Client) UnlockKeyring(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/v1/secrets/unlock", api.UnlockSecrets{}, nil)
}

// UnlockSecretFile opens the encrypted file of secrets for as long as the service runs.
func (c *Client) UnlockSecretFile(ctx context.Context, passphrase string) error {
	return c.call(ctx, http.MethodPost, "/v1/secrets/unlock", api.UnlockSecrets{Passphrase: passphrase}, nil)
}

// CreateSecretFile makes the encrypted file of secrets, which is open then.
func (c *Client) CreateSecretFile(ctx context.Context, passphrase string) error {
	return c.call(ctx, http.MethodPost, "/v1/secrets/file", api.SecretFile{Passphrase: passphrase}, nil)
}

// ChangePassphrase gives the encrypted file of secrets another passphrase.
func (c *Client) ChangePassphrase(ctx context.Context, old, passphrase string) error {
	return c.call(ctx, http.MethodPut, "/v1/secrets/file", api.SecretFile{Passphrase: passphrase, Old: old}, nil)
}

// Doctor reports what works on this computer and what to do about the rest.
func (c *Client) Doctor(ctx context.Context) (l []api.Check, err error) {
	return l, c.call(ctx, http.MethodGet, "/v1/doctor", nil, &l)
}

// Treat has the doctor do what it safely can, or only the named fixes, and reports how
// things are afterwards.
func (c *Client) Treat(ctx context.Context, fixes ...string) (l []api.Check, err error) {
	return l, c.call(ctx, http.MethodPost, "/v1/doctor", api.Treat{Fixes: fixes}, &l)
}

// Stop ends the service. It returns when the service has agreed to; with
// Unmount that is after all drives are unmounted.
func (c *Client) Stop(ctx context.Context, s api.StopService) error {
	return c.call(ctx, http.MethodPost, "/v1/stop", s, nil)
}

// Restart has a new service take the place of the one that runs. It returns when that
// one has agreed to; Service tells when the other is there.
func (c *Client) Restart(ctx context.Context, r api.RestartService) error {
	return c.call(ctx, http.MethodPost, "/v1/restart", r, nil)
}

func path(name, verb string) string { return "/v1/drives/" + url.PathEscape(name) + verb }

// call sends in (if not nil) and decodes the answer into out (if not nil).
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	res, err := c.do(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if err == nil && len(body) > maxBody {
		err = errors.New("the answer is too long")
	}
	if err == nil && out != nil {
		err = json.Unmarshal(body, out)
	}
	if err != nil {
		return fmt.Errorf("read the service's answer: %w", err)
	}
	return nil
}

// do returns an answer of status 2xx whose body the caller closes.
func (c *Client) do(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+api.Host+path, body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("ask the service: %w", ctx.Err())
		}
		if nobodyListens(err) {
			return nil, ErrNoService
		}
		return nil, fmt.Errorf("ask the service: %w", err)
	}
	if res.StatusCode/100 == 2 {
		return res, nil
	}
	defer res.Body.Close()
	e := &api.Error{Exit: api.ExitFailed}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	if err != nil || json.Unmarshal(b, e) != nil || e.Problem.What == "" {
		return nil, fmt.Errorf("ask the service: it answered %s, which is not an answer of this version", res.Status)
	}
	return nil, e
}

// Stream delivers events. Next and Close may be called concurrently.
type Stream struct {
	cancel context.CancelFunc
	events chan api.Event
	done   chan struct{} // closed after err is set
	err    error
}

// Events opens the stream of events: first one for every drive there is, then
// Ready, then changes as they come. It ends with ctx or Close.
func (c *Client) Events(ctx context.Context) (*Stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	res, err := c.do(ctx, http.MethodGet, "/v1/events", nil)
	if err != nil {
		cancel()
		return nil, err
	}
	s := &Stream{cancel: cancel, events: make(chan api.Event), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		defer cancel()
		defer res.Body.Close()
		s.err = s.read(ctx, json.NewDecoder(res.Body))
	}()
	return s, nil
}

func (s *Stream) read(ctx context.Context, d *json.Decoder) error {
	for {
		var e api.Event
		if err := d.Decode(&e); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return ErrNoService
			}
			return fmt.Errorf("read events: %w", err)
		}
		select {
		case s.events <- e:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Next waits for the next event. After an error of ctx the stream is still
// good; after any other it has ended: ErrNoService if the service has gone.
func (s *Stream) Next(ctx context.Context) (api.Event, error) {
	select {
	case e := <-s.events:
		return e, nil
	case <-ctx.Done():
		return api.Event{}, ctx.Err()
	case <-s.done:
		return api.Event{}, s.err
	}
}

// Close ends the stream.
func (s *Stream) Close() {
	s.cancel()
	<-s.done
}

// dialTimeout bounds a connect: a service that is alive accepts at once.
const dialTimeout = 5 * time.Second
