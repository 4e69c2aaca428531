//go:build unix

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
)

// fakeService keeps drives in memory and mounts nothing. It speaks the real API
// on a real socket.
type fakeService struct {
	socket string

	mu       sync.Mutex
	drives   map[string]api.Drive
	secrets  map[string]string
	calls    []string
	asked    []api.Calls                     // of every drive, in the answer to GET of one
	mount    []func(d *api.Drive) *api.Error // what the next mounts do; then all succeed
	unmount  []*api.Error                    // what the next unmounts fail with
	sync     func(ctx context.Context, wait bool) (api.Synced, *api.Error)
	history  func(query string) (api.Revisions, *api.Error)
	pin      func(verb, path string) (api.Pin, *api.Error)
	checks   []api.Check
	treated  []api.Check // what the doctor says when it was asked to mend
	paused   *api.Pause
	kept     api.Secrets
	unlock   []*api.Error // what the next unlocks fail with
	watcher  chan api.Event
	standing sync.Mutex
	stands   *string // the path of the call at which it stops to answer; "": the first
	still    bool    // it has
}

func (f *fakeService) service() api.Service {
	f.mu.Lock()
	defer f.mu.Unlock()
	return api.Service{Version: "v1.2.3", PID: 42, Started: since, Paused: f.paused}
}

var since = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newFake(t *testing.T, drives ...api.Drive) *fakeService {
	t.Helper()
	dir, err := os.MkdirTemp("", "moorage-cli-") // short: a socket's path has 104 bytes on macOS
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeService{socket: filepath.Join(dir, "s"), drives: map[string]api.Drive{}, secrets: map[string]string{}, watcher: make(chan api.Event, 16)}
	for _, d := range drives {
		d.Since = since
		f.drives[d.Name] = d
	}
	l, err := net.Listen("unix", f.socket)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/service", func(w http.ResponseWriter, r *http.Request) {
		f.answer(w, f.service(), nil)
	})
	mux.HandleFunc("POST /v1/pause", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		var p api.PauseTransfers
		f.read(r, &p)
		f.paused = &api.Pause{Since: since, Until: p.Until}
		f.mu.Unlock()
		f.answer(w, f.service(), nil)
	})
	mux.HandleFunc("POST /v1/resume", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.calls = append(f.calls, "resume")
		f.paused = nil
		f.mu.Unlock()
		f.answer(w, f.service(), nil)
	})
	mux.HandleFunc("GET /v1/doctor", func(w http.ResponseWriter, r *http.Request) { f.answer(w, f.checks, nil) })
	mux.HandleFunc("POST /v1/doctor", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.read(r, &api.Treat{})
		f.answer(w, f.treated, nil)
	})
	mux.HandleFunc("GET /v1/drives", f.list)
	mux.HandleFunc("GET /v1/drives/{name}", f.get)
	mux.HandleFunc("POST /v1/drives", f.add)
	mux.HandleFunc("PATCH /v1/drives/{name}", f.edit)
	mux.HandleFunc("DELETE /v1/drives/{name}", f.remove)
	mux.HandleFunc("POST /v1/drives/{name}/mount", f.doMount)
	mux.HandleFunc("POST /v1/drives/{name}/unmount", f.doUnmount)
	mux.HandleFunc("PUT /v1/drives/{name}/secret", f.setSecret)
	mux.HandleFunc("POST /v1/drives/{name}/sync", f.doSync)
	mux.HandleFunc("POST /v1/drives/{name}/pin", f.doPin("pin"))
	mux.HandleFunc("POST /v1/drives/{name}/unpin", f.doPin("unpin"))
	mux.HandleFunc("GET /v1/drives/{name}/revisions", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		history := f.history
		f.mu.Unlock()
		l, e := history(r.URL.RawQuery)
		f.answer(w, l, e)
	})
	mux.HandleFunc("GET /v1/secrets", func(w http.ResponseWriter, r *http.Request) { f.answer(w, f.kept, nil) })
	mux.HandleFunc("POST /v1/secrets/unlock", f.doUnlock)
	mux.HandleFunc("POST /v1/secrets/file", f.doSecretFile)
	mux.HandleFunc("PUT /v1/secrets/file", f.doSecretFile)
	mux.HandleFunc("DELETE /v1/secrets/{id}", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.calls = append(f.calls, "DELETE "+r.URL.Path)
		f.answer(w, struct{}{}, nil)
	})
	mux.HandleFunc("GET /v1/events", f.events)
	srv := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.standsStill(r.URL.Path) {
			io.Copy(io.Discard, r.Body) // else it is not seen that the client went away
			<-r.Context().Done()
			return
		}
		mux.ServeHTTP(w, r)
	})}}
	srv.Start()
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close(); os.RemoveAll(dir) })
	return f
}

// standStill lets the service answer nothing any more, from a call of path on; "": from
// now on.
func (f *fakeService) standStill(path string) {
	f.standing.Lock()
	defer f.standing.Unlock()
	f.stands = &path
}

func (f *fakeService) standsStill(path string) bool {
	f.standing.Lock() // not mu, which is held by calls that wait for others
	defer f.standing.Unlock()
	if f.stands != nil && (*f.stands == "" || *f.stands == path) {
		f.still = true
	}
	return f.still
}

func (f *fakeService) answer(w http.ResponseWriter, v any, e *api.Error) {
	if e != nil {
		w.WriteHeader(http.StatusConflict)
		v = e
	}
	json.NewEncoder(w).Encode(v)
}

func (f *fakeService) read(r *http.Request, v any) {
	if err := json.NewDecoder(r.Body).Decode(v); err != nil {
		panic(err)
	}
	b, _ := json.Marshal(v)
	f.calls = append(f.calls, fmt.Sprintf("%s %s %s", r.Method, r.URL.Path, b))
}

func (f *fakeService) list(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := []api.Drive{}
	for _, d := range f.drives {
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b api.Drive) int { return strings.Compare(a.Name, b.Name) })
	f.answer(w, all, nil)
}

func (f *fakeService) get(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.drives[r.PathValue("name")]
	d.Calls = f.asked
	f.answer(w, d, nil)
}

func (f *fakeService) add(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var a api.AddDrive
	f.read(r, &a)
	if strings.HasPrefix(a.URL, "bogus:") {
		f.answer(w, nil, &api.Error{Exit: api.ExitUsage, Problem: api.Problem{Code: api.CodeBadURL, What: "This is not a drive URL.", Do: "Give one such as https://github.com/golang/go."}})
		return
	}
	d := api.Drive{Name: a.Name, URL: a.URL, Kind: "git", Dir: a.Dir, ReadOnly: a.ReadOnly, Auto: a.Auto, Remembered: a.Remember, State: api.Stopped, Since: since}
	switch {
	case a.Beside != "":
		d.Name = a.Beside + " @ " + a.Revision
	case d.Name == "":
		d.Name = filepath.Base(a.URL)
	}
	if a.URL == "mem:" {
		d.Kind = "mem"
	}
	if d.Dir == "" {
		d.Dir = "/home/u/Moorage/" + d.Name
	}
	f.drives[d.Name] = d
	if a.Secret != "" {
		f.secrets[d.Name] = a.Secret
	}
	f.answer(w, d, nil)
}

func (f *fakeService) edit(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var e api.EditDrive
	f.read(r, &e)
	f.answer(w, f.drives[r.PathValue("name")], nil)
}

func (f *fakeService) remove(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, "DELETE "+r.URL.RequestURI())
	if n := f.drives[r.PathValue("name")].Pending.Files; n > 0 && r.FormValue("discard") != "true" {
		f.answer(w, nil, &api.Error{Exit: api.ExitFailed, Problem: api.Problem{Code: api.CodeUnpublished, What: "2 changes are not on the remote yet."}})
		return
	}
	delete(f.drives, r.PathValue("name"))
	f.answer(w, struct{}{}, nil)
}

func (f *fakeService) doMount(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var m api.MountDrive
	f.read(r, &m)
	d := f.drives[r.PathValue("name")]
	d.State = api.Mounted
	if len(f.mount) > 0 {
		next := f.mount[0]
		f.mount = f.mount[1:]
		if e := next(&d); e != nil {
			f.answer(w, nil, e)
			return
		}
	}
	f.drives[d.Name] = d
	f.answer(w, d, nil)
}

func (f *fakeService) doUnmount(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var u api.UnmountDrive
	f.read(r, &u)
	if len(f.unmount) > 0 {
		e := f.unmount[0]
		f.unmount = f.unmount[1:]
		f.answer(w, nil, e)
		return
	}
	d := f.drives[r.PathValue("name")]
	d.State = api.Stopped
	f.drives[d.Name] = d
	f.answer(w, d, nil)
}

func (f *fakeService) setSecret(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var s api.Secret
	if err := json.NewDecoder(r.Body).Decode(&s); err != nil {
		panic(err)
	}
	f.secrets[r.PathValue("name")] = s.Secret
	f.answer(w, struct{}{}, nil)
}

func (f *fakeService) doUnlock(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var u api.UnlockSecrets
	f.read(r, &u)
	var e *api.Error
	if len(f.unlock) > 0 {
		e, f.unlock = f.unlock[0], f.unlock[1:]
	}
	f.answer(w, struct{}{}, e)
}

func (f *fakeService) doSecretFile(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read(r, &api.SecretFile{})
	f.answer(w, struct{}{}, nil)
}

func (f *fakeService) doSync(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	var x api.SyncDrive
	f.read(r, &x)
	sync := f.sync
	f.mu.Unlock()
	if sync == nil {
		f.answer(w, api.Synced{}, nil)
		return
	}
	s, e := sync(r.Context(), x.Wait)
	f.answer(w, s, e)
}

func (f *fakeService) doPin(verb string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		var x api.PinPath
		f.read(r, &x)
		pin := f.pin
		f.mu.Unlock()
		p, e := pin(verb, x.Path)
		f.answer(w, p, e)
	}
}

func (f *fakeService) events(w http.ResponseWriter, r *http.Request) {
	w.(http.Flusher).Flush()
	for {
		select {
		case e := <-f.watcher:
			json.NewEncoder(w).Encode(e)
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

func (f *fakeService) secret(drive string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.secrets[drive]
}

func (f *fakeService) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.drives)
}

// said returns the calls that changed something since the last time.
func (f *fakeService) said() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.calls
	f.calls = nil
	return c
}

// result is what one command left behind.
type result struct {
	status   int
	out, err string
	ran      [][]string // programs that it became or launched
	input    string     // of the last that it became
}

// run runs one command against f; change may alter its surroundings.
func (f *fakeService) run(t *testing.T, change func(*Env), args ...string) result {
	t.Helper()
	var out, stderr bytes.Buffer
	var r result
	e := Env{
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &stderr,
		Getenv:  func(string) string { return "" },
		Connect: func() (*client.Client, error) { return client.New(f.socket), nil },
		Start:   func(context.Context) error { return nil },
		Replace: func(_ context.Context, argv []string, input string) (int, error) {
			r.ran, r.input = append(r.ran, argv), input
			return 0, nil
		},
		Launch: func(argv []string) error { r.ran = append(r.ran, argv); return nil },
		Local:  func(context.Context, bool) ([]api.Check, error) { return nil, errors.New("not asked for") },
	}
	if change != nil {
		change(&e)
	}
	r.status = Run(t.Context(), args, e)
	r.out, r.err = out.String(), stderr.String()
	return r
}

func fail(code, what string, exit int) func(*api.Drive) *api.Error {
	return func(*api.Drive) *api.Error {
		return &api.Error{Exit: exit, Problem: api.Problem{Code: code, What: what, Do: "Do this."}}
	}
}
