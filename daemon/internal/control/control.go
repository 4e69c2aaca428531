// Package control answers the service's API on a local socket that only the
// owner can reach.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/moorage/moorage/daemon/api"
)

// Drives is the list of drives. Errors are *api.Error; others are answered as
// CodeInternal.
type Drives interface {
	List() ([]api.Drive, error)
	Get(name string) (api.Drive, error)
	Add(ctx context.Context, a api.AddDrive) (api.Drive, error)
	Edit(ctx context.Context, name string, e api.EditDrive) (api.Drive, error)
	Remove(ctx context.Context, name string, discard bool) error
	SetSecret(ctx context.Context, name, secret string) error
}

// Mounts changes what is mounted. What was begun goes on when ctx is done.
type Mounts interface {
	Mount(ctx context.Context, name string, wait bool) (api.Drive, error)
	Unmount(ctx context.Context, name string, u api.UnmountDrive) (api.Drive, error)
}

// Uploads publishes what was changed. What was begun goes on when ctx is done.
type Uploads interface {
	Uploads(ctx context.Context, name string, limit int) ([]api.Upload, error)
	Sync(ctx context.Context, name string, wait bool) (api.Synced, error)
}

// Pins keeps files and folders on this computer.
type Pins interface {
	Pins(ctx context.Context, name string) ([]api.Pin, error)
	Pin(ctx context.Context, name, path string) (api.Pin, error)
	Unpin(ctx context.Context, name, path string) error
}

// Revisions tells of the history of a drive's remote.
type Revisions interface {
	Revisions(ctx context.Context, name string, q api.RevisionQuery) (api.Revisions, error)
}

// Secrets is where secrets are kept.
type Secrets interface {
	Secrets(ctx context.Context) api.Secrets
	ForgetSecret(ctx context.Context, id string) error
	UnlockSecrets(ctx context.Context, u api.UnlockSecrets) error
	CreateSecretFile(f api.SecretFile) error
	ChangePassphrase(f api.SecretFile) error
}

// Settings are those of the service.
type Settings interface {
	Settings() (api.Settings, error)
	EditSettings(ctx context.Context, e api.EditSettings) (api.Settings, error)
}

// Pauses has changes of drives wait on this computer.
type Pauses interface {
	PauseTransfers(p api.PauseTransfers) (api.Service, error)
	ResumeTransfers() (api.Service, error)
}

// Prospects tells of what may become a drive.
type Prospects interface {
	Describe(ctx context.Context, d api.Describe) (api.Description, error)
	Try(ctx context.Context, t api.Try) (api.Tried, error)
	Found(ctx context.Context) []api.Found
}

// Feed delivers events to one reader.
type Feed interface {
	Next(ctx context.Context) (api.Event, error)
	Close()
}

// Doctor looks at what drives need of this computer.
type Doctor interface {
	Examine(ctx context.Context) []api.Check
	Treat(ctx context.Context, fixes []string) []api.Check
}

// Options are what the server speaks for. All are needed.
type Options struct {
	Drives  Drives
	Mounts  Mounts
	Uploads Uploads
	Pins    Pins
	History Revisions
	Secrets Secrets

	Settings  Settings
	Pauses    Pauses
	Prospects Prospects

	Events  func() Feed
	Doctor  Doctor
	Stop    func(ctx context.Context, s api.StopService) error // returns when the service may end; the answer is sent after
	Restart func(r api.RestartService) error                   // as Stop
	Info    func() api.Service
	Logger  *slog.Logger
}

const (
	maxBody    = 64 << 10
	maxStreams = 64 // event streams at a time

	defaultUploads = 100
	maxUploads     = 10_000 // with long paths and reasons still an answer that clients take

	readTime  = 10 * time.Second // for a whole request
	writeTime = 10 * time.Second // for a reader to take one event or answer
)

// Server answers the API.
type Server struct {
	o       Options
	http    *http.Server
	stop    context.CancelFunc // ends event streams
	streams atomic.Int32
}

// New makes a server.
func New(o Options) *Server {
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{o: o, stop: stop}
	s.http = &http.Server{
		Handler:           guard(s.routes()),
		ReadHeaderTimeout: readTime,
		ReadTimeout:       readTime,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
	}
	return s
}

// Serve answers on l, which Listen made, until Shutdown.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the control socket: %w", err)
	}
	return nil
}

// Shutdown ends event streams, lets other calls end, and cuts them off when ctx
// is done.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop()
	err := s.http.Shutdown(ctx)
	if err != nil {
		s.http.Close()
	}
	return err
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/service", s.handle(func(r *http.Request) (any, error) { return s.o.Info(), nil }))
	mux.HandleFunc("GET /v1/drives", s.handle(func(r *http.Request) (any, error) { return s.o.Drives.List() }))
	mux.HandleFunc("GET /v1/drives/{name}", s.handle(func(r *http.Request) (any, error) { return s.o.Drives.Get(r.PathValue("name")) }))
	mux.HandleFunc("DELETE /v1/drives/{name}", s.handle(func(r *http.Request) (any, error) {
		discard, err := query(r, "discard", false, strconv.ParseBool)
		if err != nil {
			return nil, err
		}
		return struct{}{}, s.o.Drives.Remove(r.Context(), r.PathValue("name"), discard)
	}))
	mux.HandleFunc("POST /v1/drives", withBody(s, func(r *http.Request, a api.AddDrive) (any, error) {
		return s.o.Drives.Add(r.Context(), a)
	}))
	mux.HandleFunc("PATCH /v1/drives/{name}", withBody(s, func(r *http.Request, e api.EditDrive) (any, error) {
		return s.o.Drives.Edit(r.Context(), r.PathValue("name"), e)
	}))
	mux.HandleFunc("POST /v1/drives/{name}/mount", withBody(s, func(r *http.Request, m api.MountDrive) (any, error) {
		return s.o.Mounts.Mount(r.Context(), r.PathValue("name"), m.Wait)
	}))
	mux.HandleFunc("POST /v1/drives/{name}/unmount", withBody(s, func(r *http.Request, u api.UnmountDrive) (any, error) {
		return s.o.Mounts.Unmount(r.Context(), r.PathValue("name"), u)
	}))
	mux.HandleFunc("POST /v1/drives/{name}/sync", withBody(s, func(r *http.Request, x api.SyncDrive) (any, error) {
		return s.o.Uploads.Sync(r.Context(), r.PathValue("name"), x.Wait)
	}))
	mux.HandleFunc("GET /v1/drives/{name}/uploads", s.handle(func(r *http.Request) (any, error) {
		limit, err := query(r, "limit", defaultUploads, strconv.Atoi)
		if err != nil {
			return nil, err
		}
		return s.o.Uploads.Uploads(r.Context(), r.PathValue("name"), min(max(limit, 1), maxUploads))
	}))
	mux.HandleFunc("GET /v1/drives/{name}/pins", s.handle(func(r *http.Request) (any, error) {
		return s.o.Pins.Pins(r.Context(), r.PathValue("name"))
	}))
	mux.HandleFunc("POST /v1/drives/{name}/pin", withBody(s, func(r *http.Request, x api.PinPath) (any, error) {
		return s.o.Pins.Pin(r.Context(), r.PathValue("name"), x.Path)
	}))
	mux.HandleFunc("POST /v1/drives/{name}/unpin", withBody(s, func(r *http.Request, x api.PinPath) (any, error) {
		return struct{}{}, s.o.Pins.Unpin(r.Context(), r.PathValue("name"), x.Path)
	}))
	mux.HandleFunc("GET /v1/drives/{name}/revisions", s.handle(s.revisions))
	mux.HandleFunc("PUT /v1/drives/{name}/secret", withBody(s, func(r *http.Request, x api.Secret) (any, error) {
		return struct{}{}, s.o.Drives.SetSecret(r.Context(), r.PathValue("name"), x.Secret)
	}))
	mux.HandleFunc("GET /v1/settings", s.handle(func(r *http.Request) (any, error) { return s.o.Settings.Settings() }))
	mux.HandleFunc("PATCH /v1/settings", withBody(s, func(r *http.Request, e api.EditSettings) (any, error) {
		return s.o.Settings.EditSettings(r.Context(), e)
	}))
	mux.HandleFunc("POST /v1/pause", withBody(s, func(r *http.Request, p api.PauseTransfers) (any, error) {
		return s.o.Pauses.PauseTransfers(p)
	}))
	mux.HandleFunc("POST /v1/resume", s.handle(func(r *http.Request) (any, error) { return s.o.Pauses.ResumeTransfers() }))
	mux.HandleFunc("POST /v1/describe", withBody(s, func(r *http.Request, x api.Describe) (any, error) {
		return s.o.Prospects.Describe(r.Context(), x)
	}))
	mux.HandleFunc("POST /v1/try", withBody(s, func(r *http.Request, x api.Try) (any, error) {
		return s.o.Prospects.Try(r.Context(), x)
	}))
	mux.HandleFunc("GET /v1/found", s.handle(func(r *http.Request) (any, error) { return s.o.Prospects.Found(r.Context()), nil }))
	mux.HandleFunc("GET /v1/secrets", s.handle(func(r *http.Request) (any, error) { return s.o.Secrets.Secrets(r.Context()), nil }))
	mux.HandleFunc("DELETE /v1/secrets/{id}", s.handle(func(r *http.Request) (any, error) {
		return struct{}{}, s.o.Secrets.ForgetSecret(r.Context(), r.PathValue("id"))
	}))
	mux.HandleFunc("POST /v1/secrets/unlock", withBody(s, func(r *http.Request, x api.UnlockSecrets) (any, error) {
		return struct{}{}, s.o.Secrets.UnlockSecrets(r.Context(), x)
	}))
	mux.HandleFunc("POST /v1/secrets/file", withBody(s, func(r *http.Request, x api.SecretFile) (any, error) {
		return struct{}{}, s.o.Secrets.CreateSecretFile(x)
	}))
	mux.HandleFunc("PUT /v1/secrets/file", withBody(s, func(r *http.Request, x api.SecretFile) (any, error) {
		return struct{}{}, s.o.Secrets.ChangePassphrase(x)
	}))
	mux.HandleFunc("GET /v1/events", s.events)
	mux.HandleFunc("GET /v1/doctor", s.handle(func(r *http.Request) (any, error) { return s.o.Doctor.Examine(r.Context()), nil }))
	mux.HandleFunc("POST /v1/doctor", withBody(s, func(r *http.Request, x api.Treat) (any, error) {
		return s.o.Doctor.Treat(r.Context(), x.Fixes), nil
	}))
	mux.HandleFunc("POST /v1/stop", withBody(s, func(r *http.Request, x api.StopService) (any, error) {
		return struct{}{}, s.o.Stop(r.Context(), x)
	}))
	mux.HandleFunc("POST /v1/restart", withBody(s, func(r *http.Request, x api.RestartService) (any, error) {
		return struct{}{}, s.o.Restart(x)
	}))
	mux.HandleFunc("/", s.handle(func(r *http.Request) (any, error) {
		return nil, badRequest(fmt.Sprintf("This service does not know %s %s.", r.Method, r.URL.Path),
			"Use a Moorage program of the same version as the service.")
	}))
	return mux
}

// guard refuses what a browser could have been tricked to send.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != api.Host || r.Header.Get("Origin") != "" || r.Header.Get("Referer") != "" {
			answer(w, nil, &api.Error{Exit: api.ExitFailed, Problem: api.Problem{Code: api.CodeBadRequest,
				What: "The service refused a request that came from a web page."}})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// handle answers with what f returns. A call may take longer than readTime,
// and ends when the client goes away.
func (s *Server) handle(f func(r *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		_ = c.SetReadDeadline(time.Time{}) // else the connection would count as broken when it passes
		out, err := f(r)
		if err != nil {
			var e *api.Error
			if !errors.As(err, &e) {
				s.o.Logger.Error("request failed", "method", r.Method, "err", err)
			}
		}
		_ = c.SetWriteDeadline(time.Now().Add(writeTime))
		answer(w, out, err)
	}
}

// withBody decodes a body of type T before it calls f.
func withBody[T any](s *Server, f func(r *http.Request, in T) (any, error)) http.HandlerFunc {
	return s.handle(func(r *http.Request) (any, error) {
		var in T
		if err := decode(r, &in); err != nil {
			return nil, err
		}
		return f(r, in)
	})
}

// decode reads exactly one JSON value without unknown fields.
func decode(r *http.Request, in any) error {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return badRequest("The request is not JSON.", "")
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	switch {
	case err != nil:
		return badRequest("The request did not arrive whole.", "")
	case len(b) > maxBody:
		return badRequest(fmt.Sprintf("The request is longer than %d KiB.", maxBody>>10), "")
	}
	return strict(b, in)
}

// query reads a value from behind the question mark of a request; def if it is
// not there.
func query[T any](r *http.Request, name string, def T, parse func(string) (T, error)) (T, error) {
	s := r.URL.Query().Get(name)
	if s == "" {
		return def, nil
	}
	v, err := parse(s)
	if err != nil {
		return def, badRequest(fmt.Sprintf("%q is no value for %s.", s, name), "")
	}
	return v, nil
}

func badRequest(what, do string) *api.Error {
	return &api.Error{Exit: api.ExitUsage, Problem: api.Problem{Code: api.CodeBadRequest, What: what, Do: do}}
}

// answer writes out, or err if there is one.
func answer(w http.ResponseWriter, out any, err error) {
	status := http.StatusOK
	if err != nil {
		var e *api.Error
		if !errors.As(err, &e) {
			e = &api.Error{Exit: api.ExitFailed, Problem: api.Problem{Code: api.CodeInternal,
				What: "The service failed: " + err.Error() + ".",
				Do:   "Look into its log, and report this."}}
		}
		out, status = e, statusOf(e)
	}
	b, merr := json.Marshal(out)
	if merr != nil {
		status, b = http.StatusInternalServerError, nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // the client is gone if this fails
}

func statusOf(e *api.Error) int {
	switch {
	case e.Problem.Code == api.CodeInternal:
		return http.StatusInternalServerError
	case e.Exit == api.ExitUsage:
		return http.StatusBadRequest
	case e.Exit == api.ExitNotFound:
		return http.StatusNotFound
	case e.Exit == api.ExitMissing:
		return http.StatusServiceUnavailable
	}
	return http.StatusConflict
}

// events streams events, one a line. A reader that does not take one within
// writeTime is cut off; it gets the whole state when it comes back.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	if s.streams.Add(1) > maxStreams {
		s.streams.Add(-1)
		answer(w, nil, &api.Error{Exit: api.ExitFailed, Problem: api.Problem{Code: api.CodeBadRequest,
			What: fmt.Sprintf("More than %d programs watch the service already.", maxStreams), Do: "Close some of them."}})
		return
	}
	defer s.streams.Add(-1)
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Time{})
	w.Header().Set("Content-Type", "application/x-ndjson")
	f := s.o.Events()
	defer f.Close()
	enc := json.NewEncoder(w)
	for {
		e, err := f.Next(r.Context())
		if err != nil {
			return
		}
		_ = c.SetWriteDeadline(time.Now().Add(writeTime))
		if enc.Encode(e) != nil || c.Flush() != nil {
			return
		}
	}
}
